"""Models in this process: who wants to look at what they raise gets it itself."""

from __future__ import annotations

import pytest

from crunch_game import InlineHost, ModelRunner, Status

pytestmark = pytest.mark.anyio


class Base:
    def predict(self) -> float: ...


class Raises(Base):
    def predict(self):
        raise KeyError("here")


class CannotBeMade(Base):
    def __init__(self):
        raise OSError("there")

    def predict(self):
        return 1.0


async def test_what_a_model_raises_is_handed_on_with_its_traceback():
    raised = []
    host = InlineHost(on_raise=raised.append)
    async with ModelRunner(Base, [Raises, CannotBeMade], host=host) as runner:
        played = await runner.predict()

    assert played["Raises"].status is Status.RAISED
    assert [repr(error) for error in raised] == ["OSError('there')", "KeyError('here')"]
    assert raised[1].__traceback__.tb_next is not None

"""A static roster has the models it was given, once."""

from __future__ import annotations

import pytest

from crunch_game.errors import GameError
from crunch_game.models import Submission
from crunch_game.rosters.static import StaticRoster

pytestmark = pytest.mark.anyio


class Alice:
    pass


class Bob:
    pass


async def test_it_tells_once_who_is_in_the_game(tmp_path):
    (tmp_path / "carol.py").touch()
    dave = Submission("dave", Alice, deployment_id="7")

    told = [roster async for roster in StaticRoster([Bob, tmp_path / "carol.py", "mygame.examples:Zoe", dave]).follow()]

    assert told == [
        {
            "Bob": Submission("Bob", Bob),
            "carol": Submission("carol", tmp_path / "carol.py"),
            "Zoe": Submission("Zoe", "mygame.examples:Zoe"),
            "dave": dave,
        }
    ]


async def test_nobody_is_a_roster_too():
    assert [roster async for roster in StaticRoster([]).follow()] == [{}]


async def test_two_models_with_one_id_are_refused(anyio_backend):
    with pytest.raises(GameError) as caught:
        StaticRoster([Alice, Submission("Alice", Bob)])
    assert str(caught.value) == ("two models have the id 'Alice'; tell them apart with Submission(id=..., source=...)")


async def test_any_host_will_do():
    assert StaticRoster([Alice]).host() is None

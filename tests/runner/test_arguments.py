"""Arguments reach a model as the types that the contract says, whatever its host."""

from __future__ import annotations

import datetime as dt

import pytest
import typed

pytestmark = pytest.mark.anyio

HOSTS = pytest.mark.parametrize("host", ["process", "inline"])
TOLD = """
def tick(self, trades, levels):
    self.told = repr((trades, levels))
    trades.clear()
    levels.clear()
def predict(self, ahead, day, *, assets, seen=None):
    heavy = [name for name in ("pydantic", "numpy") if name in sys.modules]
    return repr([self.told, day, ahead, assets, seen, heavy])
"""
AT = dt.datetime(2026, 1, 1, 12)  # noqa: DTZ001 - naive ones are what used to arrive as text


@HOSTS
async def test_arguments_and_further_ones_keep_their_types(submit, running, host):
    trades, levels = [typed.Trade(typed.Side.SELL, AT)], {1: 0.5}
    given = dt.date(2026, 1, 1), dt.timedelta(hours=1), ("BTC",)
    models = [submit(name, TOLD, base="typed.Base") for name in ("alice", "bob")]
    async with running(models, "typed.Base", host) as runner:
        await runner.tick(trades, levels=levels)
        answers = await runner.predict(*given, per_model=lambda model: {"seen": {len(model.id)}})

    for name, outcome in answers.items():
        outcome.raise_for_status()
        said = eval(outcome.value, {"datetime": dt})
        assert said[:5] == [repr((trades, levels)), *given, {len(name)}]
        assert [type(each) for each in said[1:5]] == [dt.date, dt.timedelta, tuple, set]
        assert host == "inline" or said[5] == []

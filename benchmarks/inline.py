"""A backtest beside a plain loop: what one call costs, checked both ways; and the whole of it, stored and scored.

The call is the small round of the other rows, in this process. The whole is `backtest` of the demo game over its real
prices: a quarter of its calls are ticks, and every prediction is kept, scored and ranked.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import anyio

from benchmarks.apart import ROOT
from benchmarks.field import ASKED, PRICES, field
from crunch_game import Game, ModelRunner, ReplayFeed, backtest
from crunch_game.datasets import daily_prices
from crunch_game.loading import load_model

__all__ = ["floor", "ours"]

_DAY = 86_400


def ours(models: int, rows: int) -> dict[str, float]:
    """Play so many models for so many rows: calls alone, then a whole backtest."""
    with field("density", models) as folder:
        call = anyio.run(_calls, folder, models, rows)
    game, classes = _demo(models)
    backtest(game, classes, feed=ReplayFeed(daily_prices()[:2]))  # imports scipy, once in a process
    began = time.perf_counter()
    played = backtest(game, classes, feed=ReplayFeed(daily_prices()[:rows]))
    whole = time.perf_counter() - began
    calls = played.ticks * models + played.predictions
    assert calls == rows * models * 4, played
    return {"call_us": call / (rows * models * 2) * 1e6, "whole_us": whole / calls * 1e6}


async def _calls(folder: Any, models: int, rows: int) -> float:
    began = ended = 0.0
    async with ModelRunner("bench_game:TrackerBase", folder, host="inline") as runner:
        began = time.perf_counter()
        for _ in range(rows):
            await runner.tick(PRICES)
            played = await runner.predict(*ASKED)
            assert len(played.succeeded) == models, played
        ended = time.perf_counter()
    return ended - began


def floor(models: int, rows: int) -> dict[str, float]:
    """The same models called in a plain loop, nothing checked, kept or scored."""
    with field("density", models) as folder:
        players = [load_model(file, "bench_game.TrackerBase") for file in sorted(folder.iterdir())]
        call = _timed(lambda: _loop(players, itertools.repeat(PRICES, rows), [ASKED]))
    _, classes = _demo(models)
    asked = [(asset, _DAY, _DAY) for asset in ("AAPL", "IBM", "MSFT")]
    tracked, prices = [each() for each in classes], [row.prices for row in daily_prices()[:rows]]
    whole = _timed(lambda: _loop(tracked, prices, asked))
    calls = len(prices) * models * (1 + len(asked))
    return {"call_us": call / (rows * models * 2) * 1e6, "whole_us": whole / calls * 1e6}


def _loop(players: Sequence[Any], rows: Any, asked: Sequence[tuple[Any, ...]]) -> None:
    for prices in rows:
        for player in players:
            player.tick(prices)
        for arguments in asked:
            for player in players:
                player.predict(*arguments)


def _demo(models: int) -> tuple[Game, list[type]]:
    """The demo game, and so many of its simplest models."""
    sys.path.insert(0, str(ROOT / "examples" / "daily_density"))
    from daily_density.game import game
    from daily_density.models.constant_normal import ConstantNormal

    return game, [type(f"Constant{index}", (ConstantNormal,), {}) for index in range(models)]


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began

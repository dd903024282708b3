"""One more round on a board by skill with a week of five-minute rounds; beside it the same board, made anew.

The round is new, has an answer of nearly every model, and pushes one out of each of the board's three windows; the
standings are asked for after it.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from benchmarks.meter import Meter, pss
from crunch_game.ranking import Board, BoardRound, Boards, Metric, Standing

__all__ = ["one_more", "rebuilt"]

_START = datetime(2024, 1, 1, tzinfo=UTC)
_STEP = timedelta(minutes=5)
_HORIZON = timedelta(hours=1)
_MORE = 20


def one_more(models: int, rounds: int) -> dict[str, float]:
    """A board of so many rounds, and then twenty more, one by one; equal to a board of all of them, to the last bit."""
    boards, meter = _boards(), Meter()
    for played in _rounds(models, 0, rounds):
        boards.put(played)
    standings = _standings(boards, rounds)
    memory = pss([os.getpid()])
    for index, played in enumerate(_rounds(models, rounds, _MORE), start=rounds + 1):
        with meter.round():
            boards.put(played)
            standings = _standings(boards, index)
    anew = _boards()
    for played in _rounds(models, _MORE, rounds):
        anew.put(played)
    for played in _rounds(models, 0, _MORE):  # what the first rounds were measured by is past, and told late
        anew.put(played)
    assert standings == _standings(anew, rounds + _MORE)
    return {"round_ms": meter.latency()["round_ms"], "board_mib": memory}


def rebuilt(models: int, rounds: int) -> dict[str, float]:
    """The board made anew for one round."""
    boards, meter, played = _boards(), Meter(), list(_rounds(models, 0, rounds))
    with meter.round():
        for each in played:
            boards.put(each)
        _standings(boards, rounds)
    played.clear()
    return {"round_ms": meter.latency()["round_ms"], "board_mib": pss([os.getpid()])}


def _boards() -> Boards:
    return Boards([Board("global")], {"crps": Metric()})


def _standings(boards: Boards, rounds: int) -> list[Standing]:
    """When the last of so many rounds has just resolved."""
    return boards.standings(_START + (rounds - 1) * _STEP + _HORIZON)["global"]


def _rounds(models: int, first: int, count: int) -> Iterator[BoardRound]:
    for index in range(first, first + count):
        draw, at = random.Random(index), _START + index * _STEP
        losses = {f"model_{number}": draw.expovariate(1000) for number in range(models) if draw.random() < 0.97}
        yield BoardRound("BTC", at, at + _HORIZON, _HORIZON.total_seconds(), scores={"crps": losses})

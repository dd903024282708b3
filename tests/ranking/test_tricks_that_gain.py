"""Tricks that gain on a board without a benchmark, each as small as it can be; with a benchmark they gain nothing.

Where a trick is found to gain no longer, its test fails: then it belongs among those of `test_attacks.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from crunch_game.ranking import Board, BoardRound, Boards, Metric, Standing

Losses = NDArray[np.float64]
T0 = datetime(2024, 1, 1, tzinfo=UTC)
LEAGUES = 40


def play(losses: Mapping[str, Losses], *, benchmark: bool, window: str = "3650d") -> dict[str, Standing]:
    """One round an hour; NaN is an absence. "bench" plays in both cases, and is compared with in one."""
    board = Board("all", windows={"all": window}, reference="bench" if benchmark else None)
    boards, hours = Boards([board], {"loss": Metric()}, ["bench"]), len(next(iter(losses.values())))
    columns = {name: each.tolist() for name, each in losses.items()}
    for hour in range(hours):
        at = T0 + timedelta(hours=hour)
        scores = {name: each[hour] for name, each in columns.items() if not math.isnan(each[hour])}
        boards.put(BoardRound("BTC", at, at + timedelta(hours=1), scores={"loss": scores}))
    return {each.model_id: each for each in boards.standings(T0 + timedelta(hours=hours))["all"]}


def errors(badness: Mapping[str, float], hours: int, seed: int) -> dict[str, Losses]:
    draw = np.random.default_rng(seed)
    return {name: abs(draw.normal(size=hours)) * bad for name, bad in badness.items()}


def gained(with_it: Mapping[str, Standing], without: Mapping[str, Standing], name: str = "eve") -> float:
    return (with_it[name].skill or 0.0) - (without[name].skill or 0.0)


WITH = pytest.param(True, id="with a benchmark")


def gains(why: str) -> object:
    return pytest.param(False, id="without a benchmark", marks=pytest.mark.xfail(reason=f"gains: {why}"))


# Where two play, the reference is the usual loss, whatever the hour was like.


@pytest.mark.parametrize(
    "benchmark", [gains("where two play, an absence costs 2 in an hour in which both lose ten times as much"), WITH]
)
def test_who_sees_a_wild_hour_coming_does_not_gain_by_sitting_it_out(benchmark: bool) -> None:
    """The hour is as wild for all, so nobody loses three times what the others do."""
    losses = errors({"bench": 1.0, "eve": 1.1}, 300, 1)
    for each in losses.values():
        each[20::30] *= 10
    without = play(losses, benchmark=benchmark)
    losses["eve"][20::30] = np.nan
    assert gained(play(losses, benchmark=benchmark), without) <= 0


def test_of_three_none_gains_by_sitting_out_the_wild_hours() -> None:
    losses = errors({"bench": 1.0, "ada": 1.05, "eve": 1.1}, 300, 1)
    for each in losses.values():
        each[20::30] *= 10
    without = play(losses, benchmark=False)
    losses["eve"][20::30] = np.nan
    assert gained(play(losses, benchmark=False), without) <= 0


@pytest.mark.parametrize("accomplice", [False, True], ids=["alone", "with an accomplice"])
def test_who_sets_the_usual_loss_alone_gains_nothing_by_one_absurd_hour_in_thirty(accomplice: bool) -> None:
    """A benchmark that answers is the lower of two, or the middle of three."""
    losses = errors({"bench": 1.0, "eve": 1.0} | ({"mal": 1.0} if accomplice else {}), 310, 2)
    without = play(losses, benchmark=True)
    for name in ("eve", "mal") if accomplice else ("eve",):
        losses[name][::31] = 1e6
    assert gained(play(losses, benchmark=True), without) <= 0


@pytest.mark.xfail(
    reason="gains 0.7 alone, 1.4 by two: -10 in one hour, +1 in each of the thirty that are measured by it"
)
@pytest.mark.parametrize("accomplice", [False, True], ids=["alone", "with an accomplice"])
def test_where_no_benchmark_plays_nor_does_it(accomplice: bool) -> None:
    losses = errors({"eve": 1.0} | ({"mal": 1.0} if accomplice else {}), 310, 2)
    without = play(losses, benchmark=False)
    for each in losses.values():
        each[::31] = 1e6
    assert gained(play(losses, benchmark=False), without) <= 0


# An accomplice lifts all alike in the hours in which it is absurd: a newcomer, in all that it has.


def fresh_account(seed: int, *, absurd: bool, benchmark: bool) -> Standing:
    """The worst of six, under a new name for the later half of the window; "mal" was honest until then."""
    badness = {"bench": 1.05, "ada": 1.0, "bob": 1.02, "cy": 1.04, "dan": 1.06, "mal": 1.08, "eve": 1.08}
    losses = errors(badness, 168, seed)
    losses["eve"][:84] = np.nan
    if absurd:
        losses["mal"][84:] = 1e9
    return play(losses, benchmark=benchmark, window="7d")["eve"]


@pytest.mark.slow
@pytest.mark.parametrize("benchmark", [gains("it leads, and is paid, in 16 leagues of 40 instead of 4"), WITH])
def test_an_accomplice_who_turns_absurd_as_a_fresh_account_joins_does_not_make_it_lead(benchmark: bool) -> None:
    plain = [fresh_account(seed, absurd=False, benchmark=benchmark) for seed in range(LEAGUES)]
    helped = [fresh_account(seed, absurd=True, benchmark=benchmark) for seed in range(LEAGUES)]
    assert all(each.payable for each in helped)
    more = sum(each.rank == 1 for each in helped) - sum(each.rank == 1 for each in plain)
    lifted = np.mean([(a.skill or 0) - (b.skill or 0) for a, b in zip(helped, plain, strict=True)])
    assert lifted <= 0.01
    assert more <= 2

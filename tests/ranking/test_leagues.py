"""What skill holds over many rounds, in synthetic leagues with fixed seeds; each figure is of 100 leagues.

A model's loss in a round is the absolute error of a forecast: a normal number, times how bad the model is, times how
wild the hour is, which is the same for all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from crunch_game.ranking import Board, BoardRound, Boards, Metric, Standing

pytestmark = pytest.mark.slow

T0 = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
LEAGUES = 100
Losses = NDArray[np.float64]


def wildness(rounds: int, draw: np.random.Generator, steps: float = 0.07) -> Losses:
    """Of each hour: it changes slowly, over days, by a factor of 1.3 or so."""
    level = np.zeros(rounds)
    for hour in range(1, rounds):
        level[hour] = 0.97 * level[hour - 1] + steps * draw.normal()
    return np.exp(level)


def errors(badness: Sequence[float], wild: Losses, draw: np.random.Generator) -> dict[str, Losses]:
    """The losses of models that are so bad, in hours that are so wild."""
    return {f"m{number}": abs(draw.normal(size=len(wild))) * bad * wild for number, bad in enumerate(badness)}


def play(losses: Mapping[str, Losses], board: Board, keys: Sequence[str] | None = None) -> Boards:
    """A round an hour; a loss that is not a number is an absence."""
    boards = Boards([board], {"loss": Metric()}, ["bench"] if "bench" in losses else [])
    columns = {name: each.tolist() for name, each in losses.items()}
    for hour in range(len(next(iter(columns.values())))):
        scores = {name: each[hour] for name, each in columns.items() if not math.isnan(each[hour])}
        key = keys[hour] if keys else "BTC"
        boards.put(BoardRound(key, T0 + hour * HOUR, T0 + (hour + 1) * HOUR, scores={"loss": scores}))
    return boards


def standings(boards: Boards, hour: int) -> dict[str, Standing]:
    [found] = boards.standings(T0 + hour * HOUR).values()
    return {each.model_id: each for each in found}


def skills_of(boards: Boards, model: str) -> Losses:
    """A model's skill in each round that it answered."""
    [ranking], number = boards._rankings, boards._models.known(model)
    assert number is not None
    values = [counted.value_of(number) for _, counted in sorted(ranking._counted.items())]
    return np.array([value for value in values if value is not None])


def board(**options: float | str) -> Board:
    return Board("all", windows={"all": "3650d"}, **options)  # type: ignore[arg-type]


# (c) copies


def copies(*, wild: float, benchmark: bool) -> Iterator[tuple[float, float, float, bool]]:
    """The worst of six models has a copy that joins at any time, every second one just after twenty wild hours.

    Yields:
        How far the two are apart at the end, the standard errors of the copy's skill and of its original's, and whether
        the copy leads.
    """
    draw = np.random.default_rng(7)
    for league in range(LEAGUES):
        hours = wildness(240, draw)
        hours[60:80] *= wild
        losses = errors(np.sort(1 + 0.5 * draw.random(6)).tolist(), hours, draw)
        if benchmark:
            losses["bench"] = errors([1.2], hours, draw)["m0"]
        losses["copy"] = losses["m5"].copy()
        losses["copy"][: 80 if league % 2 else draw.integers(5, 210)] = np.nan
        boards = play(losses, board(reference="bench") if benchmark else board())
        found = standings(boards, 241)
        copy, original = (skills_of(boards, name) for name in ("copy", "m5"))
        errors_of = [float(each.std(ddof=1)) / math.sqrt(len(each)) for each in (copy, original)]
        apart = abs((found["copy"].skill or 0.0) - (found["m5"].skill or 0.0))
        yield apart, *errors_of, found["copy"].rank == 1


@pytest.mark.parametrize(("wild", "benchmark"), [(1.0, False), (4.0, True)], ids=["steady level", "benchmark"])
def test_a_copy_whenever_it_joins_ends_within_two_standard_errors_of_its_original(wild: float, benchmark: bool) -> None:
    found = list(copies(wild=wild, benchmark=benchmark))
    assert sum(apart <= 2 * error for apart, error, _, _ in found) >= 0.95 * LEAGUES
    assert sum(leads for *_, leads in found) <= 0.02 * LEAGUES


def test_after_wild_hours_the_standard_error_is_that_of_the_difference_and_the_copy_does_not_lead() -> None:
    """The copy is one more in a field of six, and lacks the hours: in nine of ten leagues it is within two standard
    errors of its own skill, in nearly all within two of the difference."""
    found = list(copies(wild=4.0, benchmark=False))
    assert sum(apart <= 2 * math.hypot(*two) for apart, *two, _ in found) >= 0.95 * LEAGUES
    assert sum(apart <= 2 * error for apart, error, _, _ in found) >= 0.85 * LEAGUES
    assert sum(leads for *_, leads in found) <= 0.02 * LEAGUES


# (d) few answers


@pytest.mark.parametrize(("share", "most"), [(0.1, 0.25), (0.5, 0.07)])
def test_a_fresh_account_of_the_worst_of_five_close_models_leads_seldom_where_it_is_paid(
    share: float, most: float
) -> None:
    """The models are 2 % apart; the board has a week of hours. Two standard errors of so many starts are the margin."""
    draw, week, leads = np.random.default_rng(11), 168, 0
    fresh = math.ceil(share * week)
    for _ in range(LEAGUES):
        wild = wildness(week + fresh, draw, 0.05)
        losses = errors([1.0, 1.02, 1.04, 1.06, 1.08, 1.08], wild, draw)
        losses["m5"][:week] = np.nan
        found = standings(play(losses, Board("all", windows={"all": "7d"})), week + fresh)
        leads += found["m5"].rank == 1
        assert found["m5"].payable == (share == 0.5)
    assert leads <= (most + 2 * math.sqrt(most * (1 - most) / LEAGUES)) * LEAGUES


def test_one_answer_does_not_lead() -> None:
    """Against one honest model, where next to nothing was lost by it; not even on a board that shows everybody."""
    draw = np.random.default_rng(13)
    for league in range(LEAGUES):
        losses = errors([1.0, 0.01], wildness(40, draw), draw)
        losses["m1"][np.arange(40) != league % 30] = np.nan
        open_to_all, as_it_is = (standings(play(losses, board(least=least)), 40) for least in (0, 0.1))
        assert list(open_to_all) == ["m0", "m1"]
        assert (as_it_is["m1"].rank, as_it_is["m1"].payable) == (None, False)


def test_who_leaves_after_a_streak_of_ten_does_not_lead() -> None:
    """Ten days of half the loss of the others, then silence: ten days later the lead is gone; in the end it is last."""
    draw = np.random.default_rng(17)
    for _ in range(LEAGUES):
        losses = errors([1.0, 1.1, 1.2, 0.5], wildness(100, draw), draw)
        losses["m3"][10:] = np.nan
        boards = play(losses, board(least=0.05))
        assert (standings(boards, 20)["m3"].rank or 0) >= 3
        found = standings(boards, 100)["m3"]
        assert (found.rank, found.coverage, found.payable) == (4, 0.1, False)


def test_absences_cost_more_than_the_answers_of_all_but_those_who_are_far_behind() -> None:
    """(a) on a board: who skips the wild hours does not gain, unless it loses three times what the others do."""
    draw = np.random.default_rng(19)
    gains = {1.2: 0, 6.0: 0}
    for bad in gains:
        for _ in range(LEAGUES // 2):
            wild = wildness(60, draw)
            wild[::10] *= 3
            losses = errors([1.0, 1.05, 1.1, 1.15, bad], wild, draw)
            honest = standings(play(losses, board()), 61)["m4"].skill
            losses["m4"][10::10] = np.nan
            skipping = standings(play(losses, board()), 61)["m4"].skill
            assert honest is not None
            assert skipping is not None
            gains[bad] += skipping > honest
    assert gains[1.2] <= 0.1 * LEAGUES / 2
    assert gains[6.0] >= 0.5 * LEAGUES / 2  # the rule says so itself; it is last all the same


# (e) the true order


def tau(values: Sequence[float]) -> float:
    """Kendall's tau between values and their own order."""
    pairs = list(combinations(values, 2))
    return sum(math.copysign(1, later - earlier) for earlier, later in pairs) / len(pairs)


def recovered(models: int, *, benchmark: bool = False, keys: Sequence[float] = (1.0,)) -> tuple[float, float]:
    """How well skill, and raw means, recover the true order after 150 rounds."""
    draw, found = np.random.default_rng(23), []
    for _ in range(LEAGUES):
        scales = np.resize(keys, 150)
        wild = wildness(150, draw) * scales
        losses = errors(np.sort(1 + 0.3 * draw.random(models)).tolist(), wild, draw)
        if benchmark:
            losses["bench"] = errors([1.15], wild, draw)["m0"]
        chosen = board(reference="bench") if benchmark else board()
        places = standings(play(losses, chosen, [str(scale) for scale in scales]), 151)
        models_of = [places[f"m{number}"] for number in range(models)]
        found.append(
            (tau([-(each.skill or 0) for each in models_of]), tau([each.scores["all"] or 0 for each in models_of]))
        )
    by_skill, by_mean = np.mean(found, axis=0)
    return float(by_skill), float(by_mean)


@pytest.mark.parametrize(("models", "benchmark"), [(8, False), (4, True)])
def test_with_everybody_present_skill_recovers_the_true_order_as_well_as_raw_means(
    models: int, benchmark: bool
) -> None:
    by_skill, by_mean = recovered(models, benchmark=benchmark)
    assert by_skill >= by_mean - 0.01
    assert by_skill > 0.45


def test_across_keys_of_different_scale_skill_is_far_better() -> None:
    by_skill, by_mean = recovered(8, keys=(1.0, 100.0, 10_000.0))
    assert by_skill > by_mean + 0.1

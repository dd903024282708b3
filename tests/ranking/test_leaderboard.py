"""Each rule of the ranking, and its laws against a plain recomputation in fractions."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crunch_game import Prediction, Status
from crunch_game.errors import GameError
from crunch_game.ranking import Leaderboard, Standing
from crunch_game.storage.base import Score

T0 = datetime(2024, 1, 1, tzinfo=UTC)
WINDOWS = {"day": 10.0, "week": 30.0}
HORIZON = 2
NOW = T0 + timedelta(seconds=30)


def at(second: float) -> datetime:
    return T0 + timedelta(seconds=second)


def scored(model_id: str, second: float, value: float | None, key: str = "BTC", horizon: float = HORIZON) -> Score:
    return Score(model_id, key, at(second), at(second + horizon), value, reason=None if value is not None else "aside")


def rounds(**values: Sequence[float | None]) -> list[Score]:
    """Scores of each model in the rounds at 0, 1, 2, ...; None where it has no record at all."""
    return [
        scored(model_id, second, value)
        for model_id, series in values.items()
        for second, value in enumerate(series)
        if value is not None
    ]


def standings(
    scores: Sequence[Score], *, now: datetime = NOW, first: Mapping[str, datetime] | None = None, **options: Any
) -> dict[str, Standing]:
    board = Leaderboard(WINDOWS, "week", **options)
    board.add(scores)
    return {standing.model_id: standing for standing in board.standings(now, first)}


def week(found: Mapping[str, Standing]) -> dict[str, float | None]:
    return {model_id: standing.scores["week"] for model_id, standing in found.items()}


def test_the_lowest_mean_leads_where_lower_is_better() -> None:
    found = standings(rounds(ada=[1.0, 2.0], bob=[3.0, 1.0]))
    assert found == {
        "ada": Standing(1, "ada", {"day": None, "week": 1.5}, 1.0, 2, 2),
        "bob": Standing(2, "bob", {"day": None, "week": 2.0}, 1.0, 2, 2),
    }


def test_the_highest_mean_leads_where_higher_is_better() -> None:
    found = standings(rounds(ada=[1.0, 2.0], bob=[3.0, 1.0]), higher_is_better=True)
    assert [(standing.rank, standing.model_id) for standing in found.values()] == [(1, "bob"), (2, "ada")]


def test_a_round_enters_when_it_resolves_and_leaves_when_the_window_has_passed() -> None:
    board = Leaderboard({"w": 10.0}, "w")
    board.add([scored("ada", 0, 1.0)])
    resolves_at = at(HORIZON)
    microsecond = timedelta(microseconds=1)
    assert board.standings(resolves_at - microsecond) == []
    assert len(board.standings(resolves_at)) == 1
    assert len(board.standings(resolves_at + timedelta(seconds=10) - microsecond)) == 1
    assert board.standings(resolves_at + timedelta(seconds=10)) == []


def test_every_window_has_its_own_mean() -> None:
    found = standings([scored("ada", 0, 1.0), scored("ada", 20, 4.0), scored("ada", 21, 6.0)])
    assert found["ada"].scores == {"day": 5.0, "week": 11 / 3}


def test_a_missing_prediction_gets_the_worst_of_its_round() -> None:
    scores = rounds(ada=[1.0, 1.0], bob=[2.0, 5.0], cid=[1.5, None])
    assert week(standings(scores)) == {"ada": 1.0, "cid": 3.25, "bob": 3.5}
    assert week(standings(scores, higher_is_better=True)) == {"bob": 3.5, "cid": 1.25, "ada": 1.0}


def test_a_prediction_set_aside_or_not_finite_is_a_missing_one() -> None:
    scores = rounds(ada=[1.0, 1.0], bob=[2.0, 5.0], cid=[1.5, None])
    for value in (None, math.nan, math.inf, -math.inf):
        assert standings([*scores, scored("cid", 1, value)]) == standings(scores)


def test_the_rule_for_missing_ones_is_the_games() -> None:
    scores = rounds(ada=[1.0, 1.0], bob=[2.0, 5.0], cid=[1.5, None])
    assert week(standings(scores, missing=10.0))["cid"] == 5.75
    seen: list[Sequence[float]] = []
    assert week(standings(scores, missing=lambda values: seen.append(list(values)) or sum(values)))["cid"] == 3.75
    assert sorted(seen) == [[1.0, 1.5, 2.0], [1.0, 5.0]]


@pytest.mark.parametrize("value", [math.nan, None, "worst"])
def test_a_rule_that_gives_no_number_is_the_authors_error(value: Any) -> None:
    with pytest.raises(GameError) as caught:
        standings(rounds(ada=[1.0]), missing=lambda _: value)
    assert str(caught.value) == f"the rule for missing predictions must give a finite number, got {value!r}"


def test_a_round_in_which_nobody_was_scored_does_not_exist() -> None:
    found = standings([*rounds(ada=[1.0]), scored("ada", 1, None), scored("bob", 1, None)])
    assert list(found) == ["ada"]
    assert (found["ada"].rounds, found["ada"].coverage) == (1, 1.0)


def test_rounds_count_from_the_first_that_a_model_was_asked_in() -> None:
    scores = rounds(ada=[9.0, 9.0, 1.0, 1.0], bob=[None, None, None, 2.0])
    alone = standings(scores)["bob"]  # nothing says that it was asked before
    assert (alone.rounds, alone.scores["week"]) == (1, 2.0)
    failed_first = standings(scores, first={"bob": at(2)})["bob"]
    assert (failed_first.rounds, failed_first.scored, failed_first.scores["week"]) == (2, 1, 1.5)
    assert failed_first.coverage == 0.5
    always = standings(scores, first={"bob": at(-100), "ada": at(0), "gone": at(0)})["bob"]
    assert (always.rounds, always.scores["week"]) == (4, (9 + 9 + 1 + 2) / 4)


def test_its_first_round_counts_whatever_its_key_and_horizon() -> None:
    early = [scored("ada", 0, 4.0, "ETH", horizon=20), scored("ada", 5, 6.0)]  # the first one resolves last
    found = standings([*early, scored("bob", 5, 1.0)])
    assert (found["bob"].rounds, found["ada"].rounds) == (1, 2)


def test_a_model_without_a_score_of_its_own_in_the_window_is_not_listed() -> None:
    scores = rounds(ada=[1.0] * 20, bob=[2.0])
    assert set(standings(scores, now=at(31))) == {"ada", "bob"}
    assert set(standings(scores, now=at(32), first={"bob": at(0)})) == {"ada"}  # it stopped playing: it ages out


def test_sitting_out_gives_nobody_a_better_mean_than_the_worst_that_played() -> None:
    found = standings(rounds(ada=[1.0, 8.0], bob=[1.0, 9.0], cid=[1.0, None]))
    assert week(found)["cid"] == week(found)["bob"] == 5.0


def test_equal_scores_share_a_rank_and_the_next_one_counts_them_all() -> None:
    found = standings(rounds(dan=[2.0], cid=[1.0], bob=[2.0], ada=[3.0], eve=[0.5]))
    assert [(standing.rank, standing.model_id) for standing in found.values()] == [
        (1, "eve"), (2, "cid"), (3, "bob"), (3, "dan"), (5, "ada"),
    ]  # fmt: skip


def test_means_that_are_equal_share_a_rank_whatever_the_order_of_their_scores() -> None:
    found = standings(rounds(ada=[0.1, 0.2, 0.3, 1e16], bob=[1e16, 0.3, 0.2, 0.1]))
    assert {standing.rank for standing in found.values()} == {1}


def test_a_score_given_again_changes_nothing() -> None:
    scores = rounds(ada=[1.0, 2.0], bob=[3.0, 1.0])
    assert standings([*scores, *scores, scored("ada", 0, 99.0)]) == standings(scores)


def test_a_round_may_be_completed_after_it_was_counted() -> None:
    board = Leaderboard(WINDOWS, "week")
    board.add([scored("ada", 0, 1.0), scored("cid", 1, 2.0), scored("ada", 1, 1.0)])
    board.standings(NOW)
    board.add([scored("bob", 0, 7.0)])
    found = {each.model_id: each.scores["week"] for each in board.standings(NOW, {"cid": at(0)})}
    assert found == {"ada": 1.0, "bob": 4.5, "cid": 4.5}


def test_what_has_left_the_longest_window_is_forgotten() -> None:
    board = Leaderboard(WINDOWS, "week")
    for second in range(1000):
        board.add([scored("ada", second, 1.0), scored("bob", second, 2.0)])
        board.standings(at(second + HORIZON))
    assert len(board._rounds) == len(board._order) == 30
    board.standings(at(10_000))
    assert (board._rounds, board._order) == ({}, [])
    assert all(not window.gains and not window.scored for window in board._windows.values())


def test_a_clock_that_steps_back_is_followed() -> None:
    board = Leaderboard({"short": 4.0, "long": 20.0}, "short")
    board.add([scored("ada", second, float(second)) for second in range(20)])
    asked = [12, 10, 21, 9, 9.5, 4, 21]
    assert [board.standings(at(second))[0].scores["short"] for second in asked] == [8.5, 6.5, 17.5, 5.5, 5.5, 1.0, 17.5]


@pytest.mark.parametrize(
    ("windows", "rank_by", "message"),
    [
        ({"day": 1.0, "week": 7.0}, "year", "rank_by 'year' is not a window; the windows are day, week"),
        ({}, "year", "rank_by 'year' is not a window; the windows are none"),
        ({"day": 0.0}, "day", "the window 'day', 0.0 must be longer than zero and finite"),
        (
            {"day": "n/a"},
            "day",
            'the window \'day\', \'n/a\' is not a duration; write seconds, or text such as "90s", "1h" or "7d"',
        ),
    ],
)
def test_windows_are_checked(windows: Any, rank_by: str, message: str) -> None:
    with pytest.raises(GameError) as caught:
        Leaderboard(windows, rank_by)
    assert str(caught.value) == message


def unanswered(model_id: str, second: float, key: str = "BTC", status: Status = Status.RAISED) -> Prediction:
    return Prediction(model_id, "1", key, at(second), at(second + HORIZON), HORIZON, status=status)


def test_coverage_is_of_what_the_model_was_asked_though_nobody_answered() -> None:
    """Of a model that plays alone, nobody else's scores tell that it was asked."""
    board = Leaderboard(WINDOWS, "week")
    board.add(rounds(solo=[1.0, 2.0, 3.0]))
    board.add_unanswered([unanswered("solo", second) for second in range(3, 9)])
    [solo] = board.standings(NOW)
    assert (solo.scored, solo.rounds, solo.coverage, solo.scores["week"]) == (3, 9, 3 / 9, 2.0)


def test_a_round_that_others_answered_is_counted_once() -> None:
    board = Leaderboard(WINDOWS, "week")
    board.add(rounds(ada=[1.0, 1.0], bob=[2.0, None]))
    missed = unanswered("bob", 1, status=Status.TIMEOUT)
    board.add_unanswered([missed, missed, unanswered("ada", 0, status=Status.OK)])
    board.add_unanswered([missed])
    assert {each.model_id: (each.scored, each.rounds) for each in board.standings(NOW)} == {
        "ada": (2, 2),
        "bob": (1, 2),
    }


def test_a_model_that_is_dead_shows_it_beside_others_that_are() -> None:
    board = Leaderboard(WINDOWS, "week")
    board.add(rounds(dead=[1.0], alive=[2.0, 2.0, 2.0, 2.0]))
    board.add_unanswered([unanswered("dead", second, status=Status.SKIPPED) for second in range(1, 8)])
    coverage = {each.model_id: each.coverage for each in board.standings(NOW)}
    assert coverage == {"dead": 1 / 8, "alive": 1.0}


def test_what_was_asked_leaves_with_its_window_and_is_forgotten() -> None:
    board = Leaderboard(WINDOWS, "week")
    board.add([scored("solo", 40, 1.0)])
    board.add_unanswered([unanswered("solo", second) for second in range(1000)])
    found = {now: board.standings(at(now))[0].rounds for now in (42, 52, 71)}
    assert found == {42: 30, 52: 30, 71: 30}
    assert board.standings(at(72)) == []
    board.standings(at(5000))
    assert (board._rounds, board._order) == ({}, [])
    assert all(not window.only_asked for window in board._windows.values())


models = st.sampled_from(["ada", "bob", "cid", "dan"])
values = st.sampled_from([0.0, 1.0, 2.5, None, math.nan]) | st.floats(-1e300, 1e300)
histories = st.lists(
    st.builds(scored, models, st.integers(0, 40), values, st.sampled_from(["BTC", "ETH"]), st.just(HORIZON)),
    max_size=40,
    unique_by=lambda score: (score.model_id, score.at, score.key),
)
firsts = st.dictionaries(models, st.integers(-5, 40).map(at))
directions = st.booleans()


def plainly(
    scores: Sequence[Score], now: datetime, first: Mapping[str, datetime], higher_is_better: bool
) -> dict[str, dict[str, tuple[float, int, int]]]:
    """By window and model: mean, rounds counted, scores of its own; as the rules say it, in fractions."""
    real = [score for score in scores if score.value is not None and math.isfinite(score.value)]
    result: dict[str, dict[str, tuple[float, int, int]]] = {}
    for name, length in WINDOWS.items():
        inside = [score for score in real if now - timedelta(seconds=length) < score.resolves_at <= now]
        result[name] = {}
        for model_id in {score.model_id for score in inside}:
            own_rounds = [score.at for score in real if score.model_id == model_id]
            start = min([*own_rounds, first.get(model_id, now)])
            parts, own = [], 0
            for identity in {(score.at, score.key) for score in inside if score.at >= start}:
                board = {s.model_id: s.value for s in inside if (s.at, s.key) == identity}
                worst = min(board.values()) if higher_is_better else max(board.values())
                own += model_id in board
                parts.append(Fraction(board.get(model_id, worst)))
            result[name][model_id] = (float(sum(parts) / len(parts)), len(parts), own)
    return result


@given(histories, firsts, directions, st.integers(0, 60))
def test_it_is_what_the_rules_say(
    history: list[Score], first: dict[str, datetime], higher_is_better: bool, second: int
) -> None:
    expected = plainly(history, at(second), first, higher_is_better)
    found = standings(history, now=at(second), first=first, higher_is_better=higher_is_better)
    assert {m: (s.scores["week"], s.rounds, s.scored) for m, s in found.items()} == expected["week"]
    for model_id, standing in found.items():
        assert standing.scores["day"] == expected["day"].get(model_id, (None,))[0]
        assert standing.coverage == standing.scored / standing.rounds


@given(histories, firsts, directions)
def test_ranks_follow_scores(history: list[Score], first: dict[str, datetime], higher_is_better: bool) -> None:
    found = list(standings(history, first=first, higher_is_better=higher_is_better).values())
    assert [each.model_id for each in found] == [
        each.model_id for each in sorted(found, key=lambda each: (each.rank, each.model_id))
    ]
    for one in found:
        better = sum(
            other.scores["week"] != one.scores["week"]
            and (other.scores["week"] > one.scores["week"]) == higher_is_better  # type: ignore[operator]
            for other in found
        )
        assert one.rank == better + 1


asked = st.lists(st.builds(unanswered, models, st.integers(0, 40), st.sampled_from(["BTC", "ETH"])), max_size=40)


@given(histories, asked, st.lists(st.integers(0, 60), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_whatever_the_order_coverage_is_the_share_of_what_a_model_was_asked(
    history: list[Score], missed: list[Prediction], moments: list[int], chance: random.Random
) -> None:
    """The clock goes on, and records come in pieces."""
    real = [each for each in history if each.value is not None and math.isfinite(each.value)]
    own = {(each.model_id, each.at, each.key) for each in real}
    missed = [each for each in missed if (each.model_id, each.at, each.key) not in own]  # who answered, answered
    pieces: list[Any] = [*history, *missed]
    chance.shuffle(pieces)
    board = Leaderboard({"day": 10.0, "week": 100.0}, "week")  # nothing is forgotten
    for index, piece in enumerate(pieces):
        board.add([piece]) if isinstance(piece, Score) else board.add_unanswered([piece])
        board.standings(at(moments[index % len(moments)]))
    now = at(moments[0])
    inside = [each for each in real if each.resolves_at <= now]
    for standing in board.standings(now):
        me = standing.model_id
        first = min(each.at for each in [*real, *missed] if each.model_id == me)
        mine = {(each.at, each.key) for each in inside if each.at >= first}
        mine |= {(each.at, each.key) for each in missed if each.model_id == me and each.resolves_at <= now}
        own_scores = sum(each.model_id == me for each in inside)
        assert (standing.scored, standing.rounds) == (own_scores, len(mine))
        assert standing.coverage == own_scores / len(mine)


@given(histories, firsts, st.randoms(use_true_random=False))
def test_the_order_of_the_scores_changes_nothing(
    history: list[Score], first: dict[str, datetime], chance: random.Random
) -> None:
    shuffled = list(history)
    chance.shuffle(shuffled)
    assert standings(shuffled, first=first) == standings(history, first=first)


@settings(max_examples=60)
@given(histories, firsts, directions, st.data())
def test_asked_at_any_moments_it_is_what_it_would_be_when_asked_once(
    history: list[Score], first: dict[str, datetime], higher_is_better: bool, data: st.DataObject
) -> None:
    """Scores come in pieces and late; the clock steps on, and a little back."""
    board = Leaderboard(WINDOWS, "week", higher_is_better=higher_is_better)
    latest = 0
    added: list[Score] = []
    kept: list[Score] = []
    for score in history:
        added.append(score)
        kept.append(score)
        board.add([score])
        if data.draw(st.booleans()):
            second = max(0, latest + data.draw(st.integers(-3, 8)))
            latest = max(latest, second)
            found = board.standings(at(second), first)
            kept = [each for each in kept if each.resolves_at > at(second - WINDOWS["week"])]  # the rest is forgotten
            expected = plainly(kept, at(second), {**first, **own_first(added, first)}, higher_is_better)
            assert {each.model_id: (each.scores["week"], each.rounds, each.scored) for each in found} == expected[
                "week"
            ]


def own_first(scores: Sequence[Score], first: Mapping[str, datetime]) -> dict[str, datetime]:
    """The first rounds known from what was asked and from the scores."""
    result = dict(first)
    for score in scores:
        if score.value is not None and math.isfinite(score.value):
            result[score.model_id] = min(score.at, result.get(score.model_id, score.at))
    return result


whole = st.integers(-1000, 1000).map(float)
"""Scores whose means are as far apart as floats can tell: a law about ranks is not one about rounding."""
whole_histories = st.lists(
    st.builds(scored, models, st.integers(0, 40), whole | st.none(), st.sampled_from(["BTC", "ETH"]), st.just(HORIZON)),
    max_size=40,
    unique_by=lambda score: (score.model_id, score.at, score.key),
)


@given(whole_histories, models, st.integers(0, 27), st.lists(whole, min_size=3, max_size=3), directions)
def test_one_more_round_missed_never_improves_a_rank(
    history: list[Score], absent: str, second: int, values: list[float], higher_is_better: bool
) -> None:
    others = [each for each in ("ada", "bob", "cid", "dan") if each != absent]
    options: dict[str, Any] = {"first": dict.fromkeys([*others, absent], at(-10)), "higher_is_better": higher_is_better}
    new_round = [scored(each, second, value, "NEW") for each, value in zip(others, values, strict=True)]
    before, after = standings(history, **options), standings([*history, *new_round], **options)
    if absent in before:
        assert after[absent].rank >= before[absent].rank
        assert after[absent].coverage < before[absent].coverage or before[absent].coverage == 0

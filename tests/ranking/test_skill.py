"""Skill, answer by answer: its formulas, its bounds, and what one model's answer can do to another's place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crunch_game.ranking import Board, BoardRound, Boards, Last, Metric, Standing
from crunch_game.ranking._skill import absence, entry_of, middle, padded, skills, skills_among

T0 = datetime(2024, 1, 1, tzinfo=UTC)
WHOLE = Board("all", windows={"all": "1000d"})


def at(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


def played(hour: int, scores: Mapping[str, float], *, unscorable: Sequence[str] = (), key: str = "BTC") -> BoardRound:
    finite = {name: score for name, score in scores.items() if name not in unscorable}
    bad = {"loss": frozenset(unscorable)}
    return BoardRound(key, at(hour), at(hour + 1), 3600.0, scores={"loss": finite}, unscorable=bad)


def ranked(
    rounds: Sequence[BoardRound], board: Board = WHOLE, metric: Metric | None = None, benchmarks: Sequence[str] = ()
) -> dict[str, Standing]:
    boards = Boards([board], {"loss": metric or Metric()}, benchmarks)
    for each in rounds:
        boards.put(each)
    return {each.model_id: each for each in boards.standings(at(10_000))[board.name]}


def skill_in(rounds: Sequence[BoardRound], model: str, metric: Metric | None = None) -> float:
    """A model's skill in the last of some rounds."""
    found = ranked(rounds, Board("last", windows={"last": Last(1)}), metric)[model].skill
    assert found is not None
    return found


losses = st.sampled_from([0.0, 1.0, -1.0, 2.0, 1e300, -1e300, 5e-324]) | st.floats(-1e308, 1e308)
answers = losses | st.just(math.inf)  # infinite where it cannot be scored
usuals = st.sampled_from([1.0, -1.0, 5e-324, 1e300]) | st.floats(-1e308, 1e308).filter(bool)


@given(st.lists(answers, min_size=1, max_size=7), usuals)
def test_each_answer_is_measured_by_the_median_of_the_others(field: list[float], usual: float) -> None:
    unit, finite = abs(usual), [loss for loss in field if loss < math.inf]
    for loss, found in zip(finite, skills_among(finite, sorted(field), usual, unit), strict=True):
        others = list(field)
        others.remove(loss)
        reference = middle(sorted([*others, *[usual] * (3 - len(others))]))
        assert found == max(-10.0, min(10.0, (reference - loss) / unit))
        assert -10 <= found <= 10


@given(st.lists(st.floats(-1e150, 1e150), min_size=1))
def test_the_middle_is_the_median(values: list[float]) -> None:
    assert middle(sorted(values)) == median(values)


def test_the_middle_of_two_that_are_too_large_to_add_is_between_them() -> None:
    assert middle([1.7e308, 1.7e308]) == 1.7e308
    assert middle([-1.7e308, 1.7e308]) == 0
    assert middle([1.0, math.inf]) == math.inf


@given(st.lists(answers, max_size=5), losses, answers, usuals)
def test_hull_whatever_one_answers_another_is_where_the_remaining_answers_could_put_it(
    remaining: list[float], own: float, answer: float, usual: float
) -> None:
    """Fields of two to seven, infinities and signs included; the usual loss held."""
    unit = abs(usual)

    def with_answer(other: float) -> tuple[float, float]:
        field = sorted([*remaining, own, other])
        return skills_among([own], field, usual, unit)[0], absence(padded(field, usual), unit, usual=True)

    bounds = [with_answer(other) for other in (min([*remaining, usual]), max([*remaining, usual]))]
    bounds_if_absent = [
        with_answer(other)[1] for other in (min([*remaining, own, usual]), max([*remaining, own, usual]))
    ]
    found, missed = with_answer(answer)
    assert min(bounds)[0] <= found <= max(bounds)[0]
    assert min(bounds_if_absent) <= missed <= max(bounds_if_absent)


@given(st.lists(answers, max_size=5), losses, answers, st.sampled_from([Metric(), Metric(unit=0.25), Metric(True)]))
def test_hull_on_a_board(remaining: list[float], own: float, answer: float, metric: Metric) -> None:
    sign = -1 if metric.higher_is_better else 1
    past = [played(hour, {"ada": sign * 1.0, "bob": sign * 2.0, "cid": sign * 4.0}) for hour in range(12)]

    def with_answer(other: float) -> float:
        field = {"me": own, "you": other, **{f"m{number}": loss for number, loss in enumerate(remaining)}}
        bad = [name for name, loss in field.items() if loss == math.inf]
        last = played(20, {name: sign * loss for name, loss in field.items()}, unscorable=bad)
        return skill_in([*past, last], "me", metric)

    low, high = sorted([with_answer(min([*remaining, 2.0])), with_answer(max([*remaining, 2.0]))])
    assert low <= with_answer(answer) <= high


@given(st.floats(1e-300, 1e300), st.floats(0, 1e300), st.floats(0, 1e300))
def test_a_round_pays_to_skip_only_for_who_loses_more_than_three_times_what_the_others_do(
    usual: float, reference: float, loss: float
) -> None:
    answered = skills([loss], reference, usual)[0]
    if answered < absence(reference, usual, usual=True):
        assert loss > 3 * reference * (1 - 1e-15)
    if answered < absence(reference, usual, usual=False):
        assert loss > (reference + 2 * usual) * (1 - 1e-15)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [(0.0, -2.0), (-7.0, -2.0), (1.0, -2.0), (2.5, -5.0), (5.0, -10.0), (1e308, -10.0), (math.inf, -10.0)],
)
def test_an_absence_costs_twice_what_the_others_lost_but_no_less_than_two_and_no_more_than_ten(
    reference: float, expected: float
) -> None:
    assert absence(reference, 1.0, usual=True) == expected
    assert absence(reference, 1.0, usual=False) == -2.0


def test_an_entry_is_the_median_and_of_one_or_two_answers_the_lower() -> None:
    entries = [entry_of(each) for each in ([], [3.0], [3.0, 9.0], [1.0, 3.0, 9.0], [1.0, 3.0, 5.0, 9.0])]
    assert entries == [None, 3.0, 3.0, 3.0, 4.0]
    assert [entry_of([math.inf]), entry_of([1.0, math.inf]), entry_of([1.0, math.inf, math.inf])] == [None, 1.0, None]


rows = st.lists(
    st.dictionaries(st.sampled_from(["ada", "bob", "cid", "dan"]), st.floats(0.1, 10) | st.just(1e4), min_size=1),
    min_size=1,
    max_size=15,
)


@given(rows)
def test_absences_never_raise_a_mean(history: list[dict[str, float]]) -> None:
    boards = Boards([WHOLE], {"loss": Metric()})
    own: dict[str, list[float]] = {}
    for hour, scores in enumerate(history):
        boards.put(played(hour, scores))
    found = boards.standings(at(1000))["all"]
    for hour, scores in enumerate(history):
        usual = boards.facts("BTC", at(hour))["loss"].usual
        assert usual is not None
        for name, skill in zip(
            scores, skills_among(list(scores.values()), sorted(scores.values()), usual, usual), strict=True
        ):
            own.setdefault(name, []).append(skill)
    for each in found:
        assert each.skill is not None
        assert each.skill <= sum(own[each.model_id]) / len(own[each.model_id]) + 1e-9


def test_zeros_tiny_scores_and_negative_ones_stay_finite() -> None:
    """(f): Briers of 1e-12 in their own unit, log scores below zero, and a field that loses nothing."""
    for value, metric in (
        (0.0, Metric(unit=0.25)), (1e-12, Metric(unit=0.25)), (-3.0, Metric(unit=1.0)), (-3.0, Metric(True, 1.0)),
        (5e-324, Metric()), (1e308, Metric()), (-1e308, Metric()), (-4.0, Metric()),
    ):  # fmt: skip
        rounds = [played(hour, {"ada": value, "bob": value * 0.5, "cid": value, "dan": value}) for hour in range(15)]
        for each in ranked(rounds, metric=metric).values():
            assert each.skill is not None
            assert math.isfinite(each.skill)
            assert each.rank is not None


def test_where_nothing_is_lost_usually_a_round_counts_for_nobody_and_that_is_told() -> None:
    boards = Boards([WHOLE], {"loss": Metric()})
    boards.put(played(0, {"ada": 0.0, "bob": 0.0, "cid": 1.0}))
    assert boards.standings(at(9)) == {"all": []}
    [note] = boards.told()
    assert (note.board, note.key, note.at) == ("all", "BTC", T0)
    assert note.what == "what is usually lost is 0: the round counts for nobody"
    assert boards.told() == []
    boards.put(
        played(1, {"ada": 1.0, "bob": 1.0, "cid": 1.0})
    )  # the first ten tell of the first one only what came by it
    assert [each.scored for each in boards.standings(at(9))["all"]] == [1, 1, 1]


def test_that_nothing_tells_the_usual_loss_is_said_only_of_rounds_that_somebody_answered() -> None:
    boards = Boards([WHOLE], {"loss": Metric()})
    boards.put(played(0, {}))
    assert boards.standings(at(9)) == {"all": []}
    assert boards.told() == []

    boards.put(played(0, {}, unscorable=["ada"]))
    boards.standings(at(9))
    [note] = boards.told()
    assert note.what == "nothing tells what is usually lost: the round counts for nobody"


def test_a_round_that_nobody_answered_is_missed_by_all() -> None:
    """Whoever is alone on a board cannot leave its hard rounds out."""
    rounds = [played(hour, {"solo": 1.0} if hour % 2 == 0 else {}) for hour in range(10)]
    solo = ranked(rounds)["solo"]
    assert (solo.skill, solo.scored, solo.rounds, solo.coverage) == (-1.0, 5, 10, 0.5)


def test_what_a_rule_cannot_score_is_the_worst_that_there_is_and_no_absence() -> None:
    rounds = [played(0, {"ada": 1.0, "bob": 2.0, "cid": 9.0, "dan": 3.0}, unscorable=["dan"])]
    found = ranked(rounds)
    assert (found["dan"].skill, found["dan"].scored, found["dan"].scores) == (-10.0, 1, {"all": None})
    assert list(found)[-1] == "dan"
    by_mean = ranked(rounds, Board("all", by="mean", windows={"all": "1000d"}))
    assert (by_mean["dan"].scores["all"], by_mean["dan"].rank) == (9.0, by_mean["cid"].rank)


def test_equal_sums_of_rounds_in_another_order_share_a_rank_and_the_next_counts_them_all() -> None:
    losses_of = {"ada": [1.0, 3.0], "bob": [3.0, 1.0], "cid": [9.0, 9.0]}
    rounds = [played(hour, {name: each[hour] for name, each in losses_of.items()}) for hour in (0, 1)]
    board = Board("all", by="mean", windows={"all": "1000d"})
    places = [(each.rank, name) for name, each in ranked(rounds, board).items()]
    assert places == [(1, "ada"), (1, "bob"), (3, "cid")]


def test_means_that_differ_by_less_than_a_float_can_tell_are_no_tie() -> None:
    rounds = [
        played(0, {"ada": 1e16, "bob": 1e16}),
        played(1, {"ada": 0.5, "bob": 0.25}),
        played(2, {"ada": 0, "bob": 0}),
    ]
    board = Board("all", by="mean", windows={"all": "1000d"})
    found = ranked(rounds, board)
    assert found["ada"].scores == found["bob"].scores
    assert [(each.rank, name) for name, each in found.items()] == [(1, "bob"), (2, "ada")]


def test_who_has_too_few_scores_stands_at_the_bottom_and_who_has_not_half_is_not_paid() -> None:
    rounds = [
        played(
            hour, {"ada": 3.0, "bob": 2.0, **({"cid": 1.0} if hour > 10 else {}), **({"dan": 0.1} if hour > 18 else {})}
        )
        for hour in range(20)
    ]
    found = {name: (each.rank, each.marks, each.payable) for name, each in ranked(rounds, benchmarks=["bob"]).items()}
    assert found == {
        "cid": (1, (), False),
        "bob": (2, ("benchmark",), False),
        "ada": (3, (), True),
        "dan": (None, ("provisional",), False),
    }


def test_who_was_stopped_or_has_left_is_marked() -> None:
    boards = Boards([WHOLE], {"loss": Metric()})
    boards.put(played(0, {"ada": 1.0, "bob": 2.0, "cid": 3.0}))
    states = {"ada": "ready", "bob": "stopped", "cid": "left", "dan": "left"}
    assert [each.marks for each in boards.standings(at(9), states=states)["all"]] == [(), ("stopped",), ("left",)]


def test_a_benchmark_is_the_reference_and_where_it_has_no_score_the_others_are_and_that_is_told() -> None:
    board = Board("all", reference="bench", windows={"last": Last(1)}, least=1)
    boards = Boards([board], {"loss": Metric()}, ["bench"])
    boards.put(played(0, {"bench": 2.0, "ada": 1.0, "bob": 8.0}))
    assert {each.model_id: each.skill for each in boards.standings(at(9))["all"]} == {
        "ada": 0.5,
        "bench": 0.0,
        "bob": -3.0,
    }
    assert boards.told() == []
    boards.put(played(1, {"ada": 1.0, "bob": 2.0, "cid": 3.0}))
    [note] = boards.told()
    assert note.what == (
        "the benchmark 'bench' has no score in this round, which is compared with the median of the others"
    )
    assert boards.standings(at(9))["all"][0].model_id == "ada"


def test_a_round_set_aside_is_neither_missed_nor_past() -> None:
    rounds = [played(hour, {"ada": 1.0, "bob": 2.0}) for hour in range(3)]
    aside = BoardRound("BTC", at(5), at(6), scores={"loss": {"bob": 1e9}}, aside="the feed was wrong")
    assert ranked([*rounds, aside]) == ranked(rounds)


def test_keys_of_different_scale_are_shown_apart() -> None:
    rounds = [played(hour, {"ada": 1.0, "bob": 3.0, "cid": 2.0}) for hour in range(4)]
    rounds += [played(hour, {"ada": 100.0, "bob": 300.0, "cid": 200.0}, key="ETH") for hour in range(4)]
    ada = ranked(rounds)["ada"]
    assert (ada.keys, ada.skill, ada.skills) == ({"BTC": 1.0, "ETH": 100.0}, 0.5, {"all": 0.5})

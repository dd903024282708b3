"""What every store promises, asked of each."""

from __future__ import annotations

import dataclasses
import math
import threading
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from crunch_game.errors import StoreError
from crunch_game.feeds.base import Row
from crunch_game.outcomes import Status
from crunch_game.storage import ModelRecord, Prediction, Score, Store
from crunch_game.storage.base import Arrival, Lease, ScoredRound, Session

T0 = datetime(2024, 1, 1, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def prediction(model_id: str = "ada", at: datetime = T0, key: str = "BTC", **changes: Any) -> Prediction:
    fields = {"arguments": {"asset": key}, "value": [1.5], "elapsed": 0.25}
    return Prediction(model_id, "d1", key, at, at + HOUR, 3600.0, **(fields | changes))


def score(of: Prediction, value: float | None = 0.5, **changes: Any) -> Score:
    return Score(of.model_id, of.key, of.at, of.resolves_at, value, **changes)


def test_what_is_saved_comes_back_equal(store: Store) -> None:
    row = Row(T0, {"BTC": 63_012.5, "note": None, "deep": {"a": [1, 2.0, True, "é\0"]}})
    failed = prediction("bob", status=Status.TIMEOUT, value=None, error="no answer within 1 s")
    model = ModelRecord("ada", "Ada", "d1", "ready")
    store.save([row], [prediction(), failed], [model])
    store.settle([score(prediction(), 0.125, outcome=[0.5]), score(failed, None, reason="it has no answer")])
    assert store.rows() == [row]
    assert store.last_row() == row
    assert store.predictions() == [prediction(), failed]
    assert store.predictions()[1].status is Status.TIMEOUT
    assert store.scores() == [
        score(prediction(), 0.125, outcome=[0.5]),
        score(failed, None, reason="it has no answer"),
    ]
    assert store.models() == [model]


def test_an_empty_store_has_nothing(store: Store) -> None:
    store.save()
    store.settle([])
    assert store.last_row() is None
    assert (store.rows(), store.predictions(), store.scores(), store.models()) == ([], [], [], [])
    assert (store.pending(T0), store.first_rounds(), store.last_rounds()) == ([], {}, {})
    assert (store.arrivals(), store.sessions(), store.lease("predict")) == ([], [], None)


def test_a_repeated_write_changes_nothing(store: Store) -> None:
    first, again = prediction(value=[1]), prediction(value=[2], status=Status.RAISED)
    store.save([Row(T0, {"a": 1})], [first, again])
    store.save([Row(T0, {"a": 2})], [again])
    store.settle([score(first, 1.0), score(first, 2.0)])
    store.settle([score(first, None, reason="late")])
    store.save(predictions=[first])
    assert store.rows() == [Row(T0, {"a": 1})]
    assert store.predictions() == [first]
    assert store.scores() == [score(first, 1.0)]
    assert store.pending(T0 + HOUR) == []


def test_a_row_that_came_late_comes_back_with_its_arrival_and_one_that_has_none_without(store: Store) -> None:
    store.save([Row(T0 + HOUR, {"n": 1}, T0 + HOUR), Row(T0, {"n": 0}, T0 + 2 * HOUR), Row(T0 + HOUR / 2, {})])
    assert [(row.time, row.arrived) for row in store.rows()] == [
        (T0, T0 + 2 * HOUR),
        (T0 + HOUR / 2, None),
        (T0 + HOUR, T0 + HOUR),
    ]
    assert [arrival.row.time for _, arrival in store.arrivals()] == [T0 + HOUR, T0, T0 + HOUR / 2]


def test_a_correction_is_kept_beside_what_it_corrects_and_history_has_it(store: Store) -> None:
    first, corrected = Row(T0, {"n": 1}, T0 + MINUTE), Row(T0, {"n": 2}, T0 + 2 * MINUTE)
    store.save([first])
    store.save([corrected, Row(T0, {"n": 3}, T0 + MINUTE)])  # the second is the first again
    store.save([first])
    assert store.rows() == [corrected]
    assert store.last_row() == corrected
    assert [arrival.row for _, arrival in store.arrivals()] == [first, corrected]


def test_rows_of_one_time_without_arrival_are_one_row(store: Store) -> None:
    """A unique index that had NULL for an unknown arrival would keep both."""
    store.save([Row(T0, {"n": 1})])
    store.save([Row(T0, {"n": 2}), Row(T0, {"n": 3}, T0)])
    assert [(arrival.row.data["n"], arrival.row.arrived) for _, arrival in store.arrivals()] == [(1, None), (3, T0)]


def test_what_is_set_aside_is_an_arrival_with_its_reason_and_no_row_of_the_history(store: Store) -> None:
    session = Session(1, T0, T0 + HOUR, T0 + MINUTE)
    told, later = Row(T0, {"n": 1}, T0 + MINUTE), Row(T0 + MINUTE, {"n": 2}, T0 + 3 * MINUTE)
    early = Row(T0 + 24 * HOUR, {"n": 9}, T0 + 2 * MINUTE)
    store.save([told, later], aside=[(early, "its time is 24 h ahead \ud83d")], session=session)
    store.save(aside=[(Row(T0, {"n": 8}, T0 + 4 * MINUTE), "a bad correction")])
    assert store.rows() == [told, later]
    assert store.last_row() == later
    assert [arrival for _, arrival in store.arrivals()] == [
        Arrival(told, 1),
        Arrival(early, 1, "its time is 24 h ahead \\ud83d"),
        Arrival(later, 1),
        Arrival(Row(T0, {"n": 8}), None, "a bad correction"),
    ]


def test_the_numbers_of_arrivals_grow_and_are_not_used_again(store: Store) -> None:
    store.save([Row(T0 + n * HOUR, {}) for n in range(3)])
    last = store.arrivals()[-1][0]
    assert [number for number, _ in store.arrivals(store.arrivals()[0][0])] == [n for n, _ in store.arrivals()][1:]
    store.forget_rows(T0 + 10 * HOUR)
    assert store.arrivals() == []
    store.save([Row(T0, {})])
    [(number, arrival)] = store.arrivals(last)
    assert number > last
    assert arrival == Arrival(Row(T0, {}))


def test_a_sessions_record_replaces_the_one_of_its_number(store: Store) -> None:
    store.save(session=Session(2, T0 + HOUR, T0 + HOUR))
    store.save(session=Session(1, T0, T0))
    store.save(session=Session(1, T0, T0 + MINUTE, T0))
    assert store.sessions() == [Session(1, T0, T0 + MINUTE, T0), Session(2, T0 + HOUR, T0 + HOUR)]


def test_when_a_prediction_was_asked_and_what_was_known_come_back(store: Store) -> None:
    blink = timedelta(microseconds=1)
    asked = prediction(asked_at=T0 + blink, seen=T0 - blink)
    store.save(predictions=[asked, prediction("bob")])
    assert store.predictions() == [asked, prediction("bob")]
    assert store.pending(T0 + HOUR) == [asked, prediction("bob")]


def lease(token: str, **changes: Any) -> Lease:
    return Lease("predict", token, "alpha", 1, T0, T0, **changes)


def test_a_lease_is_swapped_only_by_who_knows_what_is_there(store: Store) -> None:
    mine, yours = lease("mine", process="b/1"), lease("yours")
    assert store.swap_lease("predict", None, mine)
    assert not store.swap_lease("predict", None, yours)
    assert not store.swap_lease("predict", lease("mine"), yours)
    assert store.lease("predict") == mine
    assert store.lease("score") is None
    renewed = dataclasses.replace(mine, beat=T0 + MINUTE)
    assert store.swap_lease("predict", mine, renewed)
    assert not store.swap_lease("predict", mine, None)
    assert store.lease("predict") == renewed
    assert store.swap_lease("predict", renewed, None)
    assert not store.swap_lease("predict", renewed, None)
    assert store.lease("predict") is None


def test_of_many_who_want_a_lease_at_once_one_gets_it(store: Store) -> None:
    together, got = threading.Barrier(8), []

    def want(number: int) -> None:
        together.wait()
        if store.swap_lease("predict", None, lease(str(number))):
            got.append(str(number))

    threads = [threading.Thread(target=want, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = store.lease("predict")
    assert kept is not None
    assert got == [kept.token]


def test_a_models_record_replaces_the_one_before(store: Store) -> None:
    store.save(models=[ModelRecord("b", "B", "d1", "ready"), ModelRecord("a", "A", "d1", "joining")])
    store.save(models=[ModelRecord("a", "A2", "d2", "stopped", "three failures")])
    assert store.models() == [
        ModelRecord("a", "A2", "d2", "stopped", "three failures"),
        ModelRecord("b", "B", "d1", "ready"),
    ]


def test_pending_are_the_answered_ones_that_are_due_and_not_settled(store: Store) -> None:
    due, later = prediction("due"), prediction("later", T0 + HOUR)
    settled, aside = prediction("settled"), prediction("aside")
    failed = prediction("failed", status=Status.RAISED, value=None)
    store.save(predictions=[later, due, settled, aside, failed])
    store.settle([score(settled), score(aside, None, reason="no price")])
    assert store.pending(T0 + HOUR - timedelta(microseconds=1)) == []
    assert store.pending(T0 + HOUR) == [due]
    assert store.pending(T0 + 2 * HOUR) == [due, later]


def test_a_score_that_comes_before_its_prediction_settles_it_too(store: Store) -> None:
    store.settle([score(prediction())])
    store.save(predictions=[prediction()])
    assert store.pending(T0 + HOUR) == []


def test_oldest_first_is_by_resolution_then_round_key_and_model(store: Store) -> None:
    quick = dataclasses.replace(prediction("z", T0 + HOUR / 2), resolves_at=T0 + HOUR / 2)
    expected = [
        quick,
        prediction("a", key="B"),
        prediction("é", key="B"),
        prediction("a", key="b"),
        dataclasses.replace(prediction("a", T0 + HOUR / 4), resolves_at=T0 + HOUR),
        prediction("a", T0 + HOUR / 2),
    ]
    store.save(predictions=[expected[i] for i in (3, 1, 5, 0, 4, 2)])
    store.settle([])
    assert store.predictions() == expected
    assert store.pending(T0 + 2 * HOUR) == expected
    store.settle([score(each) for each in reversed(expected)])
    assert store.scores() == [score(each) for each in expected]


def test_since_is_inclusive_and_speaks_of_resolution(store: Store) -> None:
    old, new = prediction(at=T0), prediction(at=T0 + HOUR)
    store.save([Row(T0, {}), Row(T0 + HOUR, {})], [old, new])
    store.settle([score(old), score(new)])
    assert store.rows(T0 + HOUR) == [Row(T0 + HOUR, {})]
    assert store.predictions(T0 + HOUR) == [old, new]
    assert store.predictions(T0 + HOUR + timedelta(microseconds=1)) == [new]
    assert store.scores(T0 + 2 * HOUR) == [score(new)]


def test_rows_that_come_late_are_put_in_their_place(store: Store) -> None:
    store.save([Row(T0 + HOUR, {"n": 1})])
    store.save([Row(T0, {"n": 0})])
    assert [row.data["n"] for row in store.rows()] == [0, 1]
    assert store.last_row() == Row(T0 + HOUR, {"n": 1})


def test_forgotten_rows_are_gone_and_the_others_stay(store: Store) -> None:
    store.save([Row(T0 + n * HOUR, {}) for n in range(4)])
    store.forget_rows(T0 + 2 * HOUR)
    assert [row.time for row in store.rows()] == [T0 + 2 * HOUR, T0 + 3 * HOUR]


def test_first_and_last_rounds_count_failures_and_keep_to_the_extremes(store: Store) -> None:
    store.save(predictions=[prediction("ada", T0 + HOUR, "BTC", status=Status.SKIPPED, value=None)])
    store.save(predictions=[prediction("ada", T0 + 2 * HOUR, "BTC"), prediction("bob", T0 + 2 * HOUR, "ETH")])
    store.save(predictions=[prediction("ada", T0, "ETH")])
    assert store.first_rounds() == {"ada": T0, "bob": T0 + 2 * HOUR}
    assert store.last_rounds() == {"BTC": T0 + 2 * HOUR, "ETH": T0 + 2 * HOUR}


def test_times_in_other_zones_are_the_same_moments(store: Store) -> None:
    local = T0.astimezone(timezone(timedelta(hours=5, minutes=30)))
    store.save([Row(local, {})], [prediction(at=local)])
    store.save([Row(T0, {})], [prediction(at=T0)])
    assert [row.time for row in store.rows()] == [T0]
    assert len(store.predictions()) == 1
    assert store.predictions()[0].at.tzinfo is UTC


def test_a_time_without_zone_is_refused(store: Store) -> None:
    with pytest.raises(StoreError) as caught:
        store.save([Row(datetime(2024, 1, 1), {})])  # noqa: DTZ001
    message = "datetime.datetime(2024, 1, 1, 0, 0) has no time zone; a store keeps aware times"
    assert str(caught.value) == message


def test_a_refused_record_leaves_the_whole_write_undone(store: Store) -> None:
    good, bad = prediction("good"), prediction("bad", value=1j)
    with pytest.raises(StoreError) as caught:
        store.save([Row(T0, {})], [good, bad], [ModelRecord("good", "", "", "ready")])
    assert str(caught.value) == (
        "bad: BTC: the answer cannot be kept: JSON has no place for a complex; give numbers, texts, lists and dicts"
    )
    assert (store.rows(), store.predictions(), store.models(), store.last_rounds()) == ([], [], [], {})
    with pytest.raises(StoreError, match=r"^the row of 2024-01-01T00:00:00\+00:00: the data cannot be kept: "):
        store.save([Row(T0, {})], aside=[(Row(T0, {"n": 1j}), "no")], session=Session(1, T0, T0))
    assert (store.arrivals(), store.sessions()) == ([], [])
    with pytest.raises(StoreError):
        store.settle([score(good), score(bad, math.nan)])
    assert store.scores() == []


@pytest.mark.parametrize("value", [math.nan, math.inf, "high"])
def test_a_score_that_is_no_finite_number_is_refused(store: Store, value: Any) -> None:
    with pytest.raises(StoreError) as caught:
        store.settle([score(prediction(), value)])
    assert str(caught.value) == f"ada: BTC: the score must be a finite number, got {value!r}"


def test_broken_text_of_a_participant_is_mended_not_refused(store: Store) -> None:
    store.save(
        predictions=[prediction(status=Status.RAISED, value=None, error="half \ud83d of it")],
        models=[ModelRecord("ada", "A\udcff", "d1", "failed", "é \udcff")],
    )
    assert store.predictions()[0].error == "half \\ud83d of it"
    assert store.models() == [ModelRecord("ada", "A\\udcff", "d1", "failed", "é \\udcff")]


def test_what_was_given_or_given_back_may_be_changed_without_the_store_seeing_it(store: Store) -> None:
    value = {"x": [1]}
    store.save(predictions=[prediction(value=value)])
    value["x"].append(2)
    store.predictions()[0].value["x"].append(3)
    assert store.predictions()[0].value == {"x": [1]}


def test_many_threads_may_write_and_read_at_once(store: Store) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for n in range(10):
                each = prediction(f"m{number}", T0 + n * HOUR)
                store.save(predictions=[each])
                store.settle([score(each, float(n))])
                store.pending(T0 + 100 * HOUR)
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(store.scores()) == 40
    assert store.pending(T0 + 100 * HOUR) == []


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    store.close()
    for use in (store.last_row, store.save, store.models):
        with pytest.raises(StoreError, match=r"^the store was closed and cannot be used again$"):
            use()


def test_what_was_set_aside_can_be_pending_again(store: Store) -> None:
    scored, aside, other, failed = (prediction(name) for name in ("ada", "bob", "cyd", "dan"))
    failed = dataclasses.replace(failed, status=Status.RAISED, value=None)
    store.save([], [scored, aside, other, failed])
    store.settle([score(scored), score(failed, None, reason="no answer")])
    store.settle([score(aside, None, reason="a bug"), score(other, None, reason="another")])
    assert store.reopen("a bug") == 1
    assert store.pending(T0 + HOUR) == [aside]
    assert store.reopen() == 2
    assert store.pending(T0 + HOUR) == [aside, other], "who did not answer is never scored"
    assert store.scores() == [score(scored)]
    assert store.reopen() == 0
    store.settle([score(aside, 1.0)])
    assert [each.value for each in store.scores()] == [0.5, 1.0]


def scored_round(of: Prediction, answers: int = 1, **changes: Any) -> ScoredRound:
    return ScoredRound(of.key, of.at, of.resolves_at, of.horizon, dict(of.arguments), answers, **changes)


def test_rounds_come_back_with_their_scores_and_what_those_are(store: Store) -> None:
    players = [prediction(name) for name in ("ada", "bob", "cy", "dan")]
    later = prediction(at=T0 + MINUTE)
    facts = {"score": {"entry": 0.5, "usual": 1e-300}}
    store.save([], [*players, later])
    store.settle(
        [
            score(players[0], 0.5, metrics={"price": 0.5, "volatility": None}, outcome=[1]),
            score(players[1], None, reason="too far", unscorable=True),
            score(players[2], 0.9, absent=True),
            score(players[3], None, reason="no price"),
        ],
        [scored_round(players[0], 3, facts=facts)],
    )
    store.settle([score(later, 0.25)], [scored_round(later)])
    first, second = list(store.rounds())
    assert first == (
        scored_round(players[0], 3, facts=facts),
        [
            ("ada", 0.5, None, {"price": 0.5, "volatility": None}),
            ("bob", None, "unscorable", None),
            ("cy", 0.9, "absent", None),
            ("dan", None, "aside", None),
        ],
    )
    assert second == (scored_round(later), [("ada", 0.25, None, None)])
    assert list(store.rounds(later.resolves_at)) == [second]
    assert [each.unscorable for each in store.scores()] == [False, True, False, False, False]
    assert [each.absent for each in store.scores()] == [False, False, True, False, False]
    assert store.scores()[0].metrics == {"price": 0.5, "volatility": None}
    lonely = prediction(at=T0 + MINUTE / 2)
    store.settle([], [scored_round(lonely, 0)])  # nobody has answered
    assert list(store.rounds()) == [first, (scored_round(lonely, 0), []), second]
    store.settle([], [scored_round(later, facts={"score": {"entry": 0.25}})])  # a round's record is replaced
    assert next(iter(store.rounds(later.resolves_at)))[0].facts == {"score": {"entry": 0.25}}


def test_the_past_rounds_of_a_key_are_given_newest_first(store: Store) -> None:
    rounds = [prediction(at=T0 + n * MINUTE) for n in range(9)]
    other = prediction(key="ETH", at=T0 - HOUR)
    store.save([], [*rounds, other])
    store.settle([], [scored_round(each, 3 if n < 4 else 2) for n, each in enumerate(rounds)])
    store.settle([], [scored_round(other, 5)])

    def past(key: str, **options: int) -> list[ScoredRound]:
        return list(store.past_rounds(key, rounds[8].resolves_at, **options))

    assert [each.at for each in past("BTC")] == [T0 + n * MINUTE for n in range(7, -1, -1)]
    assert past("BTC", least=3) == [scored_round(rounds[n], 3) for n in (3, 2, 1, 0)]
    assert past("ETH", least=3) == [scored_round(other, 5)]
    assert past("SOL") == []
    assert next(store.past_rounds("BTC", rounds[8].resolves_at)).at == rounds[7].at  # whoever has enough stops


def test_the_first_answer_of_each_key_is_known_and_who_was_excused(store: Store) -> None:
    failed = prediction("bob", at=T0, status=Status.TIMEOUT, value=None)
    joining = prediction("cy", at=T0, status=Status.SKIPPED, value=None, excused=True)
    store.save([], [prediction(at=T0 + MINUTE), prediction(key="ETH", at=T0 + HOUR), failed, joining])
    store.save([], [prediction(), prediction("bob", at=T0 + MINUTE), prediction("bob", at=T0 + HOUR)])
    assert store.first_answers() == {"ada": {"BTC": T0, "ETH": T0 + HOUR}, "bob": {"BTC": T0 + MINUTE}}
    assert store.excused() == [("BTC", T0, "cy")]
    assert store.excused(joining.resolves_at + MINUTE) == []
    assert [each.excused for each in store.predictions() if each.model_id == "cy"] == [True]

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

T0 = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


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

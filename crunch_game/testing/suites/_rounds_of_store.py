"""What every store does with predictions, scores and rounds."""

from __future__ import annotations

import dataclasses
import math
import threading
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from crunch_game._status import Status
from crunch_game.errors import StoreError
from crunch_game.feeds.base import Row
from crunch_game.storage.base import ModelRecord, ScoredRound, Session, Store
from crunch_game.testing.suites._records import BLINK, HOUR, MINUTE, T0, prediction, score, scored_round


class RoundsOfStore:
    """The cases, as methods."""

    def test_what_is_saved_comes_back_equal(self, store: Store) -> None:
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

    def test_an_empty_store_has_nothing(self, store: Store) -> None:
        store.save()
        store.settle([])
        assert store.last_row() is None
        assert (store.rows(), store.predictions(), store.scores(), store.models()) == ([], [], [], [])
        assert (store.pending(T0), store.first_rounds(), store.last_rounds()) == ([], {}, {})
        assert (store.arrivals(), store.sessions(), store.lease("predict")) == ([], [], None)

    def test_a_stream_has_what_the_lists_have_and_nothing_else(self, store: Store) -> None:
        times = [T0 + n * HOUR for n in range(3)]
        records = [prediction(who, at, key) for at in times for key in ("BTC", "ETH") for who in ("a", "b")]
        rows = [Row(at, {"n": n}, at) for n, at in enumerate(times)]
        store.save(rows, records, [ModelRecord("b", "B", "d1", "ready"), ModelRecord("a", "A", "d1", "ready")])
        store.settle([score(each) for each in records[2:]], [scored_round(each) for each in records[::2]])
        rounds = [scored for scored, _ in store.rounds()]
        assert list(store.stream("predictions")) == records
        assert list(store.stream("scores")) == store.scores() == [score(each) for each in records[2:]]
        assert list(store.stream("rows")) == [arrival for _, arrival in store.arrivals()]
        assert list(store.stream("rounds")) == rounds
        assert list(store.stream("models")) == store.models()
        since, until = T0 + 2 * HOUR, T0 + 3 * HOUR  # the second hour's resolve then
        assert list(store.stream("predictions", since, until)) == records[4:8]
        assert list(store.stream("predictions", since, model_id="b", key="ETH")) == [records[7], records[11]]
        assert list(store.stream("scores", since, until, model_id="a")) == [score(records[4]), score(records[6])]
        assert list(store.stream("rounds", since, until, key="BTC")) == rounds[2:3]
        assert [each.row for each in store.stream("rows", T0 + HOUR, since + BLINK)] == rows[1:]
        assert [each.row for each in store.stream("rows", until=T0 + HOUR)] == rows[:1]
        assert [each.model_id for each in store.stream("models", model_id="b")] == ["b"]

    def test_a_repeated_write_changes_nothing(self, store: Store) -> None:
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

    def test_when_a_prediction_was_asked_and_what_was_known_come_back(self, store: Store) -> None:
        blink = timedelta(microseconds=1)
        asked = prediction(asked_at=T0 + blink, seen=T0 - blink)
        store.save(predictions=[asked, prediction("bob")])
        assert store.predictions() == [asked, prediction("bob")]
        assert store.pending(T0 + HOUR) == [asked, prediction("bob")]

    def test_pending_are_the_answered_ones_that_are_due_and_not_settled(self, store: Store) -> None:
        due, later = prediction("due"), prediction("later", T0 + HOUR)
        settled, aside = prediction("settled"), prediction("aside")
        failed = prediction("failed", status=Status.RAISED, value=None)
        store.save(predictions=[later, due, settled, aside, failed])
        store.settle([score(settled), score(aside, None, reason="no price")])
        assert store.pending(T0 + HOUR - timedelta(microseconds=1)) == []
        assert store.pending(T0 + HOUR) == [due]
        assert store.pending(T0 + 2 * HOUR) == [due, later]

    def test_a_score_that_comes_before_its_prediction_settles_it_too(self, store: Store) -> None:
        store.settle([score(prediction())])
        store.save(predictions=[prediction()])
        assert store.pending(T0 + HOUR) == []

    def test_oldest_first_is_by_resolution_then_round_key_and_model(self, store: Store) -> None:
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

    def test_since_is_inclusive_and_speaks_of_resolution(self, store: Store) -> None:
        old, new = prediction(at=T0), prediction(at=T0 + HOUR)
        store.save([Row(T0, {}), Row(T0 + HOUR, {})], [old, new])
        store.settle([score(old), score(new)])
        assert store.rows(T0 + HOUR) == [Row(T0 + HOUR, {})]
        assert store.predictions(T0 + HOUR) == [old, new]
        assert store.predictions(T0 + HOUR + timedelta(microseconds=1)) == [new]
        assert store.scores(T0 + 2 * HOUR) == [score(new)]

    def test_first_and_last_rounds_count_failures_and_keep_to_the_extremes(self, store: Store) -> None:
        store.save(predictions=[prediction("ada", T0 + HOUR, "BTC", status=Status.SKIPPED, value=None)])
        store.save(predictions=[prediction("ada", T0 + 2 * HOUR, "BTC"), prediction("bob", T0 + 2 * HOUR, "ETH")])
        store.save(predictions=[prediction("ada", T0, "ETH")])
        assert store.first_rounds() == {"ada": T0, "bob": T0 + 2 * HOUR}
        assert store.last_rounds() == {"BTC": T0 + 2 * HOUR, "ETH": T0 + 2 * HOUR}

    def test_times_in_other_zones_are_the_same_moments(self, store: Store) -> None:
        local = T0.astimezone(timezone(timedelta(hours=5, minutes=30)))
        store.save([Row(local, {})], [prediction(at=local)])
        store.save([Row(T0, {})], [prediction(at=T0)])
        assert [row.time for row in store.rows()] == [T0]
        assert len(store.predictions()) == 1
        assert store.predictions()[0].at.tzinfo is UTC

    def test_a_time_without_zone_is_refused(self, store: Store) -> None:
        naive = datetime(2024, 1, 1)  # noqa: DTZ001
        with pytest.raises(StoreError):
            store.save([Row(naive, {})])
        with pytest.raises(StoreError):
            store.save(predictions=[prediction(at=naive)])
        assert (store.arrivals(), store.predictions()) == ([], [])

    def test_a_refused_record_leaves_the_whole_write_undone(self, store: Store) -> None:
        good, bad = prediction("good"), prediction("bad", value=1j)
        with pytest.raises(StoreError, match="bad"):  # it names the model
            store.save([Row(T0, {})], [good, bad], [ModelRecord("good", "", "", "ready")])
        assert (store.rows(), store.predictions(), store.models(), store.last_rounds()) == ([], [], [], {})
        with pytest.raises(StoreError):
            store.save([Row(T0, {})], aside=[(Row(T0, {"n": 1j}), "no")], session=Session(1, T0, T0))
        assert (store.arrivals(), store.sessions()) == ([], [])
        with pytest.raises(StoreError):
            store.settle([score(good), score(bad, math.nan)])
        assert store.scores() == []

    @pytest.mark.parametrize("value", [math.nan, math.inf, "high"])
    def test_a_score_that_is_no_finite_number_is_refused(self, store: Store, value: Any) -> None:
        with pytest.raises(StoreError, match="ada"):
            store.settle([score(prediction(), value)])
        assert store.scores() == []

    def test_broken_text_of_a_participant_is_mended_not_refused(self, store: Store) -> None:
        broken = "half \ud83d of it, and \0 between"
        failed = prediction(status=Status.RAISED, value=None, error=broken)
        store.save(predictions=[failed], models=[ModelRecord("ada", broken, "d1", "failed", broken)])
        [model] = store.models()
        for text in (store.predictions()[0].error, model.name, model.reason):
            assert text is not None
            assert text.encode()
            assert (text[:5], text[-8:]) == ("half ", " between")

    @pytest.mark.parametrize("name", ["half \ud83d", "a\0b"])
    def test_a_name_that_not_every_database_can_keep_is_refused(self, store: Store, name: str) -> None:
        """Were it changed, it could be another model's."""
        with pytest.raises(StoreError):
            store.save(predictions=[prediction(name)])
        assert store.predictions() == []

    def test_what_was_given_or_given_back_may_be_changed_without_the_store_seeing_it(self, store: Store) -> None:
        value = {"x": [1]}
        store.save(predictions=[prediction(value=value)])
        value["x"].append(2)
        store.predictions()[0].value["x"].append(3)
        assert store.predictions()[0].value == {"x": [1]}

    def test_many_threads_may_write_and_read_at_once(self, store: Store) -> None:
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

    def test_what_was_set_aside_can_be_pending_again(self, store: Store) -> None:
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

    def test_rounds_come_back_with_their_scores_and_what_those_are(self, store: Store) -> None:
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

    def test_the_past_rounds_of_a_key_are_given_newest_first(self, store: Store) -> None:
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

    def test_the_first_answer_of_each_key_is_known_and_who_was_excused(self, store: Store) -> None:
        failed = prediction("bob", at=T0, status=Status.TIMEOUT, value=None)
        joining = prediction("cy", at=T0, status=Status.SKIPPED, value=None, excused=True)
        store.save([], [prediction(at=T0 + MINUTE), prediction(key="ETH", at=T0 + HOUR), failed, joining])
        store.save([], [prediction(), prediction("bob", at=T0 + MINUTE), prediction("bob", at=T0 + HOUR)])
        assert store.first_answers() == {"ada": {"BTC": T0, "ETH": T0 + HOUR}, "bob": {"BTC": T0 + MINUTE}}
        assert store.excused() == [("BTC", T0, "cy")]
        assert store.excused(joining.resolves_at + MINUTE) == []
        assert [each.excused for each in store.predictions() if each.model_id == "cy"] == [True]

    def test_what_one_model_did_is_found_among_what_all_did(self, store: Store) -> None:
        asked = [
            prediction(who, T0 + n * MINUTE, key) for n in range(3) for key in ("BTC", "ETH") for who in ("ada", "bo")
        ]
        store.save(predictions=asked)
        store.settle([score(each, float(n)) for n, each in enumerate(asked)])
        store.settle([score(prediction("bo", T0 - MINUTE), None, reason="nobody knows of the prediction")])
        of_bo = [each for each in asked if each.model_id == "bo"]
        assert store.predictions(model_id="bo") == of_bo
        assert store.predictions(T0 + HOUR + MINUTE, model_id="bo") == of_bo[2:]
        assert [each.value for each in store.scores(model_id="bo")] == [None, 1.0, 3.0, 5.0, 7.0, 9.0, 11.0]
        assert [each.value for each in store.scores(T0 + HOUR + 2 * MINUTE, model_id="bo")] == [9.0, 11.0]
        assert (store.predictions(model_id="cy"), store.scores(model_id="cy")) == ([], [])

    def test_many_records_at_once_are_kept_like_few(self, store: Store) -> None:
        """A store may have another way for them."""
        asked = [prediction(f"m{n:03}", value={"text": f"tab \t, line \n, \\N, quote ' {n}"}) for n in range(300)]
        again = [dataclasses.replace(each, value="another") for each in asked[:100]]
        store.save([Row(T0 + n * BLINK, {"n": n}, T0 + HOUR) for n in range(300)], [*asked, *again])
        store.save([Row(T0 + n * BLINK, {"n": -n}, T0 + HOUR) for n in range(400)], again)
        assert store.predictions() == asked
        assert [arrival.row.data["n"] for _, arrival in store.arrivals()] == [*range(300), *range(-300, -400, -1)]
        store.settle([score(each, 0.5) for each in [*asked, *asked]], [scored_round(asked[0], 300)])
        assert store.pending(T0 + HOUR) == []
        assert [len(scores) for _, scores in store.rounds()] == [300]

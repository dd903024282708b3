"""What a store deletes when it is pruned, and what it never does."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from crunch_game._status import Status
from crunch_game.errors import StoreError
from crunch_game.feeds.base import Row
from crunch_game.storage import Correction, EventRecord, FaultRecord, FormerScore, GameLog, PruneBounds, PublishedBoard
from crunch_game.storage.base import ModelRecord, Prediction, Session, Store
from crunch_game.testing.suites._records import BLINK, HOUR, MINUTE, T0, prediction, score, scored_round

SLOTS = [T0 + n * HOUR for n in range(6)]
"""Rounds resolve an hour later. The answers to the fourth wait for their truth; of the fifth nobody was right."""
PENDING, UNANSWERED = SLOTS[3], SLOTS[4]
NAMES = ["ada", "bob", "cy"]


def asked(at: datetime) -> list[Prediction]:
    """The predictions of a slot."""
    found = [prediction(name, at) for name in NAMES]
    return [replace(each, status=Status.DIED, value=None) for each in found] if at == UNANSWERED else found


def filled(store: Store) -> None:
    """Keep six rounds, with all that belongs to them."""
    for n, at in enumerate(SLOTS):
        answers = asked(at)
        log = GameLog()
        if store.keeps_log:
            event = EventRecord(at, "w", "RoundPlayed", f"round {n}")
            failed = [FaultRecord("ada", key, at, "d1", Status.DIED, "exit", "it died") for key in ("BTC", "tick")]
            log = GameLog([event], failed)
        rows = [Row(at, {"n": n}, at), Row(at, {"n": -n}, at + MINUTE)]
        store.save(rows, answers, [ModelRecord("ada", "ada", "d1", "ready")], session=Session(1, T0, at), log=log)
        if at not in (PENDING, UNANSWERED):
            store.settle([score(each) for each in answers], [scored_round(answers[0], 3)])
    store.note("game", {"name": "walk"})


def prune(store: Store, bounds: PruneBounds, most: int = 2) -> Counter[str]:
    """Delete all that is old; how many of each kind."""
    found: Counter[str] = Counter()
    while some := store.prune(bounds, most=most):
        found.update(some)
    return found


class PruningOfStore:
    """The cases, as methods."""

    def test_a_store_that_deletes_nothing_says_so(self, store: Store) -> None:
        if store.prunes:
            pytest.skip("this store deletes old records")
        for ask in (store.prune, store.prunable):
            with pytest.raises(StoreError, match=f"{type(store).__name__} deletes nothing"):
                ask(PruneBounds())
        assert store.give_back() == 0

    @pytest.mark.parametrize("most", [1, 4, 1_000])
    def test_old_rounds_are_deleted_whole_and_what_is_pending_stays(self, store: Store, most: int) -> None:
        prunes(store)
        filled(store)
        firsts = store.first_rounds(), store.first_answers(), store.last_rounds()
        bounds = PruneBounds(rounds=SLOTS[5] + HOUR, past=1)
        told = store.prunable(bounds)
        assert Counter(told) == prune(store, bounds, most)
        assert store.prunable(bounds) == {}
        assert [each.at for each in store.predictions()] == [PENDING] * 3 + [SLOTS[5]] * 3
        assert store.pending(SLOTS[5]) == asked(PENDING)
        assert [each.at for each in store.scores()] == [SLOTS[5]] * 3
        assert [each.at for each in store.predictions(model_id="bob")] == [PENDING, SLOTS[5]]
        assert [scored.at for scored, _ in store.rounds()] == [SLOTS[2], SLOTS[5]]
        assert (store.first_rounds(), store.first_answers(), store.last_rounds()) == firsts
        assert (len(store.models()), len(store.sessions()), store.noted("game")) == (1, 1, {"name": "walk"})
        assert len(store.rows()) == len(SLOTS)
        if store.keeps_log:
            assert [(each.key, each.at) for each in store.faults()] == [("BTC", PENDING), ("BTC", SLOTS[5])]

    def test_a_step_deletes_no_round_in_part(self, store: Store) -> None:
        prunes(store)
        filled(store)
        counts = store.prune(PruneBounds(rounds=SLOTS[3] + HOUR), most=1)
        assert counts == {"predictions": 3, "scores": 3}
        assert {each.at for each in store.predictions()} == {each.at for each in store.scores()} | {PENDING, UNANSWERED}

    def test_the_last_rounds_of_a_key_are_kept_and_the_last_full_ones(self, store: Store) -> None:
        prunes(store)
        for n in range(8):
            asked = [prediction(key=key, at=T0 + n * HOUR) for key in ("BTC", "ETH")]
            store.save(predictions=asked)
            store.settle([score(each) for each in asked], [scored_round(each, 3 if n < 4 else 1) for each in asked])
        bounds = PruneBounds(rounds=T0 + 10 * HOUR, past=2)  # a horizon after the last has resolved
        assert store.prunable(bounds) == {"predictions": 16, "scores": 16, "rounds": 8}
        assert prune(store, bounds) == {"predictions": 16, "scores": 16, "rounds": 8}
        kept = [(scored.key, scored.at) for scored, scores in store.rounds() if not scores]
        assert kept == [(key, T0 + n * HOUR) for n in (2, 3, 6, 7) for key in ("BTC", "ETH")]
        assert [each.at for each in store.past_rounds("BTC", T0 + 9 * HOUR, least=3)] == [T0 + 3 * HOUR, T0 + 2 * HOUR]

    def test_a_score_that_came_before_its_prediction_is_no_reason_to_ask_again(self, store: Store) -> None:
        prunes(store)
        store.settle([score(prediction())])
        store.save(predictions=[prediction()])
        prune(store, PruneBounds(rounds=T0 + 2 * HOUR))
        assert (store.predictions(), store.scores(), store.pending(T0 + 9 * HOUR)) == ([], [], [])

    def test_old_rows_and_events_are_deleted_and_no_number_is_used_again(self, store: Store) -> None:
        prunes(store)
        filled(store)
        store.save(aside=[(Row(T0, {}, T0 + 2 * MINUTE), "odd")])
        numbers = store.arrivals()[-1][0], max([number for number, _ in store.events()], default=0)
        bounds = PruneBounds(rows=SLOTS[4], log=SLOTS[5] + BLINK)
        assert Counter(store.prunable(bounds)) == prune(store, bounds) == Counter(rows=9, events=6 * store.keeps_log)
        assert [row.time for row in store.rows()] == SLOTS[4:]
        assert [arrival.row.data["n"] for _, arrival in store.arrivals()] == [4, -4, 5, -5]
        assert len(store.predictions()) == 3 * len(SLOTS)
        more = GameLog([EventRecord(T0, "v", "FeedLost", "gone")])
        store.save([Row(T0, {}, T0)], log=more if store.keeps_log else None)
        assert [number > numbers[0] for number, _ in store.arrivals(numbers[0])] == [True]
        if store.keeps_log:
            [(number, event)] = store.events()
            assert (number > numbers[1], event.text) == (True, "gone")

    def test_what_was_corrected_goes_with_its_round_and_the_corrections_stay(self, store: Store) -> None:
        prunes(store)
        if not store.keeps_corrections:
            pytest.skip("this store keeps no corrections")
        filled(store)
        number = store.correct(Correction(T0, "w", "void", "ada", "odd"))
        store.publish([PublishedBoard(T0, "main", T0, {})])
        changes = [(score(each), score(each, 2.0)) for at in (SLOTS[0], SLOTS[5]) for each in asked(at)]
        store.amend(number, changes)
        assert prune(store, PruneBounds(rounds=SLOTS[1] + HOUR))["former_scores"] == 3
        assert [each.at for each in store.former_scores()] == [SLOTS[5]] * 3
        assert isinstance(store.former_scores()[0], FormerScore)
        assert (len(store.corrections()), len(store.published())) == (1, 1)

    def test_bounds_of_nothing_delete_nothing(self, store: Store) -> None:
        prunes(store)
        filled(store)
        assert store.prune(PruneBounds()) == store.prunable(PruneBounds()) == {}
        assert store.prune(PruneBounds(T0, T0, T0)) == {}

    def test_space_is_given_back_until_there_is_none_left(self, store: Store) -> None:
        if store.prunes:
            filled(store)
            prune(store, PruneBounds(SLOTS[5], SLOTS[5], SLOTS[5]))
        for _ in range(100):
            if not store.give_back():
                break
        assert store.give_back() == 0

    def test_what_resolve_may_look_up_is_told_by_the_newest_row_before(self, store: Store) -> None:
        history = timedelta(minutes=90)
        assert store.looked_up_from(T0, history) is None
        store.save([Row(each, {}, each) for each in SLOTS])
        late = Row(SLOTS[3] + 5 * MINUTE, {}, SLOTS[5] + MINUTE)
        store.save([late], aside=[(Row(SLOTS[1] + MINUTE, {}), "odd")])
        numbers = {arrival.row.time: number for number, arrival in store.arrivals()}

        def found(moment: datetime, history: timedelta = history) -> tuple[int, datetime] | None:
            return store.looked_up_from(moment, history)

        assert found(T0) is None
        assert found(SLOTS[2]) is None  # the newest before is the second
        assert found(SLOTS[3]) == (numbers[SLOTS[0]], SLOTS[0])
        assert found(SLOTS[3] + BLINK) == (numbers[SLOTS[1]], SLOTS[1])
        assert found(SLOTS[5], HOUR * 3 / 4) == (numbers[SLOTS[3]], SLOTS[3]), "a row that came later was not known"
        assert found(SLOTS[5] + HOUR) == (numbers[SLOTS[4]], late.time), "the rows after it came before it"
        assert found(SLOTS[5] + HOUR, timedelta(days=9)) is None


def prunes(store: Store) -> None:
    """Only for stores that do."""
    if not store.prunes:
        pytest.skip("this store deletes nothing")

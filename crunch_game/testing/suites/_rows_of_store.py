"""What every store does with rows, sessions, leases, models and notes."""

from __future__ import annotations

import dataclasses
import threading

import pytest

from crunch_game.errors import StoreError
from crunch_game.feeds.base import Row
from crunch_game.storage.base import Arrival, ModelRecord, Session, Store
from crunch_game.testing.suites._records import HOUR, MINUTE, T0, lease


class RowsOfStore:
    """The cases, as methods."""

    def test_a_row_that_came_late_comes_back_with_its_arrival_and_one_that_has_none_without(self, store: Store) -> None:
        store.save([Row(T0 + HOUR, {"n": 1}, T0 + HOUR), Row(T0, {"n": 0}, T0 + 2 * HOUR), Row(T0 + HOUR / 2, {})])
        assert [(row.time, row.arrived) for row in store.rows()] == [
            (T0, T0 + 2 * HOUR),
            (T0 + HOUR / 2, None),
            (T0 + HOUR, T0 + HOUR),
        ]
        assert [arrival.row.time for _, arrival in store.arrivals()] == [T0 + HOUR, T0, T0 + HOUR / 2]

    def test_a_correction_is_kept_beside_what_it_corrects_and_history_has_it(self, store: Store) -> None:
        first, corrected = Row(T0, {"n": 1}, T0 + MINUTE), Row(T0, {"n": 2}, T0 + 2 * MINUTE)
        store.save([first])
        store.save([corrected, Row(T0, {"n": 3}, T0 + MINUTE)])  # the second is the first again
        store.save([first])
        assert store.rows() == [corrected]
        assert store.last_row() == corrected
        assert [arrival.row for _, arrival in store.arrivals()] == [first, corrected]

    def test_rows_of_one_time_without_arrival_are_one_row(self, store: Store) -> None:
        """A unique index that had NULL for an unknown arrival would keep both."""
        store.save([Row(T0, {"n": 1})])
        store.save([Row(T0, {"n": 2}), Row(T0, {"n": 3}, T0)])
        assert [(arrival.row.data["n"], arrival.row.arrived) for _, arrival in store.arrivals()] == [(1, None), (3, T0)]

    def test_what_is_set_aside_is_an_arrival_with_its_reason_and_no_row_of_the_history(self, store: Store) -> None:
        session = Session(1, T0, T0 + HOUR, T0 + MINUTE)
        told, later = Row(T0, {"n": 1}, T0 + MINUTE), Row(T0 + MINUTE, {"n": 2}, T0 + 3 * MINUTE)
        early = Row(T0 + 24 * HOUR, {"n": 9}, T0 + 2 * MINUTE)
        store.save([told, later], aside=[(early, "its time is 24 h ahead")], session=session)
        store.save(aside=[(Row(T0, {"n": 8}, T0 + 4 * MINUTE), "a bad correction")])
        assert store.rows() == [told, later]
        assert store.last_row() == later
        assert [arrival for _, arrival in store.arrivals()] == [
            Arrival(told, 1),
            Arrival(early, 1, "its time is 24 h ahead"),
            Arrival(later, 1),
            Arrival(Row(T0, {"n": 8}), None, "a bad correction"),
        ]

    def test_the_numbers_of_arrivals_grow(self, store: Store) -> None:
        store.save([Row(T0 + n * HOUR, {}) for n in range(3)])
        last = store.arrivals()[-1][0]
        assert [number for number, _ in store.arrivals(store.arrivals()[0][0])] == [n for n, _ in store.arrivals()][1:]
        store.save([Row(T0 - HOUR, {})])
        [(number, arrival)] = store.arrivals(last)
        assert number > last
        assert arrival == Arrival(Row(T0 - HOUR, {}))

    def test_rows_that_come_late_are_put_in_their_place(self, store: Store) -> None:
        store.save([Row(T0 + HOUR, {"n": 1})])
        store.save([Row(T0, {"n": 0})])
        assert [row.data["n"] for row in store.rows()] == [0, 1]
        assert store.last_row() == Row(T0 + HOUR, {"n": 1})

    def test_a_sessions_record_replaces_the_one_of_its_number(self, store: Store) -> None:
        store.save(session=Session(2, T0 + HOUR, T0 + HOUR))
        store.save(session=Session(1, T0, T0))
        store.save(session=Session(1, T0, T0 + MINUTE, T0))
        assert store.sessions() == [Session(1, T0, T0 + MINUTE, T0), Session(2, T0 + HOUR, T0 + HOUR)]

    def test_a_lease_is_swapped_only_by_who_knows_what_is_there(self, store: Store) -> None:
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

    def test_of_many_who_want_a_lease_at_once_one_gets_it(self, store: Store) -> None:
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

    def test_a_models_record_replaces_the_one_before(self, store: Store) -> None:
        store.save(models=[ModelRecord("b", "B", "d1", "ready"), ModelRecord("a", "A", "d1", "joining")])
        store.save(models=[ModelRecord("a", "A2", "d2", "stopped", "three failures")])
        assert store.models() == [
            ModelRecord("a", "A2", "d2", "stopped", "three failures"),
            ModelRecord("b", "B", "d1", "ready"),
        ]

    def test_a_closed_store_says_so(self, store: Store) -> None:
        store.close()
        store.close()
        for use in (store.last_row, store.save, store.models):
            with pytest.raises(StoreError, match=r"^the store was closed and cannot be used again$"):
                use()

    def test_a_note_replaces_the_one_of_its_name(self, store: Store) -> None:
        assert store.noted("game") is None
        store.note("game", {"name": "walk"})
        store.note("other", {})
        store.note("game", {"name": "birds", "n": [1, None]})
        assert (store.noted("game"), store.noted("other")) == ({"name": "birds", "n": [1, None]}, {})
        with pytest.raises(StoreError):
            store.note("game", {"name": 1j})
        assert store.noted("game") == {"name": "birds", "n": [1, None]}

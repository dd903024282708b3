"""What a store that outlives its process does, and one that several processes use at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from crunch_game.feeds.base import Row
from crunch_game.storage import PruneBounds
from crunch_game.storage.base import ModelRecord, Session, Store
from crunch_game.testing.suites._records import HOUR, MINUTE, T0, lease, prediction, score, scored_round


class KeptByStore:
    """The cases, as methods."""

    lasts: ClassVar[bool]
    shared: ClassVar[bool]

    def test_what_was_accepted_is_there_when_it_is_opened_again(self, opener: Callable[[], Store]) -> None:
        if not self.lasts:
            pytest.skip("this store ends when it is closed")
        asked, session = prediction(asked_at=T0, seen=T0), Session(1, T0, T0, T0)
        with opener() as store:
            store.save([Row(T0, {"n": 1}, T0)], [asked], [ModelRecord("ada", "Ada", "d1", "ready")], session=session)
            store.save([], [prediction("bob"), prediction("cy")], aside=[(Row(T0, {"n": 2}, T0 + MINUTE), "it is odd")])
            store.settle([score(asked, 0.5, outcome=1)], [scored_round(asked, facts={"score": {"entry": 0.5}})])
            store.settle([score(prediction("cy"), None, reason="no price")])
            assert store.reopen() == 1
            assert store.swap_lease("predict", None, lease("mine"))
            store.note("game", {"name": "walk"})
            store.save([Row(T0 - HOUR, {})])
            if store.prunes:
                store.prune(PruneBounds(rows=T0 - MINUTE))
            before = everything(store)
        with opener() as store:
            assert everything(store) == before
            store.save([Row(T0 + HOUR, {})])
            assert store.arrivals()[-1][0] > max(before["numbers"]), "no number is used again"
            assert store.swap_lease("predict", lease("mine"), None)

    def test_one_sees_what_another_has_written(self, opener: Callable[[], Store]) -> None:
        if not self.shared:
            pytest.skip("this store is one process's")
        with opener() as predicts, opener() as scores:
            predicts.save([Row(T0, {})], [prediction(), prediction("bob")])
            assert scores.pending(T0 + HOUR) == [prediction(), prediction("bob")]
            scores.settle([score(prediction())])
            assert predicts.pending(T0 + HOUR) == [prediction("bob")]
            assert predicts.swap_lease("predict", None, lease("mine"))
            assert not scores.swap_lease("predict", None, lease("yours"))
            scores.save([Row(T0 + HOUR, {})])
            assert [arrival.row.time for _, arrival in predicts.arrivals(predicts.arrivals()[0][0])] == [T0 + HOUR]

    def test_whoever_asks_for_what_is_new_misses_no_arrival(self, opener: Callable[[], Store]) -> None:
        """Though several write: a number is never seen before a smaller one."""
        if not self.shared:
            pytest.skip("this store is one process's")
        writers, each = 3, 10

        def write(number: int) -> None:
            with opener() as store:
                for n in range(each):
                    store.save([Row(T0 + n * MINUTE, {"writer": number}, T0 + number * HOUR)])

        threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
        seen: list[int] = []
        with opener() as reader:
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                seen += [number for number, _ in reader.arrivals(seen[-1] if seen else 0)]
            seen += [number for number, _ in reader.arrivals(seen[-1] if seen else 0)]
            assert seen == [number for number, _ in reader.arrivals()]
        assert len(seen) == writers * each


def everything(store: Store) -> dict[str, list[Any]]:
    """All that can be asked of a store."""
    arrivals = store.arrivals()
    return {
        "rows": [(row.time, row.data, row.arrived) for row in store.rows()],
        "numbers": [number for number, _ in arrivals],
        "arrivals": [(arrival, arrival.row.arrived) for _, arrival in arrivals],
        "predictions": [*store.predictions()],
        "pending": [*store.pending(T0 + 100 * HOUR)],
        "scores": [*store.scores()],
        "rounds": [*store.rounds()],
        "models": [*store.models()],
        "sessions": [*store.sessions()],
        "others": [store.lease("predict"), store.noted("game"), store.first_rounds(), store.last_rounds()],
    }

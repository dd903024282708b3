"""What a store does with logs, if it says that it keeps them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from crunch_game._status import Status
from crunch_game.errors import StoreError
from crunch_game.feeds.base import Row
from crunch_game.storage import DeploymentRecord, EventRecord, FaultRecord, GameLog, as_document, from_document
from crunch_game.storage.base import Store
from crunch_game.testing.suites._records import BLINK, HOUR, MINUTE, T0, prediction


def event(n: int, kind: str = "TickPlayed", model_id: str | None = None, **changes: Any) -> EventRecord:
    """The event of a minute."""
    return EventRecord(T0 + n * MINUTE, "w", kind, f"{kind} {n}", model_id, **changes)


def fault(n: int, model_id: str = "ada", key: str = "BTC") -> FaultRecord:
    """The fault of a minute."""
    return FaultRecord(model_id, key, T0 + n * MINUTE, "d1", Status.RAISED, "ValueError", f"ValueError: {n}")


EVENTS = [
    event(0, "ModelJoined", "ada", details={"deployment_id": "d1", "times": [1, None, "é"]}),
    event(2, seen=T0),
    event(1, "ModelStopped", "bob", seen=T0 - HOUR),
    event(3, "RoundPlayed"),
    event(4, "ModelStopped", "ada"),
]
"""In the order in which they are saved, which need not be that of their moments: a clock may be set back."""
WHOLE = FaultRecord("ada", "tick", T0, "d2", Status.DIED, "died", "it\0 died", "line\n", "out\n", "err\ud800\n", -11)
STRUCK = {"tick": {"failures": 2, "timeouts": 0}}


class LogOfStore:
    """The cases, as methods."""

    lasts: ClassVar[bool]

    def test_a_store_that_keeps_no_log_has_nothing_to_tell(self, store: Store) -> None:
        if store.keeps_log:
            pytest.skip("this store keeps logs")
        store.save([Row(T0, {})])
        assert (store.events(), store.faults(), store.deployments()) == ([], [], [])

    def test_events_are_kept_in_order_and_found_by_what_is_asked_for(self, store: Store) -> None:
        keeps_log(store)
        store.save(log=GameLog(EVENTS[:2]))
        store.save([Row(T0, {})], log=GameLog(EVENTS[2:]))
        numbers = [number for number, _ in store.events()]
        assert numbers == sorted({*numbers})
        assert numbers[0] > 0
        assert [found for _, found in store.events()] == EVENTS
        assert [found for _, found in store.events(numbers[2])] == EVENTS[3:]
        assert [found for _, found in store.events(since=T0 + MINUTE)] == EVENTS[1:]
        assert [found for _, found in store.events(since=T0 + MINUTE + BLINK)] == [EVENTS[1], *EVENTS[3:]]
        assert [found for _, found in store.events(model_id="ada")] == [EVENTS[0], EVENTS[4]]
        assert [found for _, found in store.events(each_time=False)] == [EVENTS[0], EVENTS[2], EVENTS[4]]
        assert [found for _, found in store.events(last=2)] == EVENTS[3:]
        assert store.events(last=0) == []
        assert [found for _, found in store.events(last=99)] == EVENTS
        assert [found for _, found in store.events(since=T0 + MINUTE, last=1, each_time=False)] == EVENTS[4:]
        assert [found for _, found in store.events(numbers[0], model_id="ada", each_time=False)] == EVENTS[4:]

    def test_what_is_told_again_changes_nothing(self, store: Store) -> None:
        keeps_log(store)
        log = GameLog(EVENTS, [fault(1), WHOLE], [DeploymentRecord("ada", "d1", T0)])
        for _ in range(2):
            store.save(log=log)
        other = replace(EVENTS[0], text="told otherwise")
        store.save(log=GameLog([other, replace(other, writer="v")], [replace(fault(1), message="told otherwise")]))
        assert [found for _, found in store.events()] == [*EVENTS, replace(other, writer="v")]
        assert [found.message for found in store.faults()] == ["it\\x00 died", "ValueError: 1"]
        assert store.deployments() == [DeploymentRecord("ada", "d1", T0)]

    def test_faults_are_found_by_time_and_model(self, store: Store) -> None:
        keeps_log(store)
        store.save(log=GameLog(faults=[fault(2, "bob"), fault(1, key="ETH"), fault(1), WHOLE]))
        kept = replace(WHOLE, message="it\\x00 died", stderr="err\\ud800\n")
        assert store.faults() == [kept, fault(1), fault(1, key="ETH"), fault(2, "bob")]
        assert store.faults(T0 + MINUTE) == [fault(1), fault(1, key="ETH"), fault(2, "bob")]
        assert store.faults(T0 + MINUTE + BLINK) == [fault(2, "bob")]
        assert store.faults(model_id="ada") == [kept, fault(1), fault(1, key="ETH")]
        assert store.faults(T0 + BLINK, model_id="ada") == [fault(1), fault(1, key="ETH")]

    def test_a_deployment_is_replaced_and_one_that_came_back_is_another(self, store: Store) -> None:
        keeps_log(store)
        first = DeploymentRecord("ada", "d1", T0)
        store.save(log=GameLog(deployments=[first, DeploymentRecord("bob", "d1", T0)]))
        left = replace(first, ready=T0 + MINUTE, ended=T0 + HOUR, state="left", reason="it left", restarts=2)
        again = DeploymentRecord("ada", "d1", T0 + 2 * HOUR, strikes=STRUCK)
        store.save(log=GameLog(deployments=[left, DeploymentRecord("ada", "d0", T0 + HOUR), again]))
        assert store.deployments() == [
            left,
            DeploymentRecord("ada", "d0", T0 + HOUR),
            again,
            DeploymentRecord("bob", "d1", T0),
        ]
        assert store.deployments("bob") == [DeploymentRecord("bob", "d1", T0)]

    @pytest.mark.parametrize(
        "log",
        [
            GameLog([event(1), event(2, details={"what": object()})]),
            GameLog([event(1)], [replace(fault(1), key="\0")]),
            GameLog([event(1)], [], [DeploymentRecord("ada", "d1", T0.replace(tzinfo=None))]),
        ],
        ids=["event", "fault", "deployment"],
    )
    def test_a_log_that_cannot_be_kept_leaves_nothing(self, store: Store, log: GameLog) -> None:
        keeps_log(store)
        with pytest.raises(StoreError):
            store.save([Row(T0, {})], [prediction()], log=log)
        assert (store.rows(), store.predictions(), store.events(), store.faults(), store.deployments()) == (
            [], [], [], [], []
        )  # fmt: skip

    def test_a_log_is_there_when_the_store_is_opened_again(self, opener: Callable[[], Store]) -> None:
        with opener() as store:
            keeps_log(store)
            if not self.lasts:
                pytest.skip("this store ends when it is closed")
            store.save(log=GameLog(EVENTS, [fault(1)], [DeploymentRecord("ada", "d1", T0, strikes=STRUCK)]))
            before = store.events(), store.faults(), store.deployments()
        with opener() as store:
            assert (store.events(), store.faults(), store.deployments()) == before
            store.save(log=GameLog([event(9)]))
            assert store.events(last=1)[0][0] > before[0][-1][0]

    def test_records_are_documents_and_documents_records(self, store: Store) -> None:
        keeps_log(store)
        store.save(log=GameLog(EVENTS, [WHOLE], [DeploymentRecord("ada", "d1", T0, T0, strikes=STRUCK)]))
        for each in [*(found for _, found in store.events()), *store.faults(), *store.deployments()]:
            assert from_document(type(each), as_document(each)) == each


def keeps_log(store: Store) -> None:
    """Skip the test for a store that does not."""
    if not store.keeps_log:
        pytest.skip("this store keeps no log")

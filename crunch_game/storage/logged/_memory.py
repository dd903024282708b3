"""Logs in memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container
from datetime import datetime
from itertools import takewhile
from typing import ClassVar

from crunch_game.storage import _codec as codec
from crunch_game.storage._log import TOLD_EACH_TIME, DeploymentRecord, EventRecord, FaultRecord, KeepsLog
from crunch_game.storage.logged._packing import (
    PackedDeployment,
    PackedEvent,
    PackedFault,
    PackedLog,
    unpack_deployment,
    unpack_event,
    unpack_fault,
)


class MemoryLog(KeepsLog):
    """The logs of a MemoryStore, which guards them."""

    keeps_log: ClassVar[bool] = True

    def __init__(self) -> None:
        self._events: dict[int, PackedEvent] = {}
        self._last_number = 0
        self._identities: set[tuple[int, str]] = set()
        self._faults: dict[tuple[int, str, str], PackedFault] = {}
        self._deployments: dict[tuple[str, str, int], PackedDeployment] = {}

    def keep(self, log: PackedLog) -> None:
        """Keep what is new; a deployment replaces what was kept of it before."""
        for event in log.events:
            if event[:2] not in self._identities:
                self._identities.add(event[:2])
                self._last_number += 1
                self._events[self._last_number] = event
        for fault in log.faults:
            self._faults.setdefault(fault[:3], fault)
        self._deployments.update((each[:3], each) for each in log.deployments)

    def events(
        self,
        after: int = 0,
        *,
        since: datetime | None = None,
        model_id: str | None = None,
        each_time: bool = True,
        last: int | None = None,
    ) -> list[tuple[int, EventRecord]]:
        """Return the events that were kept, in the order in which they were saved, each with its number."""
        start = None if since is None else codec.microseconds(since)
        # From the end: whoever asks again and again has seen most.
        new = [*takewhile(lambda number: number > after, reversed(self._events))]
        found = [
            (number, event)
            for number, event in ((number, self._events[number]) for number in reversed(new))
            if (start is None or event.moment >= start)
            and model_id in (None, event.model_id)
            and (each_time or event.kind not in TOLD_EACH_TIME)
        ]
        chosen = found if last is None else found[max(0, len(found) - last) :]
        return [(number, unpack_event(event)) for number, event in chosen]

    def forget_events(self, before: int, most: int | None) -> int:
        """Forget the oldest events of before a moment, so many at most; return how many."""
        gone = sorted((event.moment, number) for number, event in self._events.items() if event.moment < before)[:most]
        for _, number in gone:
            self._identities.discard(self._events.pop(number)[:2])
        return len(gone)

    def forget_faults(self, before: int, kept: Container[tuple[int, str, str]], most: int | None) -> int:
        """Forget the oldest faults of calls before a time, so many at most, but for those of predictions that are kept.

        Returns:
            How many.
        """
        gone = sorted(each for each in self._faults if each[0] < before and each not in kept)[:most]
        for each in gone:
            del self._faults[each]
        return len(gone)

    def faults(self, since: datetime | None = None, *, model_id: str | None = None) -> list[FaultRecord]:
        """Return the faults of all models, or of one, whose `at` is `since` or later."""
        identities = sorted(self._faults)
        start = 0 if since is None else bisect_right(identities, (codec.microseconds(since), "", ""))
        chosen = (each for each in identities[start:] if model_id in (None, each[2]))
        return [unpack_fault(self._faults[each]) for each in chosen]

    def deployments(self, model_id: str | None = None) -> list[DeploymentRecord]:
        """Return the deployments of all models, or of one, sorted by model and by when they joined."""
        chosen = [each for each in self._deployments.values() if model_id in (None, each.model_id)]
        return [unpack_deployment(each) for each in sorted(chosen, key=lambda each: (each[0], each[2], each[1]))]

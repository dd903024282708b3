"""Timeline: what a MemoryStore has by time, so that what is asked for is found without looking at the rest."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator

Identity = tuple[int, str, str]
"""at, key, model_id: `packed[:3]` of predictions and scores. Records of one moment are sorted by it."""


class Timeline:
    """Identities sorted by a time. Adding and removing one is cheap."""

    def __init__(self) -> None:
        self._moments: list[int] = []
        self._members: dict[int, set[Identity]] = {}

    def add(self, when: int, identity: Identity) -> None:
        if when not in self._members:
            self._members[when] = set()
            insort(self._moments, when)
        self._members[when].add(identity)

    def discard(self, when: int, identity: Identity) -> None:
        members = self._members.get(when, set())
        members.discard(identity)
        if when in self._members and not members:
            del self._members[when]
            del self._moments[bisect_left(self._moments, when)]

    def since(self, when: int | None) -> Iterator[Identity]:
        start = 0 if when is None else bisect_left(self._moments, when)
        return self._ordered(self._moments[start:])

    def until(self, when: int, after: int | None = None) -> Iterator[Identity]:
        start = 0 if after is None else bisect_right(self._moments, after)
        return self._ordered(self._moments[start : bisect_right(self._moments, when)])

    def count(self, until: int) -> int:
        return sum(len(self._members[when]) for when in self._moments[: bisect_right(self._moments, until)])

    def _ordered(self, moments: Iterable[int]) -> Iterator[Identity]:
        for when in moments:
            yield from sorted(self._members[when])

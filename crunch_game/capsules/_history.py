"""The last calls of each instance: encoded once for all of them, and bounded in count and bytes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

import msgspec

from crunch_game.capsules._capsule import Told
from crunch_game.hosts.base import Instance
from crunch_game.outcomes import Status

NOTHING: Final = b"\xc0"
"""None, encoded."""

_MAX_CALLS: Final = 500
"""Calls that are kept of one instance."""
_MAX_BYTES: Final = 32 << 20
"""Bytes that are kept of all of them."""
_OVERHEAD_BYTES: Final = 250
"""Bytes that a call takes besides its arguments, so that a million empty ones are bounded too."""


class Kept:
    """One call as all models got it.

    `args` are its encoded arguments; None once the call is forgotten, or when they cannot be encoded. `extras` and
    `ended` hold what differs between models: further arguments, and the status where it was not OK.
    """

    __slots__ = ("args", "ended", "extras", "method", "order", "size")

    def __init__(self, order: int, method: str, args: bytes | None) -> None:
        self.order = order
        self.method = method
        self.args = args
        self.extras: dict[str, bytes | None] = {}
        self.ended: dict[str, Status] = {}
        self.size = _OVERHEAD_BYTES + len(args or b"")

    def told(self, model_id: str) -> Told | None:
        """The call as one model got it; None when it is forgotten. May be called from any thread."""
        extra, status = self.extras.get(model_id, NOTHING), self.ended.get(model_id, Status.OK)
        args = self.args  # read last, since `forget` may run meanwhile and clears it first
        if args is None or extra is None:
            return None
        return Told(self.method, msgspec.Raw(args), msgspec.Raw(extra), status)

    def forget(self) -> int:
        """Drop everything; returns the bytes that this frees."""
        self.args = None
        self.extras.clear()
        self.ended.clear()
        return self.size


@dataclass(slots=True)
class _Calls:
    last: deque[Kept] = field(default_factory=lambda: deque(maxlen=_MAX_CALLS))
    count: int = 0


class Recent(NamedTuple):
    """The last calls of one instance, and how many it got in all."""

    model_id: str
    calls: tuple[Kept, ...]
    total: int

    def told(self) -> tuple[list[Told], int]:
        """The calls since the last gap, oldest first, and how many came before. May be called from any thread.

        Calls before a gap are of no use: who plays them again would miss what came between.
        """
        found: list[Told] = []
        for kept in sorted(self.calls, key=lambda kept: kept.order, reverse=True):
            told = kept.told(self.model_id)
            if told is None:
                break
            found.append(told)
        return found[::-1], self.total - len(found)


class CallHistory:
    """The last calls of every instance."""

    def __init__(self) -> None:
        # Weak, so that an instance that has ended takes its history with it.
        self._calls: WeakKeyDictionary[Instance, _Calls] = WeakKeyDictionary()
        self._kept: deque[Kept] = deque()
        self._size = 0

    def begin(self, order: int, method: str, args: bytes | None) -> Kept:
        """Keep a call that models get from now on; `order` grows with every call."""
        kept = Kept(order, method, args)
        self._kept.append(kept)
        self._grow(kept.size)
        return kept

    def add_extra(self, kept: Kept, model_id: str, extra: bytes | None) -> None:
        """Keep the further arguments that one model got."""
        kept.extras[model_id] = extra
        size = _OVERHEAD_BYTES + len(extra or b"")
        kept.size += size
        self._grow(size)

    def append(self, instance: Instance, model_id: str, kept: Kept, status: Status) -> None:
        """The instance got the call, which ended like that."""
        if status is not Status.OK:
            kept.ended[model_id] = status
        calls = self._calls.get(instance)
        if calls is None:
            calls = self._calls[instance] = _Calls()
        calls.last.append(kept)
        calls.count += 1

    def recent(self, instance: Instance, model_id: str) -> Recent:
        """The last calls that the instance got."""
        calls = self._calls.get(instance)
        return Recent(model_id, tuple(calls.last), calls.count) if calls else Recent(model_id, (), 0)

    def _grow(self, size: int) -> None:
        self._size += size
        while self._size > _MAX_BYTES and self._kept:
            self._size -= self._kept.popleft().forget()

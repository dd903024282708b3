"""Journal: the writes that wait for a store, the oldest first."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Final

from crunch_game.errors import UsageError
from crunch_game.storage.base import Session, Store
from crunch_game.storage.journal._frames import Frames
from crunch_game.storage.journal._writes import Write

MOST_ON_DISK: Final = 256 << 20
MOST_IN_MEMORY: Final = 64 << 20
_FORMAT: Final = 1


@dataclass(frozen=True)
class Left:
    """What a worker that has ended has left in a journal.

    Attributes:
        count: How many writes.
        since: When the first of them was put there, by the wall clock; aware, UTC.
        sessions: The sessions that they are of, by number, as the last of them has them.
    """

    count: int
    since: datetime
    sessions: Mapping[int, Session] = field(default_factory=dict)

    def is_in(self, store: Store) -> bool:
        """Whether the store has all of it: then only its removal was lost, with the power."""
        kept = {each.number: each for each in store.sessions()}
        last = max(self.sessions, default=None)
        return last is not None and last in kept and kept[last].heartbeat > self.sessions[last].heartbeat

    def is_overtaken(self, store: Store) -> bool:
        """Whether another worker has played since: then these writes would come too late."""
        first = min(self.sessions, default=None)
        return first is not None and any(
            each.number >= first
            and (each.number not in self.sessions or self.sessions[each.number].started != each.started)
            for each in store.sessions()
        )


class Journal:
    """Writes in their order: on disk, and behind these in memory, from when the disk takes no more. Thread-safe.

    The file is made when the first write is to wait, and removed when none does.

    Args:
        path: The file; None to have all of it in memory.
        store: What identifies the store.
        game: The game's name.
        most_on_disk: Bytes.
        most_in_memory: Bytes.

    Attributes:
        path: The file.
    """

    def __init__(
        self,
        path: Path | None,
        store: str,
        game: str,
        *,
        most_on_disk: int = MOST_ON_DISK,
        most_in_memory: int = MOST_IN_MEMORY,
    ) -> None:
        self.path = path
        self._owner = {"format": _FORMAT, "store": store, "game": game}
        self._most_on_disk = most_on_disk
        self._most_in_memory = most_in_memory
        self._lock = threading.Lock()
        self._frames: Frames | None = None
        self._position = 0
        """Where the first frame on disk is that is not done with."""
        self._on_disk = 0
        self._memory: deque[bytes] = deque()
        self._in_memory = 0

    def __len__(self) -> int:
        return self._on_disk + len(self._memory)

    @property
    def where(self) -> str:
        """Where the last write is, for people."""
        return "memory" if self._memory or self.path is None else str(self.path)

    @property
    def in_memory(self) -> int:
        """How many writes end with this process."""
        return len(self._memory)

    def append(self, write: Write) -> bool:
        """Keep a write behind those that wait already. Returns False if there is no room for it.

        Raises:
            StoreError: A record of it cannot be kept, in whatever store.
        """
        data = write.packed()
        with self._lock:
            if not self._memory and self._to_disk(data):
                return True
            if self._in_memory + len(data) > self._most_in_memory:
                return False
            self._memory.append(data)
            self._in_memory += len(data)
            return True

    def first(self) -> Write | None:
        """Return the write that has waited for longest; None if none does."""
        with self._lock:
            if self._on_disk and self._frames is not None:
                data, _ = next(self._frames.read(self._position))
                return Write.unpacked(data)
            return Write.unpacked(self._memory[0]) if self._memory else None

    def done(self) -> None:
        """Let go of the first write: the store has it."""
        with self._lock:
            if self._on_disk and self._frames is not None:
                _, self._position = next(self._frames.read(self._position))
                self._on_disk -= 1
                if not self._on_disk:
                    self._frames.remove()
                    self._frames = None
            elif self._memory:
                self._in_memory -= len(self._memory.popleft())

    def save_memory(self) -> None:
        """Bring to the disk what is in memory, as far as that takes it."""
        with self._lock:
            while self._memory and self._to_disk(self._memory[0]):
                self._in_memory -= len(self._memory.popleft())

    def left(self) -> Left | None:
        """Open what an ended worker has left, so that it is `first`. None if there is nothing.

        Raises:
            UsageError: The file is of another store or game, or cannot be read.
        """
        with self._lock:
            if self.path is None or not self.path.exists():
                return None
            try:
                self._frames = Frames(self.path)
                found = self._frames.read()
                head = next(found, None)
            except OSError as error:
                raise UsageError(f"the journal {self.path} cannot be read: {error}; move it away") from error
            if head is not None:
                since = self._since(head[0])
                self._position = head[1]
                sessions: dict[int, Session] = {}
                for data, _ in found:
                    self._on_disk += 1
                    if (session := Write.unpacked(data).session) is not None:
                        sessions[session.number] = session
            if head is None or not self._on_disk:
                self._forget()
                return None
            return Left(self._on_disk, since, sessions)

    def drop(self) -> None:
        """Let go of all that is on disk."""
        with self._lock:
            self._forget()

    def put_aside(self) -> Path:
        """Rename the file, so that no worker finds it, and return its new path."""
        with self._lock:
            assert self._frames is not None
            path = self._frames.path
            aside = next(new for n in count(1) if not (new := path.with_suffix(f".aside-{n}")).exists())
            path.rename(aside)
            self._frames.close()
            self._frames, self._on_disk = None, 0
            return aside

    def close(self) -> None:
        """Close the file, which stays if something waits in it."""
        with self._lock:
            if self._frames is not None:
                self._frames.close()
                self._frames = None

    def _to_disk(self, data: bytes) -> bool:
        """Write to the file, behind all that is there. Returns whether the disk takes it, and it is not too much."""
        if self.path is None:
            return False
        try:
            if self._frames is None:
                self._frames = Frames(self.path)
                self._frames.append(json.dumps(self._owner | {"since": datetime.now(UTC).isoformat()}).encode())
                self._position = self._frames.end
            if self._frames.end + len(data) > self._most_on_disk:
                return False
            self._frames.append(data)
        except OSError:
            if not self._on_disk:
                self._forget()
            return False
        self._on_disk += 1
        return True

    def _forget(self) -> None:
        if self._frames is not None:
            self._frames.remove()
        self._frames, self._on_disk = None, 0

    def _since(self, head: bytes) -> datetime:
        """Return when the file was begun, if it is of this store and game.

        Raises:
            UsageError: It is not.
        """
        try:
            owner = dict(json.loads(head))
        except (ValueError, TypeError):
            owner = {}
        since = owner.pop("since", None)
        if owner == self._owner:
            return datetime.fromisoformat(str(since))
        said = f"the game {owner['game']!r}, in another store" if "game" in owner else "something else"
        raise UsageError(
            f"the journal {self.path} is of {said}, and can only be written there; move it away, or give this worker "
            "another folder for its journal"
        )

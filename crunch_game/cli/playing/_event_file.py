"""The file of `--events`: every event of a game, as it is told, a JSON document on each line."""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crunch_game.cli import _output as output
from crunch_game.errors import ResourceError, StoreError
from crunch_game.events import RoundsMissed, TickPlayed
from crunch_game.storage import as_document
from crunch_game.workers import Listener, Standings, event_record, safely


class EventFile:
    """Appends events to a file. It is opened for each, so that it may be moved away, as log rotation does.

    What cannot be written is lost, and is told once: no game ends for it.

    Args:
        path: The file.

    Raises:
        ResourceError: It cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()  # feeds and scorers tell from threads of their own
        self._writer = uuid.uuid4().hex[:12]
        self._seen: datetime | None = None
        self._is_cut = False
        """Whether the last line has no end."""
        self._is_told = False
        try:
            os.close(self._open())
        except OSError as error:
            raise ResourceError(
                f"events cannot be written to {str(path)!r}: {error.strerror or error}; give another file with --events"
            ) from None

    def before(self, listener: Listener) -> Callable[[Any], Any]:
        """A listener that tells this one what it hears, after it has been written."""

        def tell(event: Any) -> Any:
            self.hear(event)
            return listener(event)

        return tell

    def hear(self, event: Any) -> None:
        """Write an event of the game; those of other kinds are ignored. From any thread."""
        with self._lock:
            if isinstance(event, TickPlayed | Standings):
                self._seen = event.at if self._seen is None else max(self._seen, event.at)
            record = event_record(event, datetime.now(UTC), self._writer, self._seen)
            if record is None:
                return
            try:
                self._append(json.dumps(as_document(record)))
            except (OSError, StoreError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                if not self._is_told:
                    said = f"events cannot be written to {str(self._path)!r}: {reason}; the game goes on without"
                    output.warn(said)
                self._is_told = True

    def _append(self, line: str) -> None:
        text = f"{line}\n".encode()
        file = self._open()
        try:
            text = b"\n" + text if self._is_cut else text
            written = os.write(file, text)  # at once: several processes may append to one file
            self._is_cut = written < len(text)
            if self._is_cut:
                raise OSError(None, "the disk is full")
        finally:
            os.close(file)

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)


def listening(path: Path | None, listener: Listener | None, *, live: bool = True) -> Listener | None:
    """Return what hears a game's events: the file, if there is one, and then this listener; None if there is neither.

    Without a listener trouble is logged, as it is where nobody listens.

    Raises:
        ResourceError: The file cannot be written.
    """
    if path is None:
        return listener
    return EventFile(path).before(listener or safely(None, unlogged=() if live else (RoundsMissed,)))

"""What models print while a command plays them: where it is kept, and the last of it for a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from crunch_game._quantities import counted
from crunch_game.game import Game
from crunch_game.hosts.process import ProcessHost, file_name
from crunch_game.hosts.process.diagnosis import last_lines

_STREAMS: Final = {"stdout": "out", "stderr": "err"}
_EVERYTHING: Final = 1 << 62


@dataclass(frozen=True)
class Printed:
    """What a model wrote to one stream.

    Attributes:
        text: The last lines.
        lines: How many there are in all, or in the file if that is not whole.
        file: Where all are; None where the text is all.
        whole: Whether everything is in the file: of what is longer than the log may be only the last is kept.
    """

    text: str
    lines: int
    file: Path | None
    whole: bool = True


def logging_host(game: Game, logs: Path) -> ProcessHost | None:
    """Return the game's process host, with its logs in this folder; None where its models run elsewhere."""
    if game.host is None or game.host == "process":
        return ProcessHost(logs=logs)
    return game.host.fresh(logs=logs) if isinstance(game.host, ProcessHost) else None


def printed_by(model_id: str, logs: Path) -> Mapping[str, Printed]:
    """What the model wrote, by stream; those that it did not use are left out."""
    return {
        stream: found
        for stream, name in _STREAMS.items()
        for found in _read(logs / f"{file_name(model_id)}.{name}.log")
    }


def _read(log: Path) -> Iterator[Printed]:
    """The last of a log; nothing if it is empty."""
    older = log.with_name(f"{log.name}.1")
    raw = b"".join(file.read_bytes() for file in (older, log) if file.exists())
    whole, text = last_lines(raw, _EVERYTHING, _EVERYTHING), last_lines(raw)
    if whole is not None and text is not None:
        yield Printed(text, whole.count("\n") + 1, None if text == whole else log, not older.exists())


def heading(stream: str, printed: Printed) -> str:
    """Return the sentence above the text."""
    if printed.file is None:
        return f"it wrote {counted(printed.lines, 'line')} to {stream}:"
    if not printed.whole:
        return f"the last of what it wrote to {stream} (the last {counted(printed.lines, 'line')}: {printed.file}):"
    return f"the last of {counted(printed.lines, 'line')} that it wrote to {stream} (all: {printed.file}):"

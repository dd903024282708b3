"""What a model's process says of itself, read for what it is: the word of a stranger, of any length and kind."""

from __future__ import annotations

from typing import Final

import msgspec

from crunch_game.faults import shortened
from crunch_game.hosts import framing
from crunch_game.policy import State

__all__ = ["told_of", "warnings_of"]

_MOST_WARNINGS: Final = 20
_LONGEST_KIND: Final = 100
# What the runner says of a model; no model says it of itself.
_OURS: Final = frozenset({"timeout", "died", "invalid", "unsupported", "protocol", *State})
_KINDS: Final = {framing.UNSUPPORTED: "unsupported", framing.UNSENDABLE: "invalid"}
_faults = msgspec.msgpack.Decoder(tuple[str, str, str | None])
_warnings = msgspec.msgpack.Decoder(list[str])
_UNREADABLE: Final = (msgspec.MsgspecError, ValueError)  # ValueError: its text is no UTF-8


def told_of(frame: framing.Frame) -> tuple[str, str, str | None]:
    """Kind, message and traceback of a frame that is no value, each of a length that can be kept and shown.

    The kind of what was raised is the name of an exception, never one of the runner's own words.
    """
    try:
        kind, message, traceback = _faults.decode(frame.body)
    except _UNREADABLE:
        return "invalid", "it answered with a message that cannot be read", None
    if frame.kind != framing.FAULT:
        kind = _KINDS.get(frame.kind, "invalid")
    elif kind in _OURS or not kind.isidentifier() or len(kind) > _LONGEST_KIND:
        kind = "Exception"
    return kind, shortened(message), traceback and shortened(traceback)


def warnings_of(frame: framing.Frame) -> tuple[str, ...] | None:
    """The first warnings of a model that says it is ready; None where it does not say so, or says no warnings."""
    if frame.kind != framing.READY:
        return None
    try:
        return tuple(map(shortened, _warnings.decode(frame.body)[:_MOST_WARNINGS]))
    except _UNREADABLE:
        return None

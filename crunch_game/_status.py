"""How one call of one model ended, in a word. Standard library only: stores and scorers load nothing heavy."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from crunch_game._public import public

Kind = Literal["success", "failure", "timeout", "none"]


@public
class Status(StrEnum):
    """How one call of one model ended."""

    OK = "ok"
    INVALID = "invalid"
    RAISED = "raised"
    DIED = "died"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    UNSUPPORTED = "unsupported"
    SKIPPED = "skipped"

    @property
    def kind(self) -> Kind:
        """What it counts as: success, failure, timeout, or none (not counted)."""
        return _KINDS[self]


_KINDS: dict[Status, Kind] = {
    Status.OK: "success",
    Status.INVALID: "failure",
    Status.RAISED: "failure",
    Status.DIED: "failure",
    Status.TIMEOUT: "timeout",
    Status.UNREACHABLE: "none",
    Status.UNSUPPORTED: "none",
    Status.SKIPPED: "none",
}

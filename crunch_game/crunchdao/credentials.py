"""How connections to model nodes are secured: not at all, by mTLS and a wallet's word, or by a gateway's tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from crunch_game.models import Submission

__all__ = ["Credentials", "Insecure", "Refused", "Secured"]


class Refused(Exception):
    """A node is not the one that was announced, or refuses us; the message says why."""


@dataclass(frozen=True)
class Secured:
    """What secures one channel.

    Attributes:
        channel: gRPC's channel credentials; None is plain text.
        options: Further options of the channel.
        metadata: Gives what every request carries.
        verify: Takes the initial metadata of every answer; raises Refused.
    """

    channel: Any = None
    options: Sequence[tuple[str, Any]] = ()
    metadata: Callable[[], Sequence[tuple[str, str]] | None] = lambda: None
    verify: Callable[[Any], None] | None = None


class Credentials(Protocol):
    """How connections are secured."""

    pinned: bool
    """Whether a channel is bound to one certificate, so that each new connection needs a new channel."""

    async def secure(self, host: str, port: int, submission: Submission) -> Secured:
        """What secures a channel to the node of a submission.

        Raises:
            Refused: The node is not the one that was announced, or refuses us.
            OSError: It cannot be reached.
        """
        ...


class Insecure:
    """Plain text: for loopback and trusted networks."""

    pinned = False

    async def secure(self, host: str, port: int, submission: Submission) -> Secured:
        """Nothing."""
        return Secured()

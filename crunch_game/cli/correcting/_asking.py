"""What the commands that correct share: a worker is asked by the store, and is waited for."""

from __future__ import annotations

import getpass
import socket
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

import typer

from crunch_game.cli import _output as output
from crunch_game.cli._output import escape, screen
from crunch_game.errors import UsageError
from crunch_game.storage import Correction, Lease, Store

Reason = Annotated[str, typer.Option("--reason", help="A sentence for the participants, and for the record.")]
By = Annotated[str | None, typer.Option("--by", help="Who asks; this user and machine unless given.")]
Wait = Annotated[float, typer.Option("--wait", min=0.0, help="Seconds to wait until the worker has done it.")]

_LOOK_SECONDS: Final = 0.1
_SILENCE: Final = timedelta(seconds=30)
"""After which a worker that gives no sign of life is taken to have ended."""


def check(store: Store, reason: str, model_id: str | None = None) -> None:
    """Refuse what nobody could carry out.

    Raises:
        UsageError: The store keeps no corrections, there is no such model, or no reason.
    """
    if not store.keeps_corrections:
        raise UsageError(f"{type(store).__name__} keeps no corrections, by which a worker could be asked")
    known = sorted(each.model_id for each in store.models())
    if model_id is not None and model_id not in known:
        raise UsageError(f"there is no model {model_id!r} in the game; there is {', '.join(known) or 'none yet'}")
    if not reason.strip():
        raise UsageError("--reason is empty; say why, for the participants and for the record")


def append(store: Store, verb: str, reason: str, by: str | None, **scope: Any) -> int:
    """Append a correction; returns its number."""
    return store.correct(correction(verb, reason, by, **scope))


def correction(verb: str, reason: str, by: str | None, **scope: Any) -> Correction:
    """Make a correction of now."""
    who = by or f"{getpass.getuser()}@{socket.gethostname()}"
    return Correction(datetime.now(UTC), uuid.uuid4().hex[:12], verb, who, reason.strip(), **scope)


class CorrectionRequest:
    """A correction that a worker is asked to carry out, and what has come of it.

    Args:
        store: The store.
        number: That of the correction.
        kind: The worker's: "predict" or "score".
        note: The name of the note in which that one says how far it has come.
        wait: Seconds to wait for it.

    Attributes:
        worker: The worker's lease, if it is taken to live.
        done: Whether it has done it.
    """

    def __init__(self, store: Store, number: int, kind: Literal["predict", "score"], note: str, wait: float) -> None:
        self.number = number
        self._kind = kind
        self._wait = wait
        self.worker = _worker(store, kind)
        self.done = self.worker is not None and _is_done(store, number, note, wait)

    @property
    def document(self) -> Mapping[str, Any]:
        """The same for `--json`."""
        named = None if self.worker is None else _named(self.worker)
        return {"number": self.number, "done": self.done, "worker": named}

    def say(self, done: str, *, otherwise: str = "") -> None:
        """Say what has come of it.

        Args:
            done: What there is to say if it is done.
            otherwise: How it can be had where no worker runs.
        """
        if self.done:
            screen.print(escape(f"{done} (correction {self.number})"), soft_wrap=True)
        elif self.worker is None:
            said = f"no {self._kind} worker runs on this store: it is done when one starts{otherwise}"
            screen.print(escape(f"{said} (correction {self.number})"), soft_wrap=True)
        else:
            late = f"{_named(self.worker)} has not done it within {self._wait:g} s; it is still asked to"
            output.warn(f"{late} (correction {self.number})")

    def end(self) -> None:
        """Leave with exit code 1 if a running worker has not done it in time."""
        if self.worker is not None and not self.done and self._wait:
            raise typer.Exit(1)


def _worker(store: Store, kind: str) -> Lease | None:
    """The worker that is taken to live."""
    lease = store.lease(kind)
    return None if lease is None or datetime.now(UTC) - lease.beat > _SILENCE else lease


def _named(lease: Lease) -> str:
    return f"the {lease.kind} worker (process {lease.pid} on {lease.host})"


def _is_done(store: Store, number: int, note: str, wait: float) -> bool:
    deadline = time.monotonic() + wait
    while True:
        if (store.noted(note) or {}).get("number", 0) >= number:
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(_LOOK_SECONDS)

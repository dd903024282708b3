"""`crunch-game stop` and `readmit`: what a running game's worker is asked to do about a model, by the store."""

from __future__ import annotations

import getpass
import socket
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer

from crunch_game.cli import _output as output
from crunch_game.cli._boards import StoreUrl
from crunch_game.cli._output import AsJson, escape, screen
from crunch_game.errors import UsageError
from crunch_game.storage import Correction, Lease, Store, open_store
from crunch_game.workers import HANDLED

ModelId = Annotated[str, typer.Argument(metavar="MODEL", help="The model's id.")]
Reason = Annotated[str, typer.Option("--reason", help="A sentence for its participant, and for the record.")]
By = Annotated[str | None, typer.Option("--by", help="Who asks; this user and machine unless given.")]
Wait = Annotated[float, typer.Option("--wait", min=0.0, help="Seconds to wait until the worker has done it.")]

_LOOK_SECONDS: Final = 0.1
_SILENCE: Final = timedelta(seconds=30)
"""After which a worker that gives no sign of life is taken to have ended."""


def stop(
    model_id: ModelId, store: StoreUrl, reason: Reason, by: By = None, wait: Wait = 10.0, as_json: AsJson = False
) -> None:
    """Take a model out of a game, until it has new code or is readmitted; exit code 1 if it is not done in time."""
    _ask("stop", model_id, store, reason, by, wait, as_json=as_json)


def readmit(
    model_id: ModelId, store: StoreUrl, reason: Reason, by: By = None, wait: Wait = 10.0, as_json: AsJson = False
) -> None:
    """Let a model that was stopped play again, with clean strikes; exit code 1 if it is not done in time."""
    _ask("readmit", model_id, store, reason, by, wait, as_json=as_json)


def _ask(verb: str, model_id: str, url: str, reason: str, by: str | None, wait: float, *, as_json: bool) -> None:
    with open_store(url, create=False) as store:
        _check(store, model_id, reason)
        asked = datetime.now(UTC)
        who = by or f"{getpass.getuser()}@{socket.gethostname()}"
        number = store.correct(Correction(asked, uuid.uuid4().hex[:12], verb, who, reason.strip(), model_id))
        worker = _worker(store)
        done = _is_done(store, number, wait) if worker is not None else False
        state = next((str(each.state) for each in store.models() if each.model_id == model_id), None)
    if as_json:
        document: Mapping[str, Any] = {"number": number, "model_id": model_id, "done": done, "state": state}
        output.print_json({**document, "worker": None if worker is None else _named(worker)})
    elif done:
        screen.print(escape(f"{model_id} is {state} (correction {number})"), soft_wrap=True)
    elif worker is None:
        said = f"no predict worker runs on this store: it is done when one starts (correction {number})"
        screen.print(said, soft_wrap=True)
    else:
        output.warn(f"{_named(worker)} has not done it within {wait:g} s; it is still asked to (correction {number})")
    if worker is not None and not done and wait:
        raise typer.Exit(1)


def _check(store: Store, model_id: str, reason: str) -> None:
    """Refuse what nobody could carry out.

    Raises:
        UsageError: The store keeps no corrections, there is no such model, or no reason.
    """
    if not store.keeps_corrections:
        raise UsageError(f"{type(store).__name__} keeps no corrections, by which a worker could be asked")
    known = sorted(each.model_id for each in store.models())
    if model_id not in known:
        raise UsageError(f"there is no model {model_id!r} in the game; there is {', '.join(known) or 'none yet'}")
    if not reason.strip():
        raise UsageError("--reason is empty; say why, for the participant and for the record")


def _worker(store: Store) -> Lease | None:
    """The predict worker that is taken to live."""
    lease = store.lease("predict")
    return None if lease is None or datetime.now(UTC) - lease.beat > _SILENCE else lease


def _named(lease: Lease) -> str:
    return f"the predict worker (process {lease.pid} on {lease.host})"


def _is_done(store: Store, number: int, wait: float) -> bool:
    deadline = time.monotonic() + wait
    while True:
        if (store.noted(HANDLED) or {}).get("number", 0) >= number:
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(_LOOK_SECONDS)

"""`crunch-game void`, `retract`, `restore`, `resolve` and `rescore`: what is to change of rounds that were played."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from crunch_game._quantities import counted
from crunch_game.cli import _output as output
from crunch_game.cli._boards import StoreUrl
from crunch_game.cli._output import AsJson
from crunch_game.cli.asking import time_of
from crunch_game.cli.correcting._asking import By, CorrectionRequest, Reason, Wait, append, check
from crunch_game.cli.correcting._stop import ModelId
from crunch_game.errors import UsageError
from crunch_game.storage import Store, open_store
from crunch_game.workers import CORRECTED

_TIME = 'a time, UTC, or a duration back from the newest row ("2h")'
Since = Annotated[str | None, typer.Option("--since", help=f"Only rounds with this slot or a later one: {_TIME}.")]
Until = Annotated[str | None, typer.Option("--until", help="Only rounds with an earlier slot; so far, if not given.")]
MustSince = Annotated[str, typer.Option("--since", help=f"The first of the slots: {_TIME}.")]
MustUntil = Annotated[str, typer.Option("--until", help="The first slot that counts again; it may be to come.")]
Key = Annotated[str | None, typer.Option("--key", help="Only rounds of this prediction, by its name in the store.")]
Again = Annotated[bool, typer.Option("--again", help="Ask once more for outcomes that are known.")]

_BLINK = timedelta(microseconds=1)
_SAID = {
    "void": "voided",
    "retract": "retracted",
    "restore": "restored",
    "resolve": "resolved again",
    "rescore": "scored anew",
}


def void(
    store: StoreUrl,
    since: MustSince,
    until: MustUntil,
    reason: Reason,
    key: Key = None,
    by: By = None,
    wait: Wait = 30.0,
    as_json: AsJson = False,
) -> None:
    """Let rounds count for nobody, those included that are still to be scored, as where the data was broken."""
    _ask("void", store, reason, by, wait, as_json=as_json, since=since, until=until, key=key)


def retract(
    model_id: ModelId,
    store: StoreUrl,
    reason: Reason,
    since: Since = None,
    until: Until = None,
    key: Key = None,
    by: By = None,
    wait: Wait = 30.0,
    as_json: AsJson = False,
) -> None:
    """Let a model's answers count as absences: all so far, or those of some time."""
    _ask("retract", store, reason, by, wait, as_json=as_json, model_id=model_id, since=since, until=until, key=key)


def restore(
    store: StoreUrl,
    reason: Reason,
    since: Since = None,
    until: Until = None,
    key: Key = None,
    model_id: Annotated[str | None, typer.Option("--model", help="Give this model its answers back.")] = None,
    by: By = None,
    wait: Wait = 30.0,
    as_json: AsJson = False,
) -> None:
    """Take back what was voided, or with --model what was retracted of a model."""
    scope = {"since": since, "until": until, "key": key, "model_id": model_id}
    _ask("restore", store, reason, by, wait, as_json=as_json, is_open=True, **scope)


def resolve(
    store: StoreUrl,
    reason: Reason,
    again: Again = False,
    since: Since = None,
    until: Until = None,
    key: Key = None,
    by: By = None,
    wait: Wait = 30.0,
    as_json: AsJson = False,
) -> None:
    """Ask for the outcomes of rounds again, since a truth was revised or `resolve` was mended, and score them anew."""
    if not again:
        raise UsageError("outcomes are resolved by themselves; add --again to have known ones asked for once more")
    _ask("resolve", store, reason, by, wait, as_json=as_json, since=since, until=until, key=key)


def rescore(
    store: StoreUrl,
    reason: Reason,
    since: Since = None,
    until: Until = None,
    key: Key = None,
    by: By = None,
    wait: Wait = 30.0,
    as_json: AsJson = False,
) -> None:
    """Score rounds anew by the rule as it is now: the answers and the outcomes are those that are kept."""
    _ask("rescore", store, reason, by, wait, as_json=as_json, since=since, until=until, key=key)


def _ask(
    verb: str, url: str, reason: str, by: str | None, wait: float, *, as_json: bool, is_open: bool = False, **scope: Any
) -> None:
    with open_store(url, create=False) as store:
        check(store, reason, scope.get("model_id"))
        scope |= _times(store, scope["since"], scope["until"], is_open=is_open)
        _check_key(store, scope["key"])
        number = append(store, verb, reason, by, **scope)
        asked = CorrectionRequest(store, number, "score", CORRECTED, wait)
        changed = len(store.former_scores(number)) if asked.done else None
    if as_json:
        output.print_json({**asked.document, "verb": verb, **scope, "changed": changed})
    else:
        asked.say(
            f"{_SAID[verb]}: {counted(changed or 0, 'score')} changed",
            otherwise=" (`crunch-game score GAME --once` does it, too)",
        )
    asked.end()


def _times(store: Store, since: str | None, until: str | None, *, is_open: bool) -> dict[str, datetime | None]:
    """The first slot, and that before which the last one is."""
    newest = store.last_row()
    if newest is None:
        raise UsageError("the store has no row yet, so that there is nothing to correct")
    start = None if since is None else time_of(since, newest.time, "--since")
    if until is not None:
        end: datetime | None = time_of(until, newest.time, "--until")
    else:
        end = None if is_open else newest.time + _BLINK
    if start is not None and end is not None and end <= start:
        raise UsageError(f"--until {until or newest.time.isoformat()} is not after --since {since}; give a later time")
    return {"since": start, "until": end}


def _check_key(store: Store, key: str | None) -> None:
    known = sorted(store.last_rounds())
    if key is not None and key not in known:
        raise UsageError(f"there is no prediction {key!r} in the game; there is {', '.join(known) or 'none yet'}")

"""`crunch-game models` and `model`: what the store of a game says of its models, and of what happened to one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from textwrap import indent
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from crunch_game._quantities import counted
from crunch_game.cli import _output as output
from crunch_game.cli._boards import StoreUrl
from crunch_game.cli._output import AsJson, escape, screen
from crunch_game.cli.asking._shown import event_line, line, minute, plain_table, time_of
from crunch_game.errors import UsageError
from crunch_game.storage import DeploymentRecord, ModelRecord, Store, as_document, open_store
from crunch_game.workers import InForce

_SHOWN_ANSWERS: Final = 10
_SHOWN_FAULTS: Final = 5
_COLORS: Final = {"ready": "green", "busy": "yellow", "stopped": "red", "failed": "red"}

ModelId = Annotated[str, typer.Argument(metavar="ID", help="The model's id.")]
Since = Annotated[str, typer.Option("--since", help='A duration back from the newest row ("1d"), or a time, UTC.')]
Until = Annotated[str | None, typer.Option("--until", help="The same, for where to end; the newest row unless given.")]


# All models.


def models(store: StoreUrl, as_json: AsJson = False) -> None:
    """Show the models of a game that is, or was, played: state, deployment, strikes, and why one does not play."""
    with open_store(store, create=False) as opened:
        records, deployments, game = opened.models(), opened.deployments(), opened.noted("game") or {}
        newest = opened.last_row()
    by_model: dict[str, list[DeploymentRecord]] = {}
    for deployment in deployments:
        by_model.setdefault(deployment.model_id, []).append(deployment)
    if as_json:
        of_models = [
            {**as_document(each), "deployments": [as_document(one) for one in by_model.get(each.model_id, ())]}
            for each in records
        ]
        output.print_json({"game": game.get("name"), "newest": newest and newest.time, "models": of_models})
        return
    if not records:
        screen.print("the store has no models yet; they come with the first row")
        return
    table = plain_table()
    for name, side in _MODEL_COLUMNS.items():
        table.add_column(name, justify=side, overflow="fold")  # type: ignore[arg-type]
    for each in records:
        table.add_row(*_model_row(each, _newest_of(each, by_model.get(each.model_id, ()))))
    screen.print(table)
    for each in records:
        if each.reason is not None:
            screen.print(escape(f"{each.model_id} is {each.state}: {each.reason}"), soft_wrap=True)


_MODEL_COLUMNS: Final = {
    "model": "left",
    "state": "left",
    "deployment": "left",
    "ready": "left",
    "restarts": "right",
    "strikes": "right",
}


def _newest_of(record: ModelRecord, deployments: Sequence[DeploymentRecord]) -> DeploymentRecord | None:
    """The deployment that plays, or played last."""
    own = [each for each in deployments if each.deployment_id == record.deployment_id]
    return own[-1] if own else None


def _model_row(record: ModelRecord, deployment: DeploymentRecord | None) -> list[str]:
    color = _COLORS.get(record.state, "default")
    known = [escape(record.model_id), f"[{color}]{escape(record.state)}[/]", escape(record.deployment_id)]
    if deployment is None:  # the store keeps none
        return [*known, "-", "-", "-"]
    struck = sum(each["failures"] + each["timeouts"] for each in deployment.strikes.values())
    return [*known, minute(deployment.ready), str(deployment.restarts), str(struck)]


# One model.


def model(
    model_id: ModelId,
    store: StoreUrl,
    since: Since = "1d",
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """Show what happened to a model: what it was told and asked, what it answered, what failed, its scores."""
    with open_store(store, create=False) as opened:
        record = next((each for each in opened.models() if each.model_id == model_id), None)
        if record is None:
            raise UsageError(_unknown(model_id, opened))
        newest = opened.last_row()
        end = datetime.now(UTC) if newest is None else newest.time
        start, stop = time_of(since, end, "--since"), None if until is None else time_of(until, end, "--until")
        if stop is not None and stop <= start:
            raise UsageError(f"--until {until} is not after --since {since}; give a later time")
        document = _happened(opened, record, start, stop)
    if as_json:
        output.print_json(document)
    else:
        _show_model(document, since)


def _unknown(model_id: str, store: Store) -> str:
    known = [each.model_id for each in store.models()]
    shown = ", ".join(known[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
    return f"the store has no model {model_id!r}; it has {shown or 'no model at all'}"


def _happened(store: Store, record: ModelRecord, start: datetime, stop: datetime | None) -> dict[str, Any]:
    """All that the store has of a model in a time on the game's clock: from `start` on, and before `stop`."""

    def inside(at: datetime) -> bool:
        return at >= start and (stop is None or at < stop)

    deployments = store.deployments(record.model_id)
    faults = [each for each in store.faults(start, model_id=record.model_id) if inside(each.at)]
    scores = {(each.key, each.at): each for each in store.scores(start, model_id=record.model_id)}
    why = {(each.key, each.at): _fault(as_document(each)) for each in faults}
    in_force, answers = InForce(each for _, each in store.corrections()), []
    # Whatever was asked since then resolves after it.
    for each in sorted(store.predictions(start, model_id=record.model_id), key=lambda each: (each.at, each.key)):
        if inside(each.at):
            score = scores.get((each.key, each.at))
            kept = None if score is None else {"value": score.value, "outcome": score.outcome, "reason": score.reason}
            if score is not None and score.corrected is not None:
                kept = {**(kept or {}), "corrected": score.corrected, "reason": in_force.why(each)}
            kept = kept if score is None or not score.metrics else {**(kept or {}), "metrics": dict(score.metrics)}
            answers.append({**as_document(each), "fault": why.get((each.key, each.at)), "score": kept})
    happened = [
        each
        for _, each in store.events(model_id=record.model_id)
        if inside(each.seen if each.seen is not None else max(each.moment, start) if stop is None else each.moment)
    ]
    newest = _newest_of(record, deployments)
    return {
        "game": (store.noted("game") or {}).get("name"),
        **as_document(record),
        "since": start,
        "until": stop,
        "strikes": {} if newest is None else newest.strikes,
        "deployments": [as_document(each) for each in deployments],
        "rows": _rows_told(store, record.model_id, deployments, start, stop) if store.keeps_log else None,
        "asked": _by_key(answers),
        "answers": answers,
        "tick_faults": [as_document(each) for each in faults if each.key == "tick"],
        "events": [as_document(each) for each in happened],
    }


def _rows_told(
    store: Store,
    model_id: str,
    deployments: Sequence[DeploymentRecord],
    start: datetime,
    stop: datetime | None,
) -> dict[str, int]:
    """How the rows ended that were told while the model was in the game, by status: every model is told each."""
    stays = [(each.joined, each.ended if each.state == "left" else None) for each in deployments]
    found: Counter[str] = Counter()
    # No row is told before its time.
    for _, event in store.events(since=start):
        if event.kind != "TickPlayed":
            continue
        at, began = datetime.fromisoformat(event.details["at"]), event.moment
        began -= timedelta(seconds=event.details["elapsed"])
        is_in = any(joined <= began and (left is None or began < left) for joined, left in stays)
        if is_in and at >= start and (stop is None or at < stop):
            others: Mapping[str, Sequence[str]] = event.details["others"]
            found[next((status for status, ids in others.items() if model_id in ids), "ok")] += 1
    return dict(sorted(found.items()))


def _by_key(answers: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """How often each prediction was asked for, how that ended, and its scores."""
    found: dict[str, dict[str, Any]] = {}
    values: dict[str, list[float]] = {}
    for each in answers:
        of_key = found.setdefault(each["key"], {"asked": 0, "statuses": Counter(), "scored": 0, "mean": None})
        of_key["asked"] += each["status"] != "skipped"
        of_key["statuses"][each["status"]] += 1
        score = each["score"]
        if score is not None and score["value"] is not None and "corrected" not in score:
            values.setdefault(each["key"], []).append(each["score"]["value"])
    for key, of_key in found.items():
        of_key["scored"] = len(values.get(key, ()))
        of_key["mean"] = sum(values[key]) / len(values[key]) if key in values else None
        of_key["statuses"] = dict(sorted(of_key["statuses"].items()))
    return dict(sorted(found.items()))


def _fault(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a fault says that its prediction does not."""
    return {name: document[name] for name in ("kind", "message", "traceback", "stdout", "stderr", "exit")}


def _show_model(document: Mapping[str, Any], since: str) -> None:
    reason = f": {document['reason']}" if document["reason"] else ""
    color = _COLORS.get(document["state"], "default")
    screen.print(f"[bold]{escape(document['model_id'])}[/] is [{color}]{escape(document['state'])}[/]{escape(reason)}")
    for key, each in document["strikes"].items():
        counts = [counted(count, name.rstrip("s")) for name, count in each.items() if count]
        line(f"strikes: {' and '.join(counts)} of {key} in a row")
    for each in document["deployments"]:
        line(_deployment(each))
    start, stop = document["since"], document["until"]
    line(f"\nfrom {minute(start)} to {minute(stop) if stop else 'now'} on the game's clock (--since {since}):")
    if document["rows"] is not None:
        line(f"rows told: {_statuses(document['rows'])}")
    for key, each in document["asked"].items():
        mean = "" if each["mean"] is None else f"; mean score {each['mean']:.5g} of {each['scored']:,}"
        line(f"{key}: {_statuses(each['statuses'])}{mean}")
    _show_faults(document)
    if document["answers"]:
        screen.print(_answers(document["answers"][-_SHOWN_ANSWERS:]))
        hidden = len(document["answers"]) - _SHOWN_ANSWERS
        if hidden > 0:
            line(f"{counted(hidden, 'answer')} before these: --json has all")
    for each in document["events"]:
        line(event_line(each))


def _show_faults(document: Mapping[str, Any]) -> None:
    """The last faults, each with its traceback, unless that of the one before is the same."""
    failed = [each for each in document["answers"] if each["fault"] is not None]
    faults = [{**each, **each["fault"]} for each in failed] + list(document["tick_faults"])
    faults.sort(key=lambda each: str(each["at"]))
    if len(faults) > _SHOWN_FAULTS:
        line(f"{counted(len(faults), 'fault')}; the last {_SHOWN_FAULTS} (--json has all):")
    last = ""
    for each in faults[-_SHOWN_FAULTS:]:
        screen.print(
            escape(f"{minute(each['at'])}  {each['key']}: {each['status']}: {each['message']}"),
            style="red",
            soft_wrap=True,
        )
        texts = {"stdout": each["stdout"], "stderr": each["stderr"]}
        parts = [each["traceback"], *(f"{name}:\n{text}" for name, text in texts.items() if text)]
        details = "\n".join(part.rstrip("\n") for part in parts if part)
        if details and details != last:
            screen.print(escape(indent(details, "  ")), style="dim", soft_wrap=True)
        last = details


def _answers(answers: Sequence[Mapping[str, Any]]) -> Table:
    table = plain_table()
    for name in ("slot", "asked for", "status"):
        table.add_column(name, overflow="fold")
    for name in ("ms", "score"):
        table.add_column(name, justify="right")
    for each in answers:
        value = None if each["score"] is None else each["score"]["value"]
        why = "" if each["score"] is None else each["score"]["reason"] or ""
        score = f"{value:.5g}" if value is not None else why
        if each["score"] is not None and (corrected := each["score"].get("corrected")):
            score = f"{corrected}: {why}"
        cells = minute(each["at"]), each["key"], each["status"], f"{1000 * each['elapsed']:.1f}", score
        table.add_row(*map(escape, cells))
    return table


def _deployment(document: Mapping[str, Any]) -> str:
    parts = [f"deployment {document['deployment_id']}: joined {minute(document['joined'])}"]
    parts += [f"ready {minute(document['ready'])}"] if document["ready"] else []
    parts += [f"restarted {counted(document['restarts'], 'time')}"] if document["restarts"] else []
    if document["ended"]:
        parts.append(f"{document['state']} {minute(document['ended'])}")
    return ", ".join(parts) + (f": {document['reason']}" if document["reason"] else "")


def _statuses(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {status}" for status, count in counts.items()) or "none"

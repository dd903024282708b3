"""`crunch-game prune`: deletes old records, beside a running game too, but nothing that this still needs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import Progress

from crunch_game._quantities import counted, seconds
from crunch_game.cli import _output as output
from crunch_game.cli._boards import StoreUrl
from crunch_game.cli._output import AsJson, escape, screen
from crunch_game.cli.correcting._asking import By, correction
from crunch_game.errors import GameError, UsageError
from crunch_game.storage import Store, open_store
from crunch_game.workers import PrunePlan, plan_pruning
from crunch_game.workers import prune as carry_out

_NAMES: Final = {"former_scores": "replaced score"}
"""What people call a record of a kind, where it is not the kind without its s."""


def prune(
    store: StoreUrl,
    older: Annotated[
        str, typer.Option("--older", help='How old they are at least: "30d", by the newest row; events by the clock.')
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="A sentence for the record.")] = "it is old",
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Delete old rows, answers, scores, faults and events, but nothing that the game still needs: see what it says."""
    age = timedelta(seconds=_age(older))
    if not reason.strip():
        raise UsageError("--reason is empty; say why, for the record")
    with open_store(store, create=False) as opened:
        if not opened.prunes:
            raise UsageError(f"{type(opened).__name__} deletes nothing")
        now = datetime.now(UTC)
        plan = plan_pruning(opened, age, now)
        found = opened.prunable(plan.bounds)
        if not dry_run and found:
            found = _carried_out(opened, plan, found, by, reason, as_json=as_json)
    if as_json:
        bounds = {name: getattr(plan.bounds, name) for name in ("rounds", "rows", "log")}
        shown = {name: count for name, count in found.items() if name != "bytes"}
        freed = None if dry_run else found.get("bytes", 0)
        output.print_json({"deleted": shown, "dry_run": dry_run, "before": bounds, "kept": plan.kept, "bytes": freed})
        return
    _say(found, plan, dry_run=dry_run)


def _age(older: str) -> float:
    try:
        return seconds(older, "--older")
    except GameError as error:
        raise UsageError(str(error)) from None


def _carried_out(
    store: Store, plan: PrunePlan, found: Mapping[str, int], by: str | None, reason: str, *, as_json: bool
) -> dict[str, int]:
    """Delete it, and show how far it has come."""
    console = Console(stderr=True)
    bar = Progress(console=console, transient=True)
    task = bar.add_task("deleting", total=sum(found.values()))
    asked = correction("prune", reason, by, until=plan.newest if plan.bounds.rounds is None else plan.bounds.rounds)
    with bar if console.is_terminal and not as_json else nullcontext():
        return carry_out(store, plan, asked, lambda counts: bar.advance(task, sum(counts.values())))


def _say(found: Mapping[str, int], plan: PrunePlan, *, dry_run: bool) -> None:
    counts = [counted(count, _NAMES.get(kind, kind[:-1])) for kind, count in found.items() if kind != "bytes"]
    verb = "to be deleted" if dry_run else "deleted"
    _line(f"{verb}: {', '.join(counts)}" if counts else "nothing is old enough to be deleted")
    before: Mapping[str, Any] = {"rounds": plan.bounds.rounds, "rows": plan.bounds.rows, "events": plan.bounds.log}
    for name, moment in before.items():
        if moment is not None and counts:
            _line(f"  {name} before {moment:%Y-%m-%d %H:%M:%S} UTC")
    for each in plan.kept:
        _line(f"kept: {each}")
    if freed := found.get("bytes"):
        _line(f"given back to the file system: {freed / (1 << 20):,.1f} MiB")


def _line(text: str) -> None:
    screen.print(escape(text), soft_wrap=True)

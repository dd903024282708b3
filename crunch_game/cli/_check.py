"""`crunch-game check`: loads submissions, each in a process, plays a few rows, and explains every fault."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer

from crunch_game import events
from crunch_game._quantities import counted
from crunch_game.cli._output import AsJson, escape, print_json, screen
from crunch_game.cli._printed import Printed, heading, logging_host, printed_by
from crunch_game.cli._references import Replay, game_at, replayed
from crunch_game.errors import UsageError
from crunch_game.feeds.base import Feed
from crunch_game.game import Game
from crunch_game.models import Submission
from crunch_game.outcomes import Fault, Outcome, Status
from crunch_game.rosters import StaticRoster, submissions_in
from crunch_game.storage import MemoryStore
from crunch_game.workers import run_game

Checked = Annotated[
    Path,
    typer.Argument(metavar="SUBMISSION", help="A .py file, a folder with a main.py, or a folder of submissions."),
]
GameOption = Annotated[str, typer.Option("--game", help="package.module:game, or a file that has a `game`.")]
Rounds = Annotated[int, typer.Option("--rounds", min=1, help="How many rows to play.")]


@dataclass(frozen=True)
class Finding:
    """Something that a participant should know. If it is serious, the model cannot play well."""

    message: str
    serious: bool = True
    traceback: str | None = None


@dataclass(frozen=True)
class _Report:
    """What came of one submission: the findings, none if it is fine, and what it printed, by stream."""

    model_id: str
    submission: Path
    findings: Sequence[Finding]
    printed: Mapping[str, Printed] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not any(finding.serious for finding in self.findings)

    @property
    def document(self) -> dict[str, Any]:
        return {
            "submission": str(self.submission),
            "ok": self.ok,
            "findings": [asdict(finding) for finding in self.findings],
            "printed": {stream: asdict(printed) for stream, printed in self.printed.items()},
        }


def check(
    submission: Checked, game: GameOption, replay: Replay = None, rounds: Rounds = 20, as_json: AsJson = False
) -> None:
    """Load a submission, or each of a folder, play a few rounds, and say what is wrong with it.

    It runs as the game's models do: in a process of its own, unless the game says otherwise.

    Exit code 1 if any cannot play well.
    """
    described = game_at(game)
    if not submission.exists():
        raise UsageError(f"there is no submission at {str(submission)!r}")
    feed = _history(described, replayed(replay))
    found = submissions_in(submission)
    alone = len(found) == 1
    reports = []
    for model_id, path, why_not in found:
        if not alone and not as_json:
            screen.print(f"[bold]{escape(model_id)}[/] ({escape(str(path))})", soft_wrap=True)
        report = _checked(described, model_id, submission if alone else path, why_not, feed, rounds)
        reports.append(report)
        if not as_json:
            _show(report)
    ok = all(report.ok for report in reports)
    if as_json and alone:
        print_json(reports[0].document)
    elif as_json:
        submissions = [{"model_id": report.model_id, **report.document} for report in reports]
        print_json({"folder": str(submission), "ok": ok, "submissions": submissions})
    elif not alone:
        _show_all(reports)
    if not ok:
        raise typer.Exit(1)


def _history(game: Game, feed: Feed | None) -> Feed:
    """The history to check with.

    Raises:
        UsageError: There is none.
    """
    history = feed or game.feed
    if history is None or history.live:
        raise UsageError(f"the game {game.name} has no history of its own to check with; give one with --replay FILE")
    return history


def _checked(game: Game, model_id: str, path: Path, why_not: str | None, feed: Feed, rounds: int) -> _Report:
    if why_not is not None:
        return _Report(model_id, path, [Finding(why_not)])
    logs = Path(tempfile.mkdtemp(prefix="crunch-game-check-"))
    printed: Mapping[str, Printed] = {}
    try:
        findings = anyio.run(_examine, game, Submission(model_id, path), feed, rounds, logs)
        printed = printed_by(model_id, logs)
    finally:
        if not any(
            each.file for each in printed.values()
        ):  # else the report leads there, for it has only the last of it
            shutil.rmtree(logs, ignore_errors=True)
    return _Report(model_id, path, findings, printed)


async def _examine(game: Game, submission: Submission, feed: Feed, rounds: int, logs: Path) -> list[Finding]:
    """Play a submission."""
    findings = _Findings(game)
    store = MemoryStore()
    host, models = logging_host(game, logs), StaticRoster([submission])
    await run_game(game, models, store=store, feed=feed, host=host, max_ticks=rounds, on_event=findings.hear)
    set_aside = Counter(score.reason for score in store.scores() if score.reason is not None)
    aside = [Finding(f"{count} of its answers could not be scored: {reason}") for reason, count in set_aside.items()]
    return findings.all() + aside


def _show(report: _Report) -> None:
    for finding in report.findings:
        mark = "[red]✗[/]" if finding.serious else "[yellow]![/]"
        screen.print(f"{mark} {escape(finding.message)}", soft_wrap=True)
        if finding.traceback:
            screen.print(escape(finding.traceback), style="dim", soft_wrap=True)
    for stream, printed in report.printed.items():
        screen.print(escape(heading(stream, printed)), soft_wrap=True)
        screen.print(escape(printed.text), style="dim", soft_wrap=True)
    if report.ok:
        screen.print(f"[green]✓[/] {escape(report.submission.name)} is ready to play", soft_wrap=True)


def _show_all(reports: Sequence[_Report]) -> None:
    """The table at the end: who can play, and what is wrong with the others first of all."""
    width = max(len(report.model_id) for report in reports)
    screen.print()
    for report in reports:
        serious = [finding.message for finding in report.findings if finding.serious]
        mark, why = ("[red]✗[/]", serious[0]) if serious else ("[green]✓[/]", "is ready to play")
        screen.print(f"{mark} {escape(report.model_id.ljust(width))}  {escape(why)}", soft_wrap=True)
    failed = sum(not report.ok for report in reports)
    screen.print(f"{counted(len(reports), 'submission')}, {len(reports) - failed} ready to play, {failed} not")


class _Findings:
    """Turns events into findings: each kind of fault once, with how often it occurred."""

    def __init__(self, game: Game) -> None:
        self._game = game
        self._firsts: dict[tuple[str, str], Fault] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._asked: Counter[str] = Counter()
        self._slowest = 0.0
        self._others: list[Finding] = []
        self._stops: list[events.ModelStopped] = []

    def hear(self, event: Any) -> None:
        match event:
            case events.ModelReady(warnings=warnings):
                self._others += [Finding(warning, serious=False) for warning in warnings]
            case events.ModelLoadFailed(fault=fault):
                self._others.append(Finding(fault.message, traceback=fault.traceback))
            case events.ModelStopped():
                self._stops.append(event)
            case events.TickPlayed(round=played) | events.RoundPlayed(round=played):
                for outcome in played.values():
                    self._add(outcome)

    def _add(self, outcome: Outcome) -> None:
        error = outcome.error
        was_busy = outcome.status is Status.TIMEOUT and error is not None and error.kind == "busy"
        if outcome.status is Status.SKIPPED or was_busy:
            return  # it was not called; the fault is in the call that it was busy with
        self._asked[outcome.method] += 1
        self._slowest = max(self._slowest, outcome.elapsed)
        if outcome.error is not None:
            which = (outcome.method, outcome.error.kind)
            self._firsts.setdefault(which, outcome.error)
            self._counts[which] += 1

    def all(self) -> list[Finding]:
        found = []
        for which, fault in self._firsts.items():
            times = f"{self._counts[which]} of {self._asked[which[0]]} calls"
            found.append(
                Finding(f"{which[0]} failed in {times}; the first time: {fault.message}", True, fault.traceback)
            )
        budget = self._game.policy.timeout
        if not found and self._slowest > budget / 2:
            message = f"its slowest answer took {self._slowest:.2f} s; the budget is {budget:g} s"
            found.append(Finding(message, serious=False))
        told = {fault.message for fault in self._firsts.values()}
        for stop in self._stops:
            is_told = stop.fault is not None and stop.fault.message in told
            reason = stop.reason.partition("; the last: ")[0] if is_told else stop.reason
            found.append(Finding(f"in the game it would have been stopped: {reason}"))
        return found + self._others

"""Checks a submission: loads it in a process, plays a few rows, and explains every fault."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crunch_game import events
from crunch_game.errors import UsageError
from crunch_game.feeds.base import Feed
from crunch_game.game import Game
from crunch_game.models import Submission
from crunch_game.outcomes import Fault, Outcome, Status
from crunch_game.rosters import StaticRoster
from crunch_game.storage import MemoryStore
from crunch_game.workers import run_game


@dataclass(frozen=True)
class Finding:
    """Something that a participant should know. If it is serious, the model cannot play well."""

    message: str
    serious: bool = True
    traceback: str | None = None


async def examine(game: Game, submission: Path, feed: Feed | None, rounds: int) -> list[Finding]:
    """Play a submission, and return the findings; none if it is fine.

    Raises:
        UsageError: There is no history to play.
    """
    history = feed or game.feed
    if history is None or history.live:
        raise UsageError(f"the game {game.name} has no history of its own to check with; give one with --replay FILE")
    findings = _Findings(game)
    store = MemoryStore()
    models = StaticRoster([Submission.of(submission)])
    await run_game(game, models, store=store, feed=history, max_ticks=rounds, on_event=findings.hear)
    set_aside = Counter(score.reason for score in store.scores() if score.reason is not None)
    aside = [Finding(f"{count} of its answers could not be scored: {reason}") for reason, count in set_aside.items()]
    return findings.all() + aside


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

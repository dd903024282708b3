"""Shows a running game on the screen: a table of the models, and the progress of the feed."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Mapping
from statistics import quantiles
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from crunch_game import events
from crunch_game._quantities import counted
from crunch_game.cli._output import screen
from crunch_game.feeds.base import FEED_TROUBLE
from crunch_game.game import Game
from crunch_game.models import Model
from crunch_game.ranking import BoardNote, Standing
from crunch_game.workers import PredictWorker, Standings

_BAD = (events.ModelLoadFailed, events.ModelStopped, events.FieldFault)
_PRINTED = (*events.TROUBLE, events.ModelRedeployed, events.ModelLeft, events.Corrected, *FEED_TROUBLE, BoardNote)
_COLORS = {"ready": "green", "busy": "yellow", "stopped": "red", "failed": "red"}


class Watch:
    """Shows a game while it is played. `hear` is to be the game's `on_event`.

    Args:
        game: The game.
        total: How many rows will be played; None if that is not known.
        live: Whether they come as they happen. What history has no rows for is no news, nor is a slow computer.
        ranked: Whether the game is scored here too, so that ranks are known.

    Attributes:
        live: The context in which the table is shown.
    """

    def __init__(self, game: Game, total: int | None, *, live: bool, ranked: bool = True) -> None:
        self._game = game
        self._ranked = ranked
        self._unprinted = () if live else (events.RoundsMissed, events.LoopBlocked)
        self._worker: PredictWorker | None = None
        self._standings: Mapping[str, Standing] = {}
        self._rounds: dict[str, int] = defaultdict(int)
        self._seconds: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=1000))
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=screen
        )
        self._bar = self._progress.add_task(game.name, total=total)
        self.live = Live(get_renderable=self._render, console=screen, refresh_per_second=4)

    def begin(self, worker: PredictWorker) -> None:
        """Show the models of this worker."""
        self._worker = worker

    def hear(self, event: Any) -> None:
        """Take an event. Trouble is printed above the table."""
        match event:
            case events.RoundPlayed(round=played):
                for model_id, outcome in played.items():
                    if outcome.status.kind != "none":
                        self._rounds[model_id] += 1
                        self._seconds[model_id].append(outcome.elapsed)
            case Standings(standings=standings):
                self._standings = {standing.model_id: standing for standing in standings}
            case _:
                if isinstance(event, _PRINTED) and not isinstance(event, self._unprinted):
                    color = "red" if isinstance(event, _BAD) else "yellow"
                    screen.print(f"[{color}]{escape(str(event))}[/]")

    def _render(self) -> Group:
        if self._worker is not None and not self._ranked:
            self._progress.update(self._bar, description=f"{self._game.name}: {_counts(self._worker)}")
        if self._worker is not None:
            self._progress.update(self._bar, completed=self._worker.ticks)
        return Group(self._table(), self._progress)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for name in ("model", "status"):
            table.add_column(name)
        for name in ("rounds", "strikes", "p50", "p95", *([self._game.rank_by] if self._ranked else [])):
            table.add_column(name, justify="right")
        models = self._worker.runner.models if self._worker is not None and self._worker.running else {}
        ranks = {model_id: standing.rank or math.inf for model_id, standing in self._standings.items()}
        for model in sorted(models.values(), key=lambda model: (ranks.get(model.id, math.inf), model.id)):
            table.add_row(*self._row(model))
        return table

    def _row(self, model: Model) -> list[str]:
        strikes = sum(each.failures + each.timeouts for each in model.health.strikes.values())
        standing = self._standings.get(model.id)
        color = _COLORS.get(model.state, "default")
        seconds = self._seconds[model.id]
        cuts = quantiles(seconds, n=20) if len(seconds) > 1 else None
        return [
            escape(model.name),
            f"[{color}]{model.state}[/]",
            str(self._rounds[model.id]),
            str(strikes),
            "-" if cuts is None else f"{cuts[9] * 1000:.1f} ms",
            "-" if cuts is None else f"{cuts[18] * 1000:.1f} ms",
            *(["-" if standing is None else _place(standing, self._game.rank_by)] if self._ranked else []),
        ]


def _counts(worker: PredictWorker) -> str:
    missed = f", {worker.missed:,} missed" if worker.missed else ""
    late = f", {worker.late:,} late" if worker.late else ""
    return f"{counted(worker.rounds, 'round')}{missed}{late}"


def _place(standing: Standing, rank_by: str) -> str:
    """What a model's rank is by."""
    if standing.skill is not None:
        return f"{100 * standing.skill:+.1f}%"
    score = standing.scores.get(rank_by)
    return "-" if score is None else f"{score:.5g}"

"""Shows the boards of a game on the screen while its answers are scored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from crunch_game import events
from crunch_game._quantities import counted
from crunch_game.cli import _output as output
from crunch_game.cli._output import screen
from crunch_game.feeds.base import FEED_TROUBLE
from crunch_game.game import Game
from crunch_game.ranking import BoardNote
from crunch_game.workers import Scoring, Standings

_PRINTED = (*events.TROUBLE, *FEED_TROUBLE, BoardNote, events.Corrected)


class ScoreWatch:
    """Shows the boards, and how much was scored. `hear` is to be the `on_event` of what scores.

    Attributes:
        live: The context in which it is shown.
    """

    def __init__(self, game: Game) -> None:
        self._game = game
        self._scoring: Scoring | None = None
        self._standings: Standings | None = None
        self.live = Live(get_renderable=self._render, console=screen, refresh_per_second=4, transient=True)

    def begin(self, scoring: Scoring) -> None:
        """Show what this one scores."""
        self._scoring = scoring

    def hear(self, event: Any) -> None:
        """Take an event. Trouble is printed above the boards."""
        if isinstance(event, Standings):
            self._standings = event
        elif isinstance(event, _PRINTED):
            screen.print(f"[yellow]{escape(str(event))}[/]")

    def _render(self) -> Group:
        return Group(*self._boards(), Text(self._progress()))

    def _boards(self) -> Iterator[Any]:
        if self._standings is None:
            return
        for board in self._game.boards:
            title = f"{self._game.name}: {board.name if len(self._game.boards) > 1 else 'the leaderboard'}"
            standings = self._standings.boards.get(board.name, ())
            yield output.board(standings, rank_by=board.rank_by or "", title=title, legend=None)

    def _progress(self) -> str:
        if self._scoring is None or self._standings is None:
            return "waiting for the first rows"
        parts = [f"{counted(self._scoring.scored, 'prediction')} scored"]
        if aside := self._scoring.set_aside.total():
            parts.append(f"{aside:,} set aside")
        parts.append(f"{self._scoring.waiting:,} past their horizon wait for their outcome")
        return f"rows up to {self._standings.at:%Y-%m-%d %H:%M:%S} UTC: {', '.join(parts)}"

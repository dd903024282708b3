"""What is said at the end of a game that was played."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from textwrap import indent
from typing import Any

from crunch_game._quantities import counted
from crunch_game.cli import _output as output
from crunch_game.game import Game
from crunch_game.ranking import legend
from crunch_game.workers import GameResult, told_faults

MODEL_FIELDS = ("model_id", "state", "reason", "deployment_id")


def models_of(result: GameResult) -> list[dict[str, object]]:
    """The models at the end, as a document has them."""
    return [{name: getattr(model, name) for name in MODEL_FIELDS} for model in result.models]


def plain(value: Any) -> Any:
    """A part of a result as a document has it: its records are mappings."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def show_boards(game: Game, result: GameResult) -> None:
    """Print the boards, if there are any."""
    if not result.leaderboard:
        return
    for board in game.boards:
        name = board.name if len(game.boards) > 1 else "the leaderboard"
        standings, title = result.boards[board.name], f"{game.name}: {name}"
        said = legend(board, game.metrics)
        output.screen.print(output.board(standings, rank_by=board.rank_by or "", title=title, legend=said))


def show_faults(result: GameResult) -> None:
    """Print what went wrong with models."""
    for sentence, details in told_faults(result.faults):
        output.screen.print(output.escape(sentence), style="red", soft_wrap=True)
        if details:
            output.screen.print(output.escape(indent(details, "  ")), style="dim", soft_wrap=True)


def show_rounds(result: GameResult, *, live: bool) -> None:
    """Print how much was played."""
    done = (counted(result.ticks, "row"), counted(result.rounds, "round"), counted(result.predictions, "prediction"))
    why = " missed" if live else " left out, for want of a new row"
    missed = f"; {counted(result.missed, 'round')}{why}" if result.missed else ""
    output.screen.print(f"{', '.join(done)} stored{missed}", soft_wrap=True)


def show_scores(result: GameResult) -> None:
    """Print how much was scored, and why the rest was not."""
    unscored = Counter(result.set_aside)  # past their horizon
    if result.waiting:
        unscored["resolve did not know the truth yet"] = result.waiting
    if due := result.scored + unscored.total():
        why = "; ".join(f"{reason} ({counted(count, 'time')})" for reason, count in unscored.most_common(3))
        summary = f"{result.scored:,} of {counted(due, 'due prediction')} scored" + (f": {why}" if why else "")
        output.screen.print(output.escape(summary), style=None if result.scored else "red", soft_wrap=True)


def show_store(url: str) -> None:
    """Print where all of it is."""
    if not url.startswith("memory:"):
        output.screen.print(f"the database: [bold]{url}[/]   (crunch-game leaderboard --store {url})", soft_wrap=True)


def scored_nothing(result: GameResult, *, live: bool) -> bool:
    """Whether the game scored none of the due predictions. In a live game, outcomes may still become known."""
    unresolved = result.waiting and not result.leaderboard and not live
    return not result.scored and bool(result.set_aside or unresolved)

"""`crunch-game score`: the worker that scores, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Annotated, Any

import anyio
import typer

from crunch_game.cli import _output as output
from crunch_game.cli import _references as references
from crunch_game.cli._output import AsJson
from crunch_game.cli.playing import _showing as showing
from crunch_game.cli.playing._event_file import listening
from crunch_game.cli.playing._options import (
    EventsFile,
    ExecutorName,
    GameRef,
    SharedStoreUrl,
    shared,
    until_interrupted,
)
from crunch_game.cli.playing._score_watch import ScoreWatch
from crunch_game.errors import UsageError
from crunch_game.game import Game
from crunch_game.storage import Store, open_store
from crunch_game.workers import GameResult, Listener, Scoring, claim, score_game

Once = Annotated[bool, typer.Option("--once", help="Score what is due, and end.")]


def score(
    game: GameRef,
    store: SharedStoreUrl,
    once: Once = False,
    executor: ExecutorName = "auto",
    events: EventsFile = None,
    as_json: AsJson = False,
) -> None:
    """Score the answers that `predict` stores, here or on another machine, until Ctrl-C: the other half of `run`."""
    url = shared(store, "a score")
    scored = references.game_at(game)
    with open_store(url, create=not once) as opened:
        empty = opened.last_row() is None
        if empty and once:
            raise UsageError("the store has no rows yet, so there is nothing to score; play the game first")
        claim(opened, scored.name)
        if empty:
            output.warn("the store has no rows yet; what `crunch-game predict` stores is scored as it comes")
        watch = None if as_json or once else ScoreWatch(scored)
        listener = listening(events, None if watch is None else watch.hear)
        with watch.live if watch is not None else nullcontext():
            result = anyio.run(_scored, scored, opened, once, executor, watch, listener)
    if as_json:
        output.print_json(_document(scored.name, result, url))
    else:
        output.screen.print()
        showing.show_boards(scored, result)
        showing.show_scores(result)
        if not result.scored and not result.set_aside and not result.waiting:
            output.screen.print("nothing was due that is not scored already")
        showing.show_store(url)
    if showing.scored_nothing(result, live=not once):
        raise typer.Exit(1)


async def _scored(
    game: Game, store: Store, once: bool, executor: str, watch: ScoreWatch | None, listener: Listener | None
) -> GameResult:
    async def play(stoppable: Callable[[Scoring], None]) -> GameResult:
        def on_start(scoring: Scoring) -> None:
            stoppable(scoring)
            if watch is not None:
                watch.begin(scoring)

        return await score_game(game, store, once=once, executor=executor, on_start=on_start, on_event=listener)

    return await until_interrupted(play)


def _document(name: str, result: GameResult, url: str) -> dict[str, Any]:
    counts = {"scored": result.scored, "set_aside": dict(result.set_aside), "waiting": result.waiting}
    boards = {"leaderboard": showing.plain(result.leaderboard), "boards": showing.plain(result.boards)}
    return {"game": name, **counts, "legend": result.legend, **boards, "store": url}

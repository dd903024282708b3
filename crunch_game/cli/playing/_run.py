"""`crunch-game run` and `demo`: both workers of a game in one process."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

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
    Logs,
    MaxTicks,
    ModelsDir,
    Playing,
    prepared,
    until_interrupted,
    warn_if_empty,
)
from crunch_game.cli.playing._watch import Watch
from crunch_game.errors import ResourceError
from crunch_game.storage import Store, open_store
from crunch_game.workers import GameResult, Listener, PredictWorker, claim, run_game

NewStoreUrl = Annotated[
    str, typer.Option("--store", help="Where to keep it: sqlite:///game.db, or memory: until the command ends.")
]


def demo(
    store: Annotated[str | None, typer.Option("--store", help="Where to keep it; a new folder unless given.")] = None,
    max_ticks: MaxTicks = None,
    as_json: AsJson = False,
) -> None:
    """Play the demo game: five models, one faulty on purpose, forecast thirteen years of daily stock returns."""
    package = Path(__file__).parents[2]
    places = [parent / "examples" / "daily_density" for parent in (package, package.parent)]  # as installed; as a clone
    folder = next(filter(Path.is_dir, places), None)
    if folder is None:
        raise ResourceError("the demo game is not installed; reinstall crunch-game")
    sys.path.insert(0, str(folder))
    game, models = references.game_at("daily_density.game:game"), folder / "daily_density" / "models"
    url = store or f"sqlite:///{tempfile.mkdtemp(prefix='crunch-game-demo-')}/demo.db"
    _play(prepared(game, models, None, max_ticks, None), models, url, max_ticks, "auto", None, as_json=as_json)


def run(
    game: GameRef,
    models: ModelsDir,
    store: NewStoreUrl,
    replay: references.Replay = None,
    max_ticks: MaxTicks = None,
    logs: Logs = None,
    executor: ExecutorName = "auto",
    events: EventsFile = None,
    as_json: AsJson = False,
) -> None:
    """Play a game, live or over history, until its feed ends or Ctrl-C."""
    played, feed = references.game_at(game), references.replayed(replay)
    playing = prepared(played, models, feed, max_ticks, logs)
    _play(playing, models, store, max_ticks, executor, events, as_json=as_json)


def _play(
    playing: Playing,
    models: Path,
    url: str,
    max_ticks: int | None,
    executor: str,
    events: Path | None,
    *,
    as_json: bool,
) -> None:
    game, live = playing.game, playing.feed.live
    with open_store(url) as store:
        claim(store, game.name)  # raises before the table is shown
        warn_if_empty(playing, models)
        watch = None if as_json else Watch(game, playing.total, live=live)
        listener = listening(events, None if watch is None else watch.hear, live=live)
        with watch.live if watch is not None else nullcontext():
            result = anyio.run(_played, playing, store, max_ticks, executor, watch, listener)
    if as_json:
        shown = {"game": game.name, **asdict(result), "models": showing.models_of(result), "store": url}
        output.print_json(shown)
    else:
        output.screen.print()
        showing.show_boards(game, result)
        showing.show_faults(result)
        showing.show_rounds(result, live=live)
        showing.show_scores(result)
        showing.show_store(url)
    if showing.scored_nothing(result, live=live):
        raise typer.Exit(1)


async def _played(
    playing: Playing,
    store: Store,
    max_ticks: int | None,
    executor: str,
    watch: Watch | None,
    listener: Listener | None,
) -> GameResult:
    async def play(stoppable: Callable[[PredictWorker], None]) -> GameResult:
        def on_start(worker: PredictWorker) -> None:
            stoppable(worker)
            if watch is not None:
                watch.begin(worker)

        return await run_game(
            playing.game,
            playing.roster,
            store=store,
            feed=playing.feed,
            host=playing.host,
            max_ticks=max_ticks,
            executor=executor,
            on_start=on_start,
            on_event=listener,
        )

    return await until_interrupted(play)

"""The commands of `crunch-game`."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from contextlib import aclosing, nullcontext
from dataclasses import asdict
from pathlib import Path
from textwrap import indent
from typing import Annotated, Any

import anyio
import typer

from crunch_game._quantities import counted, described
from crunch_game.cli import _output as output
from crunch_game.cli import _references as references
from crunch_game.cli._boards import copies, leaderboard
from crunch_game.cli._check import check
from crunch_game.cli._doctor import doctor
from crunch_game.cli._machine import libraries
from crunch_game.cli._node import node
from crunch_game.cli._orchestrator import orchestrator
from crunch_game.cli._output import AsJson
from crunch_game.cli._printed import logging_host
from crunch_game.cli._replay import replay as replay_capsule
from crunch_game.cli._serving import interrupted, make_logs
from crunch_game.cli._watch import Watch
from crunch_game.cli.asking import events, export, model, models
from crunch_game.errors import ResourceError, UsageError
from crunch_game.feeds.base import Feed
from crunch_game.game import Game
from crunch_game.hosts.base import Host
from crunch_game.ranking import legend
from crunch_game.rosters import DirectoryRoster
from crunch_game.storage import open_store
from crunch_game.workers import GameResult, PredictWorker, beside, claim, run_game, told_faults

app = typer.Typer(
    cls=output.Commands,
    help="Write, play and look at live prediction games.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

GameRef = Annotated[str, typer.Argument(metavar="GAME", help="package.module:game, or a file that has a `game`.")]
ModelsDir = Annotated[Path, typer.Option("--models", help="The folder of submissions; it is watched.")]
NewStoreUrl = Annotated[
    str, typer.Option("--store", help="Where to keep it: sqlite:///game.db, or memory: until the command ends.")
]
Logs = Annotated[
    Path | None, typer.Option("--logs", help="The folder for what models print: ID.out.log and ID.err.log.")
]
MaxTicks = Annotated[int | None, typer.Option("--max-ticks", min=0, help="Stop after that many rows.")]


def _print_version(asked: bool) -> None:
    if asked:
        output.screen.print(f"crunch-game {libraries().own['crunch-game'] or 'not installed, but run from its source'}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None: ...


@app.command()
def demo(
    store: Annotated[str | None, typer.Option("--store", help="Where to keep it; a new folder unless given.")] = None,
    max_ticks: MaxTicks = None,
    as_json: AsJson = False,
) -> None:
    """Play the demo game: five models, one faulty on purpose, forecast thirteen years of daily stock returns."""
    package = Path(__file__).parents[1]
    places = [parent / "examples" / "daily_density" for parent in (package, package.parent)]  # as installed; as a clone
    folder = next(filter(Path.is_dir, places), None)
    if folder is None:
        raise ResourceError("the demo game is not installed; reinstall crunch-game")
    sys.path.insert(0, str(folder))
    game, models = references.game_at("daily_density.game:game"), folder / "daily_density" / "models"
    url = store or f"sqlite:///{tempfile.mkdtemp(prefix='crunch-game-demo-')}/demo.db"
    _play(game, models, url, None, max_ticks, None, as_json=as_json)


@app.command()
def run(
    game: GameRef,
    models: ModelsDir,
    store: NewStoreUrl,
    replay: references.Replay = None,
    max_ticks: MaxTicks = None,
    logs: Logs = None,
    as_json: AsJson = False,
) -> None:
    """Play a game, live or over history, until its feed ends or Ctrl-C."""
    played, feed = references.game_at(game), references.replayed(replay)
    _play(played, models, store, feed, max_ticks, _logging_host(played, logs), as_json=as_json)


app.command()(check)
app.command()(leaderboard)
app.command()(copies)
app.command()(export)
app.command()(models)
app.command()(model)
app.command()(events)
app.command("replay")(replay_capsule)
app.command("doctor")(doctor)
app.command()(node)
app.command()(orchestrator)


def _logging_host(game: Game, logs: Path | None) -> Host | None:
    """The game's host, writing what models print to the folder; None where none is given.

    Raises:
        UsageError: Its models do not run in processes of this machine.
        ResourceError: The folder cannot be made.
    """
    if logs is None:
        return None
    host = logging_host(game, logs)
    if host is None:
        raise UsageError(
            f"--logs keeps what models print in processes of their own; the game {game.name} says "
            f"host={described(game.host)}, so it goes wherever that lets them print"
        )
    make_logs(logs)
    return host


def _play(
    game: Game,
    models: Path,
    url: str,
    feed: Feed | None,
    max_ticks: int | None,
    host: Host | None,
    *,
    as_json: bool,
) -> None:
    roster = DirectoryRoster(models)
    empty = not roster.scan()
    chosen = game.feed if feed is None else feed
    if chosen is None:
        raise UsageError(f"the game {game.name} has no feed of its own; give history with --replay FILE")
    anyio.run(_check_first_row, game, chosen)
    # The first row was checked before this, so that a game which cannot be played leaves no empty file.
    with open_store(url) as store:
        claim(store, game.name)  # raises before the table is shown
        if empty:
            output.warn(f"no submissions in {models} yet")
        known = [count for count in (_length(chosen), max_ticks) if count is not None]
        watch = None if as_json else Watch(game, min(known, default=None), live=chosen.live)

        async def play() -> GameResult:
            workers: list[PredictWorker] = []

            def on_start(worker: PredictWorker) -> None:
                workers.append(worker)
                if watch is not None:
                    watch.begin(worker)

            async def stop_on_signal() -> None:
                await interrupted()
                for worker in workers:
                    worker.stop()  # when the current row is finished and stored

            hear = None if watch is None else watch.hear
            async with beside(stop_on_signal):
                return await run_game(
                    game,
                    roster,
                    store=store,
                    feed=chosen,
                    host=host,
                    max_ticks=max_ticks,
                    on_start=on_start,
                    on_event=hear,
                )

        with watch.live if watch is not None else nullcontext():
            result = anyio.run(play)
    if as_json:
        shown = ("model_id", "state", "reason", "deployment_id")
        models_at_end = [{name: getattr(model, name) for name in shown} for model in result.models]
        output.print_json({"game": game.name, **asdict(result), "models": models_at_end, "store": url})
    else:
        _show(game, result, url, live=chosen.live)
    if _failed(result, live=chosen.live):
        raise typer.Exit(1)


async def _check_first_row(game: Game, feed: Any) -> None:
    """Check that the game can play the feed's first row, before anything is written."""
    if not feed.live and _length(feed) is not None:  # without a length it may be an iterator, which can be read once
        rows = feed.rows()
        async with aclosing(rows):
            async for row in rows:
                game.check(row)
                break


def _length(feed: Any) -> int | None:
    """Return how many rows the feed has, if it has a length."""
    try:
        return len(feed)
    except TypeError:
        return None


def _show(game: Game, result: GameResult, url: str, *, live: bool) -> None:
    output.screen.print()
    if result.leaderboard:
        for board in game.boards:
            name = board.name if len(game.boards) > 1 else "the leaderboard"
            standings, title = result.boards[board.name], f"{game.name}: {name}"
            said = legend(board, game.metrics)
            output.screen.print(output.board(standings, rank_by=board.rank_by or "", title=title, legend=said))
    for sentence, details in told_faults(result.faults):
        output.screen.print(output.escape(sentence), style="red", soft_wrap=True)
        if details:
            output.screen.print(output.escape(indent(details, "  ")), style="dim", soft_wrap=True)
    done = (counted(result.ticks, "row"), counted(result.rounds, "round"), counted(result.predictions, "prediction"))
    why = " missed" if live else " left out, for want of a new row"
    missed = f"; {counted(result.missed, 'round')}{why}" if result.missed else ""
    output.screen.print(f"{', '.join(done)} stored{missed}", soft_wrap=True)
    unscored = Counter(result.set_aside)  # past their horizon
    if result.waiting:
        unscored["resolve did not know the truth yet"] = result.waiting
    if due := result.scored + unscored.total():
        why = "; ".join(f"{reason} ({counted(count, 'time')})" for reason, count in unscored.most_common(3))
        summary = f"{result.scored:,} of {counted(due, 'due prediction')} scored" + (f": {why}" if why else "")
        output.screen.print(output.escape(summary), style=None if result.scored else "red", soft_wrap=True)
    if not url.startswith("memory:"):
        output.screen.print(f"the database: [bold]{url}[/]   (crunch-game leaderboard --store {url})", soft_wrap=True)


def _failed(result: GameResult, *, live: bool) -> bool:
    """Whether the game scored none of the due predictions. In a live game, outcomes may still become known."""
    unresolved = result.waiting and not result.leaderboard and not live
    return not result.scored and bool(result.set_aside or unresolved)

"""`crunch-game predict`: the worker that asks models, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Final

import anyio

from crunch_game.cli import _output as output
from crunch_game.cli import _references as references
from crunch_game.cli._output import AsJson
from crunch_game.cli.playing import _showing as showing
from crunch_game.cli.playing._event_file import listening
from crunch_game.cli.playing._options import (
    EventsFile,
    GameRef,
    Logs,
    MaxTicks,
    ModelsDir,
    Playing,
    SharedStoreUrl,
    prepared,
    shared,
    until_interrupted,
    warn_if_empty,
)
from crunch_game.cli.playing._watch import Watch
from crunch_game.storage import Store, open_store
from crunch_game.workers import GameResult, Listener, PredictWorker, claim, predict_game

_COUNTS: Final = ("ticks", "rounds", "predictions", "missed", "late")


def predict(
    game: GameRef,
    models: ModelsDir,
    store: SharedStoreUrl,
    replay: references.Replay = None,
    max_ticks: MaxTicks = None,
    logs: Logs = None,
    events: EventsFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell and ask the models of a game, and store their answers, which `score` scores: half of `run`."""
    url = shared(store, "a predict")
    played, feed = references.game_at(game), references.replayed(replay)
    playing = prepared(played, models, feed, max_ticks, logs)
    live = playing.feed.live
    with open_store(url) as opened:
        claim(opened, played.name)
        warn_if_empty(playing, models)
        watch = None if as_json else Watch(played, playing.total, live=live, ranked=False)
        listener = listening(events, None if watch is None else watch.hear, live=live)
        with watch.live if watch is not None else nullcontext():
            result = anyio.run(_predicted, playing, opened, max_ticks, watch, listener)
    if as_json:
        output.print_json(_document(played.name, result, url))
        return
    output.screen.print()
    showing.show_faults(result)
    showing.show_rounds(result, live=live)
    showing.show_store(url)


async def _predicted(
    playing: Playing, store: Store, max_ticks: int | None, watch: Watch | None, listener: Listener | None
) -> GameResult:
    async def play(stoppable: Callable[[PredictWorker], None]) -> GameResult:
        def on_start(worker: PredictWorker) -> None:
            stoppable(worker)
            if watch is not None:
                watch.begin(worker)

        return await predict_game(
            playing.game,
            playing.roster,
            store,
            feed=playing.feed,
            host=playing.host,
            max_ticks=max_ticks,
            on_start=on_start,
            on_event=listener,
        )

    return await until_interrupted(play)


def _document(name: str, result: GameResult, url: str) -> dict[str, Any]:
    counts = {count: getattr(result, count) for count in _COUNTS}
    parts = {"answered": showing.plain(result.answered), "faults": showing.plain(result.faults)}
    return {"game": name, **counts, **parts, "models": showing.models_of(result), "store": url}

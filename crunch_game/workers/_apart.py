"""The workers of a game apart, each until it has ended: in processes of their own, on one machine or two."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from anyio.to_thread import run_sync as in_thread

from crunch_game.events import RoundsMissed
from crunch_game.feeds.base import Feed
from crunch_game.game import Game
from crunch_game.hosts.base import Host
from crunch_game.ranking import Standing, legend
from crunch_game.runner import Models
from crunch_game.storage.base import Store
from crunch_game.workers._answers import Answers
from crunch_game.workers._base import Listener, claim, feed_of, safely
from crunch_game.workers._lease import leased
from crunch_game.workers._play import GameResult
from crunch_game.workers._predict import PredictWorker
from crunch_game.workers._score import ScoreWorker
from crunch_game.workers._scoring import Scoring
from crunch_game.workers.settling import ExecutorLike


async def predict_game(
    game: Game,
    models: Models,
    store: Store,
    *,
    feed: Feed | None = None,
    host: Host | Literal["process", "inline"] | None = None,
    max_ticks: int | None = None,
    on_event: Listener | None = None,
    on_start: Callable[[PredictWorker], Any] | None = None,
) -> GameResult:
    """Ask the models of a game until its feed ends; a score worker, wherever it is, scores what the store keeps.

    Returns:
        What was played; it says nothing of scores.

    Raises:
        UsageError: The store is another game's, or another worker plays on it.
    """
    answers = Answers()
    unlogged = () if feed_of(game, feed).live else (RoundsMissed,)
    hear = answers.before(on_event or safely(None, unlogged=unlogged))
    worker = PredictWorker(game, models, store, feed=feed, host=host, on_event=hear, max_ticks=max_ticks)
    if on_start is not None:
        on_start(worker)
    await worker.run()
    return GameResult(
        ticks=worker.ticks,
        rounds=worker.rounds,
        predictions=worker.predictions,
        missed=worker.missed,
        late=worker.late,
        models=await in_thread(store.models),
        answered=answers.of_models(),
        faults=answers.faults(),
    )


async def score_game(
    game: Game,
    store: Store,
    *,
    once: bool = False,
    executor: ExecutorLike = None,
    on_event: Listener | None = None,
    on_start: Callable[[Scoring], Any] | None = None,
) -> GameResult:
    """Score what predict workers, wherever they are, have stored and go on to store.

    Args:
        game: The game.
        store: Where they keep it.
        once: End when what is due is scored, instead of waiting for more.
        executor: Where the rules are called, as for a ScoreWorker.
        on_event: Called with the events of the ScoreWorker, and about twice a second with `Standings`.
        on_start: Called with what scores before it begins, for its `stop()`.

    Returns:
        What was scored, and the boards at the end; it says nothing of rounds.

    Raises:
        UsageError: The store is another game's, or another worker scores on it.
    """
    tell = on_event or safely(None)
    await in_thread(claim, store, game.name)
    async with leased(store, "score") as hold:
        worker = await in_thread(lambda: ScoreWorker(game, store, executor=executor, on_event=tell))
        scoring = Scoring(worker, tell)
        scoring.assure = hold.assure
        if on_start is not None:
            on_start(scoring)
        try:
            if not once:
                await scoring.run()
            boards = await scoring.after_row(last=True)
        finally:
            await scoring.save_log()
            worker.close()
    return _scored(game, scoring, boards, await in_thread(store.models))


def _scored(
    game: Game, scoring: Scoring, boards: Mapping[str, Sequence[Standing]], models: Sequence[Any]
) -> GameResult:
    return GameResult(
        scored=scoring.scored,
        set_aside=dict(scoring.set_aside),
        waiting=scoring.waiting,
        leaderboard=next(iter(boards.values()), []),
        boards=boards,
        models=models,
        legend=legend(game.boards[0], game.metrics),
        windows={board.name: list(board.windows) for board in game.boards},
    )

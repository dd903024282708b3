"""run_game: a PredictWorker and a ScoreWorker together, until the feed ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import indent
from typing import Any, Literal

from anyio.to_thread import run_sync as in_thread

from crunch_game._public import public
from crunch_game._quantities import counted
from crunch_game.events import RoundsMissed
from crunch_game.feeds.base import Feed
from crunch_game.game import Game
from crunch_game.hosts.base import Host
from crunch_game.ranking import Standing, legend, shown
from crunch_game.runner import Models
from crunch_game.storage.base import ModelRecord, Store
from crunch_game.storage.exporting import Library
from crunch_game.workers._answers import Answered, Answers, RepeatedFault, told_faults
from crunch_game.workers._base import Listener, beside, feed_of, safely, store_of
from crunch_game.workers._frames import result_frame
from crunch_game.workers._lease import leased
from crunch_game.workers._predict import PredictWorker
from crunch_game.workers._score import ScoreWorker
from crunch_game.workers._scoring import Scoring
from crunch_game.workers.settling import ExecutorLike


@public
@dataclass(frozen=True)
class GameResult:
    """The result of a run of a game. Printed, it is the leaderboard, and the faults of the models.

    Attributes:
        ticks: How many rows of the feed were played.
        rounds: How many rounds of predictions were played.
        predictions: How many predictions were stored, failed ones included.
        missed: How many rounds were not played, because no data arrived or the game did not run.
        late: How many rounds were played late.
        scored: How many predictions got a score.
        set_aside: How many predictions could not be scored, by reason.
        waiting: How many predictions have passed their horizon, but `resolve` does not know the outcome yet.
        leaderboard: The standings on the first board at the end, best first.
        models: The models, and their states at the end.
        answered: How often each model was asked, and answered: by model, then by a prediction's key or "tick". Only of
            this run, though the store may have begun before.
        faults: Each kind of fault once, the first in full: the model with the most of them first.
        interrupted: Whether it was ended by hand before its feed was.
        boards: The standings on every board at the end, by its name.
        legend: What skill compares with on the first board, and is a share of; None where that is by the mean.
        windows: The names of every board's windows, by its name.
    """

    ticks: int = 0
    rounds: int = 0
    predictions: int = 0
    missed: int = 0
    late: int = 0
    scored: int = 0
    set_aside: Mapping[str, int] = field(default_factory=dict)
    waiting: int = 0
    leaderboard: Sequence[Standing] = ()
    models: Sequence[ModelRecord] = ()
    answered: Mapping[str, Mapping[str, Answered]] = field(default_factory=dict)
    faults: Sequence[RepeatedFault] = ()
    interrupted: bool = False
    boards: Mapping[str, Sequence[Standing]] = field(default_factory=dict)
    legend: str | None = None
    windows: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def to_frame(self, what: str = "leaderboard", *, library: Library = "pandas") -> Any:
        """Return a part of the result as a DataFrame; docs/storage.md says what its columns are.

        Args:
            what: "leaderboard" (of every board), "models" or "faults".
            library: "pandas" or "polars".

        Raises:
            UsageError: It has nothing of that name.
            MissingExtra: The extra `tables` is not installed.
        """
        return result_frame(what, self.boards, self.windows, self.models, self.faults, library)

    def __str__(self) -> str:
        rows = self._table()
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        for sentence, details in self._below():
            lines += ["", sentence, *([indent(details, "  ")] if details else [])]
        return "\n".join(lines)

    def _table(self) -> list[list[str]]:
        """Return the cells of the first board as text; the first row has the names of the columns."""
        if not self.leaderboard:
            return [["no model has a score"]]
        head, *rows = shown(self.leaderboard)
        shares = [self._told(standing.model_id) for standing in self.leaderboard]
        if any(share < 1 for share in shares):
            where = head.index("coverage") + 1
            head.insert(where, "ticks")
            for row, share in zip(rows, shares, strict=True):
                row.insert(where, f"{share:.1%}")
        return [head, *rows]

    def _told(self, model_id: str) -> float:
        """The share of ticks that a model took."""
        return self.answered.get(model_id, {}).get("tick", Answered()).share

    def _below(self) -> list[tuple[str, str]]:
        """Return what is told below the leaderboard: sentences, each with its details."""
        told = [] if self.legend is None or not self.leaderboard else [self.legend]
        if self.interrupted:
            told.append(f"interrupted: this is what was played until then, {counted(self.ticks, 'row')}")
        return [*((sentence, "") for sentence in told), *told_faults(self.faults)]


@public
async def run_game(
    game: Game,
    models: Models,
    *,
    store: Store | None = None,
    feed: Feed | None = None,
    host: Host | Literal["process", "inline"] | None = None,
    max_ticks: int | None = None,
    executor: ExecutorLike = None,
    on_event: Listener | None = None,
    on_start: Callable[[PredictWorker], Any] | None = None,
) -> GameResult:
    """Play a game: predict and score together, until the feed ends.

    In a replay, each row is scored before the next is played, so that the same data gives the same result. In a live
    game, scoring runs beside the rounds. Either way it runs on a thread of its own.

    Args:
        game: The game.
        models: As for ModelRunner.
        store: Where everything is kept; by default in memory.
        feed: Replaces the game's own.
        host: Replaces the game's own, and the one that a roster needs; "process" is the game's, if it states one.
        max_ticks: Stop after this many rows.
        executor: Where the rules are called, as for a ScoreWorker.
        on_event: Called with every event, and about twice a second with `Standings`.
        on_start: Called with the PredictWorker before it runs, for its `stop()`.
    """
    live = feed_of(game, feed).live
    store = store_of(store)
    answers = Answers()
    on_event = answers.before(on_event or safely(None, unlogged=() if live else (RoundsMissed,)))
    scorer = ScoreWorker(game, store, executor=executor, on_event=on_event)
    scoring = Scoring(scorer, on_event, lockstep=game.per_model is not None)
    worker = PredictWorker(
        game,
        models,
        store,
        feed=feed,
        host=host,
        on_event=on_event,
        after_row=None if live else scoring.after_row,
        standing_of=scoring.standing_of,
        max_ticks=max_ticks,
    )
    if on_start is not None:
        on_start(worker)
    try:
        boards = await _play_and_score(worker, scoring, store, live=live)
    finally:
        scorer.close()
    return _result(worker, scoring, answers, boards, await in_thread(store.models))


def _result(
    worker: PredictWorker,
    scoring: Scoring,
    answers: Answers,
    boards: Mapping[str, Sequence[Standing]],
    records: Sequence[ModelRecord],
) -> GameResult:
    """What the parts of a game have counted."""
    return GameResult(
        ticks=worker.ticks,
        rounds=worker.rounds,
        predictions=worker.predictions,
        missed=worker.missed,
        late=worker.late,
        scored=scoring.scored,
        set_aside=dict(scoring.set_aside),
        waiting=scoring.waiting,
        leaderboard=next(iter(boards.values()), []),
        boards=boards,
        models=records,
        answered=answers.of_models(),
        faults=answers.faults(),
        legend=legend(worker.game.boards[0], worker.game.metrics),
        windows={board.name: list(board.windows) for board in worker.game.boards},
    )


async def _play_and_score(
    worker: PredictWorker, scoring: Scoring, store: Store, *, live: bool
) -> Mapping[str, Sequence[Standing]]:
    """Run both workers until the feed ends, and return every board's standings then."""
    async with leased(store, "score") as hold:
        scoring.assure = hold.assure
        try:
            if live:
                async with beside(scoring.run):
                    await worker.run()
            else:
                await scoring.after_row()  # a run before this one may have ended between a row and its scores
                await worker.run()
            return await scoring.after_row(last=True)
        finally:
            await scoring.save_log()

"""The same game over history, in a notebook or a script: the very predictions and scores of a live run."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any, Literal, cast, get_args

from crunch_game import sync
from crunch_game._public import public
from crunch_game.errors import UsageError
from crunch_game.feeds.base import Feed
from crunch_game.game import Game
from crunch_game.hosts.base import Host
from crunch_game.models import Submission
from crunch_game.runner import Models
from crunch_game.storage import MemoryStore
from crunch_game.storage.base import Prediction, Score, Store
from crunch_game.storage.exporting import Library, What
from crunch_game.workers import GameResult, feed_of


@public
@dataclass(frozen=True, repr=False)
class Backtest(GameResult):
    """What a game over history came to. A notebook shows it as its leaderboard, and the faults of the models.

    Attributes:
        store: Every prediction, with its score or the reason why there is none.
    """

    store: Store = None  # type: ignore[assignment]  # the fields before it have defaults

    @property
    def scores(self) -> list[Score]:
        """Every score, oldest first."""
        return self.store.scores()

    def stored_predictions(self) -> list[Prediction]:
        """Every prediction, failed ones included, oldest first."""
        return self.store.predictions()

    def to_frame(self, what: str = "leaderboard", *, library: Library = "pandas") -> Any:
        """Return a part of it as a DataFrame; docs/storage.md says what its columns are.

        Args:
            what: "leaderboard" (of every board), "models" or "faults"; or what its store has: "predictions", each with
                its score, "scores", "rows" or "rounds".
            library: "pandas" or "polars".

        Raises:
            UsageError: It has nothing of that name.
            MissingExtra: The extra `tables` is not installed.
        """
        if what in get_args(What) and what != "models":
            return self.store.to_frame(cast(What, what), library=library)
        return super().to_frame(what, library=library)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        head, *body = [[escape(cell) for cell in row] for row in self._table()]
        lines = ["".join(f"<th>{cell}</th>" for cell in head)]
        lines += ["".join(f"<td>{cell}</td>" for cell in row) for row in body]
        table = "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"
        return table + "".join(_folded(sentence, details) for sentence, details in self._below())


def _folded(sentence: str, details: str) -> str:
    """A sentence, whose details are shown when it is clicked on."""
    if not details:
        return f"<p>{escape(sentence)}</p>"
    return f"<details><summary>{escape(sentence)}</summary><pre>{escape(details)}</pre></details>"


@public
def backtest(
    game: Game,
    models: Models | type | Submission,
    *,
    feed: Feed | None = None,
    host: Host | Literal["process", "inline"] = "inline",
    max_ticks: int | None = None,
) -> Backtest:
    """Play a game over history, in this very process.

    Ctrl-C, or a notebook's stop button, ends it after the current row, with the result of what was played.

    Args:
        game: The game.
        models: As for ModelRunner; one class, or one Submission, will do.
        feed: The history; the game's own feed unless given.
        host: Where models run: in this process unless told; "process" is the game's own host (`Game(host=...)`), if it
            states one, so that each model is isolated as in a live run.
        max_ticks: Stop after that many rows.

    Raises:
        UsageError: The feed is a live one, and would never end; or there is none.
    """
    if feed_of(game, feed).live:
        raise UsageError(f"the feed of {game.name} is live; give a backtest a history: feed=ReplayFeed(...)")
    store = MemoryStore()
    models = [models] if isinstance(models, type | Submission) else models
    result = sync.run_game(game, models, store=store, feed=feed, host=host, max_ticks=max_ticks)
    return Backtest(**{name: getattr(result, name) for name in GameResult.__dataclass_fields__}, store=store)

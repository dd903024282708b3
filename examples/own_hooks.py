"""A game with an author's own Scorer and own Store: will the price rise? It is kept in a journal."""

import json
import math
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crunch_game import (
    Game,
    History,
    MemoryStore,
    ModelRecord,
    Never,
    Predict,
    Prediction,
    ReplayFeed,
    Row,
    Score,
    TrackerBase,
)
from crunch_game.datasets import daily_prices
from crunch_game.resolving import Change
from crunch_game.storage import ScoredRound
from crunch_game.sync import run_game


class RiseTracker(TrackerBase):
    """The probability, 0 to 1, that the asset's next close is higher."""

    def predict(self, asset: str) -> float: ...


class Spherical:
    """The spherical score of a probability (Roby, 1965): that of what came true, over the length of (p, 1 - p)."""

    higher_is_better = True
    unit = 1 - 0.5**0.5
    """What skill is a share of: how much "1/2" falls short of the best score, which is 1."""

    def score(self, prediction: Prediction, outcome: bool) -> float:
        p: float = prediction.value
        return (p if outcome else 1 - p) / math.hypot(p, 1 - p)


class Journal(MemoryStore):
    """Keeps a game in memory, and every prediction and score as a line of a file besides."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("a", encoding="utf-8")

    def save(
        self,
        rows: Sequence[Row] = (),
        predictions: Sequence[Prediction] = (),
        models: Sequence[ModelRecord] = (),
        **more: Any,
    ) -> None:
        super().save(rows, predictions, models, **more)
        for prediction in predictions:
            self._write(model=prediction.model_id, at=prediction.at.isoformat(), predicted=prediction.value)

    def settle(self, scores: Sequence[Score], rounds: Sequence[ScoredRound] = ()) -> None:
        super().settle(scores, rounds)
        for score in scores:
            self._write(model=score.model_id, at=score.at.isoformat(), outcome=score.outcome, score=score.value)

    def _write(self, **line: Any) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        super().close()
        self._file.close()


change = Change(of="asset", max_age="7d")


def has_risen(prediction: Prediction, history: History) -> bool | Never | None:
    """Whether the first close at or after the horizon is higher; None before that close."""
    difference = change(prediction, history)
    return difference > 0 if isinstance(difference, float) else difference


game = Game(
    name="rise-or-fall",
    tracker=RiseTracker,
    predictions=[Predict(every="1d", horizon="1d", asset="IBM")],
    resolve=has_risen,
    score=Spherical(),
    feed=ReplayFeed(daily_prices()),
    windows={"quarter": "91d"},
)


class Undecided(RiseTracker):
    def predict(self, asset):
        return 0.5


class Gambler(RiseTracker):
    def predict(self, asset):
        return random.random()


if __name__ == "__main__":
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "journal.jsonl")
    with Journal(path) as journal:
        result = run_game(game, [Undecided, Gambler], store=journal, max_ticks=250)
    print(result)
    print(f"every prediction and score is a line of {path}")

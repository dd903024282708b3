"""Random histories of a game, rules for it, and a store whose owner dies.

Models join, fail and are excused, rounds are answered by nobody, answers are saved late, truths are late, never come or
raise, and metrics fail.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import walk
from virtual import Killed

from crunch_game import Game, ScoreWorker, Status
from crunch_game.feeds.base import Row
from crunch_game.ranking import Board, Last
from crunch_game.storage.base import Prediction, Store

HOURS = 44
MODELS = ["bench", "ada", "bob", "cy", "dan"]
KEYS = {ask.arguments["asset"]: ask.key for ask in walk.game().asks}
Saved = tuple[list[Row], list[Prediction]]


class Near:
    """How far an answer is off. Negative ones cannot be scored, and until it is mended, none at some hours."""

    higher_is_better = False
    unit = "usual"

    def __init__(self, world: World) -> None:
        self._world = world

    def score_round(self, answered: Any) -> dict[str, Any]:
        if not self._world.mended and answered.at.hour % 7 == 3:
            raise RuntimeError("the rule is broken")
        return {
            name: ValueError("negative") if each.value < 0 else abs(each.value - answered.outcome_of(name))
            for name, each in answered.answers.items()
        }


class Far:
    """A gain in a unit of its own, of which some rounds have none."""

    higher_is_better = True
    unit = 2.0

    def score_round(self, answered: Any) -> dict[str, Any]:
        if answered.at.hour % 5 == 1:
            raise RuntimeError("there is no such thing at this hour")
        return {name: -((each.value - answered.outcome_of(name)) ** 2) for name, each in answered.answers.items()}


class InTheField:
    """The share of all losses of the round; an absentee has all of it."""

    higher_is_better = False
    unit = None

    def score_round(self, answered: Any) -> dict[str, Any]:
        losses = {name: abs(each.value - answered.outcome_of(name)) for name, each in answered.answers.items()}
        total = sum(sorted(losses.values())) or 1.0
        return {name: loss / total for name, loss in losses.items()} | dict.fromkeys(answered.absences, 1.0)


class World:
    """A random history of a game: what is saved, and what an author's functions make of it."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.mended = False
        self.in_pieces = self.chance.random() < 0.5
        self.mended_at = self.chance.randrange(HOURS)
        self.joins = {name: 0 if name == "bench" else self.chance.choice([0, 0, 9, 25]) for name in MODELS}
        self.reliable = {name: self.chance.choice([0.3, 0.8, 1.0]) for name in MODELS}
        self.saves = list(self._history())

    def game(self) -> Game:
        further: dict[str, Any] = {"far": Far()} if self.in_pieces else {"field": InTheField()}
        other = next(iter(further))
        windows: dict[str, Any] = {"short": "5h", "long": "11h"}
        boards = [
            Board("skill", metric="near", windows=windows),
            Board("reference", metric="near", windows={"long": "9h"}, reference="bench", weight=_weight),
            Board("btc", metric="near", of=lambda info: "BTC" in info.key, windows={"long": "7h"}, least=2),
            Board("other", metric=other, by="mean", windows=windows),
            Board("newcomers", metric=other, by="mean", windows={"long": "11h"}, newcomers="absent"),
        ]
        if self.joins["ada"]:
            boards.append(Board("last", metric="near", windows={"last": Last(4)}))
        return walk.game(
            score={"near": Near(self), **further},
            boards=boards,
            windows=None,
            benchmarks=["bench"],
            resolve=self.truth,
        )

    def worker(self, store: Any) -> ScoreWorker:
        return ScoreWorker(self.game(), store, patience=5 * 3600, on_event=lambda event: None)

    def truth(self, prediction: Prediction, history: Any) -> Any:
        hour = prediction.at.hour
        # What is mended for one answer of a round is new to the others, whose scores in the field are kept.
        one, everybody = hour % 11 == 6 and prediction.model_id == "bob", hour % 11 == 5
        if (everybody and not self.mended) or (one and not (self.mended and self.in_pieces)):
            raise LookupError("no price")
        late = walk.HOUR * (hour % 9 if hour % 4 == 1 else 0)  # of some it is known too late
        if self.in_pieces:  # what is saved later than the patience lasts depends on when it is scored
            late = min(late, 3 * walk.HOUR)
        if history.latest.time < prediction.resolves_at + late:
            return None
        return walk.truth(prediction, history)

    def _history(self) -> Iterator[Saved]:
        late: list[tuple[int, Prediction]] = []
        for hour in range(HOURS):
            asked = ["BTC"] + ["ETH"] * (hour % 3 == 0)
            nobody = self.chance.random() < 0.15
            found = [each for asset in asked for each in self._asked(hour, asset, nobody=nobody)]
            if self.in_pieces:
                behind = [each for each in found if each.status is Status.OK and self.chance.random() < 0.1]
                found = [each for each in found if each not in behind]
                late += [(hour + self.chance.randrange(1, 15), each) for each in behind]
            found += [each for when, each in late if when == hour]
            price = 100 + self.chance.gauss(0, 1)
            yield [Row(walk.T0 + hour * walk.HOUR, {"BTC": price, "ETH": price / 10})], found

    def _asked(self, hour: int, asset: str, *, nobody: bool) -> Iterator[Prediction]:
        at, key, seconds = walk.T0 + hour * walk.HOUR, KEYS[asset], 7200 if asset == "BTC" else 21600
        for name in MODELS:
            if hour < self.joins[name]:
                continue
            given: dict[str, Any] = {"status": self.chance.choice([Status.TIMEOUT, Status.SKIPPED, None])}
            if not nobody and self.chance.random() < self.reliable[name]:
                # Two answers set a round aside if neither can be scored, which one that comes alone does not.
                bad = [] if self.in_pieces else [-1.0]
                value = self.chance.choice([round(abs(self.chance.gauss(10, 4)), 2)] * 9 + bad)
                given = {"value": value}
            if "status" in given and given["status"] is None:
                continue  # it has left
            given["excused"] = given.get("status") is Status.SKIPPED and self.chance.random() < 0.5
            arguments = {"asset": asset, "horizon": seconds}
            yield Prediction(name, "1", key, at, at + timedelta(seconds=seconds), seconds, arguments, **given)


def _weight(info: Any) -> float:
    return 0.1 if info.arguments["asset"] == "ETH" else 1.0


class Dying:
    """A store whose worker dies at the write of a number, or which fails there: before it, or just after."""

    def __init__(self, store: Store, at: int, *, after: bool, how: type[BaseException] = Killed) -> None:
        self._store, self._left, self._after, self._how = store, at, after, how

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def settle(self, *given: Any) -> None:
        self._write(lambda: self._store.settle(*given))

    def amend(self, *given: Any, **more: Any) -> None:
        self._write(lambda: self._store.amend(*given, **more))

    def reopen(self, *given: Any) -> None:
        self._write(lambda: self._store.reopen(*given))

    def note(self, *given: Any) -> None:
        self._write(lambda: self._store.note(*given))

    def _write(self, write: Callable[[], object]) -> None:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise self._how
        write()
        if self._left == 0:
            raise self._how

"""What is corrected comes to the scores, rounds and boards of a store in which it had been so from the start."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import walk
from histories import HOURS, KEYS, MODELS, Dying, World
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import Killed

from crunch_game import MemoryStore, ScoreWorker, Status, open_store
from crunch_game.feeds.base import Row
from crunch_game.storage.base import Correction, Prediction, Score, Store
from crunch_game.workers.settling import CORRECTED, InForce

SECOND = timedelta(seconds=1)


@dataclass
class Corrections:
    """Random corrections of a random history, each at an hour; and the history as if it had been so from the start."""

    world: World
    chance: random.Random
    at: dict[int, list[Correction]] = field(default_factory=dict)
    revised: dict[int, list[Row]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.world.in_pieces, self.world.mended = False, self.chance.random() < 0.5
        nothing = ([Row(walk.T0 + hour * walk.HOUR, {}) for hour in range(HOURS, HOURS + 12)], [])
        self.world.saves = [*self.world._history(), nothing]  # until the last truth is known
        for number in range(self.chance.randrange(1, 6)):
            hour = self.chance.randrange(2, HOURS + 1)
            self.at.setdefault(hour, []).append(self._one(number, hour))

    def _one(self, number: int, hour: int) -> Correction:
        verb = self.chance.choice(["void", "void", "retract", "retract", "restore", "restore", "resolve", "rescore"])
        since = self.chance.randrange(HOURS)
        scope: dict[str, Any] = {
            "since": walk.T0 + since * walk.HOUR,
            "until": walk.T0 + (since + self.chance.randrange(1, 14)) * walk.HOUR,
            "key": self.chance.choice([None, None, *KEYS.values()]),
        }
        if verb == "retract" or (verb == "restore" and self.chance.random() < 0.5):
            scope["model_id"] = self.chance.choice(MODELS[1:])
        if verb == "resolve":
            scope = {}
            for revised in self.chance.sample(range(hour), min(3, hour)):
                price = 100 + self.chance.gauss(0, 3)
                prices = {"BTC": price, "ETH": price / 10}
                arrived = walk.T0 + hour * walk.HOUR + number * SECOND
                row = Row(walk.T0 + revised * walk.HOUR, prices, arrived=arrived)
                self.revised.setdefault(hour, []).append(row)
        moment = walk.T0 + hour * walk.HOUR + number * SECOND
        return Correction(moment, f"writer {number}", verb, "ada", f"reason {number}", **scope)

    def from_the_start(self) -> Iterator[tuple[list[Row], list[Prediction]]]:
        in_force = InForce(each for hour in sorted(self.at) for each in self.at[hour])
        truth = {row.time: row for hour in sorted(self.revised) for row in self.revised[hour]}
        for rows, predictions in self.world.saves:
            played = []
            for each in predictions:
                if in_force.why_void(each.key, each.at) is not None:
                    continue
                is_retracted = in_force.why_retracted(each.model_id, each.key, each.at) is not None
                if is_retracted and each.status is Status.OK:
                    played.append(replace(each, status=Status.TIMEOUT, value=None))
                else:
                    played.append(each)
            yield [truth.get(row.time, row) for row in rows], played


def normal(scores: list[Score]) -> list[Score]:
    """The scores as they would be of a game in which nothing was corrected."""
    found = []
    for each in scores:
        if each.corrected == "retracted" and (each.value is not None or each.metrics):
            found.append(replace(each, corrected=None, absent=True, outcome=None, reason=None))
        elif each.corrected is None:
            found.append(replace(each, reason=None) if each.absent else each)
    return found


def check(seed: int, chance: random.Random, plain: Store, store: Store, deaths: random.Random | None) -> None:
    world = World(seed)
    corrections = Corrections(world, chance)
    plainly = world.worker(plain)
    for rows, predictions in corrections.from_the_start():
        plain.save(rows, predictions)
        plainly.step()
        plainly.all_standings(rows[-1].time)

    worker = [begun(world, store, deaths)]
    for hour, (rows, predictions) in enumerate(world.saves[:-1]):
        correct(corrections, hour, store)
        store.save(rows, predictions)
        if deaths is None or deaths.random() < 0.9:
            mortal(worker, world, store, deaths)
    correct(corrections, HOURS, store)
    store.save(world.saves[-1][0])
    mortal(worker, world, store, deaths)
    worker = [begun(world, store, None)]
    worker[0].step()

    now = plainly.newest
    assert now is not None
    assert normal(store.scores()) == normal(plain.scores())
    expected = plainly.all_standings(now)
    fresh = world.worker(store)
    fresh.step()
    for each in (worker[0], fresh):
        assert each.all_standings(now) == expected
        assert not [scored for scored in each._boards.unsaved() if scored.resolves_at > now - 11 * walk.HOUR]
    assert records(store, now) == records(plain, now)


def records(store: Store, now: datetime) -> list[Any]:
    """The rounds that count, with the facts that boards need of them."""
    found = []
    for each, _ in store.rounds():
        facts, is_old = each.facts, each.resolves_at <= now - 11 * walk.HOUR  # no board looks so far back
        if is_old:
            facts = {name: {"entry": given.get("entry")} for name, given in facts.items()}
        if each.void is None and (each.answers or not is_old):
            found.append(replace(each, facts=facts))
    return found


def begun(world: World, store: Store, deaths: random.Random | None) -> ScoreWorker:
    if deaths is None:
        return world.worker(store)
    return world.worker(Dying(store, deaths.randrange(1, 20), after=deaths.random() < 0.5))


def mortal(worker: list[ScoreWorker], world: World, store: Store, deaths: random.Random | None) -> None:
    while True:
        try:
            worker[0].step()
            if worker[0].newest is not None:
                worker[0].all_standings(worker[0].newest)
        except Killed:
            worker[0] = begun(world, store, deaths)
        else:
            return


def correct(corrections: Corrections, hour: int, store: Store) -> None:
    store.save(corrections.revised.get(hour, []))
    for each in corrections.at.get(hour, []):
        store.correct(each)


@pytest.mark.slow
@settings(max_examples=settings().max_examples // 2)
@given(st.integers(0, 10**6), st.integers(0, 10**6), st.booleans())
def test_whatever_is_corrected_it_is_as_if_it_had_been_so_from_the_start(seed: int, chance: int, dies: bool):
    deaths = random.Random(chance + 1) if dies else None
    check(seed, random.Random(chance), MemoryStore(), MemoryStore(), deaths)


@pytest.mark.parametrize("seed", range(4))
def test_so_it_is_in_a_file(seed: int, tmp_path: Path):
    with open_store(f"sqlite:///{tmp_path / 'game.db'}") as store:
        check(seed, random.Random(seed), MemoryStore(), store, random.Random(seed))
        assert (store.noted(CORRECTED) or {})["number"] == store.corrections()[-1][0]

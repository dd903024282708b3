"""Workers that are killed at random: at the end all is as if nobody had ever died.

By default few die. `CRUNCH_GAME_KILLS=100` kills a hundred over the whole real history, and thirty in live games.
"""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ticking
from flaky import prices

from crunch_game import MemoryStore, ReplayFeed, ScoreWorker, Status, Store, open_store
from crunch_game.datasets import daily_prices
from crunch_game.sync import run_game

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(1800)]

KILLS = int(os.environ.get("CRUNCH_GAME_KILLS", "5"))
LIVE_KILLS = max(3, KILLS * 3 // 10)
ROWS = 3_270 if KILLS >= 50 else 40 * KILLS
GAMES = Path(ticking.__file__).parent
DAILY = Path(__file__).parents[2] / "examples" / "daily_density"
PROGRAM = Path(sys.executable).parent / "crunch-game"
PATIENCE = 120.0
LIVE = """
import os
import ticking
game = ticking.game(ticking.endpoint(os.environ["PRICES"]))
"""


class Mortals:
    """A predict worker and a score worker, each started again when it was killed.

    Args:
        folder: Where they run, and leave what they say.
        predict: The arguments of `crunch-game predict`.
        score: Those of `crunch-game score`.
        environment: What they find there.
    """

    def __init__(self, folder: Path, predict: list[str], score: list[str], environment: dict[str, str]) -> None:
        self._folder = folder
        self._arguments = {"predict": predict, "score": score}
        self._environment = environment
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        for kind in self._arguments:
            self.begin(kind)

    def begin(self, kind: str) -> None:
        with (self._folder / f"{kind}.log").open("ab") as said:
            self.running[kind] = subprocess.Popen(
                [str(PROGRAM), kind, *self._arguments[kind], "--json"],
                cwd=self._folder,
                stdout=said,
                stderr=said,
                env=os.environ | self._environment,
            )

    def kill(self, kind: str) -> None:
        self.running[kind].kill()
        self.running[kind].wait()
        self.begin(kind)

    def end(self, kind: str) -> int:
        self.running[kind].send_signal(signal.SIGTERM)
        return self.running[kind].wait(PATIENCE)

    def said(self) -> str:
        return "\n".join((self._folder / f"{kind}.log").read_text()[-2_000:] for kind in self._arguments)


@contextmanager
def mortals(*given: Any) -> Iterator[Mortals]:
    workers = Mortals(*given)
    try:
        yield workers
    finally:
        for process in workers.running.values():
            process.kill()
            process.wait()


def wait_until(look: Callable[[], object], workers: Mortals) -> None:
    deadline = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < deadline, workers.said()
        time.sleep(0.01)


def played(store: Store) -> list[Any]:
    return [replace(each, elapsed=0.0, asked_at=None) for each in store.predictions()]


def boards(store: Store) -> Any:
    """The boards that are noted, without the state of models, which is not known when all is played."""
    return json.loads(json.dumps((store.noted("leaderboard") or {}).get("boards")))


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real prices as a file."""
    path = tmp_path_factory.mktemp("history") / "prices.csv"
    rows = [row for row, _ in zip(daily_prices(), range(ROWS), strict=False)]
    names = sorted({name for row in rows for name in row.data})
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["time", *names])
        lines.writerows([row.time.isoformat(), *(row.data.get(name, "") for name in names)] for row in rows)
    return path


@pytest.fixture(scope="module")
def undisturbed(history: Path) -> Store:
    sys.path.insert(0, str(DAILY))
    from daily_density.game import game

    store = MemoryStore()
    run_game(game, DAILY / "daily_density" / "models", feed=ReplayFeed(history), store=store, host="inline")
    return store


def test_a_history_whose_workers_are_killed_is_that_of_workers_who_live(
    url: str, history: Path, undisturbed: Store, tmp_path: Path
) -> None:
    chance = random.Random(KILLS)
    game, models = "daily_density.game:game", str(DAILY / "daily_density" / "models")
    predict = [game, "--models", models, "--store", url, "--replay", str(history)]
    place = {row.time: number for number, row in enumerate(undisturbed.rows(), 1)}
    with open_store(url) as store, mortals(tmp_path, predict, [game, "--store", url], {}) as workers:

        def progress() -> int:
            newest = store.last_row()
            return 0 if newest is None else place[newest.time]

        for _ in range(KILLS):
            target = progress() + chance.randint(1, max(2, 2 * (ROWS - 20) // KILLS - 2))
            wait_until(lambda: progress() >= min(target, ROWS - 1), workers)  # noqa: B023
            for kind in chance.choice([["predict"], ["score"], ["predict", "score"]]):
                workers.kill(kind)
        assert workers.running["predict"].wait(PATIENCE) == 0, workers.said()
        assert played(store) == played(undisturbed)
        wait_until(lambda: len(store.scores()) == len(undisturbed.scores()), workers)
        assert workers.end("score") == 0, workers.said()
        assert store.scores() == undisturbed.scores()
        assert list(store.rounds()) == list(undisturbed.rounds())
        assert boards(store) == boards(undisturbed)
    print(f"{KILLS} killed over {ROWS} rows: {len(played(undisturbed)):,} predictions are the same")


def test_a_live_game_whose_workers_are_killed_is_its_own_replay(url: str, tmp_path: Path) -> None:
    chance = random.Random(KILLS)
    (tmp_path / "live.py").write_text(LIVE)
    models = tmp_path / "models"
    models.mkdir()
    (models / "memory.py").write_text("from ticking import Memory\n\n\nclass Mine(Memory):\n    pass\n")
    predict = ["live.py", "--models", str(models), "--store", url]
    with prices(KILLS) as server, open_store(url) as store:
        environment = {"PRICES": server.url, "PYTHONPATH": str(GAMES)}
        with mortals(tmp_path, predict, ["live.py", "--store", url], environment) as workers:
            for _ in range(LIVE_KILLS):
                count = len(store.sessions())
                kinds = chance.choice([["predict"], ["score"], ["predict", "score"]])
                wait_until(lambda: store.sessions(), workers)
                time.sleep(chance.uniform(0.2, 2.0))
                for kind in kinds:
                    workers.kill(kind)
                if "predict" in kinds:
                    wait_until(lambda: len(store.sessions()) > count, workers)  # noqa: B023
            wait_until(lambda: len(store.scores()) > 4 * LIVE_KILLS, workers)
            assert workers.end("predict") == 0, workers.said()
            assert workers.end("score") == 0, workers.said()
        game = ticking.game(ReplayFeed(store))
        ScoreWorker(game, store).step()  # what was not scored yet
        assert {each.status for each in store.predictions()} == {Status.OK}, "no timeout, or the two may differ"
        again = MemoryStore()
        run_game(game, models, store=again, host="inline")
        assert played(again) == played(store)
        assert again.scores() == store.scores()
        assert list(again.rounds()) == list(store.rounds())
        print(
            f"{LIVE_KILLS} killed in {len(store.sessions())} sessions: {len(played(store)):,} predictions are the same"
        )

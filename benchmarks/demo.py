"""Ours: many models play the demo game over its real prices, and how much memory the whole tree takes at most.

The field is the demo's own five models, one of them faulty on purpose, copied until there are enough. The game keeps
its predictions in SQLite. Memory is read from another process, which takes no more than a twentieth of a core for it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.apart import ROOT, Broken
from benchmarks.meter import below, pss

__all__ = ["demo"]

GAME = ROOT / "examples" / "daily_density"
_PAUSE = 0.5
_SHARE = 20
"""The pause after a look, in times of the look: the kernel has to walk through every page of every process."""


def demo(models: int, rounds: int) -> dict[str, float]:
    """Play so many rounds (a tick and three predictions each) with so many models."""
    with TemporaryDirectory() as folder:
        fill(Path(folder, "models"), models)
        command = [sys.executable, "-m", "benchmarks.demo", folder, str(models), str(rounds)]
        peak, looked = 0.0, 0
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as game:
            while game.poll() is None:
                began = time.perf_counter()
                peak, looked = max(peak, pss([game.pid, *below(game.pid)])), looked + 1
                time.sleep(max(_PAUSE, _SHARE * (time.perf_counter() - began)))
            assert game.stdout is not None
            told = game.stdout.read()
    if game.returncode != 0:
        raise Broken(f"the demo game ended with {game.returncode}")
    return {**json.loads(told.splitlines()[-1]), "peak_mib": peak, "looked": looked}


def fill(folder: Path, models: int) -> None:
    """Copies of the demo's models."""
    folder.mkdir()
    sources = sorted((GAME / "daily_density" / "models").glob("[!_]*.py"))
    for index in range(models):
        source = sources[index % len(sources)]
        (folder / f"{source.stem}_{index}.py").write_bytes(source.read_bytes())


def _play(folder: str, models: int, rounds: int) -> dict[str, float]:
    sys.path.insert(0, str(GAME))
    from crunch_game import ReplayFeed, SQLStore, sync
    from crunch_game.datasets import daily_prices
    from crunch_game.outcomes import Status
    from daily_density.game import game

    began = time.perf_counter()
    with SQLStore(f"sqlite:///{folder}/game.db") as store:
        feed = ReplayFeed(daily_prices()[:rounds])
        played = sync.run_game(game, Path(folder, "models"), store=store, feed=feed)
        seconds = time.perf_counter() - began
        predictions = store.predictions()
    assert played.rounds == rounds * 3, played
    answered = sum(prediction.status is Status.OK for prediction in predictions)
    assert len(played.models) == models
    return {"game_s": seconds, "predictions": len(predictions), "answered": answered / len(predictions) * 100}


if __name__ == "__main__":
    print(json.dumps(_play(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))), flush=True)

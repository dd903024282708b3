"""Plays the submissions beside it as a game would: loaded, told and asked, ended and started afresh, asked again."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from crunch_game import InlineHost, ModelRunner, Outcome, Policy, ProcessHost
from crunch_game.events import ModelLoadFailed, ModelReady

MODELS = Path(__file__).parent / "models"
AGAIN = 10
"""Rounds after the restart."""
PATIENT = Policy(timeout=60.0, setup_timeout=300.0)
"""Budgets that say nothing: what is shown is whether a library works, on a busy machine too."""
HOSTS = {"inline": InlineHost, "sandbox": ProcessHost}


@dataclass
class Played:
    """What a submission answered, and the first thing that went wrong."""

    answers: list[dict[str, float]] = field(default_factory=list)
    fault: str | None = None


def names() -> list[str]:
    """Every submission, by its file's or folder's name."""
    return sorted(path.stem for path in MODELS.iterdir() if not path.name.startswith(("_", ".")))


def place_of(name: str, folder: Path) -> Path:
    """Where the submission is in a folder of submissions."""
    return folder / name if (folder / name).is_dir() else folder / f"{name}.py"


def laid_out(chosen: Iterable[str], folder: Path) -> list[Path]:
    """Copy submissions as their authors hand them in: `train.py` of a folder has written the weights beside it."""
    for name in chosen:
        source = place_of(name, MODELS)
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
        if (train := folder / name / "train.py").exists():
            subprocess.run([sys.executable, train], cwd=train.parent, check=True)
    return [place_of(name, folder) for name in chosen]


async def play(chosen: list[str], host: str, asks: int) -> dict[str, Played]:
    """Play the submissions together: so many rounds of a tick and a question, a restart, and `AGAIN` rounds more."""
    played = {name: Played() for name in chosen}
    with tempfile.TemporaryDirectory(prefix="crunch_game-") as folder:
        places = laid_out(chosen, Path(folder))
        starts = Starts()
        async with ModelRunner(
            "returns.Tracker", places, host=HOSTS[host](), policy=PATIENT, on_event=starts, ready_timeout=300.0
        ) as runner:
            await _rounds(runner, played, range(asks))
            for name in chosen:
                await runner.stop(name, "to see that it starts again")
            for name in chosen:
                await runner.readmit(name)
            await starts.settled(2 * len(chosen))
            await _rounds(runner, played, range(asks, asks + AGAIN))
    return played


class Starts:
    """Counts the models that have started, or could not."""

    def __init__(self) -> None:
        self._count = 0
        self._news = anyio.Event()

    def __call__(self, event: object) -> None:
        if isinstance(event, ModelReady | ModelLoadFailed):
            self._count += 1
            news, self._news = self._news, anyio.Event()
            news.set()

    async def settled(self, count: int) -> None:
        with anyio.fail_after(PATIENT.setup_timeout):
            while self._count < count:
                await self._news.wait()


async def _rounds(runner: ModelRunner, played: dict[str, Played], numbers: range) -> None:
    for number in numbers:
        price = 100.0 + 5 * math.sin(number / 3) + number % 7 / 10
        for outcome in (await runner.tick(price)).values():
            _note(outcome, played)
        for outcome in (await runner.predict("BTC")).values():
            _note(outcome, played)


def _note(outcome: Outcome, played: dict[str, Played]) -> None:
    mine = played[outcome.model_id]
    if outcome.error is not None:
        mine.fault = mine.fault or outcome.error.message
    elif outcome.method == "predict":
        mine.answers.append(outcome.value)

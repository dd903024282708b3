"""Games and submissions as files, commands in this process and in real ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

GAMES = Path(__file__).parents[1] / "games"
PROGRAM = Path(sys.executable).parent / "crunch-game"


@dataclass
class Ended:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout; it fails when there is anything else."""
        return json.loads(self.stdout)


@pytest.fixture(autouse=True)
def _tidy(monkeypatch, tmp_path):
    """Each test in a folder of its own; what a command imports is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def command():
    """Run a command in this process."""
    from crunch_game.cli._app import app

    def run(*arguments: Any) -> Ended:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ended(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def start():
    """Start the installed `crunch-game` as a process, in a session of its own, as a terminal does."""
    started = []

    def run(*arguments: Any) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [str(PROGRAM), *map(str, arguments)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
                env=os.environ | {"PYTHONPATH": str(GAMES), "COLUMNS": "120"},
            )
        )
        return started[-1]

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def installed(start):
    """Run the installed `crunch-game` to its end."""

    def run(*arguments: Any) -> Ended:
        process = start(*arguments)
        stdout, stderr = process.communicate(timeout=60)
        return Ended(process.returncode, stdout, stderr)

    return run


@pytest.fixture
def models(tmp_path) -> Path:
    """A folder of one honest model, and one that prints wherever it can."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "last.py").write_text("from walk import Last\n\n\nclass Mine(Last):\n    pass\n")
    (folder / "loud.py").write_text(
        "import sys\nfrom walk import Last\n\nprint('imported')\n\n\nclass Mine(Last):\n"
        "    def tick(self, prices):\n        super().tick(prices)\n        print('told', flush=True)\n"
        "        print('told', file=sys.stderr, flush=True)\n"
    )
    return folder


@pytest.fixture
def game(tmp_path):
    """Write a game file."""

    def write(text: str = "", options: str = "", name: str = "mygame.py") -> Path:
        path = tmp_path / name
        path.write_text(f"import walk\n{textwrap.dedent(text)}\ngame = walk.game({options})\n")
        return path

    return write


@pytest.fixture
def csv(tmp_path) -> Path:
    """Ten rows of history."""
    path = tmp_path / "history.csv"
    lines = [f"2024-02-01T{hour:02}:00:00Z,{100 + hour},{10 + hour}" for hour in range(10)]
    path.write_text("\n".join(["time,BTC,ETH", *lines]) + "\n")
    return path

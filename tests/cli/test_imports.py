"""Only what a command calls is imported: each is started with every heavy library at hand, and says what it took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import walk

from crunch_game.cli._app import COMMANDS, command_of

pytestmark = pytest.mark.processes

GAMES = Path(walk.__file__).parent
HEAVY = {
    "cryptography",
    "google",
    "grpc",
    "httpx",
    "llvmlite",
    "matplotlib",
    "numba",
    "numpy",
    "pandas",
    "plotly",
    "polars",
    "pyarrow",
    "pydantic",
    "pygments",
    "pytest",
    "scipy",
    "scoringrules",
    "sklearn",
    "sqlalchemy",
    "torch",
    "trio",
    "watchfiles",
    "websockets",
}
PROGRAM = """
import atexit, importlib.machinery, json, sys

class Asked:
    '''Notes what is asked for, so that it shows too where a library is not installed.'''

    names = set()

    def find_spec(self, name, *rest):
        self.names.add(name.partition(".")[0])

sys.meta_path.insert(0, Asked())
file, *sys.argv[1:] = sys.argv[1:]
atexit.register(lambda: open(file, "w").write(json.dumps(sorted(Asked.names))))
if sys.argv[1] == "-c":
    exec(sys.argv[2])
else:
    from crunch_game.cli import main
    main()
"""


@pytest.fixture
def taken(tmp_path):
    """Run a command, or Python's -c, to its end; the heavy libraries that it asked for."""

    def run(*arguments: object) -> set[str]:
        file = tmp_path / "asked.json"
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(file), *map(str, arguments)],
            env=os.environ | {"PYTHONPATH": str(GAMES)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return set(json.loads(file.read_text())) & HEAVY

    return run


@pytest.mark.parametrize(
    ("statement", "libraries"),
    [
        ("import crunch_game", set()),
        ("from crunch_game import Game, Predict, Policy, ReplayFeed, Board", set()),
        ("from crunch_game import Density, CRPS, Brier", set()),
        ("from crunch_game import ProcessHost, Sandbox, InlineHost", set()),
        ("from crunch_game import DirectoryRoster, StaticRoster", set()),
        ("from crunch_game import MemoryStore, open_store", set()),
        ("from crunch_game import ModelRunner, backtest, run_game", {"pydantic"}),
        ("from crunch_game import SQLStore", {"sqlalchemy"}),
    ],
)
def test_an_import_takes_no_more_than_it_needs(taken, statement, libraries):
    assert taken("-c", statement) <= libraries


@pytest.mark.parametrize(
    ("arguments", "libraries"),
    [
        (["--version"], set()),
        (["--help"], set()),
        (["run", "--help"], {"pydantic"}),
        (["score", "--help"], {"pydantic"}),
        (["node", "--help"], {"pydantic"}),
    ],
)
def test_a_question_takes_nothing_heavy(taken, arguments, libraries):
    assert taken(*arguments) <= libraries | {"pygments"}, "that is what rich writes help with"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says_of_itself(name):
    assert (command_of(name).help or "").startswith(COMMANDS[name][1])
    assert COMMANDS[name][1].endswith(".")


def test_each_command_takes_what_it_calls(taken, game, models, csv):
    """In one test, since each goes on from the one before it."""
    path, url = game(), "sqlite:///game.db"
    run = ["run", path, "--models", models, "--replay", csv, "--store"]
    table = {
        "check a submission": (["check", models / "last.py", "--game", path], set()),
        "check a folder": (["check", models, "--game", path], set()),
        "run without a database": ([*run, "memory:"], {"watchfiles"}),
        "run with a database": ([*run, url], {"watchfiles", "sqlalchemy"}),
        "predict": (
            ["predict", path, "--models", models, "--replay", csv, "--store", url],
            {"watchfiles", "sqlalchemy"},
        ),
        "score": (["score", path, "--once", "--store", url], {"sqlalchemy"}),
        "leaderboard": (["leaderboard", "--store", url], {"sqlalchemy"}),
        "copies": (["copies", "--store", url], {"sqlalchemy"}),
    }
    found = {name: taken(*arguments) - {"pydantic"} for name, (arguments, _) in table.items()}
    assert found == {name: libraries for name, (_, libraries) in table.items()}


def test_a_game_over_arrays_takes_numpy_and_scipy_and_nothing_that_compiles(taken, tmp_path):
    arguments = ["demo", "--max-ticks", 20, "--store", f"sqlite:///{tmp_path}/demo.db", "--json"]
    assert taken(*arguments) == {"pydantic", "watchfiles", "sqlalchemy", "numpy", "scipy"}


def test_a_backtest_takes_numpy_and_scipy_and_nothing_that_compiles(taken):
    demo = Path(__file__).parents[2] / "examples" / "daily_density"
    program = (
        f"import sys; sys.path.insert(0, {str(demo)!r})\n"
        "from crunch_game import backtest\n"
        "from daily_density.game import game\n"
        f"print(backtest(game, {str(demo / 'daily_density' / 'models')!r}, max_ticks=20))"
    )
    assert taken("-c", program) == {"pydantic", "watchfiles", "numpy", "scipy"}

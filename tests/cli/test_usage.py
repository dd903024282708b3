"""Wrong usage: one clear sentence, exit code 2, and nothing written."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from crunch_game import open_store

STORE = "sqlite:///new.db"


def wrong(ended, sentence: str) -> None:
    assert ended.code == 2
    if ended.stdout:
        assert ended.document == {"error": sentence}
        assert ended.stderr == ""
    else:
        assert ended.stderr == f"error: {sentence}\n"


@pytest.fixture(params=[(), ("--json",)], ids=["people", "json"])
def run(request, command, game, models, tmp_path):
    """`run`, with one part wrong; it must leave the folder as it found it."""
    right = game()

    def contents():
        return [path for path in sorted(tmp_path.rglob("*")) if "__pycache__" not in path.parts]

    def play(game=right, models=models, store=STORE, **options):
        before = contents()
        further = [part for name, value in options.items() for part in (f"--{name}", value)]
        ended = command("run", game, "--models", models, "--store", store, *further, *request.param)
        assert contents() == before
        return ended

    return play


def test_a_game_that_is_not_there(run):
    wrong(run(game="nope.py"), "there is no file 'nope.py'")
    wrong(run(game="nope:game"), "importing nope raised ModuleNotFoundError: No module named 'nope'")
    sentence = "'nope' is no game: write package.module:game, or the path of a file that has a `game`"
    wrong(run(game="nope"), sentence)


def test_a_file_without_a_game(run, tmp_path):
    for name, text, what in (("none.py", "", "has no"), ("other.py", "game = 5\n", "has no Game called")):
        (tmp_path / name).write_text(text)
        wrong(run(game=name), f"{name} {what} 'game'; a game is: game = crunch_game.Game(...)")


def test_a_game_without_predict(run, game):
    path = game("class Mute:\n    def tick(self, prices: dict[str, float]) -> None: ...\n", "tracker=Mute", "mute.py")
    wrong(run(game=path), "mute.Mute has no method 'predict'; it has tick")


def test_a_game_that_cannot_be_imported(run, tmp_path):
    for name, text, said in (
        ("odd.py", "1 / 0\n", "ZeroDivisionError: division by zero"),
        ("quits.py", "raise SystemExit(3)\n", "SystemExit: 3"),
    ):
        (tmp_path / name).write_text(text)
        wrong(run(game=name), f"importing {name.removesuffix('.py')} raised {said}")


def test_a_game_without_a_feed(run, game):
    path = game("", "feed=None", "unfed.py")
    wrong(run(game=path), "the game walk has no feed of its own; give history with --replay FILE")


def test_history_that_lacks_what_the_game_needs(run, game):
    path = game("", "tick=lambda row: (row.data['DOGE'],)", "needy.py")
    wrong(
        run(game=path),
        "the tick of the game walk raised KeyError: 'DOGE' for the row of 2024-01-01 01:00:00 UTC, which has BTC, ETH",
    )


def test_models_that_are_not_there(run):
    wrong(run(models="nope"), "there is no folder 'nope' to take models from")


def test_two_models_of_one_name(run, models):
    (models / "last").mkdir()
    (models / "last" / "main.py").write_text("")
    wrong(run(), f"{models}/last.py and {models}/last would both be the model 'last'; rename one")


STORES = 'write "sqlite:///game.db", "postgresql://user@host/database", or "memory:" to keep nothing'


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("pg://x", f"'pg://x' names no store; {STORES}"),
        ("game.db", f"'game.db' names no store; {STORES}"),
        ("sqlite:///no/such/x.db", "the folder no/such does not exist; create it, or choose another place for x.db"),
    ],
)
def test_a_store_that_is_none(run, command, url, sentence):
    wrong(run(store=url), sentence)
    wrong(command("demo", "--store", url), sentence)
    wrong(command("demo", "--store", url, "--json"), sentence)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "there is no such file; give the path of a .csv, .csv.gz or .parquet file"),
        ("", "the file is empty; its first line must name the columns"),
        ("day,BTC\n2024-01-01,1\n", "there is no time column; name it with time=..., the columns are: day, BTC"),
        (
            "time,BTC\n2024-01-02,1\n2024-01-01,2\n",
            "its time 2024-01-01 00:00:00+00:00 is not later than 2024-01-02 00:00:00+00:00 of line 2; "
            "sort by time and keep one row for each",
        ),
    ],
)
def test_history_that_cannot_be_read(run, command, models, tmp_path, text, sentence):
    path = tmp_path / "rows.csv"
    if text is not None:
        path.write_text(text)
    place = f"{path}, line 3" if text and "01-02" in text else str(path)
    wrong(run(replay=path), f"{place}: {sentence}")


@pytest.mark.parametrize("further", [(), ("--json",)], ids=["people", "json"])
def test_a_store_of_another_game(command, game, models, further):
    with open_store(STORE) as store:
        store.note("game", {"name": "run"})
    ended = command("run", game(), "--models", models, "--store", STORE, *further)
    assert bool(ended.stdout) == bool(further)  # no table is begun
    wrong(ended, "the store keeps the game 'run', not 'walk'; give each game a store of its own")


def test_a_leaderboard_of_nothing(command, tmp_path):
    for arguments in ([], ["--json"]):
        ended = command("leaderboard", "--store", STORE, *arguments)
        wrong(ended, "there is no store at new.db; the game that writes it must be started first")
        assert list(tmp_path.iterdir()) == []


def test_a_leaderboard_before_the_first_row(command, game, models):
    assert command("run", game(), "--models", models, "--store", STORE, "--max-ticks", 0, "--json").code == 0
    ended = command("leaderboard", "--store", STORE)
    wrong(ended, "the store has no leaderboard yet; one comes with the first score")


def test_a_submission_that_is_not_there(command, game):
    for arguments in ([], ["--json"]):
        wrong(command("check", "nope.py", "--game", game(), *arguments), "there is no submission at 'nope.py'")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["demo", "--max-ticks", "x"], "Invalid value for '--max-ticks'"),
        (["demo", "--max-ticks", "-1"], "Invalid value for '--max-ticks'"),
        (["run", "x.py"], "Missing option '--models'"),
        (["play"], "No such command 'play'"),
        (["demo", "--what"], "No such option"),
        (["check", "x.py"], "Missing option '--game'"),
    ],
)
def test_arguments_that_are_wrong(command, arguments, sentence, tmp_path):
    plain = command(*arguments)
    assert (plain.code, plain.stdout) == (2, "")
    assert sentence in " ".join(plain.stderr.split())
    ended = command(*arguments, "--json")
    assert (ended.code, list(ended.document), ended.stderr) == (2, ["error"], "")
    assert ended.document["error"].startswith(sentence)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.processes
def test_the_installed_program_ends_the_same_way(installed, game, models, csv):
    ended = installed("run", game(), "--models", models, "--store", "pg://x", "--json")
    assert (ended.code, list(ended.document), ended.stderr) == (2, ["error"], "")
    ended = installed("run", game(), "--models", models, "--store", "pg://x")
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: 'pg://x' names no store")
    assert installed("leaderboard", "--help").code == 0


@pytest.mark.processes
def test_the_program_is_light_until_it_is_used():
    program = "import sys, crunch_game.cli; print([m for m in ('typer', 'rich', 'pydantic') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout.replace("'", '"')) == []


@pytest.mark.processes
def test_ctrl_c_while_it_starts_is_quiet():
    program = """
import os, signal, sys
class Slow:
    def find_spec(self, name, *rest):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Slow())
from crunch_game.cli import main
main()
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "")


@pytest.mark.processes
@pytest.mark.parametrize("further", [(), ("--json",)], ids=["people", "json"])
def test_ctrl_c_while_the_game_is_imported_is_quiet(installed, game, models, further):
    path = game("import os, signal\nos.kill(os.getpid(), signal.SIGINT)")
    ended = installed("run", path, "--models", models, "--store", "memory:", *further)
    assert (ended.code, ended.stdout, ended.stderr) == (130, "", "")


def test_it_tells_its_version(command):
    ended = command("--version")
    assert (ended.code, ended.stdout) == (0, f"crunch-game {version('crunch-game')}\n")


def test_help_names_every_command(command):
    shown = command("--help").stdout
    assert all(name in shown for name in ("demo", "run", "leaderboard", "check", "replay", "doctor"))
    assert Path.cwd().exists()

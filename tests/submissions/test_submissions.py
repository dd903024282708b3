"""Submissions laid out as people lay them out: each plays, or is told what to change. All are in one game."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
import walk

from crunch_game import ModelRunner, Policy, events

HERE = Path(__file__).parent
PRICE = 100.0

PLAYS = {
    "one_file": 1,
    "plain_folder": 2,
    "with_utils": 3,
    "other_utils": 4,
    "relative_imports": 0.0625,
    "package": 6,
    "is_a_package": 7,
    "main_in_package": 8,
    "folder with spaces": 9,
    "with-dashes-2": 10,
    "größe": 11,
    "1st": 12,
    "import": 13,
    "queue": 14,
    "weights_json": 15,
    "weights_npz": 16,
    "weights_pickle": 17,
    "weights_sqlite": 18,
    "writes_a_cache": 19,
    "writes_a_log": 20,
    "code_in_src": 21,
    "as_a_script": 22,
    "notebook_export": 23,
    "factory": 24,
}
"""By how much each multiplies the price."""

IS_TOLD = {
    "model_in_src": "the folder model_in_src has no main.py; move what is in model_in_src/src up into model_in_src",
    "with_setup": "the folder with_setup has no main.py; rename model.py to main.py",
    "nested": "the folder nested has no main.py; move what is in nested/submission up into nested",
    "copies_the_game": "copies_the_game has no model: Model extends another Walk than the game's, since "
    "copies_the_game/walk.py hides the game's module of that name; delete copies_the_game/walk.py",
    "wants_its_neighbour": "wants_its_neighbour.py: importing it raised ModuleNotFoundError: No module named "
    "'_scaling'; of a single file nothing that lies beside it is submitted: make a folder, and put into it "
    "wants_its_neighbour.py, renamed to main.py, and _scaling.py",
    "wants_a_folder": "wants_a_folder.py: importing it raised ModuleNotFoundError: No module named '_tools'; of a "
    "single file nothing that lies beside it is submitted: make a folder, and put into it wants_a_folder.py, renamed "
    "to main.py, and _tools",
    "script_in_src": "script_in_src: importing it raised ModuleNotFoundError: No module named 'scaling'; it lies in "
    "script_in_src/src: move script_in_src/src/scaling.py up into script_in_src",
    "notebook_with_magic": "notebook_with_magic.py: importing it raised NameError: name 'get_ipython' is not defined; "
    "only a notebook has get_ipython: delete the lines with it",
}


class Played:
    """What came of a game of all submissions: answers and errors by model."""

    def __init__(self, models: Path, host: str) -> None:
        self.models, self.host = models, host
        self.before = contents(models)
        self.answers: dict[str, object] = {}
        self.errors: dict[str, str] = {}
        anyio.run(self._play)

    async def _play(self) -> None:
        policy = Policy(timeout=10, max_consecutive_failures=0)
        async with ModelRunner(walk.Walk, self.models, host=self.host, policy=policy, on_event=self._hear) as runner:
            await runner.tick({"BTC": PRICE})
            for model_id, outcome in (await runner.predict("BTC", 3600.0)).items():
                self.answers[model_id] = outcome.value
                if outcome.error is not None:
                    self.errors.setdefault(model_id, outcome.error.message)

    def _hear(self, event: object) -> None:
        if isinstance(event, events.ModelLoadFailed):
            self.errors[event.model_id] = event.fault.message


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module", params=["inline", "process"])
def played(request, tmp_path_factory) -> Played:
    """All of them in one game, after their weights were made as their authors make them."""
    models = tmp_path_factory.mktemp("submitted") / "models"
    shutil.copytree(HERE / "models", models, ignore=shutil.ignore_patterns("__pycache__"))
    env = os.environ | {"PYTHONPATH": str(Path(walk.__file__).parent), "PYTHONDONTWRITEBYTECODE": "1"}
    for script in [*models.glob("*/train.py"), models / "weights_pickle" / "main.py"]:
        subprocess.run([sys.executable, script.name], cwd=script.parent, env=env, check=True)
    elsewhere, before = tmp_path_factory.mktemp("elsewhere"), Path.cwd()
    os.chdir(elsewhere)  # where relative paths of models must not lead to
    try:
        return Played(models, request.param)
    finally:
        os.chdir(before)


@pytest.mark.processes
@pytest.mark.parametrize("model_id", PLAYS)
def test_it_plays(played, model_id):
    assert played.errors.get(model_id) is None
    assert played.answers[model_id] == PRICE * PLAYS[model_id]


@pytest.mark.processes
@pytest.mark.parametrize("model_id", IS_TOLD)
def test_it_is_told_what_to_change(played, model_id):
    assert played.errors[model_id] == IS_TOLD[model_id]


@pytest.mark.processes
def test_no_submission_is_changed_by_playing(played):
    assert contents(played.models) == played.before


def test_every_submission_is_expected_to_play_or_to_be_told():
    here = {path.stem if path.suffix == ".py" else path.name for path in (HERE / "models").glob("[!_.]*")}

    assert here == PLAYS.keys() | IS_TOLD.keys()

"""What submissions import is read from their source; their code is never run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from crunch_game.hosts.preload import libraries_of
from crunch_game.models import Submission


def submission(path: Path, text: str = "", **modules: str) -> Submission:
    if path.suffix == ".py":
        path.write_text(text)
    else:
        path.mkdir()
        for name, body in {"main": text, **modules}.items():
            (path / f"{name}.py").write_text(body)
    return Submission.of(path)


def test_installed_libraries_are_found_wherever_they_are_imported(tmp_path):
    alice = submission(
        tmp_path / "alice.py",
        "import numpy as np, pandas.core\nfrom scipy import stats\n"
        "def predict():\n    import hypothesis.strategies\n"
        "try:\n    from pydantic.fields import Field\nexcept ImportError:\n    pass\n",
    )

    assert libraries_of([alice]) == ["hypothesis.strategies", "numpy", "pandas.core", "pydantic.fields", "scipy"]


def test_all_modules_of_a_folder_are_read_and_each_library_is_told_once(tmp_path):
    alice = submission(tmp_path / "alice", "import helper, numpy\n", helper="import pandas\nimport numpy\n")
    bob = submission(tmp_path / "bob.py", "import pandas\n")

    assert libraries_of([alice, bob]) == ["numpy", "pandas"]


def test_of_a_single_file_the_neighbours_are_not_read(tmp_path):
    submission(tmp_path / "bob.py", "import pandas\n")

    assert libraries_of([submission(tmp_path / "alice.py", "import numpy\n")]) == ["numpy"]


def test_a_package_is_read_where_its_init_stands(tmp_path):
    package = tmp_path / "alice" / "tracker"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from .model import Tracker\n")
    (package / "model.py").write_text("import numpy\n")

    assert libraries_of([Submission.of(tmp_path / "alice")]) == ["numpy"]


@pytest.mark.parametrize(
    "line",
    [
        "import json, os.path, __future__",
        "import grpc",
        "from grpc.aio import insecure_channel",
        "import crunch_game",
        "import __main__",
        "from . import helper",
        "from .numpy import ones",
        "import a_library_that_is_not_installed.here",
        "importlib.import_module('numpy')",
        "# import numpy",
        "'''import numpy'''",
    ],
)
def test_what_is_no_installed_library_is_left_out(tmp_path, monkeypatch, line):
    (tmp_path / "grpc").mkdir()
    (tmp_path / "grpc" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)  # grpc is installed, but must not be imported before a fork

    assert libraries_of([submission(tmp_path / "alice.py", line)]) == []


@pytest.mark.parametrize("body", [b"import numpy\ndef (:", b"import numpy\n\x00", b"\xff\xfe", b"(" * 10_000])
def test_source_that_cannot_be_read_imports_nothing(tmp_path, body):
    (tmp_path / "alice.py").write_bytes(body)

    assert libraries_of([Submission.of(tmp_path / "alice.py")]) == []


def test_submissions_without_files_import_nothing(tmp_path):
    (tmp_path / "empty").mkdir()

    assert libraries_of([Submission.of(Path), Submission.of("a.module:attr"), Submission.of(tmp_path / "empty")]) == []
    assert libraries_of([Submission("gone", tmp_path / "gone.py")]) == []
    assert libraries_of([]) == []


def test_neither_the_code_nor_the_libraries_are_run(tmp_path):
    file = tmp_path / "alice.py"
    file.write_text("import pandas\nraise SystemExit\n")
    program = (
        "import sys; from crunch_game.hosts.preload import libraries_of; from crunch_game.models import Submission;"
        f"print(libraries_of([Submission.of({str(file)!r})]), 'pandas' in sys.modules)"
    )

    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert printed == "['pandas'] False\n"

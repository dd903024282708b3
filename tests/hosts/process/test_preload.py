"""What submissions import is read from their text: their code is never run, and of them nothing is imported."""

from __future__ import annotations

import ast
import importlib.util
import os
import resource
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crunch_game import ModelRunner, Policy, ProcessHost
from crunch_game.hosts.process import _preload as preload
from crunch_game.hosts.process._installed import only_installed, places_of
from crunch_game.hosts.process._preload import libraries_of, with_lazy_imports
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


@pytest.mark.parametrize(
    "body", [b"import numpy\ndef (:", b"import numpy\n\0", b"import numpy\n\xff\xfe", b"import numpy\n" + b"(" * 10_000]
)
def test_source_that_python_cannot_read_is_no_trouble(tmp_path, body):
    (tmp_path / "alice.py").write_bytes(body)

    assert libraries_of([Submission.of(tmp_path / "alice.py")]) == ["numpy"]


LIBRARY = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))


@pytest.mark.parametrize("file", LIBRARY[:: max(1, len(LIBRARY) // 40)], ids=lambda file: file.stem)
def test_what_is_found_by_its_looks_is_what_python_finds(file):
    found = set()
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module)

    public = {name for name in found if not any(part.startswith("_") for part in name.split("."))}
    assert set(preload._imports(file.read_text(encoding="utf-8"))) == public


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("x = 1; import numpy", ["numpy"]),
        ("try: import numpy\nexcept ImportError: from pandas import *", ["numpy", "pandas"]),
        ("from scipy.stats import (\n    norm,\n)", ["scipy.stats"]),
        ("'''\nimport numpy\n'''", []),
        ('"""\nimport numpy\n\\"""\nimport pandas\n"""; import scipy', ["scipy"]),
        ("\"it's\"\nimport numpy\n'\"'\nimport scipy", ["numpy", "scipy"]),
        ("importer = 1\nfrom_here = 2\nimport_it()", []),
        ("from .numpy import ones\nfrom . import pandas", []),
        ("import numpy.f2py.__main__, pandas._libs, numpy", ["numpy"]),
    ],
)
def test_statements_are_told_from_what_looks_like_them(text, names):
    assert sorted(preload._imports(text)) == names


# Strangers' text must cost the coordinator next to nothing.

LONG = 1 << 18


@pytest.mark.processes
@pytest.mark.parametrize(
    "text",
    [
        "import a" + ".a" * LONG,
        "import a," * LONG,
        "import " * LONG,
        "from " * LONG,
        ";from a.b   " * LONG,
        ": " * LONG,
        "\n " * LONG,
        "'" * LONG,
        '"""' * LONG,
        '\'"""' * LONG,
        "'" + "\\'" * LONG,
        "\\'" * LONG,
        "\\'''\n" * (LONG // 5 - 1) + "\\",
        '\\"""\n' * (LONG // 5 - 1) + "\\",
        "-" * LONG + "1",
        "f(a=" * LONG,
    ],
    ids=lambda text: text[:8],
)
def test_no_text_takes_the_coordinators_time_or_memory(tmp_path, text):
    """Python's parser takes 40 GB for the first. What takes the square of its length does not end within the test."""
    (tmp_path / "alice.py").write_text(text)
    program = (
        "from crunch_game.hosts.process._preload import libraries_of; from crunch_game.models import Submission;"
        f"print(libraries_of([Submission.of({str(tmp_path / 'alice.py')!r})]))"
    )

    def little_memory():
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, preexec_fn=little_memory
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


@given(st.sampled_from(["'''", '"""']), st.text("\\'\"\n#a"))
def test_a_long_string_that_is_begun_is_taken_to_its_end(quotes, text):
    """Who gives up at the end of the text, and begins again one character on, takes the square of its length."""
    taken = preload._STATEMENTS.match(quotes + text)[0]

    assert taken == quotes + text or (taken.endswith(quotes) and len(taken) >= 6)


def test_a_pipe_for_a_module_is_not_waited_for(tmp_path):
    alice = submission(tmp_path / "alice", "import numpy")
    os.mkfifo(tmp_path / "alice" / "helper.py")

    assert libraries_of([alice]) == ["numpy"]


# Only what is installed may be imported where no sandbox holds: never what lies in or beside submissions.


@pytest.fixture
def models(tmp_path, monkeypatch) -> Path:
    """A folder of submissions beneath an entry of sys.path: that from which the author started the game."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def site(tmp_path, monkeypatch) -> Iterator[Path]:
    """A folder of installed libraries."""
    folder = tmp_path / "lib" / "site-packages"
    folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(folder)
    return folder


def test_a_word_of_a_submission_does_not_lead_to_a_rivals(models):
    submission(models / "mallory.py", "")
    submission(models.parent / "beside.py", "")
    alice = submission(
        models / "alice.py", "import models.mallory, models, beside, mallory\nfrom models import mallory\n"
    )

    assert None not in map(importlib.util.find_spec, ("models", "beside")), "the control: Python finds them"
    assert libraries_of([alice]) == []


def test_nothing_is_imported_to_find_out(site, tmp_path):
    (site / "parent").mkdir()
    (site / "parent" / "__init__.py").write_text("raise SystemExit('imported')")
    (site / "parent" / "child.py").touch()

    assert libraries_of([submission(tmp_path / "alice.py", "import parent.child")]) == ["parent.child"]
    assert "parent" not in sys.modules


def test_a_library_may_be_a_module_a_package_and_one_of_many_in_a_shared_folder(site, tmp_path):
    (site / "module.py").touch()
    (site / "shared" / "part").mkdir(parents=True)
    (tmp_path / "shared" / "other").mkdir(parents=True)
    sys.path.insert(0, str(tmp_path))
    try:
        alice = submission(tmp_path / "alice.py", "import module, shared.part, shared.other")
        assert libraries_of([alice]) == ["module", "shared.other", "shared.part"]
        assert places_of("shared") == [str(site / "shared")], "and not the folder that has only its name"
        with only_installed():
            assert importlib.util.find_spec("shared.part") is not None
            assert importlib.util.find_spec("shared.other") is None
            sys.path.append("/added/by/a/library")
        assert sys.path.pop() == "/added/by/a/library"
        assert importlib.util.find_spec("shared.other") is not None
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("shared", None)


def test_nor_where_a_package_has_let_others_into_its_path(site, models):
    (site / "legacy").mkdir()
    (site / "legacy" / "__init__.py").write_text("__path__ = __import__('pkgutil').extend_path(__path__, __name__)")
    (site / "legacy" / "part.py").touch()
    (models.parent / "legacy").mkdir()
    (models.parent / "legacy" / "mallory.py").touch()
    importlib.import_module("legacy")  # by the base class, as ever
    try:
        assert importlib.util.find_spec("legacy.mallory") is not None
        with only_installed():
            assert importlib.util.find_spec("legacy.mallory") is None
            assert importlib.util.find_spec("legacy.part") is not None
    finally:
        sys.modules.pop("legacy")


def test_what_is_installed_and_is_a_submission_or_holds_some_is_none(site):
    (site / "rival.py").touch()
    (site / "game" / "models").mkdir(parents=True)
    (site / "game" / "__init__.py").touch()
    alice = submission(site / "game" / "models" / "alice.py", "import rival, game, game.models.mallory, numpy")

    assert libraries_of([alice]) == ["numpy", "rival"]
    assert libraries_of([alice, Submission.of("rival:Model")]) == ["numpy"]


GAME = """
import os
from crunch_game import TrackerBase


class Base(TrackerBase):
    pass
"""

# It tells by whom it was imported: a model's process has its channel at 256.
TELLS = """
import os
with open({file!r}, "a") as file:
    file.write("model " if os.path.exists("/proc/self/fd/256") else "server ")
"""


@pytest.mark.processes
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("word", "by"), [("models.mallory", ["model"]), ("mallory", ["model"]), ("curious", [])], ids=lambda each: str(each)
)
async def test_the_fork_server_runs_no_rivals_code(models, site, tmp_path, monkeypatch, word, by):
    """Neither when a submission says its name, nor when a library looks for one that is not installed."""
    monkeypatch.syspath_prepend(models)
    told = tmp_path / "told"
    (tmp_path / "ourgame.py").write_text(GAME)
    (site / "curious.py").write_text("try:\n    import mallory\nexcept ImportError:\n    pass\n")
    submission(models / "mallory.py", TELLS.format(file=str(told)))
    submission(
        models / "alice.py",
        f"import {word}\nfrom ourgame import Base\nclass M(Base):\n    def predict(self):\n        return 1\n",
    )
    for preloaded, expected in (("auto", by), (["models.mallory"], ["server"])):
        host = ProcessHost(preload=preloaded, sandbox=None)
        told.write_text("")
        async with ModelRunner("ourgame.Base", [models / "alice.py"], host=host, policy=Policy(timeout=30)) as runner:
            assert (await runner.predict())["alice"].value == 1
        assert told.read_text().split()[:1] == expected, "the control: the author's own word counts"


def test_submissions_without_files_import_nothing(tmp_path):
    (tmp_path / "empty").mkdir()

    assert libraries_of([Submission.of(Path), Submission.of("a.module:attr"), Submission.of(tmp_path / "empty")]) == []
    assert libraries_of([Submission("gone", tmp_path / "gone.py")]) == []
    assert libraries_of([]) == []


@pytest.mark.processes
def test_neither_the_code_nor_the_libraries_are_run(tmp_path):
    file = tmp_path / "alice.py"
    file.write_text("import pandas\nraise SystemExit\n")
    program = (
        "import sys; from crunch_game.hosts.process._preload import libraries_of; "
        "from crunch_game.models import Submission;"
        f"print(libraries_of([Submission.of({str(file)!r})]), 'pandas' in sys.modules)"
    )

    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert printed == "['pandas'] False\n"


def test_what_a_library_imports_late_comes_with_it():
    assert with_lazy_imports(["numpy.linalg", "scipy"]) == ["numpy.linalg", "scipy", "numpy.ma"]
    assert with_lazy_imports(["numpy", "numpy.ma"]) == ["numpy", "numpy.ma"]
    assert with_lazy_imports(["scipy"]) == ["scipy"]


@pytest.mark.processes
@pytest.mark.anyio
async def test_no_call_pays_for_what_a_library_imports_late(tmp_path):
    """All of a field would pay in the same call: a thousand models were late three times in a row."""
    (tmp_path / "alice.py").write_text(
        "import sys\nimport numpy\nfrom arena import Base\n\n\nclass Alice(Base):\n"
        "    def predict(self, number):\n        before = set(sys.modules)\n"
        "        numpy.quantile([1.0, 2.0], 0.5)\n        return sorted(set(sys.modules) - before)\n"
    )
    async with ModelRunner("arena.Base", [tmp_path / "alice.py"], policy=Policy(timeout=30)) as runner:
        assert (await runner.predict(1))["alice"].value == []

"""A model in the process host's sandbox: it computes, and hits a barrier that has a name at whatever else it tries."""

from __future__ import annotations

import importlib
import os
import re
import sys
import textwrap

import pytest

from crunch_game import ModelRunner, Policy, ProcessHost, Sandbox, Status, TrackerBase

pytestmark = [pytest.mark.anyio, pytest.mark.processes]

MODEL = """
import os, socket, subprocess, tempfile
from pathlib import Path
import numpy
from crunch_game import TrackerBase


class Model(TrackerBase):
    def predict(self, what, *arguments):
        return getattr(self, what)(*arguments)

    def compute(self):
        return float(numpy.linalg.norm(numpy.ones(4)))

    def read(self, path):
        return Path(path).read_bytes().decode(errors="replace")

    def scribble(self):
        with tempfile.NamedTemporaryFile("w+") as file:
            file.write("mine")
            file.seek(0)
            return file.read()

    def touch(self):
        file = Path(tempfile.gettempdir(), "mark")
        for _ in range(2):
            file.touch()
        return file.exists()

    def write(self, path):
        Path(path).write_text("here I was")

    def connect(self):
        socket.create_connection(("127.0.0.1", 9), timeout=1)

    def run(self):
        return subprocess.run(["true"]).returncode
"""


@pytest.fixture
def anyio_backend() -> str:
    """One is enough here: what a model may do is the same whatever loop asks it; the runner's tests play on both."""
    return "asyncio"


@pytest.fixture
def submissions(tmp_path):
    (tmp_path / "rival").mkdir()
    (tmp_path / "rival" / "main.py").write_text("the secret of my success")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "main.py").write_text(textwrap.dedent(MODEL))
    (tmp_path / "model" / "weights.txt").write_text("0.5")
    return tmp_path


async def answers(submissions, sandbox, *questions):
    """One model, asked one after another."""
    host = ProcessHost(sandbox=sandbox)
    policy = Policy(timeout=20, max_consecutive_failures=0)
    async with ModelRunner(TrackerBase, [submissions / "model"], host=host, policy=policy) as runner:
        return [(await runner.predict(*question))["model"] for question in questions]


async def test_a_model_computes_reads_its_own_files_and_writes_its_own_folder(submissions):
    told = await answers(submissions, Sandbox(), ["compute"], ["read", "weights.txt"], ["scribble"], ["touch"])
    assert [outcome.value for outcome in told] == [2.0, "0.5", "mine", True]


async def test_whatever_else_it_tries_hits_a_barrier_that_the_fault_names(submissions):
    rival, loot = submissions / "rival" / "main.py", submissions / "loot.txt"
    environment = f"/proc/{os.getpid()}/environ"  # the coordinator's
    attempts = [
        ["read", "/etc/passwd"],
        ["read", str(rival)],
        ["read", environment],
        ["write", str(loot)],
        ["connect"],
        ["run"],
    ]
    for refused in await answers(submissions, Sandbox(), *attempts):
        assert refused.status is Status.RAISED
        assert refused.error.kind == "PermissionError"
        assert "(the sandbox " in refused.error.message, refused.error.message
    assert not loot.exists()
    for free in await answers(submissions, None, *attempts):
        assert free.status is Status.OK or free.error.kind == "ConnectionRefusedError", (
            "the control: nothing else refuses it"
        )


async def test_a_model_is_in_the_sandbox_unless_its_author_says_otherwise(submissions):
    async with ModelRunner(TrackerBase, [submissions / "model"], policy=Policy(timeout=20)) as runner:
        refused = (await runner.predict("read", "/etc/passwd"))["model"]
    assert re.search(
        r"\(the sandbox lets a model read only its submission, and write only in /\S+, where relative paths lead; "
        r"this is /etc/passwd\)$",
        refused.error.message,
    )


async def test_a_library_that_has_used_the_temporary_folder_before_the_fork_leaves_a_model_its_own(submissions):
    (submissions / "hasty.py").write_text("import tempfile\ntempfile.gettempdir()\n")
    sys.path.insert(0, str(submissions))
    try:
        host = ProcessHost(preload=["hasty"])
        async with ModelRunner(TrackerBase, [submissions / "model"], host=host, policy=Policy(timeout=20)) as runner:
            assert (await runner.predict("scribble"))["model"].value == "mine"
    finally:
        sys.path.remove(str(submissions))


async def test_an_author_may_open_a_path_and_the_network(submissions):
    shared = submissions / "rival"
    sandbox = Sandbox(read=[shared], network=True)
    opened, connected = await answers(submissions, sandbox, ["read", str(shared / "main.py")], ["connect"])
    assert opened.value == "the secret of my success"
    assert connected.error.kind == "ConnectionRefusedError"


PLAYER = """
import importlib
from pathlib import Path
from sharing import Tracker


class Model(Tracker):
    def predict(self, what, *arguments):
        return getattr(self, what)(*arguments)

    def reads(self, path):
        return Path(path).read_bytes().decode(errors="replace")

    def imports(self, name):
        return importlib.import_module(name).SAID
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An author's package that has its submissions inside, in files and in folders."""
    folder = tmp_path / "sharing"
    for path, text in {
        "__init__.py": "from crunch_game import TrackerBase\n\nclass Tracker(TrackerBase):\n    pass",
        "tools.py": "SAID = 'for all'",
        "models/alice.py": PLAYER,
        "models/bob.py": PLAYER,
        "models/team/main.py": PLAYER,
        "models/team/notes.py": "",
        "models/_common.py": "SAID = 'in common'",
        "models/__pycache__/bob.pyc": "",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    monkeypatch.syspath_prepend(folder.parent)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "sharing"]:
        del sys.modules[name]


@pytest.mark.parametrize(("model", "other"), [("alice", "team/notes.py"), ("team", "alice.py")])
async def test_submissions_inside_the_games_package_are_kept_from_each_other(package, model, other, seen):
    models = package / "models"
    policy = Policy(timeout=20, max_consecutive_failures=0)
    async with ModelRunner("sharing:Tracker", models, policy=policy, ready_timeout=20) as runner:

        async def asked(*what):
            return (await runner.predict(*what, models=[model]))[model]

        (models / "late.py").write_text(PLAYER)
        await seen(lambda: runner.models.get("late") and runner.models["late"].state == "ready")
        for rival in ("bob.py", "late.py", other, "__pycache__/bob.pyc"):
            refused = await asked("reads", str(models / rival))
            assert "(the sandbox lets a model read only its submission, and write" in refused.error.message, refused
            assert refused.error.message.endswith(f"; this is {models / rival})"), refused
        assert (await asked("imports", "sharing.tools")).value == "for all"
        assert (await asked("imports", "sharing.models._common")).value == "in common"


async def test_a_class_from_the_games_package_plays_beside_submissions_that_lie_there(package):
    alice = importlib.import_module("sharing.models.alice")
    bob = package / "models" / "bob.py"
    async with ModelRunner("sharing:Tracker", [alice.Model, bob], policy=Policy(timeout=20)) as runner:
        own = await runner.predict("reads", alice.__file__)
        assert own["Model"].value == PLAYER
        assert own["bob"].error.kind == "PermissionError"

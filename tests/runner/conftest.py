"""Submissions as real files, models in real processes, and nothing awaited by the clock that can be awaited itself."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from crunch_game import ModelRunner, Policy, ProcessHost, Sandbox

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of this folder start processes, unless they are told to play inline."""
    for item in items:
        inline = hasattr(item, "callspec") and item.callspec.params.get("host") == "inline"
        if HERE in item.path.parents and not inline:
            item.add_marker(pytest.mark.processes)


@pytest.fixture
def files(tmp_path):
    """A folder for what models tell the test behind the game's back."""
    folder = tmp_path / "_told"  # no submission, where they lie beside it
    folder.mkdir()
    return folder


@pytest.fixture
def submit(tmp_path) -> Callable[..., Path]:
    """Write a submission: a class with these methods, in a file of that name, after these lines."""

    def write(name: str, methods: str = "", above: str = "", base: str = "arena.Base") -> Path:
        module, _, cls = base.rpartition(".")
        body = textwrap.dedent(methods) or "def predict(self, number):\n    return number\n"
        path = tmp_path / f"{name}.py"
        path.write_text(
            f"import os, signal, sys, time\n{textwrap.dedent(above)}\nfrom {module} import {cls}\n\n\n"
            f"class Tracker({cls}):\n{textwrap.indent(body, '    ')}"
        )
        return path

    return write


@pytest.fixture
def field(submit) -> Callable[..., list[Path]]:
    """Submissions by name and methods, in one go."""

    def write(**methods: str) -> list[Path]:
        return [submit(name, text) for name, text in methods.items()]

    return write


@pytest.fixture
def running(log, files, patience):
    """A runner of `arena.Base`, in processes that may write what they tell the test, with generous budgets."""

    def make(models, base="arena.Base", host="process", **options) -> ModelRunner:
        if host == "process":
            host = ProcessHost(sandbox=Sandbox(write=[files]))
        options["host"] = host
        options.setdefault("policy", Policy(timeout=10))
        options.setdefault("ready_timeout", patience)
        options.setdefault("on_event", log)
        return ModelRunner(base, models, **options)

    return make


@pytest.fixture
def gone(seen):
    """Wait until none of the processes exists any more."""

    async def wait(*pids: int) -> None:
        await seen(lambda: not any(map(alive, pids)))

    return wait


def alive(pid: int) -> bool:
    """Whether the process exists, and is more than an entry that nobody has reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid: int) -> set[int]:
    """All processes below this one."""
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            below.setdefault(parent, []).append(int(entry.name))
    found, ahead = set(), [pid]
    while ahead:
        more = below.get(ahead.pop(), [])
        found.update(more)
        ahead.extend(more)
    return found


@pytest.fixture
def processes():
    """The processes that this one has started."""
    before = children(os.getpid())
    return lambda: children(os.getpid()) - before


@pytest.fixture(name="alive")
def _alive():
    return alive

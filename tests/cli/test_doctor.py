"""doctor: what it says of this machine is what this machine has, and its exit code is whether models can be run."""

from __future__ import annotations

import json
import os
import platform
import re
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import crunch_game
from crunch_game import Sandbox
from crunch_game.cli import _machine as machine
from crunch_game.sandbox import Barrier

pytestmark = pytest.mark.processes

PROGRAM = Path(sys.executable).parent / "crunch-game"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: models' processes do")


@pytest.fixture(scope="module")
def document(request):
    """What it says of this machine, and its exit code."""
    done = subprocess.run([PROGRAM, "doctor", "--json"], capture_output=True, text=True, check=False)
    return json.loads(done.stdout), done.returncode


def test_the_machine_is_this_one(document):
    told = document[0]["machine"]
    assert told["python"] == f"{platform.python_implementation()} {platform.python_version()}"
    assert Path(told["executable"]).samefile(sys.executable)
    assert told["platform"] == f"{platform.system()} {platform.release()}, {platform.machine()}"
    assert 0 < told["cores"] <= (os.cpu_count() or 1)


@LINUX
def test_memory_and_descriptors_are_those_of_the_kernel(document):
    told = document[0]["machine"]
    machines = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < told["free_memory"] < told["memory"] <= machines
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert told["descriptors"] >= soft  # the process host raises what may be raised
    assert hard == resource.RLIM_INFINITY or told["descriptors"] <= hard
    assert told["models"] == (told["descriptors"] - 64) // 2


def test_the_libraries_are_those_installed_with_their_versions(document):
    libraries = document[0]["libraries"]
    assert libraries["own"]["crunch-game"] == version("crunch-game")
    for name in ("anyio", "msgspec", "pydantic", "rich", "typer"):
        assert libraries["own"][name] == version(name)
    assert libraries["extras"]["tables"]["pandas"] == version("pandas")


def test_the_extras_are_those_that_something_asks_for(document):
    asked = {
        found[1]
        for file in Path(crunch_game.__file__).parent.rglob("*.py")
        for found in re.finditer(r'MissingExtra\(.+, "(\w+)"\)', file.read_text())
    }
    assert set(document[0]["libraries"]["extras"]) == asked - {"testing"}  # that is for authors' tests


@LINUX
def test_a_real_model_was_started_and_asked(document):
    [trial] = document[0]["models"]
    assert trial["error"] is None
    assert trial["sandbox"] is True
    assert 0 < trial["call"] < trial["server"] + trial["model"]


@LINUX
def test_it_ends_well_where_the_sandbox_holds_and_says_what_does_not_hold(document):
    told, code = document
    assert [each["name"] for each in told["sandbox"]] == [each.name for each in Sandbox().report()]
    held = {each["name"] for each in told["sandbox"] if each["enforced"]}
    open_here = {
        each["name"]
        for each in told["sandbox"]
        if not each["enforced"] and each["mechanism"] != "none" and "the game allows" not in each["why_not"]
    }
    assert len(told["problems"]) == len(open_here)
    assert (code == 0) is told["ok"] is (not open_here)
    assert held | open_here  # something was tried


@LINUX
@pytest.mark.parametrize("columns", [80, 120])
def test_for_people_it_fits_the_terminal(columns):
    env = os.environ | {"COLUMNS": str(columns)}
    done = subprocess.run([PROGRAM, "doctor"], capture_output=True, text=True, env=env, check=False)
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= columns
    titles = [
        "machine",
        "libraries",
        "models",
        "sandbox: what a model is kept from",
        "sandbox: what nothing keeps it from",
    ]
    assert [line for line in lines if line in titles] == titles
    for text in ("✓  Python", "✓  cores", "✓  fork server   there after ", "✓  a call        ", "Landlock"):
        assert text in done.stdout
    if done.returncode == 0:
        assert lines[-1] == "✓ models run here, each in a process and a sandbox of its own"


@LINUX
def test_descriptors_for_few_models_are_noted_with_a_way_out(tmp_path):
    limited = f"ulimit -n 256; exec {PROGRAM} doctor"
    done = subprocess.run(
        ["sh", "-c", limited], capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "120"}
    )
    assert (
        "!  open files    256 at most, enough for about 96 models; more with a higher hard limit (ulimit -Hn)"
        in done.stdout
    )


@LINUX
def test_where_no_process_can_be_started_it_says_so_and_ends_with_1():
    limited = f"ulimit -n 12; exec {PROGRAM} doctor --json"
    done = subprocess.run(["sh", "-c", limited], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["ok"] is False
    assert told["problems"][0].startswith("no model can be run in a process of its own: ")
    assert "this process may have no more than 12 files open" in told["problems"][0]
    assert [trial["sandbox"] for trial in told["models"]] == [True, False]


def test_where_there_are_no_processes_to_watch_it_says_what_is_needed(command, monkeypatch):
    monkeypatch.delattr(os, "pidfd_open", raising=False)  # as on macOS
    ended = command("doctor", "--json")
    assert ended.code == 1
    needed = 'the process host needs Linux and Python\'s os.pidfd_open; use host="inline"'
    assert ended.document["problems"][0] == f"no model can be run in a process of its own: {needed}"


@LINUX
def test_a_barrier_that_does_not_hold_is_important_unless_no_machine_has_it(command, monkeypatch):
    def report(sandbox):
        return [
            Barrier("read files of others", False, "Landlock", "the kernel has no Landlock"),
            Barrier("use TCP", True, "seccomp"),
            Barrier(
                "use more processor time than it may", False, "resource limit", "the game allows it", expected=True
            ),
            Barrier("start very many threads", False, "none", "only a cgroup counts them", expected=True),
        ]

    monkeypatch.setattr(Sandbox, "report", report)
    ended = command("doctor")
    assert ended.code == 1
    words = " ".join(ended.stdout.split())
    assert "✗ read files of others the kernel has no Landlock ✓ use TCP seccomp" in words
    assert "- start very many threads only a cgroup counts them" in words
    assert words.endswith("✗ nothing keeps a model from this: read files of others: the kernel has no Landlock")


def test_an_extra_that_is_missing_names_the_command_that_installs_it(command, monkeypatch):
    real = machine._version
    monkeypatch.setattr(machine, "_version", lambda name: None if name == "pyarrow" else real(name))
    words = " ".join(command("doctor").stdout.split())
    assert (
        f"- tables pandas {version('pandas')}; without pyarrow; from a clone of crunch_game: pip install '.[tables]'"
        in words
    )


def test_what_a_container_may_use_is_what_counts(monkeypatch):
    files = {
        "/proc/meminfo": "MemTotal:       1000000 kB\nMemFree:  300000 kB\nMemAvailable:    500000 kB",
        "/sys/fs/cgroup/memory.max": "104857600",
        "/sys/fs/cgroup/memory.current": "4857600",
        "/sys/fs/cgroup/cpu.max": "50000 100000",
    }
    monkeypatch.setattr(machine, "_read", lambda path: files.get(path, ""))
    found = machine.machine()
    assert (found.memory, found.free_memory, found.cores) == (104857600, 100000000, 0.5)
    files |= {"/sys/fs/cgroup/memory.max": "max", "/sys/fs/cgroup/cpu.max": "max 100000"}
    found = machine.machine()
    assert (found.memory, found.free_memory) == (1000000 << 10, 500000 << 10)
    files.clear()
    found = machine.machine()
    assert (found.memory, found.free_memory) == (None, None)

"""Hostile code in a model, the runner around it: all is refused with the sandbox on, and comes through without.

The coordinator runs as root and as an unprivileged user, in a process of its own (`raid.py`), with a secret in its
environment, on its command line, in its memory, in its files and in a rival's.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
PASSWORD = "correct horse"


def _loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _raiders() -> ModuleType:
    """All attacks, those on the host too. Its modules import each other by name, and other tests have copies."""
    kept = {name: sys.modules.get(name) for name in ("attacks", "raiders")}
    try:
        _loaded("attacks")
        return _loaded("raiders")
    finally:
        for name, module in kept.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module


def _has_everything() -> str | None:
    from crunch_game.hosts import landlock
    from crunch_game.hosts.syscalls import Unavailable, machine

    try:
        machine()
        version = landlock.abi()
    except Unavailable as error:
        return str(error)
    return None if version >= 6 else f"the kernel's Landlock is of version {version}"


WHY_NOT = _has_everything()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))

_raids: dict[tuple[str, bool], dict] = {}


def raid(user: str, *, sandboxed: bool) -> dict:
    """What became of everything; a raid is made once."""
    if (user, sandboxed) not in _raids:
        program = [str(HERE / "raid.py")]
        before = [str(HERE / "unprivileged.py")] if user == "nobody" else []
        with tempfile.TemporaryDirectory(prefix="crunch_game-", ignore_cleanup_errors=True) as folder:
            Path(folder).chmod(0o777)
            order = json.dumps({"ground": folder, "sandboxed": sandboxed})
            done = subprocess.run(
                [sys.executable, *before, *program, order, "SWORDFISH", PASSWORD],
                env={**os.environ, "SECRET": "SWORDFISH", "PASSWORD": PASSWORD},
                capture_output=True,
                text=True,
                check=False,
            )
        if "unprivileged.py" in done.stderr and "PermissionError" in done.stderr:
            pytest.skip(
                "nobody may enter the interpreter's folder, and this process may not change that (CAP_SYS_ADMIN)"
            )
        assert done.returncode == 0, done.stderr
        _raids[user, sandboxed] = json.loads(done.stdout.splitlines()[-1])
    return _raids[user, sandboxed]


USERS = ["root", "nobody"] if ROOT else ["me"]


RAIDERS = None if WHY_NOT is not None else _raiders()
CONTROLS = {name: attack.control for name, attack in RAIDERS.ATTACKS.items()} if RAIDERS else {}
ALL = [
    (name, victim)
    for name, attack in (RAIDERS.ATTACKS.items() if RAIDERS else ())
    for victim in ("coordinator", *(("server", "alice") if name in RAIDERS.ON_OTHERS else ()))
    if not attack.sandbox and attack.control != "nobody"
]


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(("name", "victim"), ALL)
def test_an_attack_is_refused(name: str, victim: str, user: str) -> None:
    outcome = raid(user, sandboxed=True)[f"{name} {victim}"]
    assert outcome["refused"], outcome


MACHINES_OWN = ("user_namespace", "ring", "keyring", "page_faults", "kernel_program")
"""What machines refuse to everyone."""


@pytest.mark.parametrize(
    ("name", "victim", "user"),
    [(name, victim, user) for name, victim in ALL for user in USERS if CONTROLS[name] in ("all", user)],
)
def test_the_same_attack_comes_through_without_a_sandbox(name: str, victim: str, user: str) -> None:
    outcome = raid(user, sandboxed=False)[f"{name} {victim}"]
    if not outcome["through"] and name in MACHINES_OWN:
        pytest.skip(f"this machine refuses it to everyone: {outcome['error']}")
    assert outcome["through"], outcome


@pytest.mark.parametrize("user", USERS)
def test_the_rival_has_noticed_nothing(user: str) -> None:
    before, after = raid(user, sandboxed=True)["alice"]
    assert before == after


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("sandboxed", [True, False])
def test_a_model_has_the_locale_and_the_search_paths_of_the_coordinators_environment(
    user: str, sandboxed: bool
) -> None:
    environment = raid(user, sandboxed=sandboxed)["environment"]
    allowed = {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "TMPDIR", "HOME"}
    assert {name for name in set(environment) - allowed if not name.endswith("_NUM_THREADS")} == set()


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("sandboxed", [True, False])
def test_a_model_inherits_no_descriptor(user: str, sandboxed: bool) -> None:
    """It has its streams, its channel, and what holds it to the coordinator."""
    assert raid(user, sandboxed=sandboxed)["descriptors"] == {
        "0": "CHR", "1": "REG", "2": "REG", "256": "SOCK", "257": "FIFO",
    }  # fmt: skip


@pytest.mark.parametrize("user", USERS)
def test_neither_secrets_nor_rivals_are_in_a_models_memory(user: str) -> None:
    found = raid(user, sandboxed=True)
    assert found[f"memory {PASSWORD}"] == [0, False, 0]
    assert found["memory alice/main"] == [0, False, 0]
    assert found["memory mallory/main"][2] > 0, "the control: what is there is found"

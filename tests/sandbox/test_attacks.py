"""Hostile code is refused with the sandbox on, and the same code comes through without.

It is played on two stages, as root and as an unprivileged user: "alone" is `attacks.py`, which forks a child for each
attack and puts it in a sandbox; "hosted" is `raid.py`, a coordinator with a secret in its environment, on its command
line, in its memory, in its files and in a rival's, whose model makes the attacks. Both print what became of them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest

from crunch_game.sandbox import _landlock as landlock
from crunch_game.sandbox._syscalls import Unavailable, machine

HERE = Path(__file__).parent
USERS = ["root", "nobody"] if hasattr(os, "geteuid") and os.geteuid() == 0 else ["me"]
STAGES = {"alone": "attacks.py", "hosted": "raid.py"}
PASSWORD = "correct horse"
MACHINES_OWN = ("user_namespace", "user_namespace_by_clone", "ring", "keyring", "page_faults", "kernel_program")
"""What some machines refuse to everyone."""


LANDLOCK = {"alone": 3, "hosted": 6}
"""The version of the kernel's Landlock without which some attack on that stage comes through."""

pytestmark = pytest.mark.processes
everyone = pytest.mark.parametrize("user", USERS)
everywhere = pytest.mark.parametrize("stage", STAGES)


def _needs(version: int) -> None:
    try:
        machine()
        there = landlock.abi()
    except Unavailable as error:
        pytest.skip(str(error))
    if there < version:
        pytest.skip(f"the kernel's Landlock is of version {there}, and this needs {version}")


@cache
def played(stage: str, user: str, *, sandboxed: bool) -> dict:
    """What became of everything on that stage; it is played once."""
    _needs(LANDLOCK[stage])
    before = [str(HERE / "unprivileged.py")] if user == "nobody" else []
    with tempfile.TemporaryDirectory(prefix="crunch_game-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o777)  # every user reaches it, which pytest's own are not for
        setuid = Path(folder, "setuid-id")
        shutil.copy("/usr/bin/id", setuid)
        setuid.chmod(0o4755)
        order = json.dumps({"user": user, "ground": folder, "sandboxed": sandboxed})
        done = subprocess.run(
            [sys.executable, *before, str(HERE / STAGES[stage]), order, "SWORDFISH", PASSWORD],
            env={**os.environ, "SECRET": "SWORDFISH", "PASSWORD": PASSWORD},
            capture_output=True,
            text=True,
            check=False,
        )
    if "unprivileged.py" in done.stderr and "PermissionError" in done.stderr:
        pytest.skip("nobody may enter the interpreter's folder, and this process may not change that (CAP_SYS_ADMIN)")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@everyone
@everywhere
def test_every_attack_is_refused(stage: str, user: str) -> None:
    outcomes = played(stage, user, sandboxed=True)["attacks"]
    assert len(outcomes) > 100
    assert {name: outcome for name, outcome in outcomes.items() if not outcome["refused"]} == {}


@everyone
@everywhere
def test_the_same_attacks_come_through_without_a_sandbox(stage: str, user: str) -> None:
    outcomes = played(stage, user, sandboxed=False)["attacks"]
    due = {name: outcome for name, outcome in outcomes.items() if outcome["control"] in ("all", user)}
    assert len(due) > 50
    held = {name: outcome for name, outcome in due.items() if not outcome["through"]}
    assert {name: outcome for name, outcome in held.items() if name.split()[0] not in MACHINES_OWN} == {}
    assert {name: outcome for name, outcome in outcomes.items() if outcome["barrier"] is not None} == {}


BARRIERS = {
    "fork": "the sandbox allows no processes and no programs; a game that needs them says Sandbox(processes=True)",
    "udp": "the sandbox allows no network; a game that needs it says Sandbox(network=True)",
    "raw_where_there_is_a_network": "the sandbox allows TCP and UDP, and no other sockets",
    "tcp_server_where_there_is_a_network": "the sandbox allows connections to others, and none from them",
    "udp_server_where_there_is_a_network": "the sandbox allows connections to others, and none from them",
    "kill": "the sandbox lets a model signal only itself, and what it has started",
    "pin_the_victim": "the sandbox keeps a model away from other processes",
    "environment_in_proc_where_proc_is_readable": "the sandbox keeps a model away from other processes",
    "leave_the_session": "the sandbox keeps a model in its group and session; a game whose models need their own says "
    "Sandbox(processes=True)",
    "change_an_owner": "the sandbox keeps the owners of files as they are",
    "memory": "the sandbox lets a model use 512 MiB of memory (Sandbox(memory=...))",
    "shared_memory": "the sandbox limits memory, and refuses the kinds that no limit counts",
    "large_file": "the sandbox lets a file have 1 MiB (Sandbox(file_size=...))",
    "many_descriptors": "the sandbox lets a model have 128 open files (Sandbox(descriptors=...))",
    "read_a_rival": "the sandbox lets a model read only its submission, and write only in /*",
    "write_own_submission": "the sandbox lets a model write only in /*",
    "hard_link_in": "the sandbox lets a model move and link files only in /*",
}


def test_a_refusal_names_its_barrier() -> None:
    outcomes = played("alone", USERS[0], sandboxed=True)["attacks"]
    told = {name: outcomes[f"{name} coordinator"]["barrier"] for name in BARRIERS}
    for name, sentence in BARRIERS.items():
        if sentence.endswith("*") and told[name].startswith(sentence[:-1]):
            told[name] = sentence
    assert told == BARRIERS


@everyone
def test_a_crash_leaves_no_core_dump(user: str) -> None:
    assert not played("alone", user, sandboxed=True)["core"]


@everyone
def test_the_rival_has_noticed_nothing(user: str) -> None:
    before, after = played("hosted", user, sandboxed=True)["alice"]
    assert before == after


SHARE = {
    "BLIS_NUM_THREADS", "JOBLIB_MULTIPROCESSING", "LOKY_MAX_CPU_COUNT", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS",
}  # fmt: skip
"""What tells libraries a model's share of the machine."""


@everyone
@pytest.mark.parametrize("sandboxed", [True, False])
def test_a_model_has_the_locale_and_the_search_paths_of_the_coordinators_environment(
    user: str, sandboxed: bool
) -> None:
    environment = played("hosted", user, sandboxed=sandboxed)["environment"]
    allowed = {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "TMPDIR", "HOME"}
    numeric = {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "MKL_CBWR", "PYTHONHASHSEED"}
    assert {name for name in set(environment) - allowed - numeric if name not in SHARE} == set()


@everyone
@pytest.mark.parametrize("sandboxed", [True, False])
def test_a_model_inherits_no_descriptor(user: str, sandboxed: bool) -> None:
    """It has its streams, its channel, what holds it to the coordinator, and what it may read of /proc."""
    found = played("hosted", user, sandboxed=sandboxed)["descriptors"]
    assert {number: kind for number, kind in found.items() if not kind.startswith("/proc/")} == {
        "0": "CHR", "1": "REG", "2": "REG", "256": "SOCK", "257": "FIFO",
    }  # fmt: skip
    assert any(kind.startswith("/proc/") for kind in found.values()) == sandboxed


@everyone
def test_neither_secrets_nor_rivals_are_in_a_models_memory(user: str) -> None:
    memory = played("hosted", user, sandboxed=True)["memory"]
    assert memory[PASSWORD] == [0, False, 0]
    assert memory["alice/main"] == [0, False, 0]
    assert memory["mallory/main"][2] > 0, "the control: what is there is found"

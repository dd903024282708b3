"""The pipe that models' lives hang on: what hangs on it ends when it is cut, however busy it is."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from crunch_game.hosts.process._lifeline import Lifeline

SPINS = """
import os, sys
from {module} import hold
os.setpgid(0, 0)
hold(sys.argv[1], 250)
print("held", flush=True)
while True: pass
"""


def test_nobody_may_write_to_it(tmp_path: Path) -> None:
    line = Lifeline(tmp_path)
    mode = line.path.stat().st_mode
    line.cut()
    assert stat.S_ISFIFO(mode)
    assert stat.S_IMODE(mode) == 0o400


def test_it_may_be_cut_twice_and_be_impossible(tmp_path: Path) -> None:
    for line in (Lifeline(tmp_path), Lifeline(tmp_path / "nowhere")):
        line.cut()
        line.cut()


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals who holds the other end of a pipe")
def test_a_process_that_spins_is_ended_by_the_cut_and_one_that_comes_late_ends_itself(tmp_path: Path) -> None:
    line = Lifeline(tmp_path)
    command = [sys.executable, "-c", SPINS.format(module=Lifeline.__module__), str(line.path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        line.cut()
        assert process.wait(30) == -signal.SIGKILL
    late = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=30, check=False)
    assert (late.returncode, late.stdout) == (70, "")

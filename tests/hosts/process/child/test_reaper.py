"""A process that ended by itself is told from one that lives."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from crunch_game.hosts.process.child import is_exiting

pytestmark = pytest.mark.processes


def test_a_process_that_runs_is_not_exiting_one_that_ended_is():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert not is_exiting(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_exiting(process.pid)  # nobody has reaped it
    process.communicate()
    assert is_exiting(process.pid)

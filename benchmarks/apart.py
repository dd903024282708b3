"""One measurement in a fresh process, so that it neither has nor pays for what another one left behind.

python -m benchmarks.apart benchmarks.floor:rounds '{"models": 100, "rounds": 200}'
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["Broken", "apart"]

ROOT = Path(__file__).parent.parent
_PATIENCE = 1800.0


class Broken(Exception):
    """A measurement ended without numbers."""


def apart(place: str, arguments: dict[str, Any], python: str = sys.executable) -> dict[str, float]:
    """Call the function at "module:name" in a process of its own; what it measured, by name.

    Raises:
        Broken: It failed, or took longer than half an hour.
    """
    command = [python, "-m", "benchmarks.apart", place, json.dumps(arguments)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            told, trouble = process.communicate(timeout=_PATIENCE)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode != 0:
        raise Broken(f"{place} failed ({process.returncode}):\n{trouble[-4000:]}")
    measured: dict[str, float] = json.loads(told.splitlines()[-1])
    return measured


if __name__ == "__main__":
    module, _, name = sys.argv[1].partition(":")
    print(json.dumps(getattr(importlib.import_module(module), name)(**json.loads(sys.argv[2]))), flush=True)

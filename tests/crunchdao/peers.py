"""The published packages of CrunchDAO, each in an environment of its own: together they cannot be installed."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ENVIRONMENTS = Path(__file__).parents[2] / ".venv-peers"

NODE = ("crunch-model-runner==0.4.2", "click<9", "grpcio", "grpcio-health-checking<1.72", "pandas<3", "pyarrow<19")
"""What a model node needs; what it requires besides is imported by no part of it."""
CLIENT = ("model-runner-client==0.14.0", "base58", "cryptography<47", "grpcio", "grpcio-health-checking", "pandas<3")

_UNREACHABLE = ("Failed to establish a new connection", "Connection refused", "Temporary failure", "ConnectTimeout")


def python_with(name: str, requirements: tuple[str, ...]) -> Path:
    """The interpreter of the environment of that name, which is set up once and then kept."""
    ENVIRONMENTS.mkdir(exist_ok=True)
    folder = ENVIRONMENTS / name
    with (ENVIRONMENTS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other workers of the same test run wait here
        done = folder / "requirements.txt"
        if not done.exists() or done.read_text() != "\n".join(requirements):
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            pip = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
            _run([*pip, "--no-deps", requirements[0]])
            _run([*pip, *requirements[1:]])
            done.write_text("\n".join(requirements))
    return folder / "bin" / "python"


def _run(command: list[str | Path]) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0 and any(sign in ran.stderr for sign in _UNREACHABLE):
        pytest.skip(f"the package index cannot be reached: {ran.stderr.strip().splitlines()[-1]}")
    assert ran.returncode == 0, ran.stderr

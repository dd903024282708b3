"""Sets up the peers' environments, with uv when it is there and pip when not; at once when that was done before."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.apart import ROOT

__all__ = ["CLIENT", "FOLDER", "NODE", "Unavailable", "install", "python_of"]

FOLDER = ROOT / ".venv-peers"
PACKAGES = {
    "client": ["model-runner-client==0.14.0", "pyarrow>=18"],  # it imports pyarrow for tables, and does not say so
    "node": ["crunch-model-runner==0.4.2"],
    "synth": ["crunch-synth==0.15.0"],
    # What its example trackers import, but for those that need libraries which it does not name. Whoever imports them
    # from this folder has numpy, pandas and scipy.
    "birdgame": [
        "birdgame==0.3.1",
        "cloudpickle",
        "density",
        "densitypdf",
        "joblib",
        "narwhals",
        "orjson",
        "redis",
        "river",
        "scikit-learn",
        "threadpoolctl",
        "--no-deps",
    ],
    # As birdgame: whoever imports it has numpy, pandas, requests and scipy.
    "synth-scores": [
        "crunch-synth==0.15.0",
        "densitypdf",
        "narwhals",
        "plotly",
        "sortedcontainers",
        "tqdm",
        "--no-deps",
    ],
}


def python_of(name: str) -> Path:
    """The interpreter of an environment."""
    return FOLDER / name / "bin" / "python"


CLIENT, NODE = python_of("client"), python_of("node")


class Unavailable(Exception):
    """The peers cannot be set up here; the message says why."""


def install(*names: str) -> None:
    """Have these environments.

    Raises:
        Unavailable: The registry cannot be reached, or does not have them.
    """
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other processes wait here, and then find what they want
        for name in names:
            _have(name, PACKAGES[name])


def _have(name: str, packages: list[str]) -> None:
    stamp, wanted = FOLDER / name / ".installed", "\n".join(packages)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    try:
        for command in _commands(FOLDER / name, packages):
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=1800)
    except (subprocess.SubprocessError, OSError) as error:
        raise Unavailable(f"{packages[0]} cannot be installed ({_reason(error)})") from None
    stamp.write_text(wanted)


def _commands(venv: Path, packages: list[str]) -> list[list[str]]:
    uv, python = shutil.which("uv"), str(venv / "bin" / "python")
    if uv:
        return [
            [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(venv)],
            [uv, "pip", "install", "--quiet", "--python", python, *packages],
        ]
    pip = [sys.executable, "-m", "pip", "--python", python, "--quiet", "--disable-pip-version-check"]
    return [
        [sys.executable, "-m", "venv", "--clear", "--without-pip", str(venv)],
        [*pip, "install", *packages],
    ]


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in (getattr(error, "stderr", None) or "").splitlines() if line.strip()]
    return lines[-1].removeprefix("ERROR: ") if lines else str(error)

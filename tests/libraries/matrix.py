"""`python matrix.py [--write] [NAME...]`: plays every submission inline, in the sandbox, and there as nobody.

Prints the table of docs/models.md, and with --write puts it there if it has all submissions. Fails if one does not end
as it should.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import anyio
from playing import AGAIN, MODELS, Played, names, place_of, play

HERE = Path(__file__).parent
DOCS = HERE.parent.parent / "docs" / "models.md"
UNPRIVILEGED = HERE.parent / "sandbox" / "unprivileged.py"
ASKS = 200
BEGIN, END = "<!-- made by `make models` -->", "<!-- until here -->"
ROWS = {
    "arch_garch": "arch",
    "catboost_regressor": "catboost",
    "duckdb_window": "duckdb",
    "lightgbm_regressor": "lightgbm",
    "matplotlib_figure": "matplotlib",
    "numba_cached": "numba",
    "onnxruntime_session": "onnxruntime",
    "optuna_study": "optuna",
    "polars_frame": "polars",
    "scikit_learn_forest": "scikit-learn",
    "scikit_learn_search": "scikit-learn",
    "scikit_learn_weights": "scikit-learn",
    "statsmodels_arima": "statsmodels",
    "torch_compiled": "torch",
    "torch_weights": "torch",
    "xgboost_regressor": "xgboost",
}
"""The library of each submission, as its distribution is called."""
TOLD = {"torch_compiled": "torch.compile starts compilers, and the sandbox allows no processes and no programs;"}
"""What is refused in the sandbox, and how the reason that its participant reads begins."""


def main(chosen: list[str], *, write: bool) -> int:
    ways = _ways()
    lines, faults = [], []
    for name in chosen:
        inline, *boxed = (_played(name, host, before) for host, before in ways.values())
        cells = {way: _cell(name, way, played) for way, played in zip(ways, (inline, *boxed), strict=True)}
        equal = "" if name in TOLD else "equal" if inline.answers == boxed[0].answers else "differ"
        print(f"{name}: {cells}, answers inline {equal or 'not compared'}", flush=True)
        faults += [f"{name}, {way}: {cell}" for way, cell in cells.items() if cell.startswith("fails")]
        faults += [f"{name}: its answers differ inline and in the sandbox"] if equal == "differ" else []
        lines.append(
            f"| `{name}` | {ROWS[name]} {version(ROWS[name])} | {_says(name)} | {cells['sandbox']} | {equal} |"
        )
    head = "| submission | library | what it does | in the sandbox | its answers inline |\n|---|---|---|---|---|"
    table = "\n".join(
        [f"Played {', in the '.join(ways)}; control groups of version {_cgroup_version()}.\n", head, *lines]
    )
    print(f"\n{table}\n", *faults, sep="\n")
    if write and not faults and chosen == names():
        before, _, rest = DOCS.read_text().partition(BEGIN)
        DOCS.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.partition(END)[2]}")
    return 1 if faults else 0


def _ways() -> dict[str, tuple[str, list[str]]]:
    """In which ways each is played: the host, and the command that starts the player's interpreter."""
    ways = {"inline": ("inline", [sys.executable]), "sandbox": ("sandbox", [sys.executable])}
    if os.geteuid() == 0:
        ways["sandbox as nobody"] = ("sandbox", [sys.executable, str(UNPRIVILEGED)])
    return ways


def _cgroup_version() -> str:
    """Of the hierarchy that has the limits here."""
    return "2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "1"


def _played(name: str, host: str, command: list[str]) -> Played:
    """What became of a submission, played in an interpreter of its own."""
    with tempfile.TemporaryDirectory() as folder:  # inline, CatBoost writes into the working folder
        done = subprocess.run(
            [*command, str(HERE / "matrix.py"), f"--play={name}={host}"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        return Played(fault=f"its player ended with {done.returncode}: {done.stderr[-2000:]}")
    return Played(**json.loads(done.stdout.splitlines()[-1]))


def _cell(name: str, way: str, played: Played) -> str:
    """How it ended: it plays, or is told what it should be told, or fails."""
    if (sentence := TOLD.get(name)) is not None and way != "inline":
        return "is told" if sentence in (played.fault or "") else f"fails: {played.fault}"
    complete = played.fault is None and len(played.answers) == ASKS + AGAIN
    return "plays" if complete else f"fails: {played.fault}"


def _says(name: str) -> str:
    """What a submission says of itself."""
    path = place_of(name, MODELS)
    text = (path / "main.py" if path.is_dir() else path).read_text()
    return text.partition('"""')[2].partition('"""')[0].rstrip(".")


def _play(order: str) -> None:
    name, host = order.split("=")
    print("\n" + json.dumps(asdict(anyio.run(play, [name], host, ASKS)[name])))


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent / "games"))
    words = sys.argv[1:]
    if words and words[0].startswith("--play="):
        _play(words[0].removeprefix("--play="))
    else:
        sys.exit(main([each for each in words if each != "--write"] or names(), write="--write" in words))

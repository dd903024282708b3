"""The peer's model nodes, as processes of their own that listen and are announced. Standard library only."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.apart import ROOT, Broken
from benchmarks.field import BARE, MODELS, Kind
from benchmarks.peer.install import CLIENT, NODE

__all__ = ["nodes"]


@contextmanager
def nodes(kind: Kind, models: int) -> Iterator[tuple[int, int]]:
    """So many nodes that listen: the port of their orchestrator, and its process, whose children they are.

    Raises:
        Broken: One of them does not come to listen.
    """
    with TemporaryDirectory() as folder:
        code = Path(folder, "code")
        code.mkdir()
        Path(folder, "bench_game.py").write_text(BARE)
        (code / "main.py").write_text(MODELS[kind])
        command = [str(CLIENT), "-m", "benchmarks.peer.orchestrator", str(NODE), str(code), folder, str(models)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as orchestrator:
            assert orchestrator.stdout is not None
            port = orchestrator.stdout.readline()
            if not port:
                raise Broken(f"{models} of the peer's nodes could not be started")
            yield int(port), orchestrator.pid

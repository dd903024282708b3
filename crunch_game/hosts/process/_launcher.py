"""The fork server as the coordinator sees it: started, brought to readiness, and ended."""

from __future__ import annotations

import math
import pickle
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import anyio
import msgspec

from crunch_game._importing import main_of
from crunch_game.errors import ContractError
from crunch_game.hosts._interpreter import start_main
from crunch_game.hosts.base import Setup
from crunch_game.hosts.process.child import Boot, Booted, Imported, Importing, Report
from crunch_game.hosts.process.engine import Engine
from crunch_game.models import Submission
from crunch_game.sandbox import Sandbox
from crunch_game.sources import ClassSource

_KEPT_VARIABLES: Final = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
_NUMERIC_VARIABLES: Final = (
    "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES", "ATEN_CPU_CAPABILITY", "PYTHONHASHSEED",
)  # fmt: skip
"""They choose how numbers are computed, to the last bit, and in which order sets are gone through."""
_ONE_THREAD: Final = dict.fromkeys(
    (
        "BLIS_NUM_THREADS", "LOKY_MAX_CPU_COUNT", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "NUMEXPR_NUM_THREADS",
        "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS",
    ),
    "1",
)  # fmt: skip
"""A model's share of the machine is one processor, whatever `n_jobs` it gives."""
_NO_CHILDREN: Final = {"JOBLIB_MULTIPROCESSING": "0"}
"""For models that cannot start processes: joblib's workers are not even tried."""
_IMPORT_TIMEOUT_SECONDS: Final = 30.0


class ForkServer:
    """One fork server. `lost` is set when it has ended by itself; its models go on without it.

    Args:
        env: What models see of the environment besides the locale, the time zone and the search paths.
        folder: Where it runs, and writes its log.
    """

    def __init__(self, engine: Engine, boot: Boot, env: Mapping[str, str], folder: Path) -> None:
        self._engine = engine
        self._boot = boot
        self._env = env
        self._log = folder / "forkserver.log"
        self._news, self._inbox = anyio.create_memory_object_stream[Report | None](math.inf)
        self.lost = False

    @classmethod
    async def up(cls, engine: Engine, boot: Boot, env: Mapping[str, str], folder: Path) -> ForkServer:
        """A fork server that has imported the base class, and what of `boot.preload` can be preloaded.

        Raises:
            ContractError: The base class cannot be imported there.
        """
        while True:
            server = cls(engine, boot, env, folder)
            await anyio.to_thread.run_sync(server._start)
            try:
                culprit = await server._ready()
            except BaseException:
                await server.down()
                raise
            if culprit is None:
                return server
            await server.down()
            boot = msgspec.structs.replace(boot, preload=[name for name in boot.preload if name != culprit])

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, self._log.open("ab") as log:
            self._process = start_main(
                "crunch_game.hosts.process.child._forkserver",
                theirs.fileno(),
                "-Xfaulthandler",
                kept=(*_KEPT_VARIABLES, *_NUMERIC_VARIABLES),
                env=self._environment(),
                cwd=self._log.parent,
                stdout=log,
                stderr=log,
            )
        ours.send(msgspec.msgpack.encode(self._boot))
        self._engine.do(lambda: self._engine.processes.serve(ours, self._hear))

    def _environment(self) -> dict[str, str]:
        """What models see beside what is kept. The author's own variables win."""
        sandbox: Sandbox | None = pickle.loads(self._boot.sandbox)
        alone = sandbox is not None and not sandbox.processes
        return {**_ONE_THREAD, **(_NO_CHILDREN if alone else {}), **self._env}

    def _hear(self, report: Report | None) -> None:
        self.lost = self.lost or report is None
        with suppress(anyio.ClosedResourceError):  # its end is already waited for
            self._news.send_nowait(report)

    async def _ready(self) -> str | None:
        """Wait until it has imported everything. Returns the library that cannot be preloaded, if there is one."""
        importing: str | None = None
        while True:
            report: Report | None = None
            with anyio.move_on_after(_IMPORT_TIMEOUT_SECONDS) as waiting:
                report = await self._inbox.receive()
            match report:
                case Importing(library):
                    importing = library
                case Imported(library, threads):
                    if threads > 1:
                        return library  # a process with threads must not be forked
                    importing = None
                case Booted(None):
                    return None
                case Booted(error, traceback):
                    raise self._no_base(f"{error}\n{traceback or ''}")
                case _ if importing is not None:
                    return importing  # its import hangs, or ended the server
                case _ if waiting.cancelled_caught:
                    raise self._no_base(f"it took longer than {_IMPORT_TIMEOUT_SECONDS:g} s")
                case _:
                    raise self._no_base(f"it ended the process\n{self._log.read_text(errors='replace')[-2000:]}")

    def _no_base(self, why: str) -> ContractError:
        base = self._boot.base.replace(":", ".")
        return ContractError(f"the base class {base} cannot be imported in another process: {why.strip()}")

    async def down(self) -> bool:
        """Hang up and wait for its end; kill it if that takes long. Returns whether it has ended its models first."""
        with anyio.CancelScope(shield=True):
            self._engine.do(self._engine.processes.hang_up)
            await anyio.to_thread.run_sync(self._wait)
            self._news.close()
            self._inbox.close()
        return self._process.returncode == 0

    def _wait(self) -> None:
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def boot_of(
    setup: Setup, submissions: Sequence[Submission], preload: list[str], sandbox: Sandbox | None, lifeline: str
) -> Boot:
    """What a fork server for these submissions imports, and the sandbox and the lifeline of its children.

    Raises:
        ContractError: The base class has no place that another process can import it from.
    """
    classes = [each.source.cls for each in submissions if isinstance(each.source, ClassSource)]
    parts = (setup.contract.base, type(setup.loader), *classes)
    main = main_of() if any(part.__module__ == "__main__" for part in parts) else {}
    base, overridden = reference_of(setup.contract.base), list(setup.contract.overridden)
    return Boot(main, base, overridden, preload, pickle.dumps(sandbox), lifeline)


def reference_of(cls: type) -> str:
    """How another process finds the class.

    Raises:
        ContractError: It has no way to.
    """
    where = f"{cls.__module__}:{cls.__qualname__}"
    if "<locals>" in cls.__qualname__:
        raise ContractError(
            f"{where} is defined inside a function, so no other process can import it; "
            'move it to the top level of a module, or use host="inline"'
        )
    if cls.__module__ == "__main__" and not main_of():
        raise ContractError(
            f"{cls.__qualname__} is defined in a notebook cell or a prompt, so no other process can import it; "
            'save it in a file and import it, or use host="inline"'
        )
    return where

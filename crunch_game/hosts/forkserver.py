"""The process that forks one child per model: it imports once what all need, and runs nothing itself.

It is a fresh interpreter, not a fork of the coordinator, and stays single-threaded. The coordinator speaks to it
over a SOCK_SEQPACKET socket, one message a packet; it alone forks, signals and reaps the models' processes.
"""

from __future__ import annotations

import gc
import importlib
import os
import pickle
import selectors
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec

from crunch_game.contract import Contract
from crunch_game.faults import own_frames, said
from crunch_game.hosts import installed, output, worker
from crunch_game.hosts.folders import discard
from crunch_game.hosts.processes import is_exiting
from crunch_game.importing import run_main

if TYPE_CHECKING:
    from crunch_game.hosts.sandbox import Sandbox

__all__ = [
    "FAILED",
    "NOT_STARTED",
    "Boot",
    "Exited",
    "Imported",
    "Importing",
    "Kill",
    "Look",
    "Ready",
    "Report",
    "Spawn",
    "Started",
    "main",
]

PACKET: Final = 1 << 17
FAILED: Final = 70
"""The exit code of a model's process in which our own code failed."""
NOT_STARTED: Final = 127
"""The exit code that is told of a process which the system would not make."""

booting = False
"""Whether this process is a fork server that imports the author's code: nothing may be played in it."""


class Boot(msgspec.Struct, tag=True):
    """The first message: what to import before anything is forked."""

    main: dict[str, str]
    base: str
    overridden: list[str]
    preload: list[str]
    sandbox: bytes


class Spawn(msgspec.Struct, tag=True):
    """Fork a model's process; its channel, stdout and stderr come along as descriptors."""

    token: int


class Kill(msgspec.Struct, tag=True):
    """End a model's process."""

    token: int


class Look(msgspec.Struct, tag=True):
    """Have a model's process write to its stderr where it is."""

    token: int


class Importing(msgspec.Struct, tag=True):
    """The import of a preloaded library begins; it may never end."""

    library: str


class Imported(msgspec.Struct, tag=True):
    """It ended; `threads` is how many the process has now."""

    library: str
    threads: int


class Ready(msgspec.Struct, tag=True):
    """Everything is imported, or the base class could not be: `error` and its traceback say why."""

    error: str | None = None
    traceback: str | None = None


class Started(msgspec.Struct, tag=True):
    """A model's process runs."""

    token: int
    pid: int


class Exited(msgspec.Struct, tag=True):
    """A model's process has ended and is reaped; a negative code is the signal that ended it.

    `peak` is the most memory, in bytes, that it had used.
    """

    token: int
    code: int
    peak: int = 0


Report = Importing | Imported | Ready | Started | Exited

_encode = msgspec.msgpack.Encoder().encode
_boots = msgspec.msgpack.Decoder(Boot)
_orders = msgspec.msgpack.Decoder(Spawn | Kill | Look)


def main(descriptor: int) -> None:
    """Serve the coordinator at the other end of the descriptor until it is gone."""
    control = socket.socket(fileno=descriptor)
    coordinator, folder = os.getppid(), Path.cwd()
    boot = _boots.decode(control.recv(PACKET))
    global booting
    booting = True
    try:
        run_main(boot.main)
        contract = Contract(boot.base, returns=dict.fromkeys(boot.overridden, object))
    except BaseException as error:  # noqa: BLE001 - the author must hear of whatever an import raises
        control.send(_encode(Ready(said(error), own_frames(error))))
        return
    booting = False
    _preload(control, boot.preload)
    sandbox: Sandbox | None = pickle.loads(boot.sandbox)
    if sandbox is not None:
        sandbox.prepare()
    output.prepare()
    gc.collect()
    gc.freeze()
    control.send(_encode(Ready()))
    _Server(control, contract, sandbox, coordinator, folder).run()


def _preload(control: socket.socket, libraries: Sequence[str]) -> None:
    for library in libraries:
        control.send(_encode(Importing(library)))
        is_installed = bool(installed.places_of(library.partition(".")[0]))
        # The children that want it will meet, and tell, the error.
        with suppress(BaseException), installed.alone() if is_installed else nullcontext():
            importlib.import_module(library)
        control.send(_encode(Imported(library, _threads())))


def _threads() -> int:
    task = Path("/proc/self/task")
    return len(list(task.iterdir())) if task.exists() else 1


class _Server:
    def __init__(
        self, control: socket.socket, contract: Contract, sandbox: Sandbox | None, coordinator: int, folder: Path
    ) -> None:
        self._control = control
        self._contract = contract
        self._sandbox = sandbox
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, tuple[int, int]] = {}
        self._coordinator = coordinator
        self._folder = folder

    def run(self) -> None:
        """Obey until the coordinator is gone, then end every child."""
        self._selector.register(self._control, selectors.EVENT_READ, None)
        while True:
            for key, _ in self._selector.select():
                if key.data is not None:
                    self._reap(key.data)
                elif not self._obey():
                    self._end_all()
                    if os.getppid() != self._coordinator or is_exiting(self._coordinator):
                        discard(self._folder)  # it was killed, and nobody else will
                    return

    def _obey(self) -> bool:
        try:
            message, descriptors, _, _ = socket.recv_fds(self._control, PACKET, 3)
        except ConnectionError:
            return False
        if not message:
            return False
        order = _orders.decode(message)
        if isinstance(order, Kill):
            self._signal(order.token, signal.SIGKILL)
        elif isinstance(order, Look):
            self._signal(order.token, output.LOOK)
        else:
            self._fork(order.token, descriptors)
        return True

    def _fork(self, token: int, descriptors: Sequence[int]) -> None:
        try:
            pid = os.fork()
        except OSError:
            self._report(Exited(token, NOT_STARTED))
        else:
            if pid == 0:
                _become_model(descriptors, self._contract, self._sandbox)
            self._watch(token, pid)
        for descriptor in descriptors:
            os.close(descriptor)

    def _watch(self, token: int, pid: int) -> None:
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:  # no descriptor is left, and so no way to hear of its end
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            self._report(Exited(token, NOT_STARTED))
            return
        self._children[token] = (pid, pidfd)
        self._selector.register(pidfd, selectors.EVENT_READ, token)
        self._report(Started(token, pid))

    def _signal(self, token: int, number: signal.Signals) -> None:
        if token in self._children:
            signal.pidfd_send_signal(self._children[token][1], number)

    def _reap(self, token: int) -> None:
        pid, pidfd = self._children.pop(token)
        self._selector.unregister(pidfd)
        os.close(pidfd)
        _, status, used = os.wait4(pid, 0)
        self._report(Exited(token, os.waitstatus_to_exitcode(status), used.ru_maxrss << 10))

    def _report(self, report: Report) -> None:
        with suppress(ConnectionError):  # the coordinator is gone; the next read says so, and ends every child
            self._control.send(_encode(report))

    def _end_all(self) -> None:
        for token in list(self._children):
            self._signal(token, signal.SIGKILL)
        for pid, _ in self._children.values():
            os.waitpid(pid, 0)


def _become_model(descriptors: Sequence[int], contract: Contract, sandbox: Sandbox | None) -> NoReturn:
    """What the child does first: nothing of the server is left to it, and its output goes to its log."""
    try:
        # A group of its own, and no session: where the kernel shares the processors among sessions (autogroups), each
        # model would weigh as much as the coordinator, and niceness would count for nothing.
        os.setpgid(0, 0)
        channel, out, err = descriptors
        channel = os.dup2(channel, 256)
        output.point(out, err)
        os.closerange(3, channel)
        os.closerange(channel + 1, os.sysconf("SC_OPEN_MAX"))
        os.nice(5)
        gc.enable()
        sys.dont_write_bytecode = True
        worker.reseed()
        worker.serve(socket.socket(fileno=channel), contract, sandbox)
    finally:
        output.fail()
        os._exit(FAILED)

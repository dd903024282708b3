"""The process that forks one child per model: it imports once what all need, and runs nothing of a submission.

It is a fresh interpreter, not a fork of the coordinator, and stays single-threaded. The coordinator speaks to it
over a SOCK_SEQPACKET socket, one message a packet; it alone forks, signals and reaps the models' processes, and it
inherits and ends what they leave behind.
"""

from __future__ import annotations

import gc
import importlib
import os
import pickle
import select
import signal
import socket
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from crunch_game._importing import run_main
from crunch_game.contract import Contract
from crunch_game.faults import describe_exception, own_frames
from crunch_game.hosts._folders import discard
from crunch_game.hosts.process import _installed as installed
from crunch_game.hosts.process.child import _output as output
from crunch_game.hosts.process.child._reaper import become_subreaper, child_pids, is_exiting, kill
from crunch_game.hosts.process.child._rehearsal import rehearse
from crunch_game.hosts.process.child._worker import become_model
from crunch_game.sandbox import Sandbox, count_threads

PACKET: Final = 1 << 17
"""Bytes that one message may have, either way."""
_LEFT_BEHIND: Final = 0
"""Stands for a token where a child is no model's process."""
NOT_STARTED: Final = 127
"""The exit code that is told of a process which the system would not make."""

_is_booting = False


def is_booting() -> bool:
    """Whether this process is a fork server that imports the author's code: nothing may be played in it."""
    return _is_booting


class Boot(msgspec.Struct, tag=True):
    """The first message: what to import before anything is forked, and the pipe that models' lives hang on."""

    main: dict[str, str]
    base: str
    overridden: list[str]
    preload: list[str]
    sandbox: bytes
    lifeline: str


class Spawn(msgspec.Struct, tag=True):
    """Fork a model's process; its channel, stdout and stderr come along as descriptors."""

    token: int


class Kill(msgspec.Struct, tag=True):
    """End a model's process."""

    token: int


class DumpFrames(msgspec.Struct, tag=True):
    """Have a model's process write to its stderr where it is."""

    token: int


class Importing(msgspec.Struct, tag=True):
    """The import of a preloaded library begins; it may never end."""

    library: str


class Imported(msgspec.Struct, tag=True):
    """It ended; `threads` is how many the process has now."""

    library: str
    threads: int


class Booted(msgspec.Struct, tag=True):
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


Report = Importing | Imported | Booted | Started | Exited

_encode = msgspec.msgpack.Encoder().encode
_boots = msgspec.msgpack.Decoder(Boot)
_orders = msgspec.msgpack.Decoder(Spawn | Kill | DumpFrames)


def main(descriptor: int) -> None:
    """Serve the coordinator at the other end of the descriptor until it is gone."""
    coordinator, folder = os.getppid(), Path.cwd()
    descriptors = None
    with socket.socket(fileno=descriptor) as control, suppress(ConnectionError):  # it may hang up at any time
        boot = _boots.decode(control.recv(PACKET))
        # Where the coordinator ignores it, so would this process, and its children would vanish unheard.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
        global _is_booting
        _is_booting = True
        try:
            run_main(boot.main)
            contract = Contract(boot.base, returns=dict.fromkeys(boot.overridden, object))
        except BaseException as error:  # noqa: BLE001 - the author must hear of whatever an import raises
            control.send(_encode(Booted(describe_exception(error), own_frames(error))))
            return
        _is_booting = False
        _preload(control, boot.preload)
        _unhandle(handlers)
        sandbox: Sandbox | None = pickle.loads(boot.sandbox)
        if sandbox is not None:
            sandbox.prepare()
        rehearse()
        output.prepare()
        become_subreaper()
        pipe = boot.lifeline
        del boot, handlers
        gc.collect()
        gc.freeze()
        control.send(_encode(Booted()))
        descriptors = _Server(control).run()
    if descriptors is not None:
        become_model(descriptors, pipe, contract, sandbox)
    if os.getppid() != coordinator or is_exiting(coordinator):
        discard(folder)  # the coordinator was killed, and nobody else will


def _preload(control: socket.socket, libraries: Sequence[str]) -> None:
    for library in libraries:
        control.send(_encode(Importing(library)))
        is_installed = bool(installed.places_of(library.partition(".")[0]))
        # The children that want it will meet, and tell, the error.
        with suppress(BaseException), installed.only_installed() if is_installed else nullcontext():
            importlib.import_module(library)
        control.send(_encode(Imported(library, count_threads())))


def _unhandle(handlers: Mapping[signal.Signals, Any]) -> None:
    """Take back the signal handlers that imports have set: they could keep this process from reaping its children."""
    signal.set_wakeup_fd(-1)
    for number, handler in handlers.items():
        if signal.getsignal(number) not in (handler, None):  # None: a handler that is not Python's
            signal.signal(number, handler)


class _Server:
    """Forks, signals and reaps: the models, and what they leave behind.

    Each model is the subreaper of all that it starts: that stays below it while it lives, and comes to this process
    when it ends. So a child that is no model has been left behind. It is ended at once, and so is what its own end
    brings to light.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._poll = select.epoll()
        self._poll.register(control, select.EPOLLIN)
        # Little for each model: whoever is forked gets a copy of all of it, and lets go of it.
        self._models: dict[int, int] = {}
        self._watched: dict[int, tuple[int, int]] = {}
        self._ended: list[Exited] = []

    def run(self) -> Sequence[int] | None:
        """Obey until the coordinator is gone, then end all children. In a forked child: returns its descriptors."""
        try:
            while True:
                for ready, _ in self._poll.poll():
                    if ready in self._watched:
                        self._reap(ready)
                    elif (descriptors := self._obey()) is not None:
                        return descriptors
                while self._ended:
                    self._sweep()
        except ConnectionError:
            self._end_all()
            return None

    def _obey(self) -> Sequence[int] | None:
        """Carry out one order. Returns, in a forked child only, the descriptors that came with it."""
        message, descriptors, _, _ = socket.recv_fds(self._control, PACKET, 3)
        if not message:
            raise ConnectionResetError
        order = _orders.decode(message)
        if isinstance(order, Spawn):
            return self._fork(order.token, descriptors)
        if order.token in self._models:
            if isinstance(order, Kill):
                kill(self._models[order.token], spared=self._models.values())
            else:
                os.kill(self._models[order.token], output.DUMP_SIGNAL)  # who is not reaped yet keeps its number
        return None

    def _fork(self, token: int, descriptors: Sequence[int]) -> Sequence[int] | None:
        try:
            pid = os.fork()
        except OSError:
            self._report(Exited(token, NOT_STARTED))
        else:
            if pid == 0:
                return descriptors
            if self._watch(token, pid):
                self._models[token] = pid
                self._report(Started(token, pid))
        for descriptor in descriptors:
            os.close(descriptor)
        return None

    def _watch(self, token: int, pid: int) -> bool:
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:  # no descriptor is left, and so no way to hear of its end
            kill(pid)
            os.waitpid(pid, 0)
            self._ended.append(Exited(token, NOT_STARTED))
            return False
        self._watched[pidfd] = (token, pid)
        self._poll.register(pidfd, select.EPOLLIN)
        return True

    def _reap(self, pidfd: int) -> None:
        token, pid = self._watched.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        _, status, used = os.wait4(pid, 0)
        self._models.pop(token, None)
        self._ended.append(Exited(token, os.waitstatus_to_exitcode(status), used.ru_maxrss << 10))

    def _sweep(self) -> None:
        """End what is left behind, and tell of the models that have ended."""
        ended, self._ended = self._ended, []
        known = {pid for _, pid in self._watched.values()}
        for pid in child_pids():
            if pid not in known and kill(pid, spared=known):
                self._watch(_LEFT_BEHIND, pid)
        for report in ended:
            if report.token != _LEFT_BEHIND:
                self._report(report)

    def _report(self, report: Report) -> None:
        self._control.send(_encode(report))

    def _end_all(self) -> None:
        while ending := [pid for pid in child_pids() if kill(pid)]:
            for pid in ending:
                os.waitpid(pid, 0)

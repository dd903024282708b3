"""Models in processes of their own, forked from a server that has imported what they need."""

from __future__ import annotations

import copy
import os
import pickle
import socket
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, Self

import anyio
import msgspec

from crunch_game._public import public
from crunch_game.encoding import encode
from crunch_game.errors import ContractError, GameError, LoadError, ResourceError, UsageError
from crunch_game.hosts._folders import discard
from crunch_game.hosts._tables import TableReader
from crunch_game.hosts.base import Asked, Call, Instance, Loaded, LoadFailure, Reply, Setup, Telling, ToldSoFar, Watcher
from crunch_game.hosts.process import _framing as framing
from crunch_game.hosts.process._asking import Asking, asked_to_go_on, frames_together, init_arguments, written_down
from crunch_game.hosts.process._descriptors import allow_descriptors
from crunch_game.hosts.process._launcher import ForkServer, boot_of, reference_of
from crunch_game.hosts.process._lifeline import Lifeline
from crunch_game.hosts.process._logs import MIN_LIMIT_BYTES, LogRotator
from crunch_game.hosts.process._preload import libraries_of, with_lazy_imports
from crunch_game.hosts.process._process import Process
from crunch_game.hosts.process.child import SetupBody, is_booting
from crunch_game.hosts.process.diagnosis import ExitDiagnosis
from crunch_game.hosts.process.engine import Engine, Exchange, Gone, Link, Result, Results, loop_caller
from crunch_game.models import Submission
from crunch_game.outcomes import Fault
from crunch_game.policy import Trigger
from crunch_game.sandbox import Sandbox
from crunch_game.sources import ClassSource, FileSource, FolderSource, Source, check_name

_SANDBOX: Final = Sandbox()
_LOADS_PER_PROCESSOR: Final = 2
"""Models that are loaded at once: one waits for the disk or the fork server, while one computes."""
_LOAD_TURN_SECONDS: Final = 0.25
"""After which a model that is still being loaded lets the next one begin."""


@public
class ProcessHost:
    """Runs each model in a process of its own; the default host.

    Args:
        preload: Libraries to import once, before the processes are forked. "auto" reads the import statements of
            the submissions; one that fails, hangs or starts threads when imported is left to the models.
        env: Environment variables for the models. They get the locale, the time zone and the search paths,
            nothing else.
        logs: The folder for each model's output (`ID.out.log`, `ID.err.log`); a temporary one unless given.
        log_limit: Bytes that each of these two may have on disk. What is longer is cut: the tail goes to
            `ID.out.log.1`, which counts too, and what was before it is dropped.
        answer_limit: Bytes that one answer may take on its way. Large ones cost the coordinator time, which all share:
            a mebibyte can be a million empty lists.
        sandbox: What models may do besides computing. On unless it is None: then they have the rights of this user.
    """

    def __init__(
        self,
        *,
        preload: Literal["auto"] | Sequence[str] = "auto",
        env: Mapping[str, str] | None = None,
        logs: str | os.PathLike[str] | None = None,
        log_limit: int = 1 << 20,
        answer_limit: int = 1 << 20,
        sandbox: Sandbox | None = _SANDBOX,
    ) -> None:
        if log_limit < MIN_LIMIT_BYTES:
            raise GameError(
                f"ProcessHost(log_limit={log_limit!r}) is too little; it must be bytes, {MIN_LIMIT_BYTES} or more"
            )
        if not 0 < answer_limit <= framing.MAX_FRAME:
            raise GameError(
                f"ProcessHost(answer_limit={answer_limit!r}) must be bytes, more than 0 and at most {framing.MAX_FRAME}"
            )
        self._preload = preload
        self._env = dict(env or {})
        self._logs = Path(logs) if logs is not None else None
        self._sandbox = sandbox
        self._log_limit = log_limit
        self._answer_limit = answer_limit
        self._instances: dict[Link, Process] = {}
        self._submission_folders: set[str] = set()

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What it was made with, by name."""
        names = ("preload", "env", "logs", "log_limit", "answer_limit", "sandbox")
        return {name: getattr(self, f"_{name}") for name in names}

    def fresh(self, *, logs: str | os.PathLike[str] | None = None) -> Self:
        """Return a host with the same arguments, which nobody has opened.

        Args:
            logs: Another folder for each model's output.
        """
        twin = copy.copy(self)
        twin._logs = self._logs if logs is None else Path(logs)
        twin._forget()
        return twin

    def _forget(self) -> None:
        """Be as nobody has opened it: whoever opens it next must not close what is no longer its own."""
        self._instances, self._submission_folders = {}, set()
        for name in ("_folder", "_engine", "_server"):
            vars(self).pop(name, None)

    async def open(self, setup: Setup, submissions: Sequence[Submission], watcher: Watcher) -> None:
        """Start the fork server and have it import the base class, and the libraries of these submissions.

        Raises:
            ContractError: The base class cannot be imported in another process.
            ResourceError: It is not Linux, or this process may have too few open files.
            UsageError: A script starts its runner while the models' processes import it.
        """
        self._forget()
        if not hasattr(os, "pidfd_open"):
            raise ResourceError('the process host needs Linux and Python\'s os.pidfd_open; use host="inline"')
        if is_booting():
            raise UsageError(
                "a script that runs models starts its runner under: if __name__ == '__main__':  "
                "(the models' processes import the script)"
            )
        allow_descriptors()
        self._setup = setup
        self._watcher = watcher
        self._folder = Path(tempfile.mkdtemp(prefix="crunch_game-"))
        self._lifeline = Lifeline(self._folder)
        self._tables = TableReader()
        # A process whose log has reached the sandbox's limit of one file could print no more.
        largest = self._sandbox.file_size if self._sandbox is not None else self._log_limit
        self._rotator = LogRotator(max(MIN_LIMIT_BYTES, min(self._log_limit, largest)))
        self._rotator.watch(self._folder / "forkserver.log")
        self._diagnosis = ExitDiagnosis(self._sandbox)
        if self._logs is not None:
            self._logs.mkdir(parents=True, exist_ok=True)
        self._reviving = anyio.Lock()
        self._loading = anyio.Semaphore(_LOADS_PER_PROCESSOR * (os.cpu_count() or 1))
        self._init = init_arguments((list(setup.init_args), dict(setup.init_kwargs)), "the models' init arguments")
        preload = self._preload
        if preload == "auto":
            preload = with_lazy_imports(await anyio.to_thread.run_sync(libraries_of, submissions))
        self._submission_folders = {
            folder for each in submissions if (folder := _submission_folder(each.source, each.source.place))
        }
        self._boot = boot_of(setup, submissions, list(preload), self._sandbox, str(self._lifeline.path))
        self._engine = Engine(loop_caller(), watcher.loop_blocked)
        self._rotator.start()
        self._server = await self._new_server()

    async def start(
        self, submission: Submission, timeout: float, init: tuple[list[Any], dict[str, Any]] | None = None
    ) -> Loaded:
        """Fork a process and load the model in it, beside as many others as the processors are good for.

        `init` is for this one instance, in place of the setup's.

        Raises:
            LoadFailure: It could not be loaded.
            ContractError: `init` cannot be sent.
            CrunchGameError: The engine has failed.
        """
        place = submission.source.place  # looked up once: that costs several system calls
        reference = _reference(submission.source, place)
        if folder := _submission_folder(submission.source, place):
            self._submission_folders.add(folder)
        sent = self._init if init is None else init_arguments(init, "the model's init arguments")
        while True:
            self._engine.check()
            async with self._loading:
                server = await self._have_server()
                process, channel, descriptors = self._process(submission)
                results = Results("setup", timeout, each=False)
                async with self._ended_unless_loaded(process):
                    body = self._setup_body(submission.source, place, reference, str(process.home), sent)
                    frame = framing.frame(framing.SETUP, results.exchange.id, body)
                    self._engine.do(partial(self._engine.spawn, process.link, channel, descriptors))
                    self._engine.do(partial(self._engine.ask, results.exchange, {process.link: frame}))
                    with anyio.move_on_after(_LOAD_TURN_SECONDS):  # who takes long must not hold up the others
                        await results.wait()
            async with self._ended_unless_loaded(process):
                [(_, what, _)] = [result async for batch in results for result in batch]
                self._engine.check()
                if not server.lost or process.link.pid is not None:
                    return Loaded(process, process.loaded(what, timeout))
            await self.stop(process)  # the fork server ended before it came to this one; that is not the model's fault

    @asynccontextmanager
    async def _ended_unless_loaded(self, process: Process) -> AsyncIterator[None]:
        try:
            yield
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.stop(process)
            raise

    def _process(self, submission: Submission) -> tuple[Process, socket.socket, list[int]]:
        process = Process(
            submission, self._setup, self, self._folder, self._logs, self._rotator, self._diagnosis, self._answer_limit
        )
        try:
            channel, descriptors = process.open()
        except OSError as error:
            process.clean_up()
            raise LoadFailure(Fault("OSError", f"its process cannot be started: {error}")) from None
        self._instances[process.link] = process
        return process, channel, descriptors

    async def ask(self, call: Call, asked: Asked, *, each: bool) -> AsyncGenerator[Sequence[tuple[Instance, Reply]]]:
        """Write one frame to every process, and take what comes by the deadline.

        Raises:
            ContractError: The arguments cannot be sent.
            CrunchGameError: The engine has failed.
        """
        asking = Asking(call, asked, each=each)
        frames = asking.frames()
        self._engine.do(lambda: self._engine.ask(asking.exchange, frames))
        async with aclosing(self._taken([asking])) as batches:
            async for _, replies in batches:
                yield replies

    async def ask_together(
        self, asks: Sequence[tuple[Call, Asked]]
    ) -> AsyncGenerator[tuple[int, Sequence[tuple[Instance, Reply]]]]:
        """The same with one frame for all calls, unless they are large.

        Raises:
            ContractError: The arguments of one cannot be sent.
            CrunchGameError: The engine has failed.
        """
        askings = [Asking(call, asked, each=False) for call, asked in asks]
        frames = [asking.frames() for asking in askings]
        exchanges = [asking.exchange for asking in askings]
        whole = frames_together(askings)

        def begin() -> None:
            if whole is not None:
                self._engine.ask_together(exchanges, frames, whole)
                return
            for exchange, own in zip(exchanges, frames, strict=True):
                self._engine.ask(exchange, own)

        self._engine.do(begin)
        async with aclosing(self._taken(askings)) as batches:
            async for batch in batches:
                yield batch

    def telling(self, calls: Sequence[Call]) -> Telling:
        """Encode the calls, once for all processes; ContractError if the arguments of one cannot be sent."""
        return written_down(calls)

    async def tell(self, telling: Telling, instance: Instance) -> ToldSoFar:
        """Write all that is to be told in one frame, and take the one answer.

        Raises:
            CrunchGameError: The engine has failed.
        """
        assert isinstance(instance, Process)
        what, seconds = await asked_to_go_on(self._engine, telling, instance.link, self._notice)
        return instance.told(what, seconds, telling)

    async def _taken(self, askings: Sequence[Asking]) -> AsyncGenerator[tuple[int, Sequence[tuple[Instance, Reply]]]]:
        """What comes of calls that were handed to the engine, each with its number."""
        try:
            for number, asking in enumerate(askings):
                call, processes = asking.call, asking.processes
                async for batch in asking.results:
                    self._engine.check()
                    replies: Sequence[tuple[Instance, Reply]]
                    replies = [(processes[link], processes[link].reply(what, s, call)) for link, what, s in batch]
                    if call.method.returns_table:
                        replies = await self._tables.read(replies, partial(self._notice, batch))
                    yield number, replies
        finally:
            for asking in askings:
                asking.results.give_up(self._notice)
            if left := [asking.exchange for asking in askings if not asking.results.complete]:
                self._engine.do(lambda: self._engine.abandon(left))

    def _notice(self, batch: list[Result]) -> None:
        """Results that come after their call was given up: they still say which models are free, and which died."""
        for link, what, _ in batch:
            if isinstance(what, framing.Frame):
                self.late(link)
            elif isinstance(what, Gone) and not what.unsent:
                self.gone(link, what, told=False)

    async def stop(self, instance: Instance) -> None:
        """End the process, and wait until it is gone."""
        assert isinstance(instance, Process)
        self._engine.do(lambda: self._engine.processes.kill(instance.link))
        await instance.ended.wait()
        if self._instances.pop(instance.link, None) is not None:
            await anyio.to_thread.run_sync(instance.clean_up)

    async def close(self) -> None:
        """End every process, and the fork server."""
        if not hasattr(self, "_folder"):
            return
        if hasattr(self, "_engine"):
            orphans = hasattr(self, "_server") and not await self._server.down()
            if orphans:
                self._engine.do(self._engine.processes.adopt)
            for process in list(self._instances.values()):
                if orphans or process.link.orphaned:
                    await self.stop(process)
            await anyio.to_thread.run_sync(self._rotator.stop)
            await anyio.to_thread.run_sync(self._engine.stop)
        self._lifeline.cut()
        self._tables.close()
        await anyio.to_thread.run_sync(discard, self._folder)

    async def _have_server(self) -> ForkServer:
        """The fork server, started again if it died.

        Raises:
            LoadFailure: It cannot be started again; models that play go on.
        """
        async with self._reviving:
            if self._server.lost:
                await self._server.down()
                try:
                    self._server = await self._new_server()
                except (ContractError, OSError) as error:
                    raise LoadFailure(Fault(type(error).__name__, f"the fork server is gone: {error}")) from None
            return self._server

    async def _new_server(self) -> ForkServer:
        return await ForkServer.up(self._engine, self._boot, self._env, self._folder)

    def _setup_body(self, source: Source, place: Path | None, reference: str, home: str, init: bytes) -> bytes:
        folder = reference if isinstance(source, FolderSource) and place else None
        readable, loader = [str(place)] if place else [], pickle.dumps(self._setup.loader)
        given = reference, isinstance(source, ClassSource), loader, msgspec.Raw(init), folder, home, readable
        return encode(SetupBody(*given, list(self._submission_folders), self._answer_limit, self._setup.lenient))

    # The engine's news: the first on its own thread, the others on the event loop.

    def slow(self, links: Sequence[Link], exchange: Exchange, seconds: float) -> None:
        """They are still at a call whose time is nearly over: have their frames written to their logs, with a heading.

        The thread that keeps the logs writes the heading, since the disk may be slow and the engine must not wait.
        """

        def dump_frames() -> None:
            for link in links:
                if (process := self._instances.get(link)) is not None:
                    process.note_slow(exchange, seconds)
            self._engine.do(partial(self._engine.processes.dump_frames, links))

        self._rotator.do(dump_frames)

    def late(self, link: Link) -> None:
        """A late answer came in; the model is free again."""
        if link in self._instances:
            self._watcher.happened(self._instances[link], Trigger.LATE, None)

    def gone(self, link: Link, gone: Gone, *, told: bool) -> None:
        """The process is gone."""
        process = self._instances.get(link)
        if process is None:
            return
        process.examine(gone)
        process.ended.set()
        if not told:
            self._watcher.happened(process, Trigger.DIED, process.death(gone))


def _reference(source: Source, place: Path | None) -> str:
    """What another process finds the submission by: a class's place, a path, or "package.module:attr"."""
    match source:
        case ClassSource(cls):
            try:
                return reference_of(cls)
            except ContractError as error:
                raise LoadFailure(Fault("LoadError", str(error))) from None
        case FileSource(path) | FolderSource(path):
            path = place or path.absolute()
            try:
                check_name(path)
            except LoadError as error:
                raise LoadFailure(Fault("LoadError", str(error))) from None
            return str(path)
        case _:
            return str(source)


def _submission_folder(source: Source, place: Path | None) -> str | None:
    """The folder that a submission's file or folder lies in, where others may lie too."""
    return str(place.parent) if place and isinstance(source, FileSource | FolderSource) else None

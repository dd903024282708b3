"""Tables that models answer with, as DataFrames: this process reads only what a bounded child has read before it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from typing import Any, Final

import anyio.to_thread
import msgspec

from crunch_game.hosts.base import Instance, Reply
from crunch_game.hosts.tablechild import Rewritten
from crunch_game.hosts.wire import SentTable, Undecodable
from crunch_game.outcomes import Fault
from crunch_game.policy import Event

__all__ = ["TableReader"]

_PROGRAM: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from crunch_game.hosts.tablechild import main; main(int(sys.argv[1]))"
)
_KEPT: Final = ("PATH", "LD_LIBRARY_PATH")
_ENVIRONMENT: Final = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # Arrow's own pools start threads, which no fork takes along
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_Replies = Sequence[tuple[Instance, Reply]]
_rewritten = msgspec.msgpack.Decoder(Rewritten)


class TableReader:
    """Reads tables for one host, on a thread. The process that does it is started for the first one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Connection[Any, Any] | None = None
        self._closed = False

    async def read(self, replies: _Replies, forsaken: Callable[[], None]) -> _Replies:
        """The replies of one batch, with a DataFrame, or a fault, for each answer that is a table.

        Args:
            replies: What models answered in time; the reading counts for no budget.
            forsaken: Called when the reading is cancelled, after which nobody hears of these replies.
        """
        sent = [reply.value for _, reply in replies if isinstance(reply.value, SentTable)]
        if not sent:
            return replies
        try:
            tables = iter(await anyio.to_thread.run_sync(self._read_all, sent, abandon_on_cancel=True))
        except BaseException:
            forsaken()
            raise
        return [
            (instance, _with(reply, next(tables)) if isinstance(reply.value, SentTable) else reply)
            for instance, reply in replies
        ]

    def close(self) -> None:
        """End the process."""
        self._closed = True
        self._end()

    def _read_all(self, sent: Sequence[SentTable]) -> list[Any]:
        """For each the DataFrame, or the Undecodable that says why there is none."""
        try:
            from pyarrow import ipc
        except ImportError:
            return [Undecodable("a table needs pyarrow: pip install 'crunch-game[tables]'")] * len(sent)
        tables: list[Any] = []
        for told in self._rewritten(sent):
            if told.refusal is not None:
                tables.append(Undecodable(f"a table could not be read: {told.refusal}"))
                continue
            # The child has done just this with the same bytes, within its bounds: here it takes no more.
            with ipc.open_stream(told.table) as stream:
                tables.append(stream.read_all().to_pandas(use_threads=False))
        return tables

    def _rewritten(self, sent: Sequence[SentTable]) -> list[Rewritten]:
        told: list[Rewritten] = []
        with self._lock:
            for _ in range(2):  # somebody may have ended the process since the last tables
                if self._closed:
                    break
                try:
                    channel = self._channel or self._start()
                    channel.send_bytes(msgspec.msgpack.encode(sent[len(told) :]))
                    while len(told) < len(sent):
                        told.append(_rewritten.decode(channel.recv_bytes()))
                    return told
                except (EOFError, OSError):
                    self._end()
        return told + [Rewritten(refusal="the process that reads tables has ended")] * (len(sent) - len(told))

    def _start(self) -> Connection[Any, Any]:
        self._channel, theirs = Pipe()
        path = [os.path.abspath(entry) for entry in sys.path if isinstance(entry, str)]  # noqa: PTH100 - links stay
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", _PROGRAM, str(theirs.fileno()), json.dumps(path)],
                pass_fds=[theirs.fileno()],
                env=kept | _ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # so that Ctrl-C is the coordinator's alone, and a child ends with its parent
            )
        return self._channel

    def _end(self) -> None:
        channel, process = self._channel, self._process
        self._channel = self._process = None
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if channel is not None:
            channel.close()


def _with(reply: Reply, table: Any) -> Reply:
    if isinstance(table, Undecodable):
        fault = Fault("invalid", f"the answer cannot be read: {table}")
        return Reply(Event.INVALID, None, fault, reply.elapsed)
    return Reply(reply.event, table, None, reply.elapsed)

"""Tables that models answer with, as DataFrames: this process reads only what a bounded child has read before it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from typing import Any, Final

import anyio.to_thread
import msgspec

from crunch_game.encoding import SentTable
from crunch_game.errors import how_to_install
from crunch_game.hosts._interpreter import start_main
from crunch_game.hosts._table_child import MAX_SECONDS
from crunch_game.hosts.base import Instance, Reply
from crunch_game.outcomes import Fault
from crunch_game.policy import Trigger

_ENVIRONMENT: Final = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # Arrow's own pools start threads, which no fork takes along
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_STARTING: Final = 60.0
"""Seconds that the process may take to start, besides those for a table."""
_Replies = Sequence[tuple[Instance, Reply]]


class TableReader:
    """Reads tables for one host, on a thread. The process that does it is started for the first one."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        """Held while tables are read: a cancelled call may leave its thread at that."""
        self._ownership = threading.Lock()
        """Held while the process is started, so that no process starts behind the back of `close`."""
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
            tables = iter(await anyio.to_thread.run_sync(self._read, sent, abandon_on_cancel=True))
        except BaseException:
            forsaken()
            raise
        return [
            (instance, _with(reply, next(tables)) if isinstance(reply.value, SentTable) else reply)
            for instance, reply in replies
        ]

    def close(self) -> None:
        """End the process."""
        with self._ownership:
            self._closed = True
        self._end()

    def _read(self, sent: Sequence[SentTable]) -> list[Any]:
        """For each the DataFrame, or the text that says why there is none."""
        try:
            from pyarrow import ipc
        except ImportError:
            return [f"a table needs pyarrow; {how_to_install('tables')}"] * len(sent)
        with self._turn:
            answers = self._answers(sent)
        # The child has done just this with the same bytes, within its bounds: here it takes no more.
        return [
            ipc.open_stream(answer).read_all().to_pandas(use_threads=False)
            if isinstance(answer, bytes)
            else f"a table could not be read: {answer}"
            for answer in answers
        ]

    def _answers(self, sent: Sequence[SentTable]) -> list[bytes | str]:
        answers: list[bytes | str] = []
        for _ in range(2):  # somebody may have ended the process since the last tables
            try:
                channel = self._channel or self._start()
                channel.send_bytes(msgspec.msgpack.encode(sent[len(answers) :]))
                while len(answers) < len(sent) and channel.poll(MAX_SECONDS + _STARTING):
                    answers.append(msgspec.msgpack.decode(channel.recv_bytes()))
                if len(answers) == len(sent):
                    return answers
            except (EOFError, OSError):
                pass
            self._end()
        return answers + ["the process that reads tables has ended"] * (len(sent) - len(answers))

    def _start(self) -> Connection[Any, Any]:
        with self._ownership:
            if self._closed:
                raise EOFError
            self._channel, theirs = Pipe()
            with theirs:
                # It leads a group of its own, so its children end with it.
                self._process = start_main(
                    "crunch_game.hosts._table_child",
                    theirs.fileno(),
                    kept=("PATH", "LD_LIBRARY_PATH"),
                    env=_ENVIRONMENT,
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
    if isinstance(table, str):
        return Reply(Trigger.INVALID, None, Fault("invalid", f"the answer cannot be read: {table}"), reply.elapsed)
    return Reply(reply.trigger, table, None, reply.elapsed)

"""The process that reads strangers' tables, in children that end with each batch of them.

A few hundred bytes of Arrow or Parquet can stand for gigabytes, and a forged table can end whoever reads it. Nobody
can tell before it is read, so a child reads it, with the rights of a sandboxed model and within these bounds. What it
read it writes down again, uncompressed, for the coordinator to read at the same cost.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec

from crunch_game.faults import shortened
from crunch_game.hosts.framing import LENGTH
from crunch_game.hosts.sandbox import Sandbox
from crunch_game.hosts.wire import SentTable

__all__ = ["MAX_CELLS", "MAX_CPU_SECONDS", "MAX_MEMORY", "MAX_SECONDS", "MAX_TABLE", "Rewritten", "main"]

_MIB: Final = 1 << 20
MAX_MEMORY: Final = 256 * _MIB
"""Bytes that reading a table may take, besides twice those that the model sent."""
MAX_TABLE: Final = 80 * _MIB
"""Bytes of a table as it is handed back, uncompressed."""
MAX_CELLS: Final = 8 * _MIB
"""Rows times columns. Empty columns take no bytes, however long they are, and yet memory in a DataFrame."""
MAX_CPU_SECONDS: Final = 2
"""Seconds of a processor that one child may use."""
MAX_SECONDS: Final = 10.0
"""Seconds that it may take for one table: without using a processor it meets no other limit."""


class Rewritten(msgspec.Struct, array_like=True):
    """What a child made of a table: an Arrow stream to be trusted, or why there is none."""

    table: bytes = b""
    refusal: str | None = None


_tables = msgspec.msgpack.Decoder(list[SentTable])


def main(descriptor: int) -> None:
    """Read tables until the coordinator is gone. This process only imports, forks, and passes bytes on."""
    import pandas  # noqa: F401 - what Arrow needs to make DataFrames
    from pyarrow import ipc, parquet  # noqa: F401

    Sandbox().prepare()
    gc.freeze()
    with Connection(descriptor) as channel, suppress(EOFError, ConnectionError):
        while True:
            for answer in _answers(_tables.decode(channel.recv_bytes())):
                channel.send_bytes(answer)


def _answers(tables: list[SentTable]) -> Iterator[bytes]:
    """What is to be said of each table.

    One child reads them all. If it ends before, another goes on where it was, so that no table pays for what others
    took before it: only one that ends a child that has just begun is refused.
    """
    while tables:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            _read_all(tables, writing)
        os.close(writing)
        read = 0
        for answer in islice(_frames(reading), len(tables)):
            yield answer
            read += 1
        os.close(reading)
        os.kill(pid, signal.SIGKILL)  # it may be waiting for something; if it has ended, nothing happens
        _, status = os.waitpid(pid, 0)
        if not read:
            yield _refusal(_why_it_ended(status))
        tables = tables[read or 1 :]


def _why_it_ended(status: int) -> str:
    ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if ended_by == signal.SIGXCPU:
        return f"it takes more than {MAX_CPU_SECONDS} s of a processor"
    if ended_by == signal.SIGKILL:
        return f"it takes more than {MAX_SECONDS:g} s"
    return f"it ended the process that read it ({signal.Signals(ended_by).name if ended_by else 'without a signal'})"


def _frames(descriptor: int) -> Iterator[bytes]:
    """What a child writes, frame by frame, until it ends, takes too long for one, or writes too much."""
    data, until = bytearray(), time.monotonic() + MAX_SECONDS
    while select.select([descriptor], [], [], max(0.0, until - time.monotonic()))[0]:
        part = os.read(descriptor, _MIB)
        data += part
        while len(data) >= LENGTH.size and len(data) >= (end := LENGTH.size + LENGTH.unpack_from(data)[0]):
            yield bytes(data[LENGTH.size : end])
            del data[:end]
            until = time.monotonic() + MAX_SECONDS
        if not part or len(data) > MAX_TABLE + _MIB:
            return


# In the child.


def _read_all(tables: list[SentTable], descriptor: int) -> NoReturn:
    """Read the tables, write what came of each, and end."""
    try:
        Sandbox(memory=_most_memory(tables), cpu=MAX_CPU_SECONDS).enter((), ())
        with open(descriptor, "wb") as pipe:
            for sent in tables:
                answer = _answer(sent)
                pipe.write(LENGTH.pack(len(answer)) + answer)
                pipe.flush()
    except Exception:  # noqa: BLE001 - no table's fault, so people should see it
        traceback.print_exc()
    finally:
        os._exit(0)


def _answer(sent: SentTable) -> bytes:
    try:
        return msgspec.msgpack.encode(Rewritten(_rewritten(sent)))
    except MemoryError:
        return _refusal(f"it takes more than {MAX_MEMORY // _MIB} MiB of memory")
    except Exception as error:  # noqa: BLE001 - a forged table can make Arrow and pandas raise anything
        return _refusal(shortened(str(error)) or type(error).__name__)


def _rewritten(sent: SentTable) -> bytes:
    """The table as an uncompressed Arrow stream, after a rehearsal of what the coordinator will do with it.

    Raises:
        ValueError: It is damaged, or more than may be handed back.
        MemoryError: It is more than this process may have.
    """
    import pyarrow
    from pyarrow import ipc, parquet

    if sent.is_parquet:
        table = parquet.ParquetFile(pyarrow.BufferReader(sent.data)).read(use_threads=False)
    else:
        table = ipc.open_stream(sent.data).read_all()
    table.validate(full=True)  # offsets that lead elsewhere would let it read what is no part of it
    if (cells := table.num_rows * table.num_columns) > MAX_CELLS:
        raise ValueError(f"it has {cells} cells; at most {MAX_CELLS} are read")
    table.to_pandas(use_threads=False)
    counted = pyarrow.MockOutputStream()
    _write(table, counted)
    if counted.size() > MAX_TABLE:
        raise ValueError(
            f"it has {counted.size() >> 20} MiB when it is written out; at most {MAX_TABLE >> 20} are read"
        )
    sink = pyarrow.BufferOutputStream()
    _write(table, sink)
    return bytes(sink.getvalue())


def _write(table: Any, sink: Any) -> None:
    from pyarrow import ipc

    with ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def _refusal(why: str) -> bytes:
    return msgspec.msgpack.encode(Rewritten(refusal=why))


def _most_memory(tables: list[SentTable]) -> int | None:
    """Bytes that RLIMIT_DATA is to allow; None where the system does not tell what this process has already."""
    with suppress(FileNotFoundError):
        used = int(Path("/proc/self/statm").read_text().split()[5]) * os.sysconf("SC_PAGE_SIZE")
        return used + MAX_MEMORY + 2 * max(len(sent.data) for sent in tables)
    return None

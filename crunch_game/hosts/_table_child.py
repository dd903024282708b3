"""The process that reads strangers' tables, in children that end with each batch of them.

A few hundred bytes of Arrow or Parquet can stand for gigabytes, and a forged table can end whoever reads it. Nobody
can tell before it is read, so a child reads it, with the rights of a sandboxed model and within these bounds. What it
read it writes down again, uncompressed, for the coordinator to read at the same cost.
"""

from __future__ import annotations

import gc
import os
import signal
import traceback
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec

from crunch_game.encoding import SentTable
from crunch_game.faults import shortened
from crunch_game.sandbox import Sandbox

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

_tables = msgspec.msgpack.Decoder(list[SentTable])


def main(descriptor: int) -> None:
    """Read tables until the coordinator is gone. This process only imports, forks, and passes bytes on.

    For each table it answers with the bytes of an Arrow stream, or with the text that says why there is none.
    """
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
        reading, writing = Pipe(duplex=False)
        pid = os.fork()
        if pid == 0:
            _read_all(tables, writing)
        writing.close()
        read = 0
        with reading, suppress(EOFError, OSError):  # it has ended, or says more than a table can be
            while read < len(tables) and reading.poll(MAX_SECONDS):
                yield reading.recv_bytes(MAX_TABLE + _MIB)
                read += 1
        os.kill(pid, signal.SIGKILL)  # it may be waiting for something; if it has ended, nothing happens
        _, status = os.waitpid(pid, 0)
        if not read:
            yield msgspec.msgpack.encode(_why_it_ended(os.WTERMSIG(status)))
        tables = tables[read or 1 :]


def _why_it_ended(number: int) -> str:
    if number == signal.SIGXCPU:
        return f"it takes more than {MAX_CPU_SECONDS} s of a processor"
    if number == signal.SIGKILL:
        return f"it takes more than {MAX_SECONDS:g} s"
    ended = f"it ended the process that read it ({signal.Signals(number).name if number else 'without a signal'})"
    return f"{ended}: it is damaged, or takes more than {MAX_MEMORY // _MIB} MiB of memory"


# In the child.


def _read_all(tables: list[SentTable], pipe: Connection[Any, Any]) -> NoReturn:
    try:
        Sandbox(memory=_most_memory(tables), cpu=MAX_CPU_SECONDS).enter((), ())
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # native code says there what it could not allocate
        for sent in tables:
            pipe.send_bytes(msgspec.msgpack.encode(_rewritten_or_why_not(sent)))
    except Exception:  # noqa: BLE001 - no table's fault, so people should see it
        traceback.print_exc()
    finally:
        os._exit(0)


def _most_memory(tables: list[SentTable]) -> int | None:
    """Bytes that RLIMIT_DATA is to allow; None where the system does not tell what this process has already."""
    with suppress(FileNotFoundError):
        used = int(Path("/proc/self/statm").read_text().split()[5]) * os.sysconf("SC_PAGE_SIZE")
        return used + MAX_MEMORY + 2 * max(len(sent.data) for sent in tables)
    return None


def _rewritten_or_why_not(sent: SentTable) -> bytes | str:
    try:
        return _rewritten(sent)
    except MemoryError:
        return f"it takes more than {MAX_MEMORY // _MIB} MiB of memory"
    except Exception as error:  # noqa: BLE001 - a forged table can make Arrow and pandas raise anything
        return shortened(str(error)) or type(error).__name__


def _rewritten(sent: SentTable) -> bytes:
    """The table as an uncompressed Arrow stream, after a rehearsal of what the coordinator will do with it."""
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
    for sink in (pyarrow.MockOutputStream(), pyarrow.BufferOutputStream()):  # the first only counts
        with ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        if (size := sink.tell()) > MAX_TABLE:
            raise ValueError(f"it has {size // _MIB} MiB when it is written out; at most {MAX_TABLE // _MIB} are read")
    return bytes(sink.getvalue())

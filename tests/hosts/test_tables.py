"""A table that a model answers with: read as it was sent, or refused by a child that it cannot get out of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import ipc, parquet

from crunch_game.encoding import SentTable, encode, sent_table
from crunch_game.hosts import TableReader
from crunch_game.hosts import _table_child as tablechild
from crunch_game.hosts._table_child import MAX_CELLS, MAX_TABLE
from crunch_game.hosts.base import Instance, Reply
from crunch_game.models import Submission
from crunch_game.policy import Trigger

pytestmark = [pytest.mark.anyio, pytest.mark.processes]


@pytest.fixture
def anyio_backend():
    """What is read is the same on both; that a thread is waited for is tried on both."""
    return "asyncio"


@pytest.fixture(scope="module")
def reader():
    reader = TableReader()
    yield reader
    reader.close()


def replies(*values: Any) -> list[tuple[Instance, Reply]]:
    instance = Instance(Submission("alice", "alice.py"))
    return [(instance, Reply(Trigger.ANSWERED, value, None, 0.5)) for value in values]


async def read(reader: TableReader, *values: Any) -> list[Any]:
    """For each value what is read, or the sentence that says why nothing is."""
    given_ = replies(*values)
    answered = await reader.read(given_, pytest.fail)
    assert [instance for instance, _ in answered] == [instance for instance, _ in given_]
    assert {reply.elapsed for _, reply in answered} == {0.5}
    return [_said(reply) for _, reply in answered]


def _said(reply: Reply) -> Any:
    if reply.trigger is Trigger.ANSWERED:
        return reply.value
    assert (reply.trigger, reply.value, reply.fault.kind) == (Trigger.INVALID, None, "invalid")
    return reply.fault.message.removeprefix("the answer cannot be read: a table could not be read: ")


def sent(table: pd.DataFrame) -> SentTable:
    found = sent_table(encode(table))
    assert found is not None
    return found


def arrow(*columns: Any, **options: Any) -> SentTable:
    table = pyarrow.table(list(columns), names=[f"c{number}" for number in range(len(columns))])
    sink = pyarrow.BufferOutputStream()
    with ipc.new_stream(sink, table.schema, options=ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return SentTable(bytes(sink.getvalue()))


def file(columns: dict[str, Any], **options: Any) -> SentTable:
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(columns), sink, **options)
    return SentTable(bytes(sink.getvalue()), is_parquet=True)


# What honest models send


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_what_is_no_table_is_given_on_as_it_is(reader):
    given_ = replies(1, None, "a")

    assert await reader.read(given_, pytest.fail) is given_


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_tables_come_out_as_they_went_in_each_at_its_place(reader):
    table = pd.DataFrame({
        "numbers": [1.5, np.nan, -np.inf],
        "dicts": [{"a": "x"}, {"a": None}, {"a": "y"}],
        "categories": pd.Categorical(["x", None, "x"]),
        "flags": pd.Categorical([True, False, None]),
        "periods": pd.period_range("2024-01-01", periods=3),
        "exact": [Decimal("1.5"), None, Decimal("2.5")],
    }, index=pd.date_range("2024-01-01", periods=3, tz="UTC"))  # fmt: skip
    lists = pd.DataFrame({"lists": [[1, 2], [], None]})

    first, between, second = await read(reader, sent(table), 7, sent(lists))

    pd.testing.assert_frame_equal(first, table, check_freq=False)
    assert between == 7
    assert [None if each is None else list(each) for each in second["lists"]] == [[1, 2], [], None]


@pytest.mark.parametrize("options", [{}, {"use_dictionary": False}, {"version": "1.0", "compression": None}])
async def test_texts_lists_and_dicts_in_a_parquet_file_arrive(reader, options):
    columns = {
        "texts": ["x", None, "x"],
        "lists": [["a", "b"], [], None],
        "dicts": [{"k": "x", "n": 1}, None, {"k": "y", "n": 2}],
        "bytes": [b"x", b"", None],
    }

    [table] = await read(reader, file(columns, **options))

    assert table.equals(pyarrow.table(columns).to_pandas())


async def test_many_pages_and_many_groups_of_them_are_read(reader):
    column = np.arange(5000)
    ways = {"data_page_size": 64, "write_batch_size": 8}, {"row_group_size": 10}, {"data_page_version": "2.0"}

    for table in await read(reader, *(file({"a": column}, write_statistics=True, **way) for way in ways)):
        assert table["a"].tolist() == column.tolist()


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
async def test_a_compressed_table_that_is_no_bomb_is_read(reader, codec):
    [table] = await read(reader, arrow(pyarrow.array(np.zeros(2**16)), compression=codec))

    assert table.shape == (2**16, 1)


async def test_a_table_that_was_read_can_be_changed(reader):
    [table] = await read(reader, sent(pd.DataFrame({"a": [1.0, 2.0], "b": [1, 2]})))

    table.loc[0, "a"] = 5.0
    table["b"] += 1

    assert table.to_dict("list") == {"a": [5.0, 2.0], "b": [2, 3]}


# What others send


def texts(length: int, count: int) -> Any:
    """A long text, sent once and named many times."""
    return pyarrow.DictionaryArray.from_arrays(np.zeros(count, np.int32), ["x" * length])


def lists(values: Any, count: int = 1) -> Any:
    return pyarrow.ListArray.from_arrays(np.linspace(0, len(values), count + 1).astype(np.int32), values)


TOO_LARGE = "takes more than 256 MiB of memory"
BOMBS = {
    "empty cells": (lambda: arrow(pyarrow.nulls(2**24)), f"it has {2**24} cells; at most {MAX_CELLS} are read"),
    "empty cells in a list": (lambda: arrow(lists(pyarrow.nulls(2**26))), TOO_LARGE),
    "empty cells in a list of a fixed size": (
        lambda: arrow(pyarrow.FixedSizeListArray.from_arrays(pyarrow.nulls(2**26), 2**26)),
        TOO_LARGE,
    ),
    "texts of a dictionary, in dicts": (
        lambda: arrow(pyarrow.StructArray.from_arrays([texts(2**20, 6000)], ["a"]), compression="zstd"),
        None,  # Python keeps one text of them, and so does Arrow
    ),
    "views of one text": (
        lambda: arrow(pyarrow.array(["x" * 2**20] * 300, pyarrow.string_view()), compression="zstd"),
        TOO_LARGE,
    ),
    "compressed numbers": (lambda: arrow(pyarrow.array(np.zeros(2**26)), compression="zstd"), TOO_LARGE),
    "a compressed text": (lambda: arrow(texts(2**28, 1), compression="zstd"), TOO_LARGE),
    "more cells than are read": (
        lambda: file({"x": np.zeros(MAX_CELLS + 1)}, compression="zstd"),
        f"it has {MAX_CELLS + 1} cells; at most {MAX_CELLS} are read",
    ),
    "a repeated text": (lambda: file({"a": ["x" * 20_000] * 15_000}, compression="zstd"), TOO_LARGE),
    "a repeated text in lists": (lambda: file({"a": [["x" * 20_000] * 15] * 1000}, compression="zstd"), TOO_LARGE),
    "repeated bytes": (
        lambda: file({"a": pyarrow.array([b"x" * 20_000] * 6000, pyarrow.binary(20_000))}, compression="zstd"),
        f"it has 114 MiB when it is written out; at most {MAX_TABLE >> 20} are read",
    ),
    "a long list": (lambda: file({"a": [[0.0] * (MAX_CELLS + 1)]}, compression="zstd"), TOO_LARGE),
    "texts that share their beginnings": (
        lambda: file(
            {"a": ["x" * 20_000 + str(number) for number in range(20_000)]},
            use_dictionary=False,
            column_encoding={"a": "DELTA_BYTE_ARRAY"},
        ),
        TOO_LARGE,
    ),
}


@pytest.mark.parametrize("name", BOMBS)
async def test_a_small_table_that_stands_for_a_large_one_is_read_in_bounds_or_refused(reader, name):
    make, why = BOMBS[name]
    bomb = make()
    assert len(bomb.data) < 1 << 20
    pyarrow.default_memory_pool().release_unused()
    before = pyarrow.total_allocated_bytes()

    read_, honest = await read(reader, bomb, sent(pd.DataFrame({"a": [1.5]})))

    assert why is None or read_.endswith(why)
    assert honest["a"].tolist() == [1.5]
    assert pyarrow.total_allocated_bytes() - before < tablechild.MAX_MEMORY


async def test_a_page_that_claims_to_be_huge_is_refused(reader):
    table = file({"a": ["x" * 2**20]}, compression="zstd", use_dictionary=False, write_statistics=False)
    true, forged = (b"\x15\x00\x15" + size for size in (b"\x94\x80\x80\x01", b"\xfe\xff\xff\x7f"))
    assert table.data.count(true) == 1

    [why] = await read(reader, SentTable(table.data.replace(true, forged), is_parquet=True))

    assert isinstance(why, str)


async def test_a_table_whose_offsets_lead_elsewhere_is_refused(reader):
    true, forged = (np.array(offsets, "<i4").tobytes() for offsets in ([0, 1, 2], [0, 1 << 30, 1 << 30]))
    table = arrow(pyarrow.array(["x", "y"]))
    assert true in table.data

    head, _, tail = table.data.rpartition(true)
    [why] = await read(reader, SentTable(head + forged + tail))

    assert why.startswith("Column 0: In chunk 0: Invalid")


@pytest.mark.parametrize("is_parquet", [False, True])
async def test_bytes_that_are_no_table_are_refused(reader, is_parquet):
    whys = await read(reader, *(SentTable(data, is_parquet) for data in (b"", b"PAR1 is not enough", bytes(1000))))

    assert all(isinstance(why, str) for why in whys)


HONEST = pd.DataFrame({"a": [1, 2.5], "b": ["x", "yy"], "c": pd.Categorical(["u", "v"])})
damages = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=6)


@settings(max_examples=30, deadline=None)
@given(st.booleans(), st.lists(damages, min_size=1, max_size=20))
def test_forged_tables_are_a_table_or_refused(reader, is_parquet, forgeries):
    honest = file({name: HONEST[name] for name in "ab"}) if is_parquet else sent(HONEST)
    forged = []
    for damage in forgeries:
        data = bytearray(honest.data)
        for place, byte in damage:
            data[place % len(data)] = byte
        forged.append(SentTable(bytes(data), is_parquet))

    *_, last = reader._read([*forged, honest])

    assert isinstance(last, pd.DataFrame)


# Children that do not come to an answer


ACTING = """
import faulthandler, json, os, signal, socket, sys
import msgspec
from crunch_game.encoding import SentTable
from crunch_game.hosts import _table_child as tablechild

read_here = []
acts = {
    b"reads": lambda: "table",
    b"crashes": lambda: (faulthandler.disable(), os.kill(os.getpid(), signal.SIGSEGV)),
    b"spins": lambda: next(None for one in iter(int, 1) if one),
    b"sleeps": lambda: signal.pause(),
    b"connects": lambda: socket.socket(),
    b"tires": lambda: os.kill(os.getpid(), signal.SIGXCPU) if len(read_here) == 2 else "table",
}

def act(sent):
    read_here.append(sent)
    return acts[sent.data]()

tablechild._rewritten = act
tablechild.MAX_CPU_SECONDS, tablechild.MAX_SECONDS = 1, float(sys.argv[1])
answers = tablechild._answers([SentTable(name.encode()) for name in sys.argv[2:]])
print(json.dumps([msgspec.msgpack.decode(answer) for answer in answers]))
"""


def acting(*names: str, max_seconds: float = 30) -> list[str]:
    """What children answer that do what the bytes say instead of reading them.

    Not in this process, which has threads: gRPC's start anew in forks, and a sandbox must be entered before any.
    """
    command = [sys.executable, "-c", ACTING, str(max_seconds), *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("crashes", f"it ended the process that read it (SIGSEGV): it is damaged, or {TOO_LARGE}"),
        ("spins", "it takes more than 1 s of a processor"),
    ],
)
def test_who_ends_a_child_is_refused_and_nobody_else(name, why):
    assert acting("reads", name, "reads") == ["table", why, "table"]


def test_who_does_nothing_is_not_waited_for():
    assert acting("sleeps", max_seconds=0.5) == ["it takes more than 0.5 s"]


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="the sandbox needs Linux")
def test_a_child_has_the_rights_of_a_model():
    [why] = acting("connects")

    assert "Permission denied" in why or "not permitted" in why


def test_a_table_pays_for_none_before_it():
    """What one child may take is enough for one of these, and not for two."""
    assert acting("tires", "tires", "tires") == ["table", "table", "table"]


# The process


async def test_a_reader_that_was_killed_is_started_again_and_a_closed_one_is_not():
    reader = TableReader()
    table = sent(pd.DataFrame({"a": [1]}))
    assert reader._process is None  # nobody has sent a table yet
    await read(reader, table)
    first = reader._process
    first.kill()
    first.wait()

    [again] = await read(reader, table)
    second = reader._process
    reader.close()

    assert again["a"].tolist() == [1]
    assert second.poll() is not None
    assert await read(reader, table, 1) == ["the process that reads tables has ended", 1]


async def test_without_pyarrow_the_extra_is_named(reader, monkeypatch):
    table = sent(pd.DataFrame({"a": [1]}))
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)

    assert await read(reader, table) == [
        "the answer cannot be read: a table needs pyarrow; from a clone of crunch_game: pip install '.[tables]'"
    ]

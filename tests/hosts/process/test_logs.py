"""Logs stay within their limit, whoever writes them, and what is told of them survives a cut."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crunch_game.hosts.process import _logs as logs
from crunch_game.hosts.process._logs import MIN_LIMIT_BYTES, Log, LogRotator

LIMIT = 10_000
PATIENCE = 30.0
FLOOD = """
import os, sys
for _ in range(100):
    os.write(1, b"x" * ((1 << 20) - 1) + b"\\n")
os.write(2, b"done")
os.close(2)
sys.stdin.read()
"""


def write(log: Log, content: bytes) -> None:
    with log.path.open("ab") as file:
        file.write(content)


def on_disk(log: Log) -> int:
    return sum(path.stat().st_size for path in log.path.parent.glob(f"{log.path.name}*"))


def older(log: Log) -> bytes:
    return log.path.with_name(f"{log.path.name}.1").read_bytes()


@pytest.fixture
def log(tmp_path) -> Log:
    log = Log(tmp_path / "a.err.log", LIMIT)
    log.path.touch()
    return log


def until(look) -> None:
    end = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_short_log_is_left_alone(log):
    write(log, b"one\ntwo\n")
    log.cut()
    assert log.path.read_bytes() == b"one\ntwo\n"
    assert on_disk(log) == 8


def test_of_a_long_log_the_last_lines_are_kept_and_the_rest_is_counted(log):
    lines = [b"line %06d\n" % number for number in range(2_000)]
    write(log, b"".join(lines))
    log.cut()
    assert log.path.stat().st_size == 0
    note, *kept = older(log).splitlines(keepends=True)
    assert kept == lines[-len(kept) :]
    assert note == b"[crunch_game] %d bytes before this line were dropped\n" % (12 * (2_000 - len(kept)))
    assert LIMIT / 4 < on_disk(log) <= LIMIT / 2


def test_a_process_goes_on_where_the_log_was_cut(log):
    with os.fdopen(log.open(), "wb", buffering=0) as process:
        process.write(b"x" * 2 * LIMIT)
        log.cut()
        process.write(b"after\n")
    assert log.path.read_bytes() == b"after\n"


PIECES = st.lists(st.tuples(st.binary(max_size=7_000), st.booleans(), st.integers(0, 20_000)), max_size=12)


@given(PIECES)
def test_what_is_read_is_what_was_written_however_it_was_cut(tmp_path_factory, pieces):
    log = Log(tmp_path_factory.mktemp("logs") / "a.out.log", LIMIT)
    log.path.touch()
    whole = b""
    for content, cut, begin in pieces:
        write(log, content)
        whole += content
        if cut:
            log.cut()
            assert on_disk(log) <= LIMIT
        assert log.end() == len(whole)
        found = log.read(begin, len(whole))
        assert whole[begin:].endswith(found)
        assert found or begin >= len(whole) or log.path.stat().st_size == 0
        assert log.read(len(whole) - log.path.stat().st_size, len(whole)) == log.path.read_bytes()


def test_what_was_written_before_a_cut_can_be_read_after_it(log):
    write(log, b"x" * 2 * LIMIT + b"\n")
    mark = log.end()
    write(log, b"the last words\n")
    log.cut()
    write(log, b"and some more\n")
    assert log.read(mark, log.end()) == b"the last words\nand some more\n"
    assert log.read(mark, mark + 8) == b"the last"


def test_a_log_that_its_model_truncates_is_read_all_the_same(log):
    write(log, b"a great deal\n")
    mark = log.end()
    log.path.write_bytes(b"")
    assert log.read(mark, log.end()) == b""
    write(log, b"new\n")
    assert log.read(0, log.end()) == b"new\n"


def test_a_log_is_emptied_even_where_nothing_can_be_kept(log):
    log.path.with_name(f"{log.path.name}.1.new").mkdir()
    write(log, b"x" * 2 * LIMIT)
    log.cut()
    assert log.path.stat().st_size == 0
    assert log.end() == 2 * LIMIT
    write(log, b"new\n")
    assert log.read(0, log.end()) == b"new\n"


def test_a_line_of_ours_comes_at_a_known_place(log):
    write(log, b"theirs\n")
    assert log.append("ours\n") == 7
    assert log.path.read_bytes() == b"theirs\nours\n"


def test_a_removed_log_does_not_come_back(log):
    write(log, b"x" * 2 * LIMIT)
    log.remove()
    log.cut()
    assert list(log.path.parent.iterdir()) == []


# The rotator.


@pytest.fixture
def rotator():
    rotator = LogRotator(LIMIT)
    rotator.start()
    yield rotator
    rotator.stop()


@pytest.mark.processes
def test_a_flood_is_cut_while_its_process_runs_and_its_neighbour_is_not_touched(rotator, tmp_path):
    loud, quiet = rotator.watch(tmp_path / "loud.out.log"), rotator.watch(tmp_path / "quiet.out.log")
    write(quiet, b"hush\n")
    with os.fdopen(loud.open(), "wb") as out:
        flood = [sys.executable, "-c", FLOOD]
        process = subprocess.Popen(flood, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.PIPE)
    assert process.stderr is not None
    try:
        assert process.stderr.read() == b"done"
        until(lambda: on_disk(loud) <= LIMIT)
        assert process.poll() is None
        assert older(loud).startswith(b"[crunch_game] ")
    finally:
        process.communicate()
    assert quiet.path.read_bytes() == b"hush\n"


def test_who_floods_is_looked_at_again_long_before_the_others(monkeypatch, tmp_path):
    monkeypatch.setattr(logs, "_MAX_CPU_SHARE", 1e-12)
    monkeypatch.setattr(logs, "_MAX_INTERVAL", 1e6)  # there is but one look at all
    rotator = LogRotator(LIMIT)
    floods, late = rotator.watch(tmp_path / "floods.log"), rotator.watch(tmp_path / "late.log")
    write(floods, b"x" * LIMIT)
    write(late, b"")
    rotator.start()
    until(lambda: floods.path.stat().st_size == 0)
    write(late, b"x" * LIMIT)
    for _ in range(3):
        write(floods, b"x" * LIMIT)
        until(lambda: floods.path.stat().st_size == 0)
    assert late.path.stat().st_size == LIMIT
    rotator.stop()
    assert late.path.stat().st_size == 0


def test_a_log_that_vanishes_stops_nothing(rotator, tmp_path):
    gone, stays = rotator.watch(tmp_path / "gone.log"), rotator.watch(tmp_path / "stays.log")
    for log in (gone, stays):
        write(log, b"")
    gone.path.unlink()
    write(stays, b"x" * LIMIT)
    until(lambda: stays.path.stat().st_size == 0)


def test_two_who_keep_one_log_share_it_until_both_let_it_go(tmp_path):
    rotator = LogRotator(LIMIT)
    first, second = rotator.watch(tmp_path / "a.log"), rotator.watch(tmp_path / "a.log")
    assert first is second
    write(first, b"x")
    rotator.release(first, remove=True)
    assert first.path.exists()
    rotator.release(second, remove=True)
    assert not first.path.exists()


def test_a_log_is_within_its_limit_when_it_is_let_go_and_when_the_keeper_stops(tmp_path):
    rotator = LogRotator(LIMIT)
    ended, runs = rotator.watch(tmp_path / "ended.log"), rotator.watch(tmp_path / "runs.log")
    for log in (ended, runs):
        write(log, b"x" * 3 * LIMIT)
    rotator.release(ended, remove=False)
    assert 0 < on_disk(ended) <= LIMIT
    rotator.start()
    rotator.stop()
    assert 0 < on_disk(runs) <= LIMIT


def test_what_an_earlier_run_left_counts_too(tmp_path):
    path = tmp_path / "a.err.log"
    path.write_bytes(b"before\n")
    path.with_name("a.err.log.1").write_bytes(b"x" * 5 * LIMIT + b"\nlast\n")
    log = LogRotator(LIMIT).watch(path)
    assert log.path.read_bytes() == b"before\n"
    assert older(log).endswith(b"x\nlast\n")
    assert on_disk(log) <= LIMIT


def test_the_keeper_runs_what_must_not_wait_for_a_disk_elsewhere(rotator):
    done = []
    rotator.do(lambda: done.append(1))
    until(lambda: done)


def test_the_least_limit_leaves_room_for_the_note(tmp_path: Path):
    log = Log(tmp_path / "a.log", MIN_LIMIT_BYTES)
    write(log, b"line\n" * MIN_LIMIT_BYTES)
    log.cut()
    assert older(log).endswith(b"line\n")
    assert on_disk(log) <= MIN_LIMIT_BYTES

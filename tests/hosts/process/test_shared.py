"""A large message is written once; every process that gets its descriptor reads it, and none can change it."""

from __future__ import annotations

import mmap
import os
import socket

import pytest

from crunch_game import ModelRunner, Policy, Status
from crunch_game import encoding as wire
from crunch_game.hosts.process import _framing as framing
from crunch_game.hosts.process._shared import Shared, mapped
from crunch_game.hosts.process.child._answering import Inbox


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - iterdir would hold one open itself


def test_what_is_shared_is_read_as_it_was_written_and_leaves_no_descriptor():
    before = descriptors()
    message = os.urandom(300_000)
    shared = Shared(message)
    assert bytes(mapped(os.dup(shared.fileno()), len(message))) == message
    del shared
    assert descriptors() == before


def test_it_is_emptied_when_nobody_refers_to_it_whoever_has_it():
    shared = Shared(b"m" * 1000)
    kept = os.dup(shared.fileno())
    del shared
    assert os.fstat(kept).st_size == 0
    os.close(kept)


@pytest.mark.parametrize(
    "change",
    [
        lambda file: os.write(file, b"x"),
        lambda file: os.pwrite(file, b"x", 0),
        lambda file: os.ftruncate(file, 10),
        lambda file: os.ftruncate(os.open(f"/proc/self/fd/{file}", os.O_RDWR), 10_000),
        lambda file: mmap.mmap(file, 1000),
        lambda file: mmap.mmap(os.open(f"/proc/self/fd/{file}", os.O_RDWR), 1000),
    ],
    ids=["write", "pwrite", "shrink", "grow", "map", "open again"],
)
def test_nobody_who_has_it_can_change_it(change):
    shared = Shared(b"m" * 1000)
    with pytest.raises(OSError, match=r"Bad file descriptor|Invalid argument|not permitted|denied"):
        change(shared.fileno())
    assert bytes(mapped(os.dup(shared.fileno()), 1000)) == b"m" * 1000


@pytest.fixture
def channel():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_frames_arrive_whole_however_they_are_cut(channel):
    ours, theirs = channel
    inbox, frames = (
        Inbox(theirs),
        [framing.frame(framing.CALL, i, wire.encode("x" * size)) for i, size in enumerate((1, 70_000))],
    )
    for frame in frames:
        for begin in range(0, len(frame), 9_973):
            ours.send(frame[begin : begin + 9_973])
        assert bytes(inbox.receive()[0]) == frame[framing.LENGTH.size :]
    for byte in frames[0]:
        ours.send(bytes([byte]))
    assert bytes(inbox.receive()[0]) == frames[0][framing.LENGTH.size :]


def test_a_descriptor_belongs_to_the_frame_that_it_came_with(channel):
    ours, theirs = channel
    inbox, shared, frame = Inbox(theirs), Shared(b"large"), framing.frame(framing.SHARED, 7, wire.encode(5))
    socket.send_fds(ours, [frame], [shared.fileno()])
    received, descriptor = inbox.receive()
    assert bytes(received) == frame[framing.LENGTH.size :]
    assert bytes(mapped(descriptor, 5)) == b"large"
    ours.send(frame)
    assert inbox.receive()[1] is None


def test_the_end_of_the_channel_is_the_end_also_amid_a_frame(channel):
    ours, theirs = channel
    ours.send(framing.frame(framing.CALL, 1, b"\xc0")[:5])
    ours.close()
    assert Inbox(theirs).receive() == (None, None)


HOARDS = """
import os, stat
from arena import Base
from crunch_game.hosts.process.child import _answering as answering

kept, mapped = [], answering.mapped


def keep(descriptor, size):
    kept.append(os.dup(descriptor))
    return mapped(descriptor, size)


answering.mapped = keep


class Hoards(Base):
    def take(self, *args, **kwargs):
        return [os.fstat(descriptor).st_size > 300_000 for descriptor in kept]

    def predict(self, number):
        told = []
        for change in (
            lambda: os.ftruncate(kept[-1], 0),
            lambda: os.open(f"/proc/self/fd/{kept[-1]}", os.O_RDWR),
            lambda: os.fchmod(kept[-1], 0o600) or os.open(f"/proc/self/fd/{kept[-1]}", os.O_RDWR),
        ):
            try:
                change()
                told.append("done")
            except OSError as error:
                told.append(type(error).__name__)
        return told
"""
SLOW = """
import time
from arena import Base


class Slow(Base):
    def take(self, *args, **kwargs):
        time.sleep(1.0)
        return len(args[0])

    def predict(self, number):
        return number
"""


@pytest.fixture
def anyio_backend() -> str:
    """One is enough here: what is shared is the same whatever loop sends it; the runner's tests play on both."""
    return "asyncio"


@pytest.mark.processes
@pytest.mark.anyio
async def test_a_model_keeps_no_memory_by_what_it_was_sent_and_takes_none_from_others(tmp_path):
    (tmp_path / "hoards.py").write_text(HOARDS)
    (tmp_path / "slow.py").write_text(SLOW)
    large = b"m" * 300_000
    async with ModelRunner("arena.Base", tmp_path, policy=Policy(timeout=10), ready_timeout=30) as runner:
        first = await runner.call("take", large, timeout=0.5)
        assert first["hoards"].value == [True]
        assert first["slow"].status is Status.TIMEOUT
        assert (await runner.call("take", models=["hoards"]))["hoards"].value == [True], "someone reads it still"
        assert (await runner.predict(1))["hoards"].value == ["OSError", "PermissionError", "PermissionError"]
        second = await runner.call("take", large)
        assert second["hoards"].value == [False, True], "once the one who was late has answered"
        assert second["slow"].value == 300_000
        assert (await runner.call("take", models=["hoards"]))["hoards"].value == [False, False]

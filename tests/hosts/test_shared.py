"""A large message is written once; every process that gets its descriptor reads it, and none can change it."""

from __future__ import annotations

import mmap
import os
import socket

import pytest

from crunch_game.hosts import wire
from crunch_game.hosts.inbox import Inbox
from crunch_game.hosts.shared import Shared, mapped


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - iterdir would hold one open itself


def test_what_is_shared_is_read_as_it_was_written_and_leaves_no_descriptor():
    before = descriptors()
    message = os.urandom(300_000)
    shared = Shared(message)
    assert bytes(mapped(os.dup(shared.fileno()), len(message))) == message
    del shared
    assert descriptors() == before


@pytest.mark.parametrize(
    "change",
    [
        lambda file: os.write(file, b"x"),
        lambda file: os.pwrite(file, b"x", 0),
        lambda file: os.ftruncate(file, 10),
        lambda file: os.ftruncate(file, 10_000),
        lambda file: mmap.mmap(file, 1000),
        lambda file: mmap.mmap(os.open(f"/proc/self/fd/{file}", os.O_RDWR), 1000),
    ],
    ids=["write", "pwrite", "shrink", "grow", "map", "open again"],
)
def test_nobody_who_has_it_can_change_it(change):
    shared = Shared(b"m" * 1000)
    with pytest.raises(PermissionError):
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
        [wire.frame(wire.CALL, i, wire.encode("x" * size)) for i, size in enumerate((1, 70_000))],
    )
    for frame in frames:
        for begin in range(0, len(frame), 9_973):
            ours.send(frame[begin : begin + 9_973])
        assert bytes(inbox.receive()[0]) == frame[wire.LENGTH.size :]
    for byte in frames[0]:
        ours.send(bytes([byte]))
    assert bytes(inbox.receive()[0]) == frames[0][wire.LENGTH.size :]


def test_a_descriptor_belongs_to_the_frame_that_it_came_with(channel):
    ours, theirs = channel
    inbox, shared, frame = Inbox(theirs), Shared(b"large"), wire.frame(wire.SHARED, 7, wire.encode(5))
    socket.send_fds(ours, [frame], [shared.fileno()])
    received, descriptor = inbox.receive()
    assert bytes(received) == frame[wire.LENGTH.size :]
    assert bytes(mapped(descriptor, 5)) == b"large"
    ours.send(frame)
    assert inbox.receive()[1] is None


def test_the_end_of_the_channel_is_the_end_also_amid_a_frame(channel):
    ours, theirs = channel
    ours.send(wire.frame(wire.CALL, 1, b"\xc0")[:5])
    ours.close()
    assert Inbox(theirs).receive() == (None, None)

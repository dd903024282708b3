"""Processes are started, signalled and watched through the fork server, and without it once it is gone."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest

from crunch_game.hosts.process.child import _forkserver as forkserver
from crunch_game.hosts.process.engine import Link
from crunch_game.hosts.process.engine._supervisor import Supervisor

PATIENCE = 30.0
CODE = """
import signal
signal.signal(signal.SIGWINCH, lambda *_: print("here", flush=True))
print("up", flush=True)
while True:
    signal.pause()
"""

pack = msgspec.msgpack.encode
read = msgspec.msgpack.Decoder(forkserver.Spawn | forkserver.Kill | forkserver.DumpFrames).decode


class Office:
    """A supervisor whose selector is turned by hand, and the other end of its line to the fork server."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.ended: list[tuple[Link, int | None]] = []
        self.reports: list[object] = []
        self.lost = 0
        self.supervisor = Supervisor(self.selector, lambda function: function(), self._end)
        self.sockets: list[socket.socket] = []
        self.server = self.connect()

    def _end(self, link: Link, code: int | None) -> None:
        """As the engine does."""
        if not link.ended:
            link.ended = True
            self.supervisor.forget(link)
            self.ended.append((link, code))

    def connect(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sockets += [ours, theirs]
        theirs.setblocking(False)
        self.supervisor.serve(ours, self._hear)
        return theirs

    def _hear(self, report: object) -> None:
        if report is None:
            self.lost += 1
        else:
            self.reports.append(report)

    def turn(self, timeout: float = 0.0) -> None:
        for key, _ in self.selector.select(timeout):
            key.data()

    def orders(self) -> list[object]:
        received = []
        while True:
            try:
                message = self.server.recv(1 << 17)
            except BlockingIOError:
                return received
            received.append(read(message))

    def report(self, *reports: forkserver.Report) -> None:
        for report in reports:
            self.server.send(pack(report))
        self.turn()

    def spawned(self, pid: int | None = None) -> Link:
        link = Link(self)
        self.supervisor.spawn(link, [])
        if pid is not None:
            self.report(forkserver.Started(link.token, pid))
        self.orders()
        return link

    def close(self) -> None:
        self.supervisor.hang_up()
        for link in self.supervisor.links:
            self.supervisor.forget(link)
        self.selector.close()
        for one in self.sockets:
            one.close()


@pytest.fixture
def office() -> Iterator[Office]:
    office = Office()
    yield office
    office.close()


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    """A process in a group of its own, as a model's is."""
    running = subprocess.Popen(
        [sys.executable, "-c", CODE],
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    assert running.stdout.readline() == "up\n"
    yield running
    running.kill()
    running.communicate()


def test_a_process_is_ordered_with_its_descriptors_which_are_closed_here(office):
    reader, writer = os.pipe()
    link = Link(office)
    office.supervisor.spawn(link, [writer])
    message, descriptors, _, _ = socket.recv_fds(office.server, 1 << 17, 3)
    assert read(message) == forkserver.Spawn(link.token)
    os.write(descriptors[0], b"!")
    os.close(descriptors[0])
    os.set_blocking(reader, False)
    assert os.read(reader, 2) == b"!"
    assert os.read(reader, 2) == b"", "nobody else has it open"
    os.close(reader)


def test_what_the_fork_server_reports_of_a_process_is_known_of_its_link(office):
    link = office.spawned()
    office.report(forkserver.Started(link.token, 4321))
    assert (link.pid, office.supervisor.links) == (4321, [link])
    office.report(forkserver.Exited(link.token, -9, 1 << 20))
    assert (office.ended, link.peak, office.supervisor.links) == ([(link, -9)], 1 << 20, [])
    office.report(forkserver.Exited(link.token, -9), forkserver.Started(link.token + 1, 5))  # nobody of ours
    assert office.ended == [(link, -9)]


def test_what_else_it_reports_goes_to_whoever_serves(office):
    reports = [forkserver.Importing("numpy"), forkserver.Imported("numpy", 1), forkserver.Booted()]
    office.report(*reports)
    assert office.reports == reports


def test_kill_and_dump_are_orders_while_the_fork_server_is_there(office):
    link, over = office.spawned(), office.spawned()
    office.report(forkserver.Exited(over.token, 0))
    office.supervisor.dump_frames([link, over])
    for one in (link, over):
        office.supervisor.kill(one)
    assert office.orders() == [forkserver.DumpFrames(link.token), forkserver.Kill(link.token)]


def test_orders_that_the_fork_server_does_not_take_at_once_reach_it_in_their_order(office):
    links = [office.spawned() for _ in range(3)]
    for link in links * 2_000:
        office.supervisor.kill(link)
    received = []
    while len(received) < 6_000:
        received += office.orders()
        office.turn()
    assert [order.token for order in received] == [link.token for link in links * 2_000]


def test_without_a_fork_server_nothing_is_started_and_no_descriptor_is_left_open(office):
    office.supervisor.hang_up()
    reader, writer = os.pipe()
    link = Link(office)
    office.supervisor.spawn(link, [writer])
    assert office.ended == [(link, None)]
    assert os.read(reader, 1) == b"", "the writing end is closed"
    os.close(reader)
    office.server = office.connect()
    assert office.orders() == [], "and the next fork server is not told to start it"


@pytest.mark.processes
def test_who_was_not_started_when_the_fork_server_is_lost_is_gone_and_others_are_watched(office, process):
    waiting, running = office.spawned(), office.spawned(process.pid)
    office.server.close()
    office.turn()
    assert (office.lost, office.ended) == (1, [(waiting, None)])
    assert running.orphaned
    office.supervisor.dump_frames([running])
    assert process.stdout.readline() == "here\n"
    office.supervisor.kill(running)
    assert process.wait(PATIENCE) == -signal.SIGKILL
    office.turn(PATIENCE)
    assert office.ended[1:] == [(running, None)]
    assert running.pidfd is None


@pytest.mark.processes
def test_an_orphan_that_is_gone_already_is_noticed_at_once(office, process):
    running = office.spawned(process.pid)
    process.kill()
    process.wait()
    office.server.close()
    office.turn()
    assert office.ended == [(running, None)]


@pytest.mark.processes
def test_an_orphan_for_which_no_descriptor_is_left_can_still_be_ended(office, process, monkeypatch):
    def none_left(pid: int) -> int:
        raise OSError(24, "too many open files")

    monkeypatch.setattr(os, "pidfd_open", none_left)
    running = office.spawned(process.pid)
    office.server.close()
    office.turn()
    assert office.ended == [], "its channel will tell"
    office.supervisor.kill(running)
    assert process.wait(PATIENCE) == -signal.SIGKILL
    assert office.ended == [(running, None)]


@pytest.mark.processes
def test_running_models_are_kept_when_another_fork_server_takes_over(office, process):
    running = office.spawned(process.pid)
    office.server.close()
    office.turn()
    office.server = office.connect()
    fresh = office.spawned()
    office.supervisor.kill(fresh)
    assert office.orders() == [forkserver.Kill(fresh.token)]
    assert office.supervisor.links == [running, fresh]
    assert office.ended == []


def test_who_has_given_up_hangs_up_on_every_fork_server_that_comes(office):
    office.supervisor.give_up()
    assert office.lost == 1
    assert office.server.recv(1) == b""
    later = office.connect()
    assert office.lost == 2
    assert later.recv(1) == b""

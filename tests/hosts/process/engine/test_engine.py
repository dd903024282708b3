"""The engine's thread: a frame goes to every process, and each answer, deadline and end comes back once.

The processes are played by the test; how calls take turns is tested in test_turns, what forgers try in test_fuzz.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
import time

import pytest
from stage import PATIENCE, Stage, answer, pack

from crunch_game import encoding as wire
from crunch_game.errors import CrunchGameError
from crunch_game.hosts._turns import Missed
from crunch_game.hosts.process import _framing as framing
from crunch_game.hosts.process._shared import Shared
from crunch_game.hosts.process.child import _forkserver as forkserver
from crunch_game.hosts.process.engine import Exchange, Gone, Link


def receive(channel) -> bytes:
    """One whole frame."""
    data = b""
    while len(data) < 4 or len(data) < 4 + struct.unpack_from("<I", data)[0]:
        data += channel.recv(1 << 16)
    return data


def reply(channel, exchange: Exchange, value: object) -> None:
    channel.sendall(answer(framing.VALUE, exchange.id, pack(value)))


def test_a_round_is_delivered_at_once_when_the_last_answer_is_here(stage):
    processes = [stage.process() for _ in range(3)]
    exchange = stage.ask([link for link, _ in processes], PATIENCE)
    for number, (_, channel) in enumerate(processes):
        assert receive(channel) == answer(framing.CALL, exchange.id, b"\xc0")
        reply(channel, exchange, number)
    results = stage.results(exchange)
    assert [wire.decode(results[link].body) for link, _ in processes] == [0, 1, 2]
    assert len(stage.batches[exchange.id]) == 1
    assert all(0 < elapsed < PATIENCE for _, _, elapsed in stage.batches[exchange.id][0])


def test_results_that_are_wanted_as_they_come_do_not_wait_for_the_last(stage):
    (first, one), (second, two) = (stage.process() for _ in range(2))
    exchange = stage.ask([first, second], PATIENCE, each=True)
    receive(one)
    reply(one, exchange, 1)
    stage.until(lambda: stage.batches[exchange.id])
    assert exchange.id not in stage.complete
    receive(two)
    reply(two, exchange, 2)
    assert set(stage.results(exchange)) == {first, second}


def test_an_end_that_is_wanted_as_it_comes_does_not_wait_for_the_last(stage):
    (first, one), (second, two) = (stage.process() for _ in range(2))
    exchange = stage.ask([first, second], PATIENCE, each=True)
    receive(one)
    stage.server.send(pack(forkserver.Exited(first.token, 3, 0)))
    stage.until(lambda: stage.batches[exchange.id])
    assert exchange.id not in stage.complete
    receive(two)
    reply(two, exchange, 2)
    results = stage.results(exchange)
    assert results[first] == Gone(3, busy_with="predict")
    assert isinstance(results[second], framing.Frame)


def test_a_round_of_nobody_is_over_at_once(stage):
    assert stage.results(stage.ask([], PATIENCE)) == {}


def test_who_does_not_answer_by_the_deadline_has_missed_it_and_was_looked_at_before(stage):
    (late, _), (early, channel) = (stage.process() for _ in range(2))
    exchange = stage.ask([late, early], 1.0)  # a tenth of a second before that it is looked at
    receive(channel)
    reply(channel, exchange, 1)
    results = stage.results(exchange)
    assert results[late] == Missed(True, "predict", results[late].busy_seconds, exchange)
    assert results[late].busy_seconds >= 1.0
    assert isinstance(results[early], framing.Frame)
    assert stage.slow_ones == [([late], exchange)]


def test_what_has_arrived_when_the_deadline_is_noticed_is_in_time(stage):
    link, channel = stage.process()
    exchange = stage.ask([link], 0.1)
    receive(channel)
    gate = threading.Event()
    stage.engine.do(lambda: gate.wait(PATIENCE))  # the engine is busy while the deadline passes
    reply(channel, exchange, 1)
    time.sleep(0.15)
    gate.set()
    assert isinstance(stage.results(exchange)[link], framing.Frame)


def test_a_frame_that_the_socket_does_not_take_at_once_arrives_whole_and_the_call_after_it_too(stage):
    link, channel = stage.process()
    first = Exchange("tick", PATIENCE, lambda batch, last: None)
    frame = framing.frame(framing.CALL, first.id, pack(bytes(8 << 20)))
    stage.engine.do(lambda: stage.engine.ask(first, {link: frame}))
    second = stage.ask([link], PATIENCE)
    assert receive(channel) == frame
    reply(channel, first, None)
    assert receive(channel) == answer(framing.CALL, second.id, b"\xc0")
    reply(channel, second, 2)
    assert wire.decode(stage.results(second)[link].body) == 2


def test_an_answer_to_a_call_that_is_not_read_yet_is_an_answer_to_no_call(stage):
    link, channel = stage.process()
    exchange = Exchange("tick", PATIENCE, lambda batch, last: stage.batches[exchange.id].append(batch))
    stage.batches[exchange.id] = []
    frame = framing.frame(framing.CALL, exchange.id, pack(bytes(8 << 20)))
    reply_first = answer(framing.VALUE, exchange.id, b"\xc0")
    stage.engine.do(lambda: stage.engine.ask(exchange, {link: frame}))
    channel.sendall(reply_first)
    stage.until(lambda: stage.batches[exchange.id])
    [[(_, what, _)]] = stage.batches[exchange.id]
    assert what == Gone(-9, "it answered a call that it was not asked", busy_with="tick")


def test_who_breaks_the_protocol_is_ended_and_what_waited_for_it_is_told_that_it_was_not_asked(stage):
    link, channel = stage.process()
    asked, waits = (stage.ask([link], PATIENCE, method=method) for method in ("tick", "predict"))
    channel.sendall(answer(framing.VALUE, asked.id + 10_000, b"\xc0"))
    reason = "it answered a call that it was not asked"
    assert stage.results(asked)[link] == Gone(-9, reason, busy_with="tick")
    assert stage.results(waits)[link] == Gone(-9, reason, unsent=True, busy_with="tick")
    assert forkserver.Kill(link.token) in stage.orders
    stage.until(lambda: link in stage.gone_with)
    assert stage.gone_with[link] == (Gone(-9, reason, busy_with="tick"), True)
    assert stage.results(stage.ask([link], PATIENCE))[link] == Gone(None, unsent=True)


def test_a_closed_channel_is_no_proof_of_an_end(stage):
    link, channel = stage.process()
    exchange = stage.ask([link], PATIENCE)
    receive(channel)  # the engine knows the process by now
    stage.server.send(pack(forkserver.Started(link.token, os.getpid())))  # one that certainly lives
    stage.until(lambda: link.pid is not None)
    channel.close()
    assert stage.results(exchange)[link] == Gone(-9, "it closed its connection to the game", busy_with="predict")


def test_an_answer_that_was_given_before_the_end_counts(stage):
    link, channel = stage.process()
    exchange = stage.ask([link], PATIENCE)
    receive(channel)
    gate, waits = threading.Event(), threading.Event()
    stage.engine.do(lambda: (waits.set(), gate.wait(PATIENCE)))
    assert waits.wait(PATIENCE)
    stage.server.send(pack(forkserver.Exited(link.token, 3, 1 << 20)))
    reply(channel, exchange, 1)
    gate.set()
    assert isinstance(stage.results(exchange)[link], framing.Frame)
    stage.until(lambda: link in stage.gone_with)
    assert stage.gone_with[link] == (Gone(3), False)
    assert link.peak == 1 << 20


def test_who_ends_while_it_is_late_is_told_to_its_watcher_alone(stage):
    link, _ = stage.process()
    exchange = stage.ask([link], 0.02)
    assert stage.results(exchange)[link].asked
    stage.server.send(pack(forkserver.Exited(link.token, -11)))
    stage.until(lambda: link in stage.gone_with)
    assert stage.gone_with[link] == (Gone(-11, busy_with="predict"), False)


def test_a_round_that_is_given_up_delivers_what_is_here_and_makes_the_rest_late(stage):
    (first, one), (second, two) = (stage.process() for _ in range(2))
    exchange = stage.ask([first, second], PATIENCE)
    receive(one)
    reply(one, exchange, 1)
    receive(two)
    stage.until(lambda: exchange.results)
    stage.engine.do(lambda: stage.engine.abandon([exchange]))
    assert set(stage.results(exchange)) == {first}
    reply(two, exchange, 2)
    stage.until(lambda: stage.late_ones == [second])


def test_a_shared_file_is_kept_until_its_last_reader_has_answered_be_it_late(stage):
    link, channel = stage.process()
    exchange = Exchange("tick", 0.02, lambda batch, last: stage.complete.add(exchange.id))
    exchange.shared = Shared(b"large")
    frame = answer(framing.SHARED, exchange.id, pack(5))
    stage.engine.do(lambda: stage.engine.ask(exchange, {link: frame}))
    stage.until(lambda: exchange.id in stage.complete)
    assert exchange.shared is not None
    receive(channel)
    reply(channel, exchange, None)
    stage.until(lambda: stage.late_ones == [link])
    assert exchange.shared is None


def test_a_loop_that_hears_late_of_a_result_is_told_to_be_blocked():
    class Slow(Stage):
        def _call_soon(self, function):
            threading.Timer(0.15, super()._call_soon, [function]).start()

    stage = Slow()
    link, channel = stage.process()
    exchange = stage.ask([link], PATIENCE)
    receive(channel)
    reply(channel, exchange, 1)
    stage.results(exchange)
    stage.until(lambda: stage.blocked)
    assert 0.1 < stage.blocked[0] < PATIENCE
    stage.close()


class Breaks(Stage):
    """Its watcher raises on the engine's thread, where nothing may."""

    def slow(self, links: list[Link], exchange: Exchange, seconds: float) -> None:
        raise RuntimeError("broken")


def test_an_engine_that_fails_says_that_everyone_is_gone_now_and_later(caplog):
    stage = Breaks()
    link, _ = stage.process()
    exchange = stage.ask([link], 1.0)
    reason = "the thread that speaks to the models failed (RuntimeError: broken); leave this runner and begin another"
    assert stage.results(exchange)[link] == Gone(None, reason, busy_with="predict")
    with pytest.raises(CrunchGameError) as caught:
        stage.engine.check()
    assert str(caught.value) == reason
    later, _ = stage.process()
    assert stage.results(stage.ask([later], PATIENCE))[later] == Gone(None, unsent=True)
    assert "the engine of crunch_game failed; rounds cannot go on" in caplog.text
    with pytest.raises(CrunchGameError):
        stage.close()


def test_who_gives_back_what_it_does_not_have_breaks_the_protocol(stage):
    link, channel = stage.process()
    exchange = stage.ask([link], PATIENCE)
    receive(channel)
    channel.sendall(answer(framing.GIVEN_BACK, exchange.id, b"\xc0"))
    reason = "it gave back calls that it did not have"
    assert stage.results(exchange)[link] == Gone(-9, reason, busy_with="predict")


def test_what_is_given_back_comes_again_but_once(stage):
    link, channel = stage.process()
    first, second = stage.ask_together([link], [("tick", PATIENCE), ("predict", PATIENCE)])
    assert receive(channel) == answer(framing.CALLS, first.id, b"\xc0")
    channel.sendall(answer(framing.VALUE, first.id, b"\xc0") + answer(framing.GIVEN_BACK, second.id, b"\xc0"))
    assert receive(channel) == answer(framing.CALL, second.id, b"\xc0")
    channel.sendall(answer(framing.GIVEN_BACK, second.id, b"\xc0"))
    assert isinstance(stage.results(first)[link], framing.Frame)
    assert stage.results(second)[link] == Gone(-9, "it gave back calls that it did not have", busy_with="predict")


def test_a_budget_that_begins_later_is_looked_at_and_missed_in_its_own_time(stage):
    link, channel = stage.process()
    first, second = stage.ask([link], PATIENCE, method="tick"), stage.ask([link], 1.0)
    receive(channel)
    time.sleep(0.1)  # the second waits, and its budget does not run
    reply(channel, first, None)
    receive(channel)
    results = stage.results(second)
    assert results[link] == Missed(True, "predict", results[link].busy_seconds, second)
    assert stage.slow_ones == [([link], second)]
    [[(_, _, elapsed)]] = stage.batches[second.id]
    assert 1.0 <= elapsed < PATIENCE


def test_a_process_that_ends_says_nothing_of_the_budgets_that_had_not_begun(stage):
    link, channel = stage.process()
    exchanges = stage.ask_together([link], [("tick", PATIENCE), ("predict", PATIENCE)])
    receive(channel)
    stage.server.send(pack(forkserver.Exited(link.token, 3, 0)))
    stage.until(lambda: len(stage.complete) == 2)
    [(_, died, _)], [(_, unsent, elapsed)] = (stage.batches[exchange.id][0] for exchange in exchanges)
    assert (died, unsent) == (Gone(3, busy_with="tick"), Gone(3, unsent=True, busy_with="tick"))
    assert elapsed == 0.0


class Clock:
    """A time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def virtual():
    """An engine whose deadlines are those of a clock of the test's own, and how that is put forward."""
    clock = Clock()
    stage = Stage(clock)

    def put(now: float) -> None:
        for _ in range(2):  # what it was told before is done first; and then it looks at the time
            done = threading.Event()
            stage.engine.do(done.set)
            assert done.wait(PATIENCE)
            clock.now = now

    yield stage, put
    stage.close()


def test_one_look_ahead_will_do_for_the_budgets_after_it(virtual):
    stage, put = virtual
    link, channel = stage.process()
    exchanges = [stage.ask([link], 5.0, method=method) for method in ("tick", "describe", "predict")]
    for second, exchange in enumerate(exchanges[:2], 1):
        put(second)
        receive(channel)
        reply(channel, exchange, None)
        stage.results(exchange)
    put(6.0)  # when the second would have been over
    put(6.5)
    assert not stage.batches[exchanges[2].id]
    put(7.0)
    assert stage.results(exchanges[2])[link] == Missed(True, "predict", 5.0, exchanges[2])


def test_the_budget_behind_a_call_that_is_given_up_begins_and_ends(virtual):
    stage, put = virtual
    link, _ = stage.process()
    given_up, waits = stage.ask([link], 10.0, method="tick"), stage.ask([link], 2.0)
    put(1.0)
    stage.engine.do(lambda: stage.engine.abandon([given_up]))
    put(2.5)
    assert not stage.batches[waits.id]
    put(3.0)
    assert stage.results(waits)[link] == Missed(False, "tick", 3.0, given_up)


def test_what_arrives_while_the_engine_notices_the_deadline_is_in_time():
    class Noticing(Clock):
        """The answer comes when the engine has looked at its sockets, and before it looks at the time."""

        arm = False
        last = ""

        def __call__(self) -> float:
            caller, before = sys._getframe(1).f_code.co_name, self.last
            self.last = caller
            if self.arm and (before, caller) == ("_dispatch", "_turn"):
                self.arm = False
                reply(channel, exchange, 1)
                self.now = 10.0
            return self.now

    clock = Noticing()
    stage = Stage(clock)
    link, channel = stage.process()
    exchange = stage.ask([link], 5.0)
    receive(channel)
    clock.arm = True
    stage.engine.do(lambda: None)
    assert isinstance(stage.results(exchange)[link], framing.Frame)
    assert clock.now == 10.0
    stage.close()

"""Results reach the event loop in batches, from another thread, until the last is in or nobody wants them."""

from __future__ import annotations

import socket
import threading

import anyio
import pytest

from crunch_game.hosts.process.engine import Gone, Link, Result, Results, channel_pair, loop_caller

pytestmark = pytest.mark.anyio


def result(code: int) -> Result:
    return Link(None), Gone(code), 0.5


async def test_batches_come_in_their_order_and_end_with_the_last():
    results = Results("predict", 1.0, each=True)
    one, two, three = (result(code) for code in range(3))
    taken = []

    async def take() -> None:
        async for [(_, what, _)] in results:
            taken.append(what)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take)
            await anyio.wait_all_tasks_blocked()
            results.exchange.deliver([one], False)
            await anyio.wait_all_tasks_blocked()
            assert taken == [one[1]]
            results.exchange.deliver([two], False)
            results.exchange.deliver([three], True)
    assert taken == [one[1], two[1], three[1]]
    assert results.complete


async def test_to_wait_takes_nothing():
    results = Results("setup", 1.0, each=False)
    one = result(0)
    results.exchange.deliver([one], True)
    with anyio.fail_after(10):
        await results.wait()
        await results.wait()
        assert [batch async for batch in results] == [[one]]


async def test_a_round_without_results_ends_too():
    results = Results("predict", 1.0, each=False)
    results.exchange.deliver([], True)
    with anyio.fail_after(10):
        assert [batch async for batch in results] == [[]]


async def test_who_gives_up_leaves_what_is_here_and_what_still_comes_to_another():
    results = Results("predict", 1.0, each=True)
    one, two, elsewhere = result(0), result(1), []
    results.exchange.deliver([one], False)
    results.give_up(elsewhere.append)
    results.exchange.deliver([two], True)
    assert elsewhere == [[one], [two]]
    assert results.complete


async def test_another_thread_can_call_into_the_loop():
    call_soon, called = loop_caller(), anyio.Event()
    here, there = threading.get_ident(), []

    def function() -> None:
        there.append(threading.get_ident())
        called.set()

    threading.Thread(target=call_soon, args=[function]).start()
    with anyio.fail_after(10):
        await called.wait()
    assert there == [here]


def test_two_exchanges_never_have_the_same_number():
    numbers = [Results("predict", 1.0, each=False).exchange.id for _ in range(10)]
    assert numbers == sorted(set(numbers))


def test_a_channel_carries_bytes_both_ways():
    ours, theirs = channel_pair()
    with ours, theirs:
        ours.send(b"call")
        theirs.send(b"answer")
        assert (theirs.recv(10), ours.recv(10)) == (b"call", b"answer")
        assert ours.type == socket.SOCK_STREAM

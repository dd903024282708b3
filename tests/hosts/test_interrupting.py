"""A model in this process that does not come back is interrupted by a real SIGINT, wherever its thread is."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from crunch_game import Fault, ModelRunner, Status, sync

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PATIENCE = 30.0
BUSY = threading.Event()


class Base:
    def predict(self) -> float: ...


def forever(step=lambda: None):
    """Says that it is busy, and is so until it is interrupted, or the test has failed."""
    BUSY.set()
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        step()
    raise TimeoutError("nobody has interrupted it")


class Endless(Base):
    def predict(self):
        forever()


class Sleeps(Base):
    def predict(self):
        BUSY.set()
        time.sleep(PATIENCE)
        raise TimeoutError("nobody has interrupted it")


class Careful(Base):
    """It catches all that may be caught, as people do."""

    def predict(self):
        def step():
            with contextlib.suppress(Exception):
                sum(range(10))

        forever(step)


class Brief(Base):
    """It takes its time, but not long."""

    def predict(self):
        BUSY.set()
        time.sleep(0.1)
        return 2.0


class Endures(Base):
    def __init__(self):
        forever()

    def predict(self):
        return 1.0


class Honest(Base):
    def predict(self):
        return 1.0


@pytest.fixture
def interrupts():
    """Sends this process a SIGINT, so many seconds after a model is busy; its handler is the test's own."""
    told = []
    threads = []
    before = signal.signal(signal.SIGINT, lambda number, frame: told.append(number))

    def send(after: float) -> None:
        assert BUSY.wait(PATIENCE)
        time.sleep(after)
        os.kill(os.getpid(), signal.SIGINT)

    def begin(after: float = 0.0) -> list[int]:
        BUSY.clear()
        threads.append(threading.Thread(target=send, args=(after,)))
        threads[-1].start()
        return told

    yield begin
    for thread in threads:
        thread.join()
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("model", "after"), [(Endless, 0.0), (Endless, 0.6), (Careful, 0.0), (Sleeps, 0.6)])
async def test_what_does_not_come_back_is_a_fault_and_the_others_are_asked(interrupts, model, after):
    async with ModelRunner(Base, [model, Honest], host="inline") as runner:
        told = interrupts(after)
        played = await runner.predict()
        assert told == [signal.SIGINT]  # the author's handler had it first, once
        assert played["Honest"].value == 1.0
        outcome = played[model.__name__]
        assert (outcome.status, outcome.error.kind) in [(Status.RAISED, "interrupted"), (Status.TIMEOUT, "interrupted")]
        assert outcome.error.message.startswith("was interrupted after ")
        assert f"in {'predict' if model is Sleeps else 'forever'}" in outcome.error.traceback
        again = await runner.predict(models=["Honest"])
        assert again["Honest"].status is Status.OK


async def test_what_comes_back_in_time_is_not_harmed(interrupts):
    async with ModelRunner(Base, [Brief], host="inline") as runner:
        told = interrupts()
        played = await runner.predict()
        assert (told, played["Brief"].status, played["Brief"].value) == ([signal.SIGINT], Status.OK, 2.0)


async def test_a_model_that_is_endless_to_load_failed_to_load(interrupts):
    interrupts()
    async with ModelRunner(Base, [Endures, Honest], host="inline") as runner:
        played = await runner.predict()
    assert played["Endures"].error == Fault(
        "failed", "it could not be loaded: loading it was interrupted", None, None, None
    )
    assert played["Honest"].status is Status.OK


async def test_nothing_is_left_behind(interrupts):
    handler = signal.getsignal(signal.SIGINT)
    async with ModelRunner(Base, [Endless], host="inline") as runner:
        interrupts()
        await runner.predict()
        assert signal.getsignal(signal.SIGINT) is handler
    for thread in threading.enumerate():
        if thread.name == "hurrying models":
            thread.join(PATIENCE)
            assert not thread.is_alive()


def test_what_a_model_raises_itself_is_its_own_affair_off_the_main_thread():
    class Quits(Base):
        def predict(self):
            raise KeyboardInterrupt("of my own")

    with sync.ModelRunner(Base, [Quits, Honest], host="inline") as runner:
        played = runner.predict()
    assert (played["Quits"].status, played["Quits"].error.kind) == (Status.RAISED, "KeyboardInterrupt")
    assert played["Honest"].value == 1.0


PROGRAM = """
import anyio, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background of a shell ignores it
from crunch_game import ModelRunner

class Base:
    def predict(self) -> float: ...

class Endless(Base):
    def predict(self):
        print("busy", flush=True)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            pass

async def main():
    try:
        async with ModelRunner(Base, [Endless], host="inline") as runner:
            await runner.predict()
            print("not interrupted", flush=True)
            await anyio.sleep(0)
            await anyio.sleep(1)
    finally:
        print("left", flush=True)

anyio.run(main, backend=sys.argv[1])
"""


@pytest.mark.processes
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_one_interrupt_ends_a_script_whose_model_is_endless(backend):
    command = [sys.executable, "-c", PROGRAM, backend]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as script:
        assert script.stdout.readline() == "busy\n"
        script.send_signal(signal.SIGINT)
        out, err = script.communicate(timeout=PATIENCE - 5)
    assert out.splitlines()[-1] == "left"
    assert err.splitlines()[-1] == "KeyboardInterrupt"
    assert script.returncode == -signal.SIGINT

"""Models in one process have what is global in it each for itself, and leave the author's as it is."""

from __future__ import annotations

import asyncio
import contextvars
import decimal
import logging
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import gauss as early
from random import seed as early_seed

import anyio
import anyio.lowlevel
import numpy as np
import pytest
import threadpoolctl

from crunch_game import InlineHost, ModelRunner, Policy, ProcessHost, Status, sync

pytestmark = pytest.mark.anyio


class Base:
    def predict(self, what: str = "", value: int = 0) -> list[float]:
        raise NotImplementedError


class Seeds(Base):
    """Seeds once, and draws an odd number of normals each time: both generators keep every second one for later."""

    def __init__(self):
        random.seed(7)
        np.random.seed(7)
        early_seed(7)

    def predict(self, what="", value=0):
        return [random.gauss(0, 1), random.random(), early(0, 1), np.random.normal(), np.random.uniform()]


class SeedsAtEveryCall(Base):
    def predict(self, what="", value=0):
        random.seed(1)
        np.random.seed(1)
        early_seed(2)  # the same generator, as always
        return [random.random(), np.random.normal()]


class Unseeded(Base):
    def predict(self, what="", value=0):
        return [random.random(), np.random.random()]


class Does(Base):
    def predict(self, what="", value=0):
        return getattr(self, what)(value)

    def runs_asyncio(self, value):
        return [asyncio.run(later(value))]

    def runs_anyio(self, value):
        return [anyio.run(later, value)]

    def runs_trio(self, value):
        import trio

        return [trio.run(later, value)]

    def sets_an_alarm(self, value):
        def ring(number, frame):
            raise TimeoutError

        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        try:
            time.sleep(30)
        except TimeoutError:
            return [1.0]
        return [0.0]

    def leaves_an_alarm(self, value):
        signal.signal(signal.SIGALRM, lambda number, frame: None)
        signal.setitimer(signal.ITIMER_REAL, 1000)
        return [1.0]

    def its_handler(self, value):
        return [float(signal.getsignal(signal.SIGALRM).__name__ == "<lambda>")]

    def changes_all(self, value):
        decimal.getcontext().prec = value
        np.seterr(all="raise")
        sys.stdout = sys.stderr = None
        os.chdir("/")
        COLOUR.set("red")
        return [1.0]

    def threads(self, value):
        return [float(each["num_threads"]) for each in threadpoolctl.threadpool_info()]

    def processors(self, value):
        import joblib

        return [float(joblib.cpu_count())]

    def logs(self, value):
        logging.getLogger("model").warning("nobody listens")
        logging.basicConfig(filename="x.log", level=value, format="%(message)s")
        logging.info("started")
        logging.disable(logging.CRITICAL)
        return [float(Path("x.log").read_text().count("started"))]

    def ignores_broken_pipes(self, value):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        return [1.0]

    def plays_a_game(self, value):
        async def play():
            random.seed(value)
            first = random.random()
            random.seed(value)
            [played] = await asked(InlineHost(), [Seeds], ())
            assert played["Seeds"].status is Status.OK
            return [float(random.random() == first)]

        return asyncio.run(play())

    def precision(self, value):
        return [float(decimal.getcontext().prec)]


async def later(value):
    await anyio.lowlevel.checkpoint()
    return float(value)


COLOUR = contextvars.ContextVar("colour", default="blue")


async def asked(host, models, *questions):
    policy = Policy(timeout=30, max_consecutive_failures=0)
    async with ModelRunner(Base, models, host=host, policy=policy) as runner:
        return [await runner.predict(*question) for question in questions]


@pytest.mark.processes
async def test_a_model_that_seeds_draws_the_same_inline_beside_rivals_and_in_a_process():
    inline = await asked(InlineHost(), [SeedsAtEveryCall, Seeds, Unseeded], *[()] * 5)
    apart = await asked(ProcessHost(), [Seeds], *[()] * 5)
    drawn = [played["Seeds"].value for played in inline]
    assert drawn == [played["Seeds"].value for played in apart]
    assert len({tuple(each) for each in drawn}) == 5
    rival = np.random.RandomState(1)
    assert {tuple(played["SeedsAtEveryCall"].value) for played in inline} == {
        (random.Random(2).random(), rival.normal())
    }
    assert len({tuple(played["Unseeded"].value) for played in inline}) == 5


async def test_the_authors_generators_go_on_as_if_no_model_had_played():
    random.seed(3)
    np.random.seed(3)
    expected = [random.gauss(0, 1), random.gauss(0, 1), np.random.normal(), np.random.normal(), random._inst]
    random.seed(3)
    np.random.seed(3)
    drawn = [random.gauss(0, 1)]
    await asked(InlineHost(), [Seeds, SeedsAtEveryCall], (), ())
    drawn += [random.gauss(0, 1), np.random.normal()]
    await asked(InlineHost(), [Seeds, SeedsAtEveryCall], (), ())
    drawn += [np.random.normal(), random._inst]
    assert drawn == expected
    assert early.__self__ is random._inst


@pytest.mark.filterwarnings("ignore:It looks like Trio's signal handling code might have collided")
@pytest.mark.parametrize("what", ["runs_asyncio", "runs_anyio", "runs_trio"])
async def test_a_model_runs_an_event_loop_of_its_own(what):
    [played] = await asked(InlineHost(), [Does], (what, 7))
    assert played["Does"].value == [7.0], played["Does"].error
    await anyio.lowlevel.checkpoint()  # the author's still runs


async def test_a_models_alarm_rings_in_its_call_and_nowhere_else():
    handler, timer = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    played = await asked(InlineHost(), [Does], ("sets_an_alarm",), ("leaves_an_alarm",), ("its_handler",))
    assert [each["Does"].value for each in played] == [[1.0], [1.0], [1.0]], played
    assert signal.getsignal(signal.SIGALRM) == handler
    left = signal.getitimer(signal.ITIMER_REAL)
    assert bool(left[0]) == bool(timer[0])
    assert left[0] <= timer[0]


def test_a_signal_handler_that_needs_the_main_thread_names_the_host_that_has_one():
    with sync.ModelRunner(Base, [Does], host="inline") as runner:
        outcome = runner.predict("sets_an_alarm")["Does"]
    assert outcome.status is Status.RAISED
    assert outcome.error.message.endswith(
        '(here models are called on another thread; with host="process" each has a main thread of its own)'
    )


async def test_what_a_model_changes_is_its_own_and_the_author_has_his(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    streams, precision, errors = (sys.stdout, sys.stderr), decimal.getcontext().prec, np.geterr()
    played = await asked(InlineHost(), [Does], ("changes_all", 50), ("precision",))
    assert [each["Does"].value for each in played] == [[1.0], [50.0]]
    assert (sys.stdout, sys.stderr) == streams
    assert decimal.getcontext().prec == precision != 50
    assert np.geterr() == errors
    assert os.getcwd() == str(tmp_path)  # noqa: PTH109
    assert COLOUR.get() == "blue"


async def test_each_model_sets_up_its_own_log_and_the_authors_stays_as_it_is(monkeypatch, tmp_path, caplog):
    class Second(Does):
        pass

    root = logging.getLogger()
    before = root.handlers, root.handlers[:], root.level, logging.lastResort, root.manager.disable
    for each in ("first", "second"):
        (tmp_path / each).mkdir()
        monkeypatch.chdir(tmp_path / each)
        once, again = await asked(InlineHost(), [Does, Second], ("logs", logging.INFO), ("precision",))
        assert [*(answer.value for answer in once.values())] == [[1.0], [2.0]], once  # of two classes in one folder
        assert [answer.status for answer in again.values()] == [Status.OK, Status.OK]
    assert (root.handlers, root.handlers[:], root.level, logging.lastResort, root.manager.disable) == before
    assert caplog.messages == ["nobody listens"] * 4  # it had no handler yet, and so the author's got it


async def test_a_models_handlers_of_signals_that_it_only_ignores_are_its_own_too():
    before = signal.getsignal(signal.SIGPIPE), signal.getsignal(signal.SIGCHLD)
    [played] = await asked(InlineHost(), [Does], ("ignores_broken_pipes",))
    assert played["Does"].value == [1.0]
    assert (signal.getsignal(signal.SIGPIPE), signal.getsignal(signal.SIGCHLD)) == before


async def test_a_model_may_play_a_game_of_its_own():
    once, again = await asked(InlineHost(), [Does, Unseeded], ("plays_a_game", 3), ("plays_a_game", 4))
    assert [once["Does"].value, again["Does"].value] == [[1.0], [1.0]], once["Does"].error
    assert again["Unseeded"].status is Status.OK


async def test_numeric_libraries_have_one_thread_while_a_model_runs_and_the_authors_number_after():
    with threadpoolctl.threadpool_limits(2):
        before = threadpoolctl.threadpool_info()
        [played] = await asked(InlineHost(), [Does], ("threads",))
        after = threadpoolctl.threadpool_info()
    assert {each["num_threads"] for each in before} == {2}
    assert set(played["Does"].value) == {1.0}
    assert after == before


@pytest.mark.parametrize("authors", [None, "2"])
async def test_joblib_finds_one_processor_in_a_model_and_the_authors_number_elsewhere(authors, monkeypatch):
    joblib = pytest.importorskip("joblib")
    monkeypatch.delenv("LOKY_MAX_CPU_COUNT", raising=False)
    if authors is not None:
        monkeypatch.setenv("LOKY_MAX_CPU_COUNT", authors)
    before = joblib.cpu_count()
    [played] = await asked(InlineHost(), [Does], ("processors",))
    assert played["Does"].value == [1.0]
    assert os.environ.get("LOKY_MAX_CPU_COUNT") == authors
    assert joblib.cpu_count() == before


def test_an_authors_own_limit_of_threads_works_after_models_have_played_on_another_thread():
    with sync.ModelRunner(Base, [Does], host="inline") as runner:
        runner.predict("threads")
        for number in (2, 1):
            with threadpoolctl.threadpool_limits(number):
                assert {each["num_threads"] for each in threadpoolctl.threadpool_info()} == {number}
                assert set(runner.predict("threads")["Does"].value) == {1.0}


FIRST = """
import sys
for name in [name for name in sys.modules if name.partition(".")[0] == "numpy"]:
    raise SystemExit(f"{name} is imported already")
import anyio
from crunch_game import ModelRunner

async def main():
    async with ModelRunner("first:Base", ["seeds.py"], host="inline") as runner:
        drawn = [(await runner.predict())["seeds"].value for _ in range(3)]
    import numpy
    expected = numpy.random.RandomState(5)
    assert drawn == [expected.normal() for _ in range(3)], drawn
    assert numpy.random.normal.__self__ is numpy.random.mtrand._rand
    expected.seed(5)
    assert numpy.random.normal() not in [expected.normal() for _ in range(5)]

if __name__ == "__main__":
    anyio.run(main)
"""
SEEDS = """
import numpy
from numpy.random import normal
from first import Base

numpy.random.seed(5)


class Model(Base):
    def predict(self):
        return normal()
"""


@pytest.mark.processes
def test_a_model_that_imports_numpy_first_keeps_the_generator_that_it_has_seeded(tmp_path):
    (tmp_path / "first.py").write_text("class Base:\n    def predict(self) -> float: ...\n")
    (tmp_path / "seeds.py").write_text(SEEDS)
    (tmp_path / "main.py").write_text(FIRST)
    played = subprocess.run([sys.executable, "main.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert played.returncode == 0, played.stderr

"""Plays specimens among four good models, round by round, and minds that nobody else notices."""

from __future__ import annotations

import locale
import logging
import math
import os
import signal
import statistics
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pandas  # noqa: F401 - the first import of it changes the filter of warnings
from leftovers import below, parent_of
from specimens import CALM, Expected, Specimen, ok

from crunch_game import ModelRunner, Outcome, Policy, ProcessHost, Round, Status
from crunch_game.events import FieldFault, ModelRestarted, ModelStopped
from crunch_game.policy import State

PATIENCE = 30.0
"""Seconds after which what is waited for is taken to never come."""
GENEROUS = 30.0
"""The budget of calls in which nobody is late."""
NOISE = 2.0
"""Seconds that a busy machine may add to a round."""
SOON = 8.0
"""Seconds within which good models answer, whatever the budget, and a runner is left."""
MOST_LOGGED = 10_000_000
"""Bytes that the logs of a runner may take, when what floods has ended its flood."""
LONGEST = 60_000
"""Characters that the record of an outcome may have, whatever a model raised, named or printed."""
GOOD = ("average", "extremes", "last_price", "trend")
SECRET = "SWORDFISH"


class Watched(ProcessHost):
    """The host, and which processes each model has had."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.pids: dict[str, list[int]] = {}

    async def start(self, submission, timeout):
        loaded = await super().start(submission, timeout)
        await seen(lambda: loaded.instance.link.pid)
        self.pids.setdefault(submission.id, []).append(loaded.instance.link.pid)
        return loaded


class Keeper:
    """A cage of specimens that play under one policy, and their field, in one runner."""

    def __init__(self, cage: Sequence[Specimen], folder: Path) -> None:
        self.cage = {specimen.file: specimen for specimen in cage}
        self.prices: list[float] = []
        self.events: list[Any] = []
        self.processes: set[int] = set()
        first = cage[0]
        assert {each.conditions for each in cage} == {first.conditions}, "one runner has one policy, and one host"
        assert len(self.cage) == len(cage), "two of one file have one name"
        sandbox = {"sandbox": first.sandbox} if first.sandbox else {}
        self.host = Watched(env={"COORDINATOR": str(os.getpid())}, **sandbox)
        policy = Policy(
            timeout=first.budget or GENEROUS,
            setup_timeout=first.setup_timeout,
            on_timeout=first.on_timeout,
            max_consecutive_failures=first.limit,
            max_consecutive_timeouts=first.limit,
            capsules=folder.parent / "capsules",  # what fails is saved meanwhile, which must hurt nobody either
        )
        names = (*GOOD, *self.cage)
        places = [folder / name if (folder / name).is_dir() else folder / f"{name}.py" for name in names]
        self.runner = ModelRunner(
            "returns.Tracker", places, host=self.host, policy=policy, on_event=self.events.append, ready_timeout=0.1
        )

    async def play(self) -> None:
        """Every round of the specimens' rows; then the good ones alone, who are as they were."""
        self.others = below(os.getpid())  # those of other tests, such as a database, and what tidies up after a pool
        with unchanged():
            async with self.runner:
                for model_id in GOOD:
                    await seen(lambda model_id=model_id: self._state(model_id) is State.READY)
                for number in range(1, 1 + max(len(specimen.rounds) for specimen in self.cage.values())):
                    await self._play_round(number)
                await self._call("tick", *GOOD)
                await self._call("predict", *GOOD)
                await self._check_processes()
                self.processes = {*below(os.getpid()), *(pid for pids in self.host.pids.values() for pid in pids)}
                await self._check_logs()
                began = time.monotonic()
            assert time.monotonic() - began < SOON, "leaving took too long"
        assert not [event for event in self.events if isinstance(event, FieldFault)]

    async def _play_round(self, number: int) -> None:
        """That round of each row that has one: of all at once that are asked the same method."""
        rows = {key: each.rounds[number - 1] for key, each in self.cage.items() if len(each.rounds) >= number}
        for method in dict.fromkeys(expected.method for expected in rows.values()):
            asked = {model_id: expected for model_id, expected in rows.items() if expected.method == method}
            for model_id, expected in asked.items():
                await seen(lambda model_id=model_id, expected=expected: self._awaits(model_id, expected))
            played = await self._call(method, *GOOD, *asked)
            for model_id, expected in asked.items():
                self._check(self.cage[model_id], expected, played[model_id])
                self._check_stop(self.cage[model_id], number)

    async def _call(self, method: str, *models: str) -> Round:
        """One round; the good ones are right, and in time."""
        arguments: tuple[Any, ...] = {"predict": ("BTC",), "tick": (100.0 + 3 * len(self.prices) ** 2,)}.get(method, ())
        played = await self.runner.call(method, *arguments, models=models)
        if method == "tick":
            self.prices.extend(arguments)
        right = _answers(self.prices) if method == "predict" else dict.fromkeys(GOOD)
        for model_id, value in right.items():
            outcome = played[model_id]
            assert outcome.status is Status.OK, outcome
            assert outcome.value == value if value is None else _close(outcome.value, value), outcome
            assert outcome.elapsed <= min(outcome.budget, SOON), outcome
        assert played.elapsed <= 1.1 * played["trend"].budget + NOISE, played
        return played

    def _check(self, specimen: Specimen, expected: Expected, outcome: Outcome) -> None:
        assert outcome.status is expected.status, outcome
        if expected.status is Status.OK:
            assert outcome.error is None, outcome
            if callable(expected.value):
                assert expected.value(outcome.value), outcome
            else:
                assert outcome.value == expected.value, outcome
        else:
            assert outcome.value is None, outcome
            assert specimen.fits(expected.sentence, outcome.error.message), f"{specimen.name}: {outcome.error.message}"
            assert expected.exit in (None, outcome.error.exit), outcome
        assert SECRET not in repr(outcome)
        assert len(repr(outcome)) < LONGEST, f"an outcome of {specimen.name} of {len(repr(outcome))} characters"

    def _check_stop(self, specimen: Specimen, number: int) -> None:
        """It is stopped at the last round of its row, if it is stopped at all, and not before."""
        told = [each for each in self.events if isinstance(each, ModelStopped) and each.model_id == specimen.file]
        if specimen.stopped is None or number < len(specimen.rounds):
            assert not told
            assert self._state(specimen.file) is not State.STOPPED
            return
        [stopped] = told
        assert self._state(specimen.file) is State.STOPPED
        assert specimen.fits(specimen.stopped, stopped.reason), stopped.reason

    async def _check_processes(self) -> None:
        """The good ones have the processes that they began with; a specimen has what its row says."""
        assert {event.model_id for event in self.events if isinstance(event, ModelStopped)} <= self.cage.keys()
        pids = self.host.pids
        running = {pids[model_id][0] for model_id in GOOD}
        its_own: set[int] = set()
        for model_id, specimen in self.cage.items():
            plays = specimen.lives > 0 and specimen.stopped is None
            if plays:
                await seen(lambda: self._awaits(model_id, ok(life=specimen.lives)))  # noqa: B023
                running.add(pids[model_id][-1])
                its_own.add(pids[model_id][-1])
            assert len(pids.get(model_id, [])) == specimen.lives, specimen.name
        restarts = Counter(event.model_id for event in self.events if isinstance(event, ModelRestarted))
        assert restarts == Counter({key: each.lives - 1 for key, each in self.cage.items() if each.lives > 1})
        assert all(len(pids[model_id]) == 1 for model_id in GOOD)
        server = parent_of(pids["trend"][0])
        expected = {server, *running}
        await seen(lambda: below(os.getpid()) - self.others - set().union(*map(below, its_own)) == expected)

    async def _check_logs(self) -> None:
        """What a model prints does not fill the disk, and the fork server has nothing to complain of."""
        await seen(lambda: sum(map(_size, _logs())) < MOST_LOGGED)
        complaints = [log.read_text() for log in _logs() if log.stem == "forkserver"]
        assert complaints == [""], complaints

    def _awaits(self, model_id: str, expected: Expected) -> bool:
        return self._state(model_id) in expected.when and len(self.host.pids.get(model_id, [])) >= expected.life

    def _state(self, model_id: str) -> State:
        return self.runner.models[model_id].state


def _logs() -> list[Path]:
    return list(Path(os.environ["TMPDIR"]).glob("crunch_game-*/*.log*"))


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except FileNotFoundError:  # it has just been cut
        return 0


def _answers(prices: list[float]) -> Mapping[str, dict[str, float]]:
    """What the good models predict, told otherwise than they do it."""
    if not prices:
        return dict.fromkeys(GOOD, CALM) | {"average": {"mean": 0.0, "scale": 0.0}}
    last, before = ([0.0, 0.0, *prices])[-1], ([0.0, 0.0, *prices])[-2]
    low, high = min(prices), max(prices)
    return {
        "average": {"mean": statistics.fmean(prices), "scale": statistics.pstdev(prices)},
        "extremes": {"mean": 0.75 * low + 0.25 * high, "scale": high - low},
        "last_price": {"mean": last, "scale": 1.0},
        "trend": {"mean": 1.5 * last - 0.5 * before, "scale": 1.0},
    }


def _close(value: Mapping[str, float], right: Mapping[str, float]) -> bool:
    return value.keys() == right.keys() and all(math.isclose(value[key], right[key], abs_tol=1e-9) for key in right)


async def seen(look: Callable[[], object]) -> None:
    """Wait for what no event tells of."""
    with anyio.fail_after(PATIENCE):
        while not look():  # noqa: ASYNC110
            await anyio.sleep(0.005)


@contextmanager
def unchanged() -> Iterator[None]:
    """Nothing of this process is changed, signalled or complained of meanwhile."""
    heard: list[object] = []
    complaints = logging.Handler(logging.ERROR)
    complaints.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("crunch_game").addHandler(complaints)
    kept = {number: signal.signal(number, lambda number, _: heard.append(number)) for number in _DEADLY}
    before = _surroundings()
    try:
        yield
        assert _surroundings() == before
        assert heard == []
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
        logging.getLogger("crunch_game").removeHandler(complaints)


_DEADLY = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


def _surroundings() -> dict[str, object]:
    return {
        "folder": Path.cwd(),
        "path": list(sys.path),
        "environment": dict(os.environ),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "warnings": list(warnings.filters),
        "locale": locale.setlocale(locale.LC_ALL),
        "signals": [signal.getsignal(number) for number in (*_DEADLY, signal.SIGINT, signal.SIGCHLD)],
        "recursion": sys.getrecursionlimit(),
    }

"""Where a game's rules are called: by the score worker itself, or by a `concurrent.futures.Executor` beside it."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import lru_cache
from importlib.util import find_spec
from multiprocessing.connection import wait
from typing import Any, Final, TypeAlias

from crunch_game.errors import MissingExtra, UsageError
from crunch_game.faults import describe_exception
from crunch_game.scoring.base import AnsweredRound, Rule
from crunch_game.workers.settling._judge import Judge
from crunch_game.workers.settling._rules import Values, scored

ExecutorLike: TypeAlias = Executor | str | None
"""An executor, or what one is called: "auto", "none", "processes", "processes:4", "threads:4", "dask://HOST:8786"."""

_SLOW_SECONDS: Final = 0.05
"""With "auto", what a rule needs longer for than this goes to processes: less does not pay for sending it there."""
_OF_THEM: Final = 4
"""Parts for each process: the last of them are ready at about the same time."""

logger = logging.getLogger("crunch_game")


class Rules:
    """Calls a game's rules for whole rounds, many at a time.

    What an executor cannot be sent, or what it was at when it broke, is scored here: the values are the same.

    Args:
        judge: Calls them here.
        timeout: Seconds that one call may take, wherever it is made.
        executor: Where else. With "auto" and "processes" there is a process for each processor, and none before
            the first is needed. An executor that is given is the caller's to shut down.

    Raises:
        UsageError: There is no executor of that name.
        MissingExtra: "dask" needs the extra `dask`.
    """

    def __init__(self, judge: Judge, timeout: float, executor: ExecutorLike = None) -> None:
        self._judge = judge
        self._timeout = timeout
        self._is_auto = executor == "auto"
        self._is_own = not isinstance(executor, Executor)
        self._make, self._workers = _maker(executor)
        self._executor: Executor | None = None
        self._seconds_each: dict[int, float] = {}
        """What an answer took here, at least, by rule."""
        self._calls: dict[int, int] = {}
        """How often that was measured."""
        self._packed: dict[int, tuple[Rule, bytes | None]] = {}

    def scored(self, rule: Rule, rounds: Sequence[AnsweredRound]) -> list[Values]:
        """What the rule gives for the answers of each round."""
        size = sum(len(each.answers) for each in rounds)
        if len(rounds) > 1 and self._goes_elsewhere(rule, size):
            found = self._elsewhere(rule, rounds)
            if found is not None:
                return found
        began = time.perf_counter()
        values = scored(rule, rounds, self._judge)
        if size:  # the least: the first time, libraries are loaded
            seconds = (time.perf_counter() - began) / size
            self._seconds_each[id(rule)] = min(seconds, self._seconds_each.get(id(rule), seconds))
            self._calls[id(rule)] = self._calls.get(id(rule), 0) + 1
        return values

    def close(self) -> None:
        """End the processes or threads, if they are this one's own."""
        executor, self._executor = self._executor, None
        if executor is not None and self._is_own:
            executor.shutdown(wait=False)
            client = getattr(executor, "_client", None)
            if client is not None:  # Dask's, which was made for this
                client.close()

    def _goes_elsewhere(self, rule: Rule, size: int) -> bool:
        is_slow = self._calls.get(id(rule), 0) > 1 and size * self._seconds_each[id(rule)] > _SLOW_SECONDS
        return self._make is not None and (is_slow or not self._is_auto)

    def _elsewhere(self, rule: Rule, rounds: Sequence[AnsweredRound]) -> list[Values] | None:
        """The same by the executor; None if it is to be done here."""
        packed = self._pack(rule)
        if packed is None or self._make is None:
            return None
        try:
            executor = self._executor = self._executor or self._make()
            parts = _parts(rounds, self._workers * _OF_THEM)
            futures = [executor.submit(_score, packed, self._timeout, pickle.dumps(part)) for part in parts]
            return [values for future in futures for values in pickle.loads(future.result())]
        except MissingExtra:
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with an executor, here it can be done
            what = "was lost" if isinstance(error, BrokenExecutor) else f"raised {describe_exception(error)}"
            logger.warning("the executor that scores %s; what it was at is scored here", what)
            self.close()
            return None

    def _pack(self, rule: Rule) -> bytes | None:
        """The rule as it is sent; None if it cannot be."""
        if id(rule) not in self._packed:
            try:
                packed: bytes | None = pickle.dumps(rule)
            except Exception as error:  # noqa: BLE001 - the rule is the author's
                level = logging.INFO if self._is_auto else logging.WARNING  # nobody has asked for it to be sent
                why = describe_exception(error)
                logger.log(level, "the rule %s cannot be sent to other processes, and scores here: %s", rule, why)
                packed = None
            self._packed[id(rule)] = rule, packed  # the rule too: its id stays its own
        return self._packed[id(rule)][1]


def _maker(executor: ExecutorLike) -> tuple[Callable[[], Executor] | None, int]:
    """What makes the executor, if there is one, and how many workers it has."""
    if executor is None or executor == "none":
        return None, 0
    if isinstance(executor, Executor):
        given = executor
        return lambda: given, getattr(executor, "_max_workers", None) or os.cpu_count() or 1
    kind, _, rest = executor.partition(":")
    if kind == "dask" and rest.startswith("//"):
        if find_spec("distributed") is None:
            raise MissingExtra("distributed", "dask")
        return lambda: _dask(executor.removeprefix("dask:")), 8
    count = int(rest) if rest.isdecimal() else 0
    if kind not in ("auto", "processes", "threads") or (rest and not count):
        raise UsageError(
            f'there is no executor {executor!r}; write "auto", "none", "processes:4", "threads:4" or "dask://HOST:8786"'
        )
    workers = count or os.cpu_count() or 1
    if kind == "threads":
        return lambda: ThreadPoolExecutor(workers, "crunch_game rules"), workers
    return lambda: _processes(workers), workers


def _processes(workers: int) -> Executor:
    # Spawned, since the coordinator has threads; and what is forked would have its files and connections.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    """End when the process that scores is killed: a pool's process would wait for its next task for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel

        def watch() -> None:
            wait([sentinel])
            os._exit(0)

        threading.Thread(target=watch, name="crunch_game parent", daemon=True).start()


def _dask(address: str) -> Executor:
    import distributed  # here: it is an extra, and heavy

    dask: Any = distributed
    executor: Executor = dask.Client(f"tcp:{address}", set_as_default=False).get_executor()
    return executor


def _parts(rounds: Sequence[AnsweredRound], count: int) -> list[Sequence[AnsweredRound]]:
    """The rounds in their order, in at most so many parts of about the same size."""
    length = -(-len(rounds) // count)
    return [rounds[start : start + length] for start in range(0, len(rounds), length)]


def _score(packed: bytes, timeout: float, rounds: bytes) -> bytes:
    """What a rule gives for rounds; in another process."""
    return pickle.dumps(scored(_unpacked(packed), pickle.loads(rounds), _judge(timeout)))


@lru_cache(maxsize=16)
def _unpacked(packed: bytes) -> Rule:
    rule: Any = pickle.loads(packed)
    prepare = getattr(rule, "prepare", None)
    if callable(prepare):
        prepare()
    return rule  # type: ignore[no-any-return]


_of_thread = threading.local()


def _judge(timeout: float) -> Judge:
    judge: Judge | None = getattr(_of_thread, "judge", None)
    if judge is None:
        judge = _of_thread.judge = Judge(timeout)
    return judge

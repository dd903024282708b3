"""Rules that are called by executors: the same scores to the bit, whatever becomes of the executor."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import walk

from crunch_game import MemoryStore, ScoreWorker, UsageError
from crunch_game.errors import MissingExtra
from crunch_game.storage.base import Score
from crunch_game.sync import run_game
from crunch_game.workers.settling import _executors


class Slow:
    """The same loss, of which each takes a while; and some cannot be scored."""

    higher_is_better = False
    unit = "usual"

    def score_round(self, answered: Any) -> dict[str, Any]:
        time.sleep(0.002 * len(answered.answers))
        found = {name: walk.loss(each, answered.outcome_of(name)) for name, each in answered.answers.items()}
        return {
            name: ValueError("odd") if name == "Mean" and answered.at.hour % 5 == 0 else found[name] for name in found
        }


class Closed(Slow):
    """A rule that no other process can be sent."""

    def __init__(self) -> None:
        self.lock = lambda: None


class Needs(Slow):
    def score_round(self, answered: Any) -> dict[str, Any]:
        raise MissingExtra("scipy", "scoring")


@pytest.fixture(scope="module")
def played() -> MemoryStore:
    """A store in which all is due."""
    store = MemoryStore()
    run_game(walk.game(score=Slow()), walk.MODELS, store=store, host="inline")
    return store


def scored(played: MemoryStore, executor: Any, rule: Any = None) -> list[Score]:
    store = MemoryStore()
    store.save([each.row for _, each in played.arrivals()], played.predictions())
    worker = ScoreWorker(walk.game(score=rule or Slow()), store, executor=executor)
    try:
        worker.step()
    finally:
        worker.close()
    return store.scores()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.message for each in caplog.records if each.name == "crunch_game"]


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many rounds were sent at once."""
    found: list[int] = []
    kept = _executors._parts

    def parts(rounds: Any, count: int) -> Any:
        found.append(len(rounds))
        return kept(rounds, count)

    monkeypatch.setattr(_executors, "_parts", parts)
    yield found


@pytest.mark.processes
@pytest.mark.parametrize("executor", ["processes:2", "threads:3", "given"])
def test_scores_are_the_same_to_the_bit_whoever_calls_the_rule(played, monkeypatch, caplog, executor):
    with counted(monkeypatch) as sent, ThreadPoolExecutor(2) as given:
        assert scored(played, given if executor == "given" else executor) == played.scores()
        assert given.submit(int, "7").result() == 7, "an executor that is given is left open"
    assert sum(sent) > 40
    assert not said(caplog)


@pytest.mark.processes
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # Dask's own
def test_a_dask_cluster_scores_the_same(played, monkeypatch, caplog):
    distributed = pytest.importorskip("distributed")
    options = {"processes": False, "n_workers": 1, "protocol": "tcp", "host": "127.0.0.1", "dashboard_address": ":0"}
    with distributed.LocalCluster(**options, silence_logs=logging.ERROR) as cluster, counted(monkeypatch) as sent:
        assert scored(played, f"dask:{cluster.scheduler_address.removeprefix('tcp:')}") == played.scores()
    assert sum(sent) > 40
    assert not said(caplog)


@pytest.mark.processes
def test_auto_sends_what_a_slow_rule_has_much_to_do_for_and_keeps_the_rest(played, monkeypatch):
    with counted(monkeypatch) as sent:
        assert scored(played, "auto", walk.loss) != []
        assert sent == []
        monkeypatch.setattr("crunch_game.workers._score._AT_ONCE", 30)
        assert scored(played, "auto") == played.scores()
    assert 0 < sum(sent) < 60


def test_a_rule_that_cannot_be_sent_scores_here_and_says_so_once(played, caplog):
    assert scored(played, "processes:2", Closed()) == played.scores()
    [sentence] = said(caplog)
    assert "the rule" in sentence
    assert "cannot be sent to other processes, and scores here" in sentence


class Dying(Executor):
    """An executor whose worker dies."""

    def submit(self, *given: Any, **more: Any) -> Any:
        raise RuntimeError("cannot schedule new futures")


@pytest.mark.processes
@pytest.mark.parametrize("how", ["killed", "broken"])
def test_what_an_executor_was_at_when_it_broke_is_scored_once_and_here(played, caplog, monkeypatch, how):
    if how == "killed":
        monkeypatch.setattr(_executors, "_score", die)
    assert scored(played, Dying() if how == "broken" else "processes:1") == played.scores()
    sentences = said(caplog)
    assert sentences
    expected = "was lost" if how == "killed" else "raised RuntimeError: cannot schedule new futures"
    assert set(sentences) == {f"the executor that scores {expected}; what it was at is scored here"}


def die(*given: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.processes
def test_a_library_that_is_missing_is_said_from_wherever(played):
    with pytest.raises(MissingExtra, match="scipy"):
        scored(played, "processes:1", Needs())


@pytest.mark.parametrize("name", ["process", "processes:0", "processes:many", "threads:-1", "dask:8786", ""])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(UsageError, match=f"there is no executor '{name}'; write"):
        ScoreWorker(walk.game(), MemoryStore(), executor=name)


def test_the_extra_for_dask_is_named(monkeypatch):
    monkeypatch.setattr(_executors, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"distributed is not installed; .*\[dask\]"):
        ScoreWorker(walk.game(), MemoryStore(), executor="dask://127.0.0.1:8786")


KILLED = """
import os, sys
sys.path[:0] = {paths!r}
import test_executors as these

if __name__ == "__main__":
    rules = these._executors.Rules(these._executors.Judge(5), 5, "processes:2")
    executor = rules._make()
    pids = {{executor.submit(os.getpid).result() for _ in range(8)}}
    print(*pids, flush=True)
    sys.stdin.read()
"""


@pytest.mark.processes
def test_no_process_of_a_pool_outlives_a_worker_that_is_killed():
    paths = [str(Path(__file__).parent), str(Path(walk.__file__).parent)]
    program = subprocess.Popen(
        [sys.executable, "-c", KILLED.format(paths=paths)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    pids = list(map(int, program.stdout.readline().split()))
    assert pids
    os.kill(program.pid, signal.SIGKILL)
    program.communicate()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, "they are still there"
        time.sleep(0.02)

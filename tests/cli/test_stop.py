"""`stop` and `readmit` ask a running worker, or the next one, from another process."""

from __future__ import annotations

import os
import signal
import time

import pytest

from crunch_game import open_store

pytestmark = pytest.mark.processes

PATIENCE = 30.0
URL = "sqlite:///game.db"
ENDLESS = """
    import sys, anyio

    class Endless(walk.ReplayFeed):
        async def rows(self, since=None, on_event=None):
            async for row in super().rows(since):
                yield row
            print("all told", file=sys.stderr, flush=True)
            await anyio.sleep_forever()
"""


def state(model_id: str) -> tuple[str, str | None]:
    with open_store(URL) as store:
        [found] = [each for each in store.models() if each.model_id == model_id]
        return str(found.state), found.reason


def wait_for(condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def test_a_running_worker_stops_a_model_and_readmits_it_and_the_command_says_so(start, command, game, models):
    path = game(ENDLESS, "feed=Endless(walk.rows(10))")
    worker = start("run", path, "--models", models, "--store", URL)
    assert worker.stderr.readline() == "all told\n"
    ended = command("stop", "loud", "--store", URL, "--reason", "it is too loud", "--by", "ada", "--wait", PATIENCE)
    assert (ended.code, ended.stdout) == (0, "loud is stopped (correction 1)\n")
    assert state("loud") == ("stopped", "it is too loud")
    ended = command("readmit", "loud", "--store", URL, "--reason", "it is quiet now", "--wait", PATIENCE, "--json")
    assert ended.code == 0
    assert ended.document | {"number": 2, "model_id": "loud", "done": True} == ended.document
    assert ended.document["worker"].startswith(f"the predict worker (process {worker.pid} on ")
    os.kill(worker.pid, signal.SIGTERM)
    worker.communicate(timeout=PATIENCE)
    assert state("loud")[0] == "ready"
    with open_store(URL) as store:
        [first, second] = [each for _, each in store.corrections()]
        assert (first.verb, first.by, first.reason, first.model_id) == ("stop", "ada", "it is too loud", "loud")
        assert second.by.count("@") == 1, "this user, and this machine"


def test_what_is_asked_while_no_worker_runs_is_done_when_one_starts(command, game, models):
    path = game()
    arguments = ["predict", path, "--models", models, "--store", URL]
    assert command(*arguments, "--max-ticks", 3).code == 0
    ended = command("stop", "last", "--store", URL, "--reason", "enough")
    assert (ended.code, ended.stdout) == (
        0,
        "no predict worker runs on this store: it is done when one starts (correction 1)\n",
    )
    assert command(*arguments, "--max-ticks", 3).code == 0
    assert state("last") == ("stopped", "enough")
    with open_store(URL) as store:
        assert {each.status for each in store.predictions(model_id="last") if each.at > store.rows()[2].time} == {
            "skipped"
        }
    command("readmit", "last", "--store", URL, "--reason", "more")
    assert command(*arguments, "--max-ticks", 3).code == 0
    assert state("last")[0] == "ready"


def test_a_worker_that_hangs_is_named_and_what_was_asked_stays(start, command, game, models):
    path = game(ENDLESS, "feed=Endless(walk.rows(3))")
    worker = start("predict", path, "--models", models, "--store", URL)
    assert worker.stderr.readline() == "all told\n"
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        ended = command("stop", "last", "--store", URL, "--reason", "enough", "--wait", 0.2)
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    assert ended.code == 1
    assert ended.stderr.startswith(f"the predict worker (process {worker.pid} on ")
    assert ended.stderr.endswith(" has not done it within 0.2 s; it is still asked to (correction 1)\n")
    wait_for(lambda: state("last") == ("stopped", "enough"))
    os.kill(worker.pid, signal.SIGTERM)
    worker.communicate(timeout=PATIENCE)


@pytest.mark.parametrize("verb", ["stop", "readmit"])
@pytest.mark.parametrize(
    ("model_id", "reason", "sentence"),
    [
        ("nobody", "why", "there is no model 'nobody' in the game; there is last, loud"),
        ("last", " ", "--reason is empty; say why, for the participants and for the record"),
    ],
)
def test_what_nobody_could_carry_out_is_refused_and_not_written(
    command, game, models, verb, model_id, reason, sentence
):
    command("predict", game(), "--models", models, "--store", URL, "--max-ticks", 1)
    ended = command(verb, model_id, "--store", URL, "--reason", reason, "--json")
    assert (ended.code, ended.document) == (2, {"error": sentence})
    with open_store(URL) as store:
        assert store.corrections() == []

"""`models`, `model` and `events` say what happened, and exactly that: asked of a store that others have written."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.to_thread import run_sync as in_thread

from crunch_game import CRPS, Game, Policy, Predict, ReplayFeed, Row, run_game
from crunch_game.datasets import daily_prices
from crunch_game.events import ModelRedeployed, ModelStopped, RoundPlayed, TickPlayed
from crunch_game.resolving import Return
from crunch_game.storage import open_store

EXAMPLE = Path(__file__).parents[2] / "examples" / "daily_density"
TOP = "import os, time\nfrom daily_density import TrackerBase, normal\n\n\nclass Mine(TrackerBase):\n    days = 0\n\n"
TICK = "    def tick(self, prices):\n        self.days += 1\n{}\n\n"
PREDICT = "    def predict(self, asset, horizon, step):\n{}\n        return [normal(0.0, 0.02)]\n"
MODELS = {
    "steady": ("", ""),
    "moody": (
        "",
        "        if self.days % 4 == 1:\n            print('a bad day')\n            raise ValueError(self.days)",
    ),
    "slow": ("", "        if self.days == 6 and asset == 'IBM':\n            time.sleep(1)"),
    "dies": ("", "        if self.days == 8 and asset == 'IBM':\n            os._exit(3)"),
    "deaf": ("        if self.days == 5:\n            raise KeyError('row')", ""),
    "hopeless": ("", "        raise RuntimeError('never')"),
    "changes": ("", ""),
}


def code(tick: str, predict: str) -> str:
    return TOP + TICK.format(tick) + PREDICT.format(predict)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    models = tmp_path / "models"
    models.mkdir()
    for name, parts in MODELS.items():
        (models / f"{name}.py").write_text(code(*parts))
    (models / "broken.py").write_text("import no_such_module\n")
    return models


class Redeploying(ReplayFeed):
    """Twenty days; before the twelfth of them a model has new code."""

    def __init__(self, models: Path, log: Any) -> None:
        super().__init__(list(daily_prices())[:20])
        self._models, self._log = models, log

    async def rows(self, since=None, on_event=None):
        number = 0
        async for row in super().rows(since):
            number += 1
            if number == 12:
                (self._models / "changes.py").write_text(code("", "        pass"))
                await self._log.until(ModelRedeployed)
            yield row


def told(records: list[Any], model_id: str) -> list[Any]:
    return [each for each in records if getattr(each, "model_id", None) == model_id]


def assert_says_what_happened(document: dict[str, Any], records: list[Any], since: Any = None) -> None:
    """Compare what `model ID --json` says with what the worker told its author while it played."""
    model_id = document["model_id"]
    rounds = [each for each in records if isinstance(each, RoundPlayed) and model_id in each.round]
    rounds = [each for each in rounds if since is None or each.at >= since]
    statuses: dict[str, Counter[str]] = {}
    for each in rounds:
        statuses.setdefault(each.key, Counter())[str(each.round[model_id].status)] += 1
    assert {key: each["statuses"] for key, each in document["asked"].items()} == statuses
    answers = {(each["key"], each["at"]): each for each in document["answers"]}
    assert len(answers) == len(document["answers"]) == len(rounds)
    for each in rounds:
        outcome, answer = each.round[model_id], answers[each.key, each.at.isoformat()]
        assert answer["deployment_id"] == outcome.deployment_id
        assert answer["error"] == (outcome.error and outcome.error.message)
        if outcome.status in ("ok", "skipped"):
            assert answer["fault"] is None
        else:
            parts = ("kind", "message", "traceback", "stdout", "stderr", "exit")
            assert answer["fault"] == {name: getattr(outcome.error, name) for name in parts}
    ticks = [each for each in records if isinstance(each, TickPlayed) and model_id in each.round]
    ticks = [each for each in ticks if since is None or each.at >= since]
    assert document["rows"] == Counter(str(each.round[model_id].status) for each in ticks)
    faults = [each for each in ticks if each.round[model_id].status not in ("ok", "skipped")]
    assert [each["at"] for each in document["tick_faults"]] == [each.at.isoformat() for each in faults]
    if since is None:
        shown = [(each["kind"], each["text"]) for each in document["events"]]
        assert shown == [(type(each).__name__, str(each)) for each in told(records, model_id)]


@pytest.mark.anyio
@pytest.mark.processes
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_the_commands_say_is_what_happened(tmp_path, folder, installed, log, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLE))
    from daily_density import TrackerBase

    game = Game(
        "demo",
        TrackerBase,
        [Predict(every="1d", horizon="1d", asset=asset, step="1d") for asset in ("AAPL", "IBM")],
        Return(of="asset", max_age="7d"),
        CRPS(steps=lambda asked: asked["horizon"] // asked["step"]),
        feed=Redeploying(folder, log),
        policy=Policy(timeout=0.5, max_consecutive_failures=3, field_fault_min=99),
    )
    url = f"sqlite:///{tmp_path / 'game.db'}"
    with open_store(url) as store:
        result = await run_game(game, folder, store=store, on_event=log)

    ended = await in_thread(installed, "models", "--store", url, "--json")
    of_models = {each["model_id"]: each for each in ended.document["models"]}
    assert {name: each["state"] for name, each in of_models.items()} == {
        record.model_id: record.state for record in result.models
    }
    assert of_models["hopeless"]["state"] == "stopped"
    assert of_models["broken"]["state"] == "failed"
    assert [each["state"] for each in of_models["changes"]["deployments"]] == ["replaced", "ready"]
    [dies] = of_models["dies"]["deployments"]
    assert dies["restarts"] == 1

    documents = {}
    for name in [*MODELS, "broken"]:
        documents[name] = (
            await in_thread(installed, "model", name, "--store", url, "--since", "99d", "--json")
        ).document
        assert_says_what_happened(documents[name], log.records)
    assert documents["hopeless"]["strikes"] == {
        key: {"failures": 3, "timeouts": 0} for key in documents["hopeless"]["asked"]
    }
    assert documents["slow"]["asked"]["predict(asset='IBM', horizon=86400, step=86400)"]["statuses"]["timeout"] == 1
    assert documents["deaf"]["rows"]["raised"] == 1
    [fault] = [each["fault"] for each in documents["dies"]["answers"] if each["status"] == "died"]
    assert fault["exit"] == 3
    moody = next(each["fault"] for each in documents["moody"]["answers"] if each["fault"])
    assert (moody["kind"], moody["stdout"].splitlines()[0]) == ("ValueError", "a bad day")
    assert "raise ValueError(self.days)" in moody["traceback"]
    with open_store(url) as store:
        newest = store.last_row().time
        scores = [each.value for each in store.scores(model_id="steady") if each.value is not None]
    assert sum(each["scored"] for each in documents["steady"]["asked"].values()) == len(scores) > 20

    since = newest - timedelta(days=7)
    lately = (await in_thread(installed, "model", "moody", "--store", url, "--since", "7d", "--json")).document
    assert_says_what_happened(lately, log.records, since)
    one_day = await in_thread(
        installed,
        "model",
        "moody",
        "--store",
        url,
        "--since",
        f"{since:%Y-%m-%d}",
        "--until",
        f"{newest:%Y-%m-%d}",
        "--json",
    )
    assert one_day.document["answers"] == [each for each in lately["answers"] if each["at"] < newest.isoformat()]

    shown = await in_thread(installed, "events", "--store", url, "--since", "1h", "--all", "--json")
    known = [each for each in log.records if type(each).__name__ not in ("Standings",)]
    assert Counter((each["kind"], each["text"]) for each in shown.document["events"]) == Counter(
        (type(each).__name__, str(each)) for each in known
    )


# What people see.


@pytest.fixture
def played(tmp_path, command, game, models) -> str:
    """The URL of a store of a game of ten rows, in which a model is stopped at its third failure."""
    (models / "bad.py").write_text(
        "from walk import Last\n\n\nclass Mine(Last):\n    def predict(self, asset, horizon):\n"
        "        print('about to fail')\n        raise ValueError(f'[no] {asset}')\n"
    )
    path = game(
        "import crunch_game",
        "policy=crunch_game.Policy(timeout=10), feed=walk.ReplayFeed(walk.rows(10)), host='inline'",
    )
    url = f"sqlite:///{tmp_path / 'played.db'}"
    ended = command("run", path, "--models", models, "--store", url, "--json")
    assert ended.code == 0, ended.stdout
    return url


def test_models_fit_on_a_screen_and_say_why_one_does_not_play(command, played):
    ended = command("models", "--store", played)
    assert ended.code == 0
    head, bad, last, loud, why = ended.stdout.splitlines()
    assert head.split() == ["model", "state", "deployment", "ready", "restarts", "strikes"]
    assert [line.split()[:2] for line in (bad, last, loud)] == [
        ["bad", "stopped"],
        ["last", "ready"],
        ["loud", "ready"],
    ]
    assert bad.split()[-1] == "4", "three of one prediction, one of the other"
    assert max(map(len, (head, bad, last, loud))) <= 80
    assert why.startswith("bad is stopped: 3 failures of predict(asset='BTC', horizon=7200) in a row (the limit is 3)")


def test_a_model_is_told_of_with_its_traceback(command, played):
    ended = command("model", "bad", "--store", played, "--since", "7d")
    assert ended.code == 0
    assert "strikes: 3 failures of predict(asset='BTC', horizon=7200) in a row\n" in ended.stdout
    assert "predict(asset='BTC', horizon=7200): 3 raised, 7 skipped\n" in ended.stdout
    assert "raised: ValueError: [no] BTC\n  Traceback (most recent call last):\n" in ended.stdout
    assert "    raise ValueError(f'[no] {asset}')\n" in ended.stdout
    assert "bad is stopped: 3 failures" in ended.stdout
    assert "rows told: " in ended.stdout


def test_events_of_each_row_and_round_are_shown_when_asked_for(command, played):
    few, all_ = command("events", "--store", played), command("events", "--store", played, "--since", "1d", "--all")
    assert " bad is stopped: 3 failures" in few.stdout
    assert " was told: " not in few.stdout
    assert all_.stdout.count(" was told: ") == 10
    of_bad = command("events", "--store", played, "--model", "bad").stdout.splitlines()
    assert [line.split("  ")[1].split(":")[0] for line in of_bad] == ["bad joined", "bad is ready", "bad is stopped"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("model", "bat"), "the store has no model 'bat'; it has bad, last, loud"),
        (("model", "bad", "--since", "soon"), '--since \'soon\' is neither a duration ("1d", "90s") nor a time'),
        (("model", "bad", "--since", "1d", "--until", "2d"), "--until 2d is not after --since 1d; give a later time"),
        (("events", "--since", "1x"), "--since '1x' is not a duration"),
    ],
)
def test_what_cannot_be_asked_says_what_can(command, played, arguments, said):
    for as_json in ((), ("--json",)):
        ended = command(*arguments, "--store", played, *as_json)
        assert ended.code == 2
        message = ended.document["error"] if as_json else ended.stderr.removeprefix("error: ")
        assert message.startswith(said)


@pytest.mark.parametrize("name", ["models", "model", "events"])
def test_a_store_that_is_not_there_is_wrong_usage(command, tmp_path, name):
    ended = command(name, *(["x"] if name == "model" else []), "--store", f"sqlite:///{tmp_path / 'no.db'}")
    assert ended.code == 2
    assert f"there is no store at {tmp_path / 'no.db'}" in ended.stderr


@pytest.mark.parametrize("as_json", [(), ("--json",)], ids=["people", "json"])
def test_a_server_that_is_away_is_no_wrong_usage(command, as_json):
    """Exit code 3 is for whoever watches a game by a program: what was asked is right, and may be asked again."""
    pytest.importorskip("psycopg")
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]  # nobody has it once this is closed
    ended = command("events", "--store", f"postgresql://ada@127.0.0.1:{port}/game", *as_json)
    assert ended.code == 3
    said = ended.document["error"] if as_json else ended.stderr.removeprefix("error: ")
    assert said.startswith(f"postgresql://ada@127.0.0.1:{port}/game cannot be reached: ")
    assert said.rstrip().endswith("see that the server runs and that the URL is right")


class Pushed:
    """A live feed that gives what the test pushes."""

    live = True

    def __init__(self) -> None:
        self._send, self._receive = anyio.create_memory_object_stream[Row](100)

    def push(self, value: float) -> None:
        self._send.send_nowait(Row(datetime.now(UTC), {"BTC": value}))

    def close(self) -> None:
        """End the game."""
        self._send.close()

    async def rows(self, since=None, on_event=None):
        with self._receive:
            async for row in self._receive:
                yield row


@pytest.mark.anyio
@pytest.mark.processes
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_who_follows_the_events_of_a_running_game_is_told_them_as_they_come(tmp_path, start, log):
    """In another process, which began before the game was over, and is ended by Ctrl-C."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "games"))
    import walk

    class Bad(walk.Last):
        def predict(self, asset, horizon):
            raise ValueError("no")

    url = f"sqlite:///{tmp_path / 'game.db'}"
    feed = Pushed()
    game = walk.game(
        feed=feed, policy=Policy(timeout=10), predictions=[Predict(every="row", horizon="1h", asset="BTC")]
    )

    async def next_of_a_model(follower: subprocess.Popen[str]) -> dict[str, Any]:
        """The next event that is about a model; on a machine that hung meanwhile the feed has stood still, too."""
        while (told := json.loads(await in_thread(follower.stdout.readline)))["model_id"] is None:
            pass
        return told

    with open_store(url) as store, closing(feed):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(run_game, game, [Bad, walk.Mean], store=store, host="inline", on_event=log))
            follower = start("events", "--store", url, "--follow", "--json")
            lines = [await next_of_a_model(follower) for _ in range(4)]
            assert [(each["kind"], each["model_id"]) for each in lines] == [
                ("ModelJoined", "Bad"), ("ModelJoined", "Mean"), ("ModelReady", "Bad"), ("ModelReady", "Mean"),
            ]  # fmt: skip
            for n in range(3):
                feed.push(float(n))
                await log.until(RoundPlayed, count=n + 1)
            await log.until(ModelStopped)
            stopped = await next_of_a_model(follower)
            assert (stopped["kind"], stopped["model_id"]) == ("ModelStopped", "Bad")
            assert stopped["number"] > lines[-1]["number"]
            follower.send_signal(signal.SIGINT)
            assert await in_thread(follower.wait) == 130
            assert follower.stderr.read() == ""
            feed.close()

"""A local network: a folder of models, nodes, announcements; seen by a coordinator that knows only the protocol."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import textwrap
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import grpc
import pytest
import trio
from callers import EXIT_3, PATIENCE, Caller, Ear, answer, said
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from crunch_game import ContractError, GameError, ResourceError, Submission, UnknownModel, UsageError, events
from crunch_game.crunchdao.dev import DevOrchestrator
from crunch_game.crunchdao.dev._deployment import Stage
from crunch_game.crunchdao.protocol import Announced
from crunch_game.testing import SimulatedNetwork

pytestmark = [pytest.mark.anyio, pytest.mark.processes]

HEAD = "import os, sys\nfrom pathlib import Path\nfrom arena import Base\n\n"


def counting(step: int) -> str:
    """A model that counts its ticks in steps, and leaves when it is told to."""
    return f"""
class Mine(Base):
    count = 0

    def tick(self, data=None):
        self.count += {step}

    def predict(self, number):
        if number < 0:
            os._exit(-number)
        return self.count
"""


@pytest.fixture
def write(tmp_path):
    """Write a submission into the folder of models; whole, as an editor does."""
    folder = tmp_path / "models"
    folder.mkdir()

    def to(name: str, code: str) -> None:
        unfinished = tmp_path / "unfinished"
        unfinished.write_text(HEAD + textwrap.dedent(code))
        unfinished.rename(folder / f"{name}.py")

    to.folder = folder
    return to


class Coordinator:
    """One WebSocket."""

    def __init__(self, connection) -> None:
        self.connection = connection

    async def frame(self) -> dict:
        with anyio.fail_after(PATIENCE):
            return json.loads(await self.connection.recv())

    async def told(self, count: int = 1) -> list[tuple]:
        """The next frames, in short."""
        frames = [await self.frame() for _ in range(count)]
        assert {frame["event"] for frame in frames} == {"update"}
        return [(each["model_id"], each["state"], each["ip"], each["port"]) for f in frames for each in f["data"]]

    async def report(self, model_id: str, code: str = "MULTIPLE_FAILED", reason: str | None = "no idea") -> None:
        report = {"model_id": model_id, "failure_code": code, "failure_reason": reason, "ip": "127.0.0.1"}
        await self.connection.send(json.dumps({"event": "report_failure", "data": [report]}))


@asynccontextmanager
async def coordinator(orchestrator: SimulatedNetwork):
    """A coordinator, and the models that its init told."""
    async with connect(f"ws://127.0.0.1:{orchestrator.port}/arena") as connection:
        one = Coordinator(connection)
        init = await one.frame()
        assert init["event"] == "init"
        yield one, {each["model_id"]: each for each in init["data"]}


def orchestrator_of(write, **options) -> SimulatedNetwork:
    return SimulatedNetwork("arena", "arena.Base", write.folder, **options)


async def count(port: int, *, ticks: int = 1) -> int:
    """Set a node up, tick it, and ask how far it has counted."""
    async with Caller(port) as caller:
        await caller.setup()
        for _ in range(ticks):
            await caller.call("tick")
        return answer(await caller.call("predict", 0))


# The folder


async def test_the_models_of_a_folder_are_served_and_announced(write):
    write("alice", counting(1))
    write("bob", counting(10))

    async with orchestrator_of(write) as orchestrator, coordinator(orchestrator) as (_, models):
        assert models.keys() == {"alice", "bob"}
        assert {(each["state"], each["ip"]) for each in models.values()} == {("RUNNING", "127.0.0.1")}
        assert models["alice"]["infos"] == {
            "model_name": "alice",
            "cruncher_id": "alice",
            "cruncher_name": "alice",
            "cruncher_wallet_pubkey": None,
            "cruncher_hotkey": None,
        }
        assert await count(models["alice"]["port"], ticks=3) == 3
        assert await count(models["bob"]["port"], ticks=3) == 30
        assert orchestrator.coordinators == 1


async def test_what_happens_in_the_folder_is_announced_as_on_the_network(write):
    write("alice", counting(1))

    async with orchestrator_of(write) as orchestrator, coordinator(orchestrator) as (one, models):
        old = models["alice"]
        write("bob", counting(10))
        [(model_id, state, _, port)] = await one.told()
        assert (model_id, state) == ("bob", "RUNNING")
        assert await count(port) == 10

        write("alice", counting(2))
        fresh = (await one.frame())["data"][0]
        assert (fresh["model_id"], fresh["state"]) == ("alice", "RUNNING")
        assert fresh["deployment_id"] != old["deployment_id"]
        stopped = [(await one.frame())["data"][0] for _ in range(2)]
        assert stopped == [
            old | {"state": "STOPPED"},
            old | {"state": "STOPPED", "ip": "localhost", "port": 0},
        ]
        assert await count(fresh["port"]) == 2

        (write.folder / "bob.py").unlink()
        assert await one.told(2) == [("bob", "STOPPED", "127.0.0.1", port), ("bob", "STOPPED", "localhost", 0)]
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        assert orchestrator.models.keys() == {"alice"}


# Failures


async def test_a_model_that_is_given_up_is_stopped_until_it_has_new_code(write):
    write("alice", counting(1))
    ear = Ear()

    async with (
        orchestrator_of(write, on_event=ear) as orchestrator,
        coordinator(orchestrator) as (one, models),
        coordinator(orchestrator) as (other, _),
    ):
        port = models["alice"]["port"]
        await one.report("alice", "MULTIPLE_FAILED", "3 failures of predict in a row")

        for each in (one, other):
            assert await each.told(2) == [
                ("alice", "STOPPED", "127.0.0.1", port),
                ("alice", "STOPPED", "localhost", 0),
            ]
        stopped = await ear.next(events.ModelStopped)
        assert str(stopped) == "alice is stopped: MULTIPLE_FAILED: 3 failures of predict in a row"
        assert orchestrator.models["alice"].stage is Stage.QUARANTINED
        assert orchestrator.models["alice"].last_note == stopped.reason
        async with coordinator(orchestrator) as (_, later):
            assert later == {}

        (write.folder / "alice.py").unlink()  # it cannot get out of it by leaving
        await ear.next(events.ModelLeft)
        write("alice", counting(1))
        write("bob", counting(1))
        assert (await one.told())[0][:2] == ("bob", "RUNNING")
        assert orchestrator.models["alice"].stage is Stage.QUARANTINED

        write("alice", counting(2))
        assert (await one.told())[0][:2] == ("alice", "RUNNING")


async def test_a_long_reason_is_kept_as_what_can_be_shown(write):
    write("alice", counting(1))
    ear = Ear()

    async with orchestrator_of(write, on_event=ear) as orchestrator, coordinator(orchestrator) as (one, _):
        await one.report("alice", "MULTIPLE_FAILED", "no\x1bidea" * 60_000)

        stopped = await ear.next(events.ModelStopped)
        for kept in (stopped.reason, orchestrator.models["alice"].last_note, orchestrator.reports[0].failure_reason):
            assert "no\\x1bidea" in kept
            assert "\x1b" not in kept
            assert len(kept) < 20_000


async def test_a_lost_connection_stops_a_model_and_puts_it_in_no_quarantine(write):
    write("alice", counting(1))
    ear = Ear()

    async with orchestrator_of(write, on_event=ear) as orchestrator, coordinator(orchestrator) as (one, _):
        await one.report("alice", "CONNECTION_FAILED", None)
        assert str(await ear.next(events.ModelStopped)) == ("alice is stopped: CONNECTION_FAILED: no reason was given")
        assert orchestrator.models["alice"].stage is Stage.STOPPED
        await one.told(2)

        await orchestrator.leave("alice")
        await orchestrator.join(write.folder / "alice.py")
        assert (await one.told())[0][:2] == ("alice", "RUNNING")


async def test_a_model_can_be_readmitted_from_quarantine(write):
    write("alice", counting(1))
    ear = Ear()

    async with orchestrator_of(write, on_event=ear) as orchestrator, coordinator(orchestrator) as (one, _):
        with pytest.raises(UsageError, match="the model 'alice' is running; only one that is stopped is readmitted"):
            await orchestrator.readmit("alice")
        await one.report("alice")
        await ear.next(events.ModelStopped)
        await one.told(2)

        await orchestrator.readmit("alice")

        [(_, state, _, port)] = await one.told()
        assert (state, await count(port)) == ("RUNNING", 1)


async def test_a_model_whose_process_ends_is_away_and_comes_back_with_a_fresh_instance(write, tmp_path):
    write("alice", counting(1))
    ear = Ear()

    async with (
        orchestrator_of(write, on_event=ear, logs=tmp_path / "logs") as orchestrator,
        coordinator(orchestrator) as (one, models),
        Caller(models["alice"]["port"]) as caller,
    ):
        await caller.setup()
        await caller.call("tick")
        assert said(await caller.call("predict", -3)) == (
            "MODEL_FAILED",
            "its process ended during predict: " + EXIT_3,
        )

        assert await one.told() == [("alice", "RECOVERING", "127.0.0.1", models["alice"]["port"])]
        [(_, state, _, port)] = await one.told()
        assert state == "RUNNING"
        assert await count(port) == 1
        assert str(await ear.next(events.ModelRestarted)) == (
            "alice is restarted: its process ended during predict: " + EXIT_3
        )
        log = (tmp_path / "logs" / "alice.log").read_text().splitlines()
        assert [line[20:] for line in log] == [
            "a fresh instance was made",
            "the instance is gone: its process ended during predict: " + EXIT_3,
            "a fresh instance was made",
        ]


async def test_what_a_model_prints_and_why_it_fails_is_in_its_logs(write, tmp_path):
    write(
        "alice",
        "class Mine(Base):\n    def predict(self, number):\n"
        "        print('asked', number, flush=True)\n        return 1 / number\n",
    )
    logs = tmp_path / "logs"

    async with orchestrator_of(write, logs=logs) as orchestrator, Caller(node_port(orchestrator, "alice")) as caller:
        await caller.setup()
        await caller.call("predict", 0)
        assert (logs / "alice.out.log").read_text() == "asked 0\n"
        assert orchestrator.models["alice"].last_note == "predict failed: ZeroDivisionError: division by zero"

    log = (logs / "alice.log").read_text()
    assert "predict failed: ZeroDivisionError: division by zero\nTraceback (most recent call last):\n" in log
    assert "return 1 / number" in log


async def test_no_two_models_share_a_log(write, tmp_path):
    code = tmp_path / "code.py"
    code.write_text(HEAD + "class Mine(Base):\n    def predict(self, number):\n        return number\n")
    logs = tmp_path / "logs"
    async with orchestrator_of(write, logs=logs) as orchestrator:
        for model_id in ("a/b", "a_b"):
            await orchestrator.join(Submission(model_id, code))
            async with Caller(node_port(orchestrator, model_id)) as caller:
                await caller.setup()
    for name in ("a%2Fb.log", "a_b.log"):
        assert [line[20:] for line in (logs / name).read_text().splitlines()] == ["a fresh instance was made"]


async def test_calls_are_answered_while_nothing_can_be_written_to_the_logs(write, tmp_path, caplog):
    write("alice", "class Mine(Base):\n    def predict(self, number):\n        return 1 / number\n")
    logs = tmp_path / "logs"
    failed = ("MODEL_FAILED", "ZeroDivisionError: division by zero")

    async with orchestrator_of(write, logs=logs) as orchestrator, Caller(node_port(orchestrator, "alice")) as caller:
        await caller.setup()
        shutil.rmtree(logs)
        assert said(await caller.call("predict", 0)) == failed
        assert "predict failed: ZeroDivisionError" in (logs / "alice.log").read_text()

        shutil.rmtree(logs)
        logs.write_text("no folder")
        for _ in range(2):
            assert said(await caller.call("predict", 0)) == failed
        assert caplog.messages == [
            f"what happens to the models cannot be written to {logs}: File exists; they go on without"
        ]


def node_port(orchestrator: SimulatedNetwork, model_id: str) -> int:
    return int(orchestrator.models[model_id].announcement.port)


# The simulator


async def test_models_join_leave_and_are_replaced_on_command(write):
    write("alice", counting(1))
    write("other", counting(5))

    async with SimulatedNetwork("arena", "arena.Base") as orchestrator, coordinator(orchestrator) as (one, models):
        assert models == {}
        assert await orchestrator.join(write.folder / "alice.py") == "alice"
        [(_, _, _, port)] = await one.told()
        with pytest.raises(UsageError, match="there is a model 'alice' already"):
            await orchestrator.join(write.folder / "alice.py")

        await orchestrator.replace(Submission("alice", write.folder / "other.py", "2"))
        (fresh, *old) = await one.told(3)
        assert fresh[:2] == ("alice", "RUNNING")
        assert old == [("alice", "STOPPED", "127.0.0.1", port), ("alice", "STOPPED", "localhost", 0)]
        assert await count(fresh[3]) == 5

        await orchestrator.leave("alice")
        assert [told[1] for told in await one.told(2)] == ["STOPPED"] * 2
        with pytest.raises(UnknownModel, match="there is no model 'alice' here; there is no model at all"):
            await orchestrator.leave("alice")


async def test_a_lost_frame_is_made_good_by_the_next_init(write):
    write("alice", counting(1))

    async with SimulatedNetwork("arena", "arena.Base") as orchestrator, coordinator(orchestrator) as (one, _):
        await orchestrator.join(write.folder / "alice.py", announce=False)
        await orchestrator.join(Submission("bob", write.folder / "alice.py"))
        assert (await one.told())[0][0] == "bob"

        orchestrator.drop()
        with pytest.raises(ConnectionClosed):
            await one.connection.recv()
        async with coordinator(orchestrator) as (_, models):
            assert models.keys() == {"alice", "bob"}


async def test_a_recovery_is_told_while_it_lasts(write):
    write("alice", counting(1))

    async with orchestrator_of(write) as orchestrator, coordinator(orchestrator) as (one, models):
        port = models["alice"]["port"]
        recovering = asyncio.create_task(orchestrator.recover("alice", away=0.2))
        assert await one.told() == [("alice", "RECOVERING", "127.0.0.1", port)]
        async with coordinator(orchestrator) as (_, meanwhile):
            assert meanwhile == {}
        [(_, state, _, elsewhere)] = await one.told()
        await recovering
        assert (state, await count(elsewhere)) == ("RUNNING", 1)


async def test_a_node_restarts_behind_the_same_port_and_nothing_is_told(write):
    write("alice", counting(1))

    async with orchestrator_of(write) as orchestrator, coordinator(orchestrator) as (one, models):
        port = models["alice"]["port"]
        async with Caller(port) as caller:
            await caller.setup()
            await caller.call("tick")
            await orchestrator.kill("alice")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await caller.call("predict", 0, timeout=0.3)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

            await orchestrator.restart("alice")
            assert said(await caller.call("predict", 0))[0] == "FAILED_PRECONDITION"
        assert await count(port) == 1
        await orchestrator.leave("alice")
        assert await one.told(1) == [("alice", "STOPPED", "127.0.0.1", port)]


async def test_the_orchestrator_itself_restarts_and_the_models_go_on(write):
    write("alice", counting(1))

    async with (
        orchestrator_of(write) as orchestrator,
        coordinator(orchestrator) as (one, models),
        Caller(models["alice"]["port"]) as caller,
    ):
        await caller.setup()
        await caller.call("tick")
        await orchestrator.restart(away=0.1)
        with pytest.raises(ConnectionClosed):
            await one.connection.recv()
        async with coordinator(orchestrator) as (_, again):
            assert again == models
        assert answer(await caller.call("predict", 0)) == 1


async def test_a_node_of_somebody_else_is_announced_and_given_up(write):
    foreign = Announced(model_id="zoe", deployment_id="9", state="RUNNING", ip="127.0.0.1", port="50051")
    ear = Ear()

    async with orchestrator_of(write, on_event=ear) as orchestrator, coordinator(orchestrator) as (one, _):
        orchestrator.announce(foreign)
        assert await one.told() == [("zoe", "RUNNING", "127.0.0.1", "50051")]
        async with coordinator(orchestrator) as (_, models):
            assert models.keys() == {"zoe"}
        with pytest.raises(UsageError, match="the model 'zoe' has no node that runs here"):
            await orchestrator.kill("zoe")

        await one.report("zoe", "CONNECTION_FAILED", "nobody is there")
        await ear.next(events.ModelStopped)
        assert [(each.model_id, each.failure_reason) for each in orchestrator.reports] == [("zoe", "nobody is there")]


# Beginnings and ends


async def test_a_name_that_changes_is_announced_again(write):
    write("alice", counting(1))
    source = write.folder / "alice.py"
    send, receive = anyio.create_memory_object_stream(1)

    class Roster:
        async def follow(self):
            yield {"alice": Submission("alice", source, "1")}
            async for snapshot in receive:
                yield snapshot

        def host(self):
            return None

    with send, receive:
        async with (
            SimulatedNetwork("arena", "arena.Base", Roster()) as orchestrator,
            coordinator(orchestrator) as (one, models),
        ):
            named = Submission("alice", source, "1", "Alice's", {"cruncher_hotkey": "hot", "cruncher_id": 7})
            await send.send({"alice": named})
            again = (await one.frame())["data"][0]
            assert again.pop("infos") == {
                "model_name": "Alice's",
                "cruncher_id": 7,
                "cruncher_name": "Alice's",
                "cruncher_wallet_pubkey": None,
                "cruncher_hotkey": "hot",
            }
            assert again.items() <= models["alice"].items()


async def test_leaving_ends_every_process_and_every_port(write, tmp_path):
    write("alice", "print(os.getpid(), flush=True)\n" + counting(1))
    before = asyncio.all_tasks()

    async with orchestrator_of(write, logs=tmp_path) as orchestrator:
        port = node_port(orchestrator, "alice")
        await count(port)
        own = orchestrator.port

    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "alice.out.log").read_text()), 0)
    for closed in (port, own):
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", closed)
    assert asyncio.all_tasks() == before


async def test_a_taken_port_leaves_nothing_behind(write):
    write("alice", counting(1))
    async with orchestrator_of(write) as orchestrator:
        with pytest.raises(ResourceError, match=f"cannot listen on 127.0.0.1:{orchestrator.port}: .*in use"):
            async with orchestrator_of(write, port=orchestrator.port):
                pass


async def test_a_base_class_that_no_process_can_import_is_a_sentence(write):
    class Local:
        pass

    with pytest.raises(ContractError, match="is defined inside a function"):
        async with SimulatedNetwork("arena", Local, write.folder):
            pass


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(GameError, match=r"there is no folder .* to take models from"):
        DevOrchestrator("arena", "arena.Base", tmp_path / "nowhere")


async def test_an_orchestrator_that_is_not_entered_says_how(write):
    with pytest.raises(UsageError, match="use it inside: async with DevOrchestrator"):
        _ = DevOrchestrator("arena", "arena.Base", write.folder).models
    with pytest.raises(UsageError, match="use it inside: async with SimulatedNetwork"):
        await orchestrator_of(write).leave("alice")


async def test_two_models_of_one_name_stop_the_beginning(write):
    write("alice", counting(1))
    (write.folder / "alice").mkdir()
    (write.folder / "alice" / "main.py").write_text("")

    with pytest.raises(GameError, match="would both be the model 'alice'"):
        async with orchestrator_of(write):
            pass


async def test_whoever_listens_for_everyone_is_warned(write, caplog):
    write("alice", counting(1))

    async with orchestrator_of(write, host="0.0.0.0") as orchestrator:
        told = [record.message for record in caplog.records if record.levelno == logging.WARNING]
        assert told == [
            f"the orchestrator listens on 0.0.0.0:{orchestrator.port}, its nodes beside it; nobody is asked who he is"
        ]


async def test_whoever_listens_for_everyone_announces_what_can_be_reached(write):
    write("alice", counting(1))

    async with orchestrator_of(write, host="0.0.0.0") as orchestrator, coordinator(orchestrator) as (one, models):
        assert models["alice"]["ip"] == "127.0.0.1"
        await one.report("alice")
        port = models["alice"]["port"]
        assert await one.told(2) == [("alice", "STOPPED", "127.0.0.1", port), ("alice", "STOPPED", "localhost", 0)]
    async with (
        orchestrator_of(write, host="0.0.0.0", announce="10.0.0.1") as orchestrator,
        coordinator(orchestrator) as (_, models),
    ):
        assert models["alice"]["ip"] == "10.0.0.1"


def test_on_trio_it_says_that_it_cannot(write):
    async def begin():
        async with orchestrator_of(write):
            pass

    with pytest.raises(UsageError, match="the orchestrator runs on asyncio, as gRPC does"):
        trio.run(begin)


async def test_an_orchestrator_whose_task_is_cancelled_leaves_no_port_and_no_model(write):
    write("alice", counting(1))
    with anyio.CancelScope() as scope:
        async with orchestrator_of(write) as orchestrator, coordinator(orchestrator) as (_, models):
            ports = [orchestrator.port, models["alice"]["port"]]
            assert await count(models["alice"]["port"]) == 1
            before = children()
            scope.cancel()
            await anyio.sleep_forever()

    assert before
    assert not before & children()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


def children() -> set[str]:
    """The process ids of this process's children, such as a fork server."""
    tasks = Path("/proc/self/task").iterdir()
    return {pid for task in tasks for pid in (task / "children").read_text().split()}

"""A node as its callers see it: real gRPC, real processes of models."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import textwrap
from contextlib import AsyncExitStack

import anyio
import grpc
import numpy as np
import pandas as pd
import pytest
from callers import EXIT_3, Caller, answer, said

from crunch_game import ProcessHost, ResourceError, Sandbox, Submission
from crunch_game.crunchdao.node import ModelNode, Workplace

pytestmark = [pytest.mark.anyio, pytest.mark.processes]

HEAD = "import os, sys, time\nfrom pathlib import Path\nfrom arena import Base\n\n"

PLAIN = """
class Mine(Base):
    def __init__(self, level=0, *, name="nobody"):
        self.level, self.name, self.heard = level, name, []

    def tick(self, data=None):
        self.heard.append(data)

    def predict(self, number):
        return {"number": number, "level": self.level, "name": self.name, "heard": self.heard}
"""


class Served:
    """A node, what it told, and callers."""

    def __init__(self, node: ModelNode, told: list[str], ends: asyncio.Queue) -> None:
        self.node, self.told, self.ends = node, told, ends


@pytest.fixture
async def serve(tmp_path):
    """Write a submission, serve it, and connect to it."""
    async with AsyncExitStack() as stack:

        async def start(
            code: str, *, game: str = "arena", sandbox: Sandbox | None = None, tell=None, **options
        ) -> tuple[Caller, Served]:
            file = tmp_path / "alice.py"
            file.write_text(HEAD.replace("arena", game) + textwrap.dedent(code))
            submission = Submission("alice", file)
            host = ProcessHost(sandbox=sandbox, answer_limit=64 << 20)
            workplace = await stack.enter_async_context(Workplace(f"{game}.Base", host=host, submissions=[submission]))
            told: list[str] = []
            ends: asyncio.Queue = asyncio.Queue()
            node = ModelNode(submission, workplace, tell=tell or told.append, on_end=ends.put_nowait, **options)
            await node.open()
            stack.push_async_callback(node.close)
            caller = await stack.enter_async_context(Caller(node.port))
            return caller, Served(node, told, ends)

        yield start


async def once_free(ask):
    """The response of a node that may be busy for a while."""
    with anyio.fail_after(60):
        while True:
            try:
                return await ask()
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise


# Setup


async def unless_busy(ask):
    """What is said to a call, which is made again while gRPC itself says that the server is busy with large ones."""
    with anyio.fail_after(10):
        while True:
            try:
                return said(await ask())
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
            await anyio.sleep(0.01)


async def test_a_clients_words_come_back_cut(serve):
    caller, _ = await serve(PLAIN)
    long = "x" * (8 << 20)

    for ask in (lambda: caller.setup(long), lambda: caller.call(f"_{long}")):
        code, message = await unless_busy(ask)
        assert code in ("INVALID_ARGUMENT", "FAILED_PRECONDITION")
        assert len(message) < 10_000
    await caller.setup()
    for method in (f"_{long}", long):
        code, message = await unless_busy(lambda: caller.call(method))  # noqa: B023 - called within the loop
        assert code in ("INVALID_ARGUMENT", "BAD_IMPLEMENTATION")
        assert len(message) < 10_000


async def test_a_model_is_set_up_with_arguments_once(serve):
    caller, _ = await serve(PLAIN)

    assert said(await caller.setup("arena.Base", 3, name="bob")) == ("SUCCESS", "Instance created successfully")
    assert said(await caller.setup("arena.Base", 4)) == ("SUCCESS", "Instance already exists")
    assert answer(await caller.call("tick", 1.5)) is None
    assert answer(await caller.call("predict", 7)) == {"number": 7, "level": 3, "name": "bob", "heard": [1.5]}


async def test_a_reset_forgets_the_instance(serve):
    caller, _ = await serve(PLAIN)

    assert said(await caller.rest()) == ("SUCCESS", "No instance exists to reset")
    await caller.setup("arena.Base", 3)
    await caller.call("tick", 1)
    assert said(await caller.rest()) == ("SUCCESS", "Instance successfully reset")
    assert said(await caller.call("predict", 7)) == ("FAILED_PRECONDITION", "Setup has not been called yet")
    assert said(await caller.setup("arena.Base", 4)) == ("SUCCESS", "Instance created successfully")
    assert answer(await caller.call("predict", 7))["heard"] == []


@pytest.mark.parametrize(
    ("class_name", "message"),
    [
        ("", "class_name cannot be empty"),
        ("  ", "class_name cannot be empty"),
        ("antigravity.Base", "this node serves models of arena.Base, not of antigravity.Base"),
        ("arena.Nothing", "this node serves models of arena.Base, not of arena.Nothing"),
        ("Base", "this node serves models of arena.Base, not of Base"),
    ],
)
async def test_another_base_class_is_refused_and_not_imported(serve, class_name, message):
    caller, _ = await serve(PLAIN)

    assert said(await caller.setup(class_name)) == ("INVALID_ARGUMENT", message)


async def test_the_base_class_may_be_called_by_any_name_that_leads_to_it(serve, monkeypatch):
    import arena

    monkeypatch.setattr(arena, "Alias", arena.Base, raising=False)
    caller, _ = await serve(PLAIN)

    assert said(await caller.setup("arena.Alias"))[0] == "SUCCESS"


async def test_a_factory_makes_the_model_too(serve):
    caller, _ = await serve(PLAIN + "\ndef create_model():\n    return Mine(41)\n")

    await caller.setup()

    assert answer(await caller.call("predict", 1))["level"] == 41


@pytest.mark.parametrize(
    ("code", "status", "message"),
    [
        ("import nothing_at_all", "BAD_IMPLEMENTATION", "ModuleNotFoundError: No module named 'nothing_at_all'"),
        ("class Mine: pass", "BAD_IMPLEMENTATION", "alice.py has no model: define a subclass of arena.Base"),
        ("def create_model(): 1 / 0", "BAD_IMPLEMENTATION", "ZeroDivisionError: division by zero"),
        ("sys.exit(3)", "BAD_IMPLEMENTATION", "SystemExit: 3"),
        ("os._exit(3)", "SETUP_FAILED", "its process ended while it was loading: exit code 3"),
        ("time.sleep(60)", "SETUP_FAILED", "loading it took longer than 1 s"),
    ],
)  # fmt: skip
async def test_what_cannot_be_loaded_is_said_with_its_reason(serve, code, status, message):
    caller, served = await serve(code, setup_timeout=1.0)

    code, text = said(await caller.setup())

    assert (code, message in text) == (status, True), text
    assert any(message in sentence for sentence in served.told)
    assert said(await caller.call("predict", 1))[0] == "FAILED_PRECONDITION"
    assert said(await caller.setup())[0] == status


async def test_a_caller_that_left_before_the_instance_was_there_is_no_reason_to_call_it_old(serve, tmp_path):
    caller, served = await serve(
        "fifo = Path(__file__).with_name('gate')\n" + PLAIN + "\n"
        "def create_model():\n    fifo.read_text()\n    return Mine()\n"
    )
    os.mkfifo(tmp_path / "gate")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await caller.setup(timeout=0.5)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    await asyncio.to_thread(lambda: (tmp_path / "gate").open("w").close())

    assert said(await once_free(caller.setup)) == ("SUCCESS", "Instance created successfully")
    assert served.told == ["a fresh instance was made"]
    assert said(await caller.setup()) == ("SUCCESS", "Instance already exists")


# Calls


async def test_a_call_before_setup_fails_with_the_precondition(serve):
    caller, _ = await serve(PLAIN)

    assert said(await caller.call("predict", 1)) == ("FAILED_PRECONDITION", "Setup has not been called yet")


@pytest.mark.parametrize(
    ("method", "code", "message"),
    [
        ("", "INVALID_ARGUMENT", "methodName cannot be empty"),
        ("__init__", "INVALID_ARGUMENT", "the method __init__ is private to the model"),
        ("confess", "BAD_IMPLEMENTATION", "the model, of class Mine, has no method confess"),
        ("level", "BAD_IMPLEMENTATION", "the model, of class Mine, has no method level"),
    ],
)
async def test_a_method_that_is_not_there_is_said_to_be(serve, method, code, message):
    caller, _ = await serve(PLAIN)
    await caller.setup()

    assert said(await caller.call(method)) == (code, message)
    assert answer(await caller.call("predict", 1))["number"] == 1


async def test_unknown_keyword_arguments_are_dropped_and_surplus_positions_fail(serve):
    caller, _ = await serve(PLAIN)
    await caller.setup()

    assert answer(await caller.call("predict", number=5, horizon=60))["number"] == 5
    assert answer(await caller.call("predict", 5, number=6))["number"] == 5
    code, message = said(await caller.call("predict", 5, 6))
    assert (code, message.partition(":")[0]) == ("MODEL_FAILED", "TypeError")


async def test_a_method_that_only_the_callers_base_class_has_is_called_if_the_model_has_it(serve):
    caller, _ = await serve(PLAIN + "\n    def explain(self, depth):\n        return depth\n")
    await caller.setup()

    assert answer(await caller.call("explain", depth=2, width=3)) == 2


@pytest.mark.parametrize(
    "parameters",
    [
        "horizon, asset, step",
        "step, horizon, asset, seed=0",
        "asset, *, step, horizon",
        "*, step, horizon, asset",
    ],
)
async def test_arguments_get_where_their_names_say(serve, parameters):
    code = f"class Mine(Base):\n    def predict(self, {parameters}): return [asset, horizon, step]\n"
    caller, _ = await serve(code, game="asking")
    await caller.setup("asking.Base")

    assert answer(await caller.call("predict", "BTC", 3600, 300)) == ["BTC", 3600, 300]
    assert answer(await caller.call("predict", "BTC", 3600, step=300, seed=3)) == ["BTC", 3600, 300]


async def test_what_can_never_be_played_is_told_at_setup(serve):
    code = "class Mine(Base):\n    async def predict(self, asset, horizon, step): return []\n"
    caller, _ = await serve(code, game="asking")

    code, message = said(await caller.setup("asking.Base"))
    assert code == "BAD_IMPLEMENTATION"
    assert "has a predict, which is async: the game calls it and awaits nothing" in message


ECHO = """
class Mine(Base):
    def predict(self, number):
        return number
"""


@pytest.mark.parametrize(
    "value",
    [None, 1.5, -3, "a ☂", True, [1, 2.5, "x", None], {"a": {"b": [1]}}, {"density": {"type": "builtin"}}, math.inf],
)
async def test_values_come_back_as_they_went(serve, value):
    caller, _ = await serve(ECHO)
    await caller.setup()

    assert answer(await caller.call("predict", value)) == value


async def test_tables_come_back_as_they_went_where_the_base_class_promises_them(serve):
    caller, _ = await serve(ECHO, game="sheets")
    await caller.setup("sheets.Base")
    table = pd.DataFrame({"time": pd.date_range("2024", periods=3), "price": [1.5, np.nan, 3.0]})

    pd.testing.assert_frame_equal(answer(await caller.call("predict", table)), table)


async def test_messages_may_be_large_either_way(serve):
    caller, _ = await serve(ECHO)
    await caller.setup()

    text = "x" * (60 << 20)
    assert answer(await caller.call("predict", text)) == text


@pytest.mark.parametrize("answer", ["'x' * (65 << 20)", "['\\x01' * (11 << 20)]"])  # six times as long in JSON
async def test_an_answer_that_is_too_large_is_no_timeout_but_a_sentence(serve, answer):
    caller, _ = await serve(f"class Mine(Base):\n    def predict(self, number):\n        return {answer}\n")
    await caller.setup()

    code, message = said(await caller.call("predict", 1))

    assert code == "MODEL_FAILED"
    assert "at most 64 MiB can be sent" in message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ValueError('no idea')", "ValueError: no idea"),
        ("sys.exit('bye')", "SystemExit: bye"),
        ("return {1j}", "the answer cannot be sent: a complex cannot be sent; use numbers, str, list or dict instead"),
        ("raise ValueError('\\udc80')", "ValueError: \\udc80"),
    ],
)  # fmt: skip
async def test_a_model_that_fails_says_why_in_its_own_words(serve, body, message):
    caller, served = await serve(f"class Mine(Base):\n    def predict(self, number):\n        {body}\n")
    await caller.setup()

    assert said(await caller.call("predict", 1)) == ("MODEL_FAILED", message)
    assert f"predict failed: {message}" in served.told[-1]
    assert said(await caller.setup()) == ("SUCCESS", "Instance already exists")


async def test_arguments_that_cannot_be_read_are_the_callers_fault(serve):
    from crunch_game.crunchdao.protocol import _messages as messages

    caller, _ = await serve(ECHO)
    await caller.setup()
    broken = messages.Argument(position=1, data=messages.Variant(type=messages.VariantType.INT, value=b"123"))
    request = messages.CallRequest(methodName="predict", methodArguments=[broken])

    code, message = said(await caller._ask(messages.CALL, request, messages.CallResponse, 60))

    assert code == "INVALID_ARGUMENT"
    assert message.startswith("the arguments of predict cannot be used: a value of type INT could not be read")


# One at a time


GATED = """
gate, passed = (Path(__file__).with_name(name) for name in ("gate", "passed"))

class Mine(Base):
    def predict(self, number):
        if number:
            gate.read_text()
        return number
"""


async def test_a_busy_node_says_so_until_it_is_free(serve, tmp_path):
    caller, _ = await serve(GATED)
    os.mkfifo(tmp_path / "gate")
    await caller.setup()
    held = asyncio.ensure_future(caller.call("predict", 1))
    writer = await asyncio.to_thread((tmp_path / "gate").open, "w")  # it opens once the model reads

    for ask in (lambda: caller.call("predict", 0), caller.setup, caller.rest):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask()
        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "Server busy")
    assert await caller.health() == "SERVING"

    writer.close()
    assert answer(await held) == 1
    assert answer(await caller.call("predict", 0)) == 0


async def test_a_caller_that_gives_up_does_not_free_a_model_that_is_busy(serve, tmp_path):
    caller, _ = await serve(GATED)
    os.mkfifo(tmp_path / "gate")
    await caller.setup()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await caller.call("predict", 1, timeout=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await caller.call("predict", 0)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    await asyncio.to_thread(lambda: (tmp_path / "gate").open("w").close())
    assert answer(await once_free(lambda: caller.call("predict", 0))) == 0  # its own answer, not the late one


# Ends


async def test_a_process_that_ends_in_a_call_is_answered_and_health_knows(serve):
    caller, served = await serve("class Mine(Base):\n    def predict(self, number):\n        os._exit(number)\n")
    await caller.setup()
    assert await caller.health() == "SERVING"

    ended = ("MODEL_FAILED", "its process ended during predict: " + EXIT_3)
    assert said(await caller.call("predict", 3)) == ended

    assert (await served.ends.get()).message == ended[1]
    assert await caller.health() == "NOT_SERVING"
    assert said(await caller.call("predict", 3)) == (
        "FAILED_PRECONDITION",
        "Setup has not been called yet; the one before is gone: its process ended during predict: " + EXIT_3,
    )
    assert said(await caller.setup()) == ("SUCCESS", "Instance created successfully")
    assert await caller.health() == "SERVING"
    assert served.told[-1] == "a fresh instance was made"


async def test_health_knows_of_an_end_that_cannot_be_told(serve):
    def tell(sentence: str) -> None:
        if sentence.startswith("the instance is gone"):
            raise OSError("no space left")

    caller, served = await serve("class Mine(Base):\n    def predict(self, number):\n        os._exit(3)\n", tell=tell)
    await caller.setup()
    with pytest.raises(grpc.aio.AioRpcError):
        await caller.call("predict", 3)

    assert await caller.health() == "NOT_SERVING"
    assert (await served.ends.get()).message == "its process ended during predict: " + EXIT_3


async def test_a_process_that_ends_between_two_calls_is_known(serve):
    caller, served = await serve(
        "import threading\n\nclass Mine(Base):\n    def predict(self, number):\n"
        "        threading.Timer(0.1, os._exit, [number]).start()\n"
    )
    await caller.setup()
    await caller.call("predict", 3)

    assert (await served.ends.get()).message == "its process ended between two calls: " + EXIT_3
    assert await caller.health() == "NOT_SERVING"


async def test_a_model_that_hangs_is_answered_and_ended(serve):
    caller, served = await serve(
        "class Mine(Base):\n    def predict(self, number):\n        while True: pass\n", call_timeout=0.5
    )
    await caller.setup()

    hung = ("MODEL_FAILED", "no answer within 0.5 s; its process was ended")
    assert said(await caller.call("predict", 3)) == hung

    assert (await served.ends.get()).message == hung[1]
    assert said(await caller.setup()) == ("SUCCESS", "Instance created successfully")


async def test_a_model_runs_in_the_sandbox_and_knows_nothing_of_grpc(serve):
    caller, _ = await serve(
        "class Mine(Base):\n    def predict(self, number):\n"
        "        import socket\n"
        "        try: socket.socket()\n        except OSError as error: said = str(error)\n"
        "        return [said, sorted(name for name in ('grpc', 'google', 'websockets') if name in sys.modules)]\n",
        sandbox=Sandbox(),
    )
    await caller.setup()

    refused, modules = answer(await caller.call("predict", 1))

    assert refused == "[Errno 1] Operation not permitted"
    assert modules == []


# Serving


async def test_health_knows_both_names_and_no_other(serve):
    caller, _ = await serve(PLAIN)

    assert await caller.health() == "SERVING"
    assert await caller.health("dynamic_subclass.DynamicSubclassService") == "SERVING"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await caller.health("train_infer.TrainInfer")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_node_comes_back_behind_the_same_port_and_must_be_set_up_again(serve):
    caller, served = await serve(PLAIN)
    await caller.setup()
    await caller.call("tick", 1)
    port = served.node.port

    await served.node.close()
    await served.node.open(port=port)

    assert said(await caller.call("predict", 1))[0] == "FAILED_PRECONDITION"
    assert said(await caller.setup()) == ("SUCCESS", "Instance created successfully")
    assert answer(await caller.call("predict", 1))["heard"] == []


async def test_a_port_that_is_taken_is_a_sentence(serve):
    _, served = await serve(PLAIN)
    other = ModelNode(served.node.submission, None)

    with pytest.raises(ResourceError) as caught:
        await other.open(port=served.node.port)

    where = f"127.0.0.1:{served.node.port}"
    assert str(caught.value) == f"the node cannot listen on {where}: Address already in use; give another address"


async def test_closing_ends_what_is_under_way_and_leaves_no_process(serve, tmp_path):
    caller, served = await serve("(Path(__file__).with_name('pid')).write_text(str(os.getpid()))\n" + GATED)
    os.mkfifo(tmp_path / "gate")
    await caller.setup()
    held = asyncio.ensure_future(caller.call("predict", 1))
    writer = await asyncio.to_thread((tmp_path / "gate").open, "w")

    await served.node.close()

    with pytest.raises(grpc.aio.AioRpcError):
        await held
    writer.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


async def test_whoever_closes_a_node_at_once_does_not_wait_for_anothers_grace(serve, tmp_path):
    caller, served = await serve(GATED)
    os.mkfifo(tmp_path / "gate")
    await caller.setup()
    held = asyncio.ensure_future(caller.call("predict", 1, timeout=None))
    writer = await asyncio.to_thread((tmp_path / "gate").open, "w")
    patient = asyncio.ensure_future(served.node.close(grace=600))
    with anyio.fail_after(30):
        while await asyncio.to_thread(is_served, served.node.port):  # until it listens no more
            pass
        assert not patient.done()

        await served.node.close()

        await patient
    with pytest.raises(grpc.aio.AioRpcError):
        await held
    writer.close()


def is_served(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

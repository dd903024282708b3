"""`crunch-game node` and `crunch-game orchestrator` as a person uses them: real processes, real sockets, Ctrl-C."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from rich.console import Console
from websockets.sync.client import connect

from crunch_game.cli._orchestrator import FleetTable
from crunch_game.crunchdao import protocol
from crunch_game.crunchdao.dev import DevOrchestrator

pytestmark = pytest.mark.processes

GAMES = str(Path(__file__).parents[1] / "games")


def ask(port: int, path: str, request, response):
    """One request to a node."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        method = channel.unary_unary(
            path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )
        return method(request, timeout=60, wait_for_ready=True)


def predicted(port: int, base: str = "walk.Walk"):
    """What a model predicts after one tick."""
    made = ask(port, protocol.SETUP, protocol.SetupRequest(className=base), protocol.SetupResponse)
    assert made.status.message == protocol.CREATED
    for method, args in (("tick", [{"BTC": 100.0}]), ("predict", ["BTC", 3600])):
        request = protocol.CallRequest(methodName=method, methodArguments=protocol.arguments(args))
        answered = ask(port, protocol.CALL, request, protocol.CallResponse)
        assert answered.status.code == "SUCCESS", answered
    return protocol.decode(answered.methodResponse)


def port_in(line: str) -> int:
    return int(re.search(r":(\d+)", line).group(1))


def closed(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_node_serves_until_it_is_told_to_end(start, models, tmp_path, end):
    with (models / "last.py").open("a") as code:
        code.write("import os\nprint(os.getpid(), flush=True)\n")
    process = start("node", models / "last.py", "--base", "walk.Walk", "--address", "127.0.0.1:0", "--logs", "logs")
    line = process.stdout.readline()
    port = port_in(line)

    assert line == f"last is served at 127.0.0.1:{port}, as a walk.Walk\n"
    assert predicted(port) == 100.001

    process.send_signal(end)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout, stderr) == (0, "a fresh instance was made\n", "")
    assert closed(port)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "logs" / "last.out.log").read_text()), 0)


def test_an_orchestrator_serves_its_folder_until_ctrl_c(start, models, game, tmp_path):
    process = start("orchestrator", game(), "--models", models, "--port", 0)
    line = process.stdout.readline()
    assert line == f"ws://127.0.0.1:{port_in(line)}/walk   (Ctrl-C ends it)\n"

    with connect(f"ws://127.0.0.1:{port_in(line)}/walk") as coordinator:
        told = {each["model_id"]: each["port"] for each in json.loads(coordinator.recv())["data"]}
        assert told.keys() == {"last", "loud"}
        assert predicted(told["last"]) == predicted(told["loud"]) == 100.001
        (models / "loud.py").unlink()
        assert [json.loads(coordinator.recv())["data"][0]["state"] for _ in range(2)] == ["STOPPED", "STOPPED"]

    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (0, "")
    assert "loud left" in stdout
    assert re.search(r"^last +running +127.0.0.1:\d+ +2 +0 +a fresh instance was made", stdout, re.MULTILINE)
    assert closed(told["last"])
    assert (tmp_path / "logs" / "loud.out.log").read_text() == "imported\ntold\n"
    assert (tmp_path / "logs" / "loud.err.log").read_text() == "told\n"
    assert "a fresh instance was made" in (tmp_path / "logs" / "loud.log").read_text()


@pytest.mark.parametrize("width", [80, 100, 120])
def test_on_a_narrow_screen_only_what_happened_last_is_cut(models, width):
    name = "a_model_with_a_name_that_is_longer_than_any_table_has_room_for"
    (models / "loud.py").rename(models / f"{name}.py")
    console = Console(width=width, file=io.StringIO())
    board = FleetTable(console)

    async def show() -> None:
        async with DevOrchestrator("walk", "walk.Walk", models) as fleet:
            for model in fleet.models.values():
                model.last_note = "predict failed: " + "and so on " * 30
                model.node.service.calls, model.node.service.failures = 1_234_567, 1_234
            console.print(board.of(fleet).get_renderable())

    asyncio.run(show())

    _, head, long, short, _ = console.file.getvalue().splitlines()
    assert re.match(r"model +state +node +calls  failed  w", head)
    assert re.match(r"a_model_with_a_name_\w+…  running  127\.0\.0\.1:\d+  1,234,567   1,234  p\S*", long)
    assert re.match(r"last +running  127\.0\.0\.1:\d+  1,234,567   1,234  p", short)
    assert short.endswith("…")


def test_models_run_in_the_sandbox_unless_told_otherwise(start, models):
    (models / "nosy.py").write_text(
        "import os, socket\nfrom walk import Walk\n\n\nclass Mine(Walk):\n    def tick(self, prices): pass\n"
        "    def predict(self, asset, horizon):\n        socket.socket().close()\n        return 1.0\n"
    )
    for options, code in (((), "MODEL_FAILED"), (("--network",), "SUCCESS"), (("--no-sandbox",), "SUCCESS")):
        process = start("node", models / "nosy.py", "--base", "walk.Walk", "--address", "127.0.0.1:0", *options)
        port = port_in(process.stdout.readline())
        ask(port, protocol.SETUP, protocol.SetupRequest(className="walk.Walk"), protocol.SetupResponse)
        request = protocol.CallRequest(methodName="predict", methodArguments=protocol.arguments(["BTC", 1]))
        assert ask(port, protocol.CALL, request, protocol.CallResponse).status.code == code
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def test_a_node_with_credentials_lets_nobody_in_that_it_does_not_know(start, models, tmp_path):
    made = network_helper("authority")
    ca, node, caller = made.Authority(), made.rsa_key("node"), made.rsa_key("coordinator")
    message, signature, wallet = made.Wallet().vouch(node, "42").values()
    word = {"message_b64": message, "signature_b64": signature, "wallet_pubkey_b58": wallet}
    for name, data in {
        "ca.crt": ca.certificate,
        "tls.crt": ca.issue(made.node_name("42"), node),
        "tls.key": made.pem(node),
        "cruncher_msg.json": json.dumps(word).encode(),
    }.items():
        (tmp_path / name).write_bytes(data)
    options = ("--address", "0.0.0.0:0", "--credentials", tmp_path, "--model-id", "42")
    process = start("node", models / "last.py", "--base", "walk.Walk", *options)
    line = process.stdout.readline()
    assert line.startswith("42 is served at 0.0.0.0:")

    known = grpc.ssl_channel_credentials(ca.certificate, made.pem(caller), ca.issue("coordinator", caller))
    named = [("grpc.ssl_target_name_override", made.node_name("42"))]
    with grpc.secure_channel(f"127.0.0.1:{port_in(line)}", known, named) as channel:
        method = channel.unary_unary(protocol.REST, response_deserializer=protocol.RestResponse.FromString)
        _, call = method.with_call(b"", timeout=60, wait_for_ready=True)
        assert ("x-server-auth-message", message) in call.initial_metadata()
    with pytest.raises(grpc.RpcError), grpc.insecure_channel(f"127.0.0.1:{port_in(line)}") as channel:
        channel.unary_unary(protocol.REST)(b"", timeout=3)

    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "asks nobody who he is" not in stderr


def network_helper(name: str):
    """A helper that lies with the tests of the network."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / "crunchdao" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("command", ["node", "orchestrator"])
def test_whoever_listens_for_everyone_is_warned(start, models, game, command):
    given = {
        "node": (models / "last.py", "--base", "walk.Walk", "--address", "0.0.0.0:0"),
        "orchestrator": (game(), "--models", models, "--port", "0", "--listen", "0.0.0.0"),
    }
    process = start(command, *given[command])
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)

    assert re.fullmatch(
        r"the (node of last listens on 0\.0\.0\.0:\d+, and asks nobody who he is"
        r"|orchestrator listens on 0\.0\.0\.0:\d+, its nodes beside it; nobody is asked who he is)\n",
        stderr,
    )


@pytest.fixture
def taken():
    """A port that somebody has."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def test_what_is_wrong_is_one_sentence(command, models, game, taken):
    node = ("node", models / "last.py", "--base", "walk.Walk", "--address")
    wrong = {
        ("node", models / "nobody.py", "--base", "walk.Walk", "--address", "127.0.0.1:0"): "there is no submission at",
        (*node, "50051"): "'50051' is no address; write HOST:PORT, for example 127.0.0.1:50051 or [::1]:50051",
        (*node, f"127.0.0.1:{taken}"): f"the node cannot listen on 127.0.0.1:{taken}:",
        ("node", models / "last.py", "--base", "nowhere.Base", "--address", "127.0.0.1:0"): (
            "the base class 'nowhere.Base' cannot be found: No module named 'nowhere'"
        ),
        ("orchestrator", game(), "--models", models / "x", "--port", "0"): "there is no folder",
        ("orchestrator", game(), "--models", models, "--port", taken): f"cannot listen on 127.0.0.1:{taken}:",
        ("orchestrator", game(), "--models", models, "--port", "0", "--logs", "/proc/x"): (
            "the folder '/proc/x' cannot be made for the logs: No such file or directory; give another with --logs"
        ),
        (*node, "127.0.0.1:0", "--logs", game()): "cannot be made for the logs: File exists; give another with --logs",
        ("orchestrator", "nowhere:game", "--models", models): "importing nowhere raised ModuleNotFoundError",
    }
    for arguments, sentence in wrong.items():
        ended = command(*arguments)
        assert ended.code == 2, arguments
        assert sentence in ended.stderr.replace("\n", " "), arguments
        assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("library", ["grpc", "websockets"])
def test_a_missing_extra_is_one_line_with_the_command(models, game, library):
    program = (
        f"import sys; sys.modules[{library!r}] = None; sys.path.insert(0, {GAMES!r});"
        "from crunch_game.cli import main; main()"
    )
    arguments = ("orchestrator", str(game()), "--models", str(models), "--port", "0")
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.returncode == 2
    assert "is not installed; from a clone of crunch_game: pip install '.[crunchdao]'" in ended.stderr
    assert "Traceback" not in ended.stderr

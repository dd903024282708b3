"""Coordinators over real WebSockets: init is the truth, changes follow it, reports are matched."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from crunch_game import ResourceError
from crunch_game.crunchdao.dev._switchboard import Switchboard
from crunch_game.crunchdao.protocol import Announced, RunState, stop_announcements

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


def announced(model_id: str, **other) -> Announced:
    return Announced(
        **{
            "model_id": model_id,
            "deployment_id": f"{model_id}-1",
            "infos": {"model_name": model_id, "cruncher_id": "7"},
            "state": RunState.RUNNING,
            "ip": "127.0.0.1",
            "port": 50051,
        }
        | other
    )


class Board:
    """A switchboard of the crunch "bird game", whose models and reports the test holds."""

    def __init__(self) -> None:
        self.running: list[Announced] = []
        self.reports: list = []
        self.board = Switchboard("bird game", lambda: self.running, self._report)

    def _report(self, report) -> bool:
        self.reports.append(report)
        return any(each.model_id == report.model_id and each.ip == report.ip for each in self.running)

    def url(self, path: str = "/bird%20game") -> str:
        return f"ws://127.0.0.1:{self.board.port}{path}"


@pytest.fixture
async def board():
    board = Board()
    await board.board.open("127.0.0.1", 0)
    yield board
    await board.board.close()


@asynccontextmanager
async def coordinator(board: Board, path: str = "/bird%20game"):
    """A connection that has been told its init."""
    async with connect(board.url(path)) as connection:
        yield connection, json.loads(await connection.recv())


async def test_whoever_connects_is_told_what_runs_in_the_words_of_the_network(board):
    board.running = [announced("alice")]

    async with coordinator(board) as (_, init):
        assert init == {
            "event": "init",
            "data": [
                {
                    "deployment_id": "alice-1",
                    "model_id": "alice",
                    "infos": {
                        "model_name": "alice",
                        "cruncher_id": "7",
                    },
                    "state": "RUNNING",
                    "ip": "127.0.0.1",
                    "port": 50051,
                }
            ],
        }


async def test_changes_reach_every_coordinator_in_order_a_frame_each(board):
    async with coordinator(board) as (first, _), coordinator(board) as (second, _):
        board.board.tell(announced("alice"), *stop_announcements(announced("alice")))

        for connection in (first, second):
            frames = [json.loads(await connection.recv()) for _ in range(3)]
            assert [frame["event"] for frame in frames] == ["update"] * 3
            told = [each for frame in frames for each in frame["data"]]
            assert [(each["state"], each["ip"], each["port"]) for each in told] == [
                ("RUNNING", "127.0.0.1", 50051),
                ("STOPPED", "127.0.0.1", 50051),
                ("STOPPED", "localhost", 0),
            ]


async def test_nothing_is_told_before_init_and_nothing_is_missed_after_it(board):
    told = 0

    async def tell() -> None:
        nonlocal told
        while True:
            told += 1
            board.running = [announced("alice", port=told)]
            board.board.tell(*board.running)
            await asyncio.sleep(0)

    telling = asyncio.create_task(tell())
    async with coordinator(board) as (connection, init):
        ports = [each["port"] for each in init["data"]]
        assert init["event"] == "init"
        for _ in range(100):
            ports += [each["port"] for each in json.loads(await connection.recv())["data"]]
        telling.cancel()
    assert ports == list(range(ports[0], ports[0] + 101))


async def test_each_coordinator_is_told_the_address_by_which_it_came_in_place_of_everyones():
    board = Board()
    await board.board.open("0.0.0.0", 0)
    board.running = [announced("alice", ip="0.0.0.0"), announced("bob", ip="10.0.0.1"), announced("zoe", ip=None)]
    async with connect(board.url()) as one, connect(board.url().replace("127.0.0.1", "127.0.0.2")) as other:
        for connection, here in ((one, "127.0.0.1"), (other, "127.0.0.2")):
            told = json.loads(await connection.recv())["data"]
            assert [each["ip"] for each in told] == [here, "10.0.0.1", None]
        board.board.tell(*stop_announcements(board.running[0]))
        for connection, here in ((one, "127.0.0.1"), (other, "127.0.0.2")):
            told = [json.loads(await connection.recv())["data"][0]["ip"] for _ in range(2)]
            assert told == [here, "localhost"]
    await board.board.close()


async def test_a_web_page_is_let_in_nowhere(board):
    for origin in ("http://example.org", "null"):
        with pytest.raises(InvalidStatus) as caught:
            await connect(board.url(), origin=origin)
        assert caught.value.response.status_code == 403


@pytest.mark.parametrize("path", ["/", "", "//"])
async def test_without_a_crunch_id_there_is_one_error_and_the_end(board, path):
    async with coordinator(board, path) as (connection, said):
        assert said == {"error": "crunch_id is required and is expected in the path as /<crunch_id>"}
        with pytest.raises(ConnectionClosed):
            await connection.recv()


async def test_another_crunch_is_told_of_no_model_and_no_change(board, caplog):
    board.running = [announced("alice")]

    async with coordinator(board, "/fish-game") as (other, init), coordinator(board) as (ours, _):
        assert init == {"event": "init", "data": []}
        board.board.tell(announced("bob"))
        assert json.loads(await ours.recv())["data"][0]["model_id"] == "bob"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(other.recv(), 0.05)
        assert board.board.coordinators == 1
    assert "a coordinator asks for the crunch 'fish-game'; the models here are of 'bird game'" in caplog.messages


def report(model_id: str, ip: str = "127.0.0.1", code: str = "MULTIPLE_FAILED", reason: str | None = "no idea"):
    return {"model_id": model_id, "failure_code": code, "failure_reason": reason, "ip": ip}


def reported(*reports) -> str:
    return json.dumps({"event": "report_failure", "data": reports})


async def heard_from(board: Board, *messages: str, path: str = "/bird%20game") -> None:
    """A coordinator says all this and goes; what it said was heard when everyone has gone."""
    async with coordinator(board, path) as (connection, _):
        for message in messages:
            await connection.send(message)
    await board.board.close()


async def test_reports_are_heard_with_their_reasons(board):
    board.running = [announced("alice")]

    bad = report("alice", code="BAD_IMPLEMENTATION", reason=None)
    await heard_from(board, reported(report("alice")), reported(bad))

    heard = [(each.model_id, each.failure_code, each.failure_reason) for each in board.reports]
    assert heard == [("alice", "MULTIPLE_FAILED", "no idea"), ("alice", "BAD_IMPLEMENTATION", None)]


async def test_a_report_that_matches_no_model_drops_the_rest_of_its_frame(board, caplog):
    board.running = [announced("alice"), announced("bob")]

    await heard_from(board, reported(report("bob"), report("alice", ip="10.0.0.1"), report("bob"), report("bob")))

    assert [each.model_id for each in board.reports] == ["bob", "alice"]
    assert caplog.messages == [
        "a coordinator gave up the model 'alice' at '10.0.0.1', and there is none; 2 further reports are dropped"
    ]


async def test_a_coordinator_of_another_crunch_gives_up_nobody(board):
    board.running = [announced("alice")]

    await heard_from(board, reported(report("alice")), path="/fish-game")

    assert board.reports == []


@pytest.mark.parametrize(
    "message", ["{", "[]", '{"event": "hello"}', '{"event": "report_failure", "data": [{}]}', b"\xff"]
)
async def test_what_is_no_report_is_told_and_changes_nothing(board, caplog, message):
    board.running = [announced("alice")]

    await heard_from(board, message, reported(report("alice")))

    assert [each.model_id for each in board.reports] == ["alice"]
    assert caplog.messages[0].startswith("a coordinator sent what is no report of a failure: ")


async def test_dropped_coordinators_come_back_to_the_same_port(board):
    port = board.board.port
    async with coordinator(board) as (connection, _):
        board.board.drop()
        with pytest.raises(ConnectionClosed) as caught:
            await connection.recv()
        assert caught.value.rcvd is None  # nobody said goodbye

    board.running = [announced("alice")]
    await board.board.close()
    with pytest.raises(ConnectionRefusedError):
        await connect(board.url())
    await board.board.open("127.0.0.1", port)
    async with coordinator(board) as (_, init):
        assert [each["model_id"] for each in init["data"]] == ["alice"]


async def test_a_taken_port_is_a_sentence(board):
    with pytest.raises(ResourceError) as caught:
        await Switchboard("x", list, lambda report: False).open("127.0.0.1", board.board.port)

    where = f"127.0.0.1:{board.board.port}"
    assert (
        str(caught.value) == f"the orchestrator cannot listen on {where}: Address already in use; give another address"
    )


def test_the_websockets_library_logs_to_ours():
    assert logging.getLogger("crunch_game.websockets").parent is logging.getLogger("crunch_game")


async def test_a_coordinators_words_are_cut_where_they_are_told(board, caplog):
    long = "x\x1b" * 50_000

    await heard_from(
        board,
        json.dumps({"event": long, "data": []}),
        reported(report(long)),
        reported(report("alice", ip=long)),
    )

    assert len(caplog.messages) == 3
    assert all(len(text) < 40_000 and "\x1b" not in text for text in caplog.messages)

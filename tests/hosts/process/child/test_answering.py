"""A model's process answers one call after the other, whatever a call or an answer is; here without the process."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from crunch_game import TrackerBase
from crunch_game import encoding as wire
from crunch_game.contract import Contract
from crunch_game.hosts._calling import Callee
from crunch_game.hosts.process import _framing as framing
from crunch_game.hosts.process._shared import Shared
from crunch_game.hosts.process.child import CallBody
from crunch_game.hosts.process.child._answering import Inbox, answer_calls
from crunch_game.hosts.process.child._telling import Listener

LIMIT = 10_000


class Game(TrackerBase):
    def tick(self, data: list[float]) -> None: ...

    def predict(self, horizon: int, step: int = 1) -> Any: ...


class Model(Game):
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def tick(self, data: list[float]) -> str:
        self.seen.append(data)
        return "nobody wants this"

    def predict(self, horizon: int) -> Any:
        if horizon == 0:
            raise SystemExit("enough")
        return {
            "horizon": horizon,
            "text": "x" * (LIMIT if horizon == 1 else 0),
            "odd": object() if horizon == 2 else 0,
        }


class Desk:
    """Our end of a channel; a thread works at the other. Calls come one at a time, as the engine sends them."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ours.settimeout(30.0)
        self.model = Model()
        self._reader = framing.FrameReader()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        callee = Callee(self.model, Contract(Game))
        answer_calls(Inbox(self.theirs), callee, LIMIT, _refusal, Listener(callee, LIMIT, _refusal).go_on)

    def send(self, frame: bytes) -> framing.Frame:
        self.ours.sendall(frame)
        return self.answer()

    def answer(self) -> framing.Frame:
        [frame] = self.answers(1)
        return frame

    def answers(self, count: int) -> list[framing.Frame]:
        frames: list[framing.Frame] = []
        while len(frames) < count:
            frames += self._reader.feed(self.ours.recv(1 << 16))
        return frames

    def call(self, number: int, method: str, *args: Any, **kwargs: Any) -> framing.Frame:
        return self.send(framing.frame(framing.CALL, number, wire.encode(CallBody(method, (list(args), kwargs)))))

    def together(self, calls: list[tuple[int, float, str, list[Any], Any]]) -> None:
        """Send calls in one frame: of each its number, budget, method, arguments, and further keyword arguments."""
        bodies = [(number, budget, CallBody(method, (args, {}))) for number, budget, method, args, _ in calls]
        extras = wire.encode([extra for *_, extra in calls])
        body = wire.encode(wire.encode(bodies))
        self.ours.sendall(framing.frame(framing.CALLS, calls[0][0], body, extras))

    def close(self) -> None:
        self.ours.close()
        self._thread.join(30.0)
        assert not self._thread.is_alive()
        self.theirs.close()


def _refusal(error: BaseException) -> tuple[int, tuple[str, str, str | None]]:
    return framing.FAULT, (type(error).__name__, str(error), None)


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.close()


def test_each_call_is_answered_by_its_number(desk):
    for number in (7, 8, 9):
        frame = desk.call(number, "predict", number)
        assert (frame.kind, frame.call, wire.decode(frame.body)["horizon"]) == (framing.VALUE, number, number)


def test_a_method_that_answers_nothing_answers_nothing_whatever_it_returns(desk):
    frame = desk.call(1, "tick", [1.5])
    assert (frame.kind, wire.decode(frame.body), desk.model.seen) == (framing.VALUE, None, [[1.5]])


def test_an_optional_argument_is_not_sent_to_a_model_that_does_not_take_it(desk):
    for frame in (desk.call(1, "predict", 5, 60), desk.call(2, "predict", 5, step=60)):
        assert wire.decode(frame.body)["horizon"] == 5


def test_further_arguments_of_one_model_are_added_to_everybodys(desk):
    body = wire.encode(CallBody("predict", ([], {})))
    frame = desk.send(framing.frame(framing.CALL, 1, body, wire.encode({"horizon": 9})))
    assert wire.decode(frame.body)["horizon"] == 9


@pytest.mark.parametrize(
    ("horizon", "kind", "message"),
    [
        (0, "SystemExit", "enough"),
        (1, "Unsendable", "it takes 0.00956 MiB; at most 0.00954 MiB can be sent"),
        (2, "Unsendable", "a object cannot be sent; use numbers, str, list or dict instead"),
    ],
)
def test_what_is_no_answer_is_refused_and_the_next_call_is_answered(desk, horizon, kind, message):
    failed, answered = desk.call(1, "predict", horizon), desk.call(2, "predict", 3)
    assert (failed.kind, failed.call, answered.kind, answered.call) == (framing.FAULT, 1, framing.VALUE, 2)
    assert wire.decode(failed.body) == [kind, message, None]


def test_a_call_that_is_longer_than_what_is_received_at_once_is_read_whole(desk):
    assert desk.call(1, "tick", [0.5] * 20_000).call == 1
    assert len(desk.model.seen[0]) == 20_000


def test_a_call_that_arrives_byte_by_byte_is_read_whole(desk):
    for byte in framing.frame(framing.CALL, 1, wire.encode(CallBody("predict", ([3], {})))):
        desk.ours.send(bytes([byte]))
    assert wire.decode(desk.answer().body)["horizon"] == 3


def test_a_channel_that_ends_within_a_frame_ends_the_work(desk):
    assert desk.call(1, "predict", 3).call == 1
    desk.ours.sendall(struct.pack("<I", 100) + b"half")  # closing the desk waits for the thread


def test_a_body_that_came_as_a_file_is_read_from_there_and_its_descriptor_is_closed(desk):
    body = wire.encode(CallBody("tick", ([[0.5] * 20_000], {})))
    shared, before = Shared(body), set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - iterdir would hold one open itself
    socket.send_fds(desk.ours, [framing.frame(framing.SHARED, 4, wire.encode(len(body)))], [shared.fileno()])
    frame = desk.answer()
    assert (frame.kind, frame.call, len(desk.model.seen[0])) == (framing.VALUE, 4, 20_000)
    assert set(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208


def test_a_body_whose_descriptor_did_not_arrive_fails_that_call_alone(desk):
    frame = desk.send(framing.frame(framing.SHARED, 4, wire.encode(100)))
    kind, message, _ = wire.decode(frame.body)
    assert (frame.kind, frame.call, kind) == (framing.FAULT, 4, "OSError")
    assert message.endswith("the arguments came as a file, and there are too many open files already")
    assert desk.call(5, "predict", 3).call == 5


def test_calls_that_come_together_are_answered_one_by_one_in_their_order(desk):
    extra = {"horizon": 7}
    desk.together(
        [(3, 9.0, "tick", [[1.0]], None), (4, 9.0, "predict", [0], None), (5, 9.0, "predict", [], extra)],
    )
    answers = desk.answers(3)
    assert [(frame.call, frame.kind) for frame in answers] == [
        (3, framing.VALUE),
        (4, framing.FAULT),
        (5, framing.VALUE),
    ]
    assert wire.decode(answers[2].body)["horizon"] == 7
    assert desk.model.seen == [[1.0]]
    assert desk.call(6, "predict", 3).call == 6, "and then as ever"


def test_after_a_call_that_took_longer_than_its_budget_the_rest_is_given_back(desk):
    naps = [(number, 0.05, "tick", [0.1 if number == 4 else 0.0], None) for number in (3, 4, 5, 6)]
    desk.model.tick = lambda data: (desk.model.seen.append(data), time.sleep(data))[0]
    desk.together(naps)
    answers = desk.answers(3)
    assert [(frame.call, frame.kind) for frame in answers] == [
        (3, framing.VALUE),
        (4, framing.VALUE),
        (5, framing.GIVEN_BACK),
    ]
    assert desk.call(5, "tick", 0.0).kind == framing.VALUE
    assert desk.model.seen == [0.0, 0.1, 0.0]


def test_the_last_of_several_calls_has_nothing_to_give_back(desk):
    desk.model.tick = lambda data: time.sleep(data)
    desk.together([(3, 9.0, "tick", [0.0], None), (4, 0.01, "tick", [0.05], None)])
    assert [frame.kind for frame in desk.answers(2)] == [framing.VALUE] * 2
    assert desk.call(5, "predict", 3).call == 5

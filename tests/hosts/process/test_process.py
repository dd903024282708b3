"""A process's part of a round becomes a reply with its reason, whatever the process says, or says of itself."""

from __future__ import annotations

import os
from functools import partial

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from stage import pack, survive

from crunch_game import TrackerBase
from crunch_game.contract import Contract
from crunch_game.hosts._turns import Missed
from crunch_game.hosts.base import Call, LoadFailure, Setup
from crunch_game.hosts.process import _framing as framing
from crunch_game.hosts.process._logs import LogRotator
from crunch_game.hosts.process._process import Process, fault_in
from crunch_game.hosts.process.diagnosis import ExitDiagnosis
from crunch_game.hosts.process.engine import Exchange, Gone
from crunch_game.models import Submission
from crunch_game.policy import State, Trigger

LIMIT = 1_000


class Game(TrackerBase):
    def tick(self, data: dict[str, float]) -> None: ...

    def predict(self, horizon: int = 1) -> float: ...

    def describe(self) -> str:
        return ""


CONTRACT = Contract(Game)


@pytest.fixture
def process(tmp_path):
    rotator = LogRotator(1 << 20)
    rotator.start()
    (tmp_path / "logs").mkdir()
    process = Process(
        Submission("a", "a.py"), Setup(CONTRACT), None, tmp_path, tmp_path / "logs", rotator, ExitDiagnosis(None), LIMIT
    )
    channel, descriptors = process.open()
    process.write = partial(os.write, descriptors[2])
    yield process
    channel.close()
    for descriptor in descriptors:
        os.close(descriptor)
    rotator.stop()


def call(method: str = "predict", timeout: float = 0.5) -> Call:
    return Call(CONTRACT.method(method), [], {}, timeout)


def frame(kind: int, value: object) -> framing.Frame:
    return framing.Frame(kind, 1, msgspec.Raw(pack(value)))


def test_a_value_is_the_answer(process):
    reply = process.reply(frame(framing.VALUE, 1.5), 0.1, call())
    assert (reply.trigger, reply.value, reply.fault, reply.elapsed) == (Trigger.ANSWERED, 1.5, None, 0.1)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (pack("x" * LIMIT), "the answer cannot be sent: it takes 0.000957 MiB; at most 0.000954 MiB can be sent"),
        (b"\xc1", "the answer cannot be read: *"),
        (b"\xc7\x01\x09?", "the answer cannot be read: an extension of type 9 is not known"),
    ],
)
def test_bytes_that_are_no_answer_are_invalid_and_say_why(process, body, message):
    reply = process.reply(framing.Frame(framing.VALUE, 1, msgspec.Raw(body)), 0.1, call())
    assert (reply.trigger, reply.fault.kind) == (Trigger.INVALID, "invalid")
    assert reply.fault.message == message or (message[-1] == "*" and reply.fault.message.startswith(message[:-1]))


def test_what_the_model_raised_comes_with_what_it_had_printed(process):
    process.write(b"about to fail\n")
    reply = process.reply(frame(framing.FAULT, ["ValueError", "ValueError: no", "frames"]), 0.1, call())
    fault = reply.fault
    assert reply.trigger is Trigger.RAISED
    assert (fault.kind, fault.message, fault.traceback, fault.stderr) == (
        "ValueError",
        "ValueError: no",
        "frames",
        "about to fail",
    )
    again = process.reply(frame(framing.FAULT, ["ValueError", "ValueError: no", None]), 0.1, call()).fault
    assert again.stderr is None, "what was told once is not told again"


def test_an_answer_that_its_side_could_not_send_is_invalid(process):
    reply = process.reply(frame(framing.UNSENDABLE, ["invalid", "the answer cannot be sent: no", None]), 0.1, call())
    assert (reply.trigger, reply.fault.kind, reply.fault.message) == (
        Trigger.INVALID,
        "invalid",
        "the answer cannot be sent: no",
    )


def test_a_method_that_a_model_lacks_is_its_fault_only_where_the_game_requires_it(process):
    says = frame(framing.UNSUPPORTED, ["unsupported", "the model has none", None])
    optional, required = process.reply(says, 0.1, call("describe")), process.reply(says, 0.1, call("predict"))
    assert (optional.trigger, optional.fault.message) == (Trigger.UNSUPPORTED, "the model has none")
    assert (required.trigger, required.fault.kind) == (Trigger.INVALID, "invalid")
    assert "it says that it has no method predict, which" in required.fault.message


def exchange(method: str) -> Exchange:
    return Exchange(method, 0.5, lambda batch, last: None)


def test_a_call_that_it_is_late_with_and_one_that_it_was_not_asked_are_told_apart(process):
    late = process.reply(Missed(True, "predict", 0.5, exchange("predict")), 0.5, call())
    busy = process.reply(Missed(False, "tick", 2.0, exchange("tick")), 0.5, call())
    assert (late.trigger, late.fault.kind, late.fault.message) == (
        Trigger.DEADLINE,
        "timeout",
        "no answer within 0.5 s",
    )
    assert (busy.trigger, busy.fault.kind, busy.fault.message) == (
        Trigger.DEADLINE,
        "busy",
        "not asked within 0.5 s: it has been busy with tick for 2 s",
    )


DUMP = b"""Current thread 0x00007f0000000000 (most recent call first):
  File "/models/a.py", line 7 in predict
"""


def test_where_it_was_shortly_before_the_deadline_is_told_of_the_call_that_it_was_at_only(process):
    slow, other = exchange("predict"), exchange("predict")
    process.note_slow(slow, 0.4)
    process.write(DUMP)
    told = process.reply(Missed(True, "predict", 0.5, slow), 0.5, call()).fault.traceback
    assert 'File "/models/a.py", line 7, in predict' in told
    assert "(here after " in told
    assert process.reply(Missed(True, "predict", 0.5, other), 0.5, call()).fault.traceback is None
    still = process.reply(Missed(False, "predict", 1.0, slow), 0.5, call()).fault.traceback
    assert still == told, "a later call that waits for it says the same"


@pytest.mark.parametrize(
    ("gone", "event", "kind", "message"),
    [
        (
            Gone(3, unsent=True, busy_with="tick"),
            Trigger.DROPPED,
            "died",
            "its process ended before the call reached it (it was busy with tick)",
        ),
        (
            Gone(None, "it answered a call that it was not asked", busy_with="predict"),
            Trigger.DIED,
            "protocol",
            "its process was ended during predict: it answered a call that it was not asked",
        ),
        (Gone(3, busy_with="predict"), Trigger.DIED, "died", "its process ended during predict: exit code 3; *"),
    ],
)
def test_a_process_that_is_gone_says_at_what_and_how(process, gone, event, kind, message):
    process.link.pid = 1
    reply = process.reply(gone, 0.1, call())
    assert (reply.trigger, reply.fault.kind, reply.fault.exit) == (event, kind, gone.exit)
    assert reply.fault.message == message or (message[-1] == "*" and reply.fault.message.startswith(message[:-1]))


@pytest.mark.parametrize(
    ("what", "kind", "message"),
    [
        (frame(framing.FAULT, ["NoModelFound", "no model", None]), "NoModelFound", "no model"),
        (frame(framing.VALUE, 1.5), "invalid", "it answered with a message that cannot be read"),
        (frame(framing.READY, [1]), "invalid", "it answered with a message that cannot be read"),
        (
            Missed(True, "setup", 2.0, exchange("setup")),
            "timeout",
            "loading it took longer than 2 s (setup_timeout)",
        ),
        (Gone(None, "why", busy_with="setup"), "protocol", "its process was ended while it was loading: why"),
    ],
)
def test_a_load_that_fails_says_why(process, what, kind, message):
    with pytest.raises(LoadFailure) as caught:
        process.loaded(what, 2.0)
    assert (caught.value.fault.kind, caught.value.fault.message) == (kind, message)


def test_a_load_that_succeeds_gives_its_first_warnings(process):
    assert process.loaded(frame(framing.READY, ["mind"] * 50), 2.0) == ("mind",) * 20


@settings(deadline=None)
@given(
    st.sampled_from([framing.READY, framing.FAULT, framing.UNSENDABLE, framing.UNSUPPORTED, framing.CALL, 99, -1]),
    st.binary(),
)
@example(framing.FAULT, pack(["ValueError", "no", None]))
@example(framing.FAULT, b"\x93\xa1\xff\xa1b\xc0")
@example(framing.READY, b"\x91\xa1\xff")
@example(framing.READY, pack(5))
def test_whatever_a_process_says_of_itself_is_words_of_a_bounded_length(kind, body):
    survive(framing.Frame(kind, 1, msgspec.Raw(body)))


@pytest.mark.parametrize("kind", [framing.READY, framing.FAULT, framing.UNSENDABLE])
def test_nor_does_it_talk_for_long(kind):
    text = "w" * (1 << 20)
    survive(framing.Frame(kind, 1, msgspec.Raw(pack([text] * (50 if kind == framing.READY else 3)))))


@pytest.mark.parametrize("word", ["timeout", "died", "invalid", "stopped", "", "two words", "k" * 101, *State])
def test_a_model_says_of_itself_nothing_that_the_runner_says_of_it(word):
    assert fault_in(framing.Frame(framing.FAULT, 1, msgspec.Raw(pack([str(word), "m", None]))))[0] == "Exception"

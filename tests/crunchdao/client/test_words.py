"""Whatever a node says of itself is a stranger's word: cut, and printable, where it is read."""

from __future__ import annotations

import grpc
import msgspec
import pytest
from grpc.aio import AioRpcError, Metadata
from hypothesis import given
from hypothesis import strategies as st
from nodes import node

from crunch_game import Submission
from crunch_game.crunchdao.client import NodeHost
from crunch_game.crunchdao.client import _replies as replies
from crunch_game.crunchdao.protocol import (
    UNSENT,
    Announced,
    CallResponse,
    FailureReport,
    FailureReportFrame,
    Refused,
    ReplyCode,
    SetupResponse,
    Status,
    report_message,
    verify,
)
from crunch_game.events import ModelLoadFailed
from crunch_game.faults import shortened

LONG = "\x1b[2J" + "no idea\r\x00" * 400_000
MOST = 32_000
"""Characters that are kept of a text: 8,000, each of which may be written as four."""
MAX_REPORT_BYTES = 2**20 - 2**16
"""Of a report: what an orchestrator takes, with room."""

BEGINNINGS = {
    "nothing": "",
    "its model's exception": "The model raised an exception: ",
    "what our nodes cannot send": UNSENT,
    "a type that it cannot send": "The model raised an exception: Unsupported data type: <class '",
    "what JSON cannot hold": "The model raised an exception: Data cannot be serialized to JSON: ",
}


def fit_to_keep(text: str) -> bool:
    return len(text) <= MOST and shortened(text[:8_000]) == text[:8_000]


@pytest.mark.parametrize("code", [*ReplyCode, "", LONG], ids=lambda code: code[:20] or "no code")
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_what_a_node_says_of_a_call(code, beginning):
    for end in ("", "'>"):
        status = Status(code=code, message=BEGINNINGS[beginning] + LONG + end)
        fault = replies.reply_of_answer(CallResponse(status=status).SerializeToString(), 0.0).fault
        if code == ReplyCode.SUCCESS:
            assert fault is None
        else:
            assert fit_to_keep(fault.message)
            assert len(fault.kind) <= 160
            assert fit_to_keep(fault.kind)


@pytest.mark.parametrize("code", list(grpc.StatusCode), ids=lambda code: code.name)
@pytest.mark.parametrize("details", [LONG, f"message larger than max {LONG}", f"Connection refused {LONG}"])
def test_what_grpc_says_in_a_nodes_words(code, details):
    error = AioRpcError(code, Metadata(), Metadata(), details=details)
    assert fit_to_keep(replies.reply_of_error(error, 0.0).fault.message)
    assert fit_to_keep(replies.reason_of(error))


def test_a_wallet_that_is_not_the_announced_one():
    headers = {"x-server-auth-message": "a", "x-server-auth-signature": "a", "x-server-wallet-pubkey": LONG}
    with pytest.raises(Refused, match="its node shows the wallet ") as caught:
        verify(headers.items(), Submission("alice", "127.0.0.1:1", info={"cruncher_wallet_pubkey": "w"}), b"")
    assert fit_to_keep(str(caught.value))


def test_the_name_that_a_participant_has_chosen():
    assert fit_to_keep(Announced("d1", "alice", "RUNNING", "127.0.0.1", 1, {"model_name": LONG}).submission.name)


@pytest.mark.anyio
async def test_what_a_node_says_of_its_setup(running, log, snapshots):
    async with node(lambda: None) as alice:

        async def set_up(request, context):
            return SetupResponse(status=Status(code=LONG, message=LONG))

        await alice.kill()
        alice._set_up = set_up
        await alice.start()
        submission = Submission("alice", f"127.0.0.1:{alice.port}")
        async with running(snapshots(submission), host=NodeHost()):
            fault = (await log.until(ModelLoadFailed, "alice")).fault
    assert fit_to_keep(fault.message)
    assert len(fault.kind) <= 160


texts = st.text(st.characters(), max_size=50)  # lone surrogates too


@given(texts, texts, st.none() | texts, st.integers(1, 200_000))
def test_a_report_is_short_and_valid_whatever_its_reason(model_id, ip, reason, times):
    model_id, ip = (text.encode(errors="replace").decode() for text in (model_id, ip))
    said = None if reason is None else reason * times
    message = report_message(
        FailureReport(model_id=model_id, failure_code="MULTIPLE_FAILED", failure_reason=said, ip=ip)
    )
    assert len(message.encode()) < MAX_REPORT_BYTES

    [read] = msgspec.json.decode(message, type=FailureReportFrame).data
    assert (read.model_id, read.ip) == (model_id, ip)
    if said is None:
        assert read.failure_reason is None
    elif len(said) > 8_000:
        assert "[...]" in read.failure_reason
    else:
        assert read.failure_reason == shortened(said)


def test_what_must_match_is_not_cut_so_that_it_may_not_fit():
    with pytest.raises(ValueError, match="it takes 1048699 bytes, and at most 524288 are sent; its id or address is"):
        report_message(FailureReport(model_id="a" * 2**20, failure_code="MULTIPLE_FAILED", ip="127.0.0.1"))

"""What came of asking a node: its answer, or gRPC's error, as the Reply that the runner counts."""

from __future__ import annotations

import re
from typing import Any

from google.protobuf.message import DecodeError
from grpc import StatusCode
from grpc.aio import AioRpcError

from crunch_game.crunchdao.protocol import MAX_MESSAGE, UNSENT, CallResponse, ReplyCode, decode_answer
from crunch_game.encoding import Undecodable
from crunch_game.faults import printable, shortened
from crunch_game.hosts.base import Reply
from crunch_game.outcomes import Fault
from crunch_game.policy import Trigger

FORGOTTEN = Fault("forgotten", "its node was started again and has lost the instance")


def reply_of_answer(data: bytes, elapsed: float, *, table: bool = False) -> Reply:
    """The reply that a node's answer to a call is; `table` is whether the contract promises a table."""
    try:
        response = CallResponse.FromString(data)
    except DecodeError:
        return _fault(Trigger.INVALID, "invalid", "its node answered with a message that cannot be read", elapsed)
    if response.status.code == ReplyCode.SUCCESS:
        try:
            return Reply(Trigger.ANSWERED, decode_answer(response.methodResponse, table=table), None, elapsed)
        except Undecodable as error:
            return _fault(Trigger.INVALID, "invalid", f"the answer cannot be read: {shortened(str(error))}", elapsed)
    code, message = told(response.status)
    if code == ReplyCode.FAILED_PRECONDITION:
        return Reply(Trigger.UNREACHED, None, FORGOTTEN, elapsed)
    if code in (ReplyCode.BAD_IMPLEMENTATION, ReplyCode.INVALID_ARGUMENT):
        return _fault(Trigger.UNSUPPORTED, "unsupported", message or "the model lacks the method", elapsed)
    unsendable = _UNSENDABLE.fullmatch(message)
    if unsendable is not None:
        what = unsendable["type"] or f"something that JSON cannot hold ({unsendable['json']})"
        text = f"it returned {what}, which its node cannot send; return a float, int, str, list, dict or DataFrame"
        return _fault(Trigger.INVALID, "invalid", text, elapsed)
    if message.startswith(UNSENT):
        return _fault(Trigger.INVALID, "invalid", message, elapsed)
    return _fault(Trigger.RAISED, code or "UNKNOWN", message or f"its node says {code or 'nothing'}", elapsed)


def told(status: Any) -> tuple[str, str]:
    """The code and the message of a node's Status. They are a stranger's words, so they are cut to what can be kept."""
    return printable(status.code[:_MAX_CODE]), shortened(status.message)


def reply_of_error(error: AioRpcError, elapsed: float) -> Reply:
    """The reply that an error of gRPC is: nobody's strike, unless the model's own code is behind it."""
    details = shortened(error.details() or "")
    if error.code() is StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE in details:
        text = f"the answer is too large: at most {MAX_MESSAGE // 2**20} MiB can be sent ({details})"
        return _fault(Trigger.INVALID, "invalid", text, elapsed)
    if error.code() is StatusCode.UNKNOWN:
        return _fault(Trigger.RAISED, "UNKNOWN", details or "its node failed, and does not say how", elapsed)
    return _fault(Trigger.UNREACHED, "unreachable", reason_of(error), elapsed)


def reason_of(error: AioRpcError) -> str:
    """Why a node cannot be asked, as a sentence."""
    details = shortened(error.details() or "it says nothing more")
    if error.code() in (StatusCode.UNAUTHENTICATED, StatusCode.PERMISSION_DENIED):
        return f"its node refuses the coordinator: {details}"
    if error.code() is StatusCode.UNIMPLEMENTED:
        return f"there is no model node at its address: {details}"
    if is_busy(error):
        return f"its node is busy with another call: {details}"
    if error.code() is StatusCode.DEADLINE_EXCEEDED:
        return "its node does not answer"
    return details


def is_busy(error: AioRpcError) -> bool:
    """Whether the node is busy with another call."""
    return error.code() is StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE not in (error.details() or "")


def has_instance(data: bytes) -> bool:
    """Whether a node that was asked for no method has an instance.

    Raises:
        DecodeError: It is no model node.
    """
    return bool(CallResponse.FromString(data).status.code != ReplyCode.FAILED_PRECONDITION)


def wants_fewer(reply: Reply) -> bool:
    """Whether the model raised because it was given more positional arguments than it takes."""
    return reply.trigger is Trigger.RAISED and reply.fault is not None and bool(_SURPLUS.search(reply.fault.message))


_MAX_CODE = 40
"""Characters; the longest that the protocol has is 19."""
_TOO_LARGE = "message larger than max"
_SURPLUS = re.compile(r"\(\) takes (?:from \d+ to )?\d+ positional arguments? but \d+ (?:was|were) given")
_UNSENDABLE = re.compile(
    r"The model raised an exception: "
    r"(?:Unsupported data type: <class '(?P<type>[^']+)'>|Data cannot be serialized to JSON: (?P<json>.*))",
    re.DOTALL,
)


def _fault(trigger: Trigger, kind: str, message: str, elapsed: float) -> Reply:
    return Reply(trigger, None, Fault(kind, message), elapsed)

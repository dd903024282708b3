"""The gRPC service of a model node: Setup, Call and Rest of one submission, each answered with a Status."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from crunch_game.crunchdao.node._workplace import Workplace
from crunch_game.crunchdao.protocol import (
    CREATED,
    EXISTS,
    MAX_MESSAGE,
    UNSENT,
    CallResponse,
    ReplyCode,
    RestResponse,
    SetupResponse,
    Status,
    encode,
    values,
)
from crunch_game.encoding import Undecodable, Unsendable
from crunch_game.errors import ContractError
from crunch_game.faults import shortened
from crunch_game.hosts.base import Instance, LoadFailure, Reply
from crunch_game.models import Submission
from crunch_game.outcomes import Fault
from crunch_game.policy import Trigger

_NOT_ITS_CODE: Final = frozenset({"timeout", "died", "protocol", "OSError"})
"""Kinds of faults while loading that do not prove the submission wrong: SETUP_FAILED, not BAD_IMPLEMENTATION."""


@dataclass(kw_only=True, eq=False)
class NodeService:
    """Serves one submission. The caller makes one request at a time.

    Args:
        submission: The code.
        workplace: Where it runs.
        setup_timeout: Seconds for loading.
        call_timeout: Seconds for a call, after which its process is ended. Clients have deadlines of their own, which
            the node does not see.
        tell: Called with sentences, and tracebacks, about what happens to the model.
        on_end: Called with the fault when the instance ended by itself.

    Attributes:
        calls: How often the model was asked.
        failures: How many of these calls it did not answer with success.
    """

    submission: Submission
    workplace: Workplace
    setup_timeout: float
    call_timeout: float
    tell: Callable[[str], None]
    on_end: Callable[[Fault], None]
    calls: int = 0
    failures: int = 0

    def __post_init__(self) -> None:
        self._instance: Instance | None = None
        self._end: Fault | None = None
        self._is_new = False

    async def setup(self, request: Any) -> Any:
        """Load the model with the request's arguments, unless it is loaded already."""
        if self._instance is not None:
            # If the client went away while it was loaded, no client knows yet that this instance has no history.
            return _setup(ReplyCode.SUCCESS, CREATED if self._is_new else EXISTS)
        class_name = request.className.strip()
        if not class_name:
            return _setup(ReplyCode.INVALID_ARGUMENT, "class_name cannot be empty")
        if not self.workplace.offers(class_name):
            base = self.workplace.contract.name
            return _setup(ReplyCode.INVALID_ARGUMENT, f"this node serves models of {base}, not of {class_name}")
        try:
            init = values(request.instanceArguments, request.instanceKwArguments)
            loaded = await self.workplace.start(self.submission, self.setup_timeout, init, self._instance_ended)
        except (Undecodable, ContractError) as error:
            return _setup(ReplyCode.INVALID_ARGUMENT, f"the instance arguments cannot be used: {error}")
        except LoadFailure as failure:
            self._complain("it could not be loaded", failure.fault)
            code = ReplyCode.SETUP_FAILED if failure.fault.kind in _NOT_ITS_CODE else ReplyCode.BAD_IMPLEMENTATION
            return _setup(code, failure.fault.message)
        self._instance, self._end, self._is_new = loaded.instance, None, True
        for sentence in ("a fresh instance was made", *loaded.warnings):
            self.tell(sentence)
        return _setup(ReplyCode.SUCCESS, CREATED)

    def setup_answered(self) -> None:
        """Note that a client got the answer of the last setup."""
        self._is_new = False

    async def call(self, request: Any) -> Any:
        """Ask the model for one method."""
        if self._instance is None:
            why = f"; the one before is gone: {self._end}" if self._end is not None else ""
            return _called(ReplyCode.FAILED_PRECONDITION, f"Setup has not been called yet{why}")
        name = request.methodName
        if not name:
            return _called(ReplyCode.INVALID_ARGUMENT, "methodName cannot be empty")
        # A client must not call the model's dunder methods, or what its author keeps private.
        if name.startswith("_"):
            return _called(ReplyCode.INVALID_ARGUMENT, f"the method {name} is private to the model")
        try:
            args, kwargs = values(request.methodArguments, request.methodKwArguments)
            reply = await self.workplace.ask(self._instance, name, args, kwargs, self.call_timeout)
        except (Undecodable, ContractError) as error:
            return _called(ReplyCode.INVALID_ARGUMENT, f"the arguments of {name} cannot be used: {error}")
        response = await self._answer(name, reply)
        self.calls += 1
        self.failures += response.status.code != ReplyCode.SUCCESS
        return response

    async def rest(self, request: Any) -> Any:
        """End the instance, as a client asked for."""
        had = self._instance is not None
        await self.close()
        message = "Instance successfully reset" if had else "No instance exists to reset"
        return RestResponse(status=Status(code=ReplyCode.SUCCESS, message=message))

    async def close(self) -> None:
        """End the instance."""
        instance, self._instance = self._instance, None
        if instance is not None:
            await self.workplace.stop(instance)

    async def _answer(self, name: str, reply: Reply) -> Any:
        if reply.trigger is Trigger.ANSWERED:
            return self._success(name, reply.value)
        fault = reply.fault or Fault(reply.trigger, reply.trigger)
        if reply.trigger is Trigger.UNSUPPORTED:
            self._complain(f"{name} was asked for", fault)
            return _called(ReplyCode.BAD_IMPLEMENTATION, fault.message)
        if reply.trigger in (Trigger.DEADLINE, Trigger.DIED, Trigger.DROPPED):
            if reply.trigger is Trigger.DEADLINE:
                fault = replace(fault, message=f"{fault.message}; its process was ended")
            await self.close()
            self._instance_ended(fault)
        else:
            self._complain(f"{name} failed", fault)
        return _called(ReplyCode.MODEL_FAILED, fault.message)

    def _success(self, name: str, value: Any) -> Any:
        if value is None:
            return _called(ReplyCode.SUCCESS, "")
        try:
            response = CallResponse(status=Status(code=ReplyCode.SUCCESS), methodResponse=encode(value))
            # gRPC would refuse it too, but with an error that is not the model's.
            size = response.ByteSize()
            if size > MAX_MESSAGE:
                raise Unsendable(f"it takes {size / 2**20:.0f} MiB; at most {MAX_MESSAGE // 2**20} MiB can be sent")
        except Unsendable as error:
            fault = Fault("invalid", f"{UNSENT}{error}")
            self._complain(f"{name} failed", fault)
            return _called(ReplyCode.MODEL_FAILED, fault.message)
        return response

    def _instance_ended(self, fault: Fault) -> None:
        self._instance, self._end = None, fault
        self.on_end(fault)
        self._complain("the instance is gone", fault)

    def _complain(self, what: str, fault: Fault) -> None:
        self.tell("\n".join(filter(None, (f"{what}: {fault.message}", fault.traceback))))


def _setup(code: ReplyCode, message: str) -> Any:
    return SetupResponse(status=Status(code=code, message=_text(message)))


def _called(code: ReplyCode, message: str) -> Any:
    return CallResponse(status=Status(code=code, message=_text(message)))


def _text(message: str) -> str:
    """Shorten what may quote the client or the model, and escape what protobuf refuses, such as lone surrogates."""
    return shortened(message)

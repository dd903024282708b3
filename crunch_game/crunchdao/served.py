"""One submission behind the requests of a model node: set up, called, reset; what happens becomes a Status."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from crunch_game.crunchdao import variants
from crunch_game.crunchdao.messages import (
    CREATED,
    EXISTS,
    MAX_MESSAGE,
    UNSENT,
    CallResponse,
    Code,
    RestResponse,
    SetupResponse,
    Status,
)
from crunch_game.crunchdao.workplace import Workplace
from crunch_game.errors import ContractError
from crunch_game.hosts.base import Instance, LoadFailure, Reply
from crunch_game.hosts.wire import Undecodable, Unsendable
from crunch_game.models import Submission
from crunch_game.outcomes import Fault
from crunch_game.policy import Event

__all__ = ["Served"]

_NOT_ITS_CODE: Final = frozenset({"timeout", "died", "protocol", "OSError"})
"""Kinds of faults at a load for which the submission may be right all the same."""


class Served:
    """The instance of one submission, while it has one. Whoever calls this sees to it that there is one call at a time.

    Args:
        submission: The code.
        workplace: Where it runs.
        setup_timeout: Seconds for loading.
        call_timeout: Seconds after which a call that nobody may wait for any more is ended, and the process with it.
        tell: Told in sentences what happens; tracebacks too.
        on_end: Told how the instance ended, when it did so by itself.
    """

    def __init__(
        self,
        submission: Submission,
        workplace: Workplace,
        *,
        setup_timeout: float,
        call_timeout: float,
        tell: Callable[[str], None],
        on_end: Callable[[Fault], None],
    ) -> None:
        self._submission = submission
        self._workplace = workplace
        self._setup_timeout = setup_timeout
        self._call_timeout = call_timeout
        self._tell = tell
        self._on_end = on_end
        self.calls = 0
        """How many calls the model was asked."""
        self.failures = 0
        """How many of them it did not answer well."""
        self._instance: Instance | None = None
        self._end: Fault | None = None
        self._untold = False

    async def setup(self, request: Any) -> Any:
        """Load the model with the request's arguments, unless it is loaded."""
        if self._instance is not None:
            # Who asked for it may have gone before it was there: then nobody knows yet that it is fresh.
            return _setup(Code.SUCCESS, CREATED if self._untold else EXISTS)
        class_name = request.className.strip()
        if not class_name:
            return _setup(Code.INVALID_ARGUMENT, "class_name cannot be empty")
        if not self._workplace.offers(class_name):
            base = self._workplace.contract.name
            return _setup(Code.INVALID_ARGUMENT, f"this node serves models of {base}, not of {class_name}")
        try:
            init = variants.values(request.instanceArguments, request.instanceKwArguments)
            loaded = await self._workplace.start(self._submission, self._setup_timeout, init, self._lose)
        except (Undecodable, ContractError) as error:
            return _setup(Code.INVALID_ARGUMENT, f"the instance arguments cannot be used: {error}")
        except LoadFailure as failure:
            self._complain("it could not be loaded", failure.fault)
            code = Code.SETUP_FAILED if failure.fault.kind in _NOT_ITS_CODE else Code.BAD_IMPLEMENTATION
            return _setup(code, failure.fault.message)
        self._instance, self._end, self._untold = loaded.instance, None, True
        for sentence in ("a fresh instance was made", *loaded.warnings):
            self._tell(sentence)
        return _setup(Code.SUCCESS, CREATED)

    def told(self) -> None:
        """The answer of the last setup was sent."""
        self._untold = False

    async def call(self, request: Any) -> Any:
        """Ask the model one method."""
        if self._instance is None:
            why = f"; the one before is gone: {self._end}" if self._end is not None else ""
            return _called(Code.FAILED_PRECONDITION, f"Setup has not been called yet{why}")
        name = request.methodName
        if not name:
            return _called(Code.INVALID_ARGUMENT, "methodName cannot be empty")
        if name.startswith("_"):
            return _called(Code.INVALID_ARGUMENT, f"the method {name} is private to the model")
        try:
            args, kwargs = variants.values(request.methodArguments, request.methodKwArguments)
            reply = await self._workplace.ask(self._instance, name, args, kwargs, self._call_timeout)
        except (Undecodable, ContractError) as error:
            return _called(Code.INVALID_ARGUMENT, f"the arguments of {name} cannot be used: {error}")
        response = await self._answer(name, reply)
        self.calls += 1
        self.failures += response.status.code != Code.SUCCESS
        return response

    async def rest(self) -> Any:
        """Forget the instance."""
        had = self._instance is not None
        await self.close()
        said = "Instance successfully reset" if had else "No instance exists to reset"
        return RestResponse(status=Status(code=Code.SUCCESS, message=said))

    async def close(self) -> None:
        """End the instance."""
        instance, self._instance = self._instance, None
        if instance is not None:
            await self._workplace.stop(instance)

    async def _answer(self, name: str, reply: Reply) -> Any:
        if reply.event is Event.ANSWERED:
            return self._success(name, reply.value)
        fault = reply.fault or Fault(reply.event, reply.event)
        if reply.event is Event.UNSUPPORTED:
            self._complain(f"{name} was asked for", fault)
            return _called(Code.BAD_IMPLEMENTATION, fault.message)
        if reply.event in (Event.DEADLINE, Event.DIED, Event.DROPPED):
            if reply.event is Event.DEADLINE:
                fault = replace(fault, message=f"{fault.message}; its process was ended")
            await self.close()
            self._lose(fault)
        else:
            self._complain(f"{name} failed", fault)
        return _called(Code.MODEL_FAILED, fault.message)

    def _success(self, name: str, value: Any) -> Any:
        if value is None:
            return _called(Code.SUCCESS, "")
        try:
            response = CallResponse(status=Status(code=Code.SUCCESS), methodResponse=variants.encode(value))
            size = response.ByteSize()
            if size > MAX_MESSAGE:
                raise Unsendable(f"it takes {size / 2**20:.0f} MiB; at most {MAX_MESSAGE // 2**20} MiB can be sent")
        except Unsendable as error:
            fault = Fault("invalid", f"{UNSENT}{error}")
            self._complain(f"{name} failed", fault)
            return _called(Code.MODEL_FAILED, fault.message)
        return response

    def _lose(self, fault: Fault) -> None:
        self._instance, self._end = None, fault
        self._on_end(fault)
        self._complain("the instance is gone", fault)

    def _complain(self, what: str, fault: Fault) -> None:
        self._tell("\n".join(filter(None, (f"{what}: {fault.message}", fault.traceback))))


def _setup(code: Code, message: str) -> Any:
    return SetupResponse(status=Status(code=code, message=_text(message)))


def _called(code: Code, message: str) -> Any:
    return CallResponse(status=Status(code=code, message=_text(message)))


def _text(message: str) -> str:
    """The message without the lone surrogates that protobuf takes for an error."""
    return message.encode(errors="backslashreplace").decode()

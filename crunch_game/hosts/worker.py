"""The process of one model: load it, then answer calls until the runner is gone."""

from __future__ import annotations

import importlib
import os
import pickle
import random
import socket
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from crunch_game.contract import Contract
from crunch_game.errors import LoadError
from crunch_game.faults import fault_of, own_frames
from crunch_game.hosts import output, wire
from crunch_game.hosts.calling import Callee, NotOffered
from crunch_game.hosts.inbox import Inbox
from crunch_game.hosts.shared import mapped
from crunch_game.importing import import_code
from crunch_game.loading import Loader, make_model

if TYPE_CHECKING:
    from crunch_game.hosts.sandbox import Sandbox

__all__ = ["SetupBody", "serve"]


class SetupBody(msgspec.Struct, array_like=True):
    """What a worker needs to load its model.

    `folder` is where it works, `home` its temporary folder, `readable` where its submission lies. The loader is the
    author's, and so may be pickled.
    """

    source: str
    is_class: bool
    loader: bytes
    init: msgspec.Raw
    folder: str | None
    home: str
    readable: list[str]


class CallBody(msgspec.Struct, array_like=True):
    """One call, as every model gets it: the method, its positional arguments, and those with a name."""

    method: str
    args: tuple[list[Any], dict[str, Any]]


class _Setup(msgspec.Struct, array_like=True):
    kind: int
    call: int
    body: SetupBody


class _Call(msgspec.Struct, array_like=True):
    """A whole frame, so that the path of every call reads it in one go."""

    kind: int
    call: int
    body: CallBody | int
    extra: dict[str, Any] | None = None


_read_setup = wire.reader(_Setup)
_read_call = wire.reader(_Call)
_read_body = wire.reader(CallBody)


def serve(channel: socket.socket, contract: Contract, sandbox: Sandbox | None) -> NoReturn:
    """Answer what arrives on the channel; ends the process when it closes."""
    worker = _Worker(contract, sandbox)
    inbox = Inbox(channel)
    while (payload := inbox.receive()) is not None:
        channel.sendall(worker.answer(payload, inbox.descriptor))
    os._exit(0)


class _Worker:
    def __init__(self, contract: Contract, sandbox: Sandbox | None) -> None:
        self._contract = contract
        self._sandbox = sandbox
        self._callee: Callee | None = None
        self._buffer = bytearray()
        self._asked = 0

    def answer(self, payload: memoryview, descriptor: int | None) -> bytearray:
        """What to say to one frame; never raises, whatever the participant's code does."""
        buffer = self._buffer
        value: Any
        try:
            if self._callee is None:
                kind, value = wire.READY, self._load(payload)
            else:
                kind, value = wire.VALUE, self._call(payload, descriptor)
            wire.frame_into(buffer, kind, self._asked, value)
        except BaseException as error:  # noqa: BLE001 - SystemExit and the like are outcomes too
            kind, value = self._refusal(error)
            output.flush()
            wire.frame_into(buffer, kind, self._asked, value)
        return buffer

    def _refusal(self, error: BaseException) -> tuple[int, _Told]:
        if isinstance(error, wire.Unsendable):
            return wire.UNSENDABLE, ("invalid", f"the answer cannot be sent: {error}", None)
        if isinstance(error, NotOffered):
            return wire.UNSUPPORTED, ("unsupported", str(error), None)
        if isinstance(error, LoadError):
            cause = error.__cause__ or error
            frames = own_frames(cause) if cause is not error else None
            return wire.FAULT, (type(cause).__name__, str(error) + self._barrier(cause), frames)
        fault = fault_of(error)
        return wire.FAULT, (fault.kind, fault.message + self._barrier(error), fault.traceback)

    def _barrier(self, error: BaseException) -> str:
        """The barrier that the error comes from, as the end of a sentence; nothing if it is none."""
        if self._sandbox is None:
            return ""
        from crunch_game.hosts.barriers import barrier_of

        barrier = barrier_of(error)
        return f" ({barrier})" if barrier else ""

    def _load(self, payload: memoryview) -> list[str]:
        setup = _read_setup(bytes(payload))
        self._asked, body = setup.call, setup.body
        if body.folder is not None:
            os.chdir(body.folder)
        source = _class_at(body.source) if body.is_class else body.source
        loader: Loader = pickle.loads(body.loader)
        os.environ.update(TMPDIR=body.home, HOME=body.home)
        if self._sandbox is not None:
            self._sandbox.enter(map(Path, body.readable), [Path(body.home)])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            code = import_code(source)
            code.scope.__enter__()  # for good: the whole process is this model's
            args, kwargs = wire.decode(body.init)
            self._callee = Callee(make_model(code, self._contract, loader, args, kwargs), self._contract)
        return [str(warning.message) for warning in caught]

    def _call(self, payload: memoryview, descriptor: int | None) -> Any:
        assert self._callee is not None
        call = _read_call(payload)
        self._asked = call.call
        body = call.body if descriptor is None else _read_body(mapped(descriptor, call.body))
        args, kwargs = body.args
        if call.extra:
            kwargs.update(call.extra)
        return self._callee.call(body.method, args, kwargs)


_Told = tuple[str, str, str | None]


def _class_at(reference: str) -> type:
    module_name, _, path = reference.partition(":")
    found: Any = importlib.import_module(module_name)
    for part in path.split("."):
        found = getattr(found, part)
    assert isinstance(found, type)
    return found


def reseed() -> None:
    """Give a forked process luck of its own."""
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()

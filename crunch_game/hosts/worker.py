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
from crunch_game.hosts import wire
from crunch_game.hosts.calling import Callee, NotOffered
from crunch_game.importing import import_code
from crunch_game.loading import Loader, make_model

if TYPE_CHECKING:
    from crunch_game.hosts.sandbox import Sandbox

__all__ = ["SetupBody", "serve"]

_CHUNK = 1 << 16


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
    """One call, as every model gets it."""

    method: str
    args: msgspec.Raw


_setups = msgspec.msgpack.Decoder(SetupBody)
_calls = msgspec.msgpack.Decoder(CallBody)


def serve(channel: socket.socket, contract: Contract, sandbox: Sandbox | None) -> NoReturn:
    """Answer what arrives on the channel; ends the process when it closes."""
    worker = _Worker(contract, sandbox)
    reader = wire.FrameReader()
    while data := channel.recv(_CHUNK):
        for frame in reader.feed(data):
            kind, body = worker.answer(frame)
            channel.sendall(_framed(kind, frame.call, body))
    os._exit(0)


class _Worker:
    def __init__(self, contract: Contract, sandbox: Sandbox | None) -> None:
        self._contract = contract
        self._sandbox = sandbox
        self._callee: Callee | None = None

    def answer(self, frame: wire.Frame) -> tuple[int, bytes]:
        """What to say to one frame; never raises, whatever the participant's code does."""
        try:
            if frame.kind == wire.SETUP:
                return wire.READY, wire.encode(self._load(_setups.decode(frame.body)))
            return wire.VALUE, wire.encode(self._call(frame))
        except wire.Unsendable as error:
            return wire.UNSENDABLE, _told("invalid", f"the answer cannot be sent: {error}")
        except NotOffered as error:
            return wire.UNSUPPORTED, _told("unsupported", str(error))
        except LoadError as error:
            cause = error.__cause__ or error
            frames = own_frames(cause) if cause is not error else None
            return wire.FAULT, _told(type(cause).__name__, str(error) + self._barrier(cause), frames)
        except BaseException as error:  # noqa: BLE001 - SystemExit and the like are outcomes too
            fault = fault_of(error)
            return wire.FAULT, _told(fault.kind, fault.message + self._barrier(error), fault.traceback)

    def _barrier(self, error: BaseException) -> str:
        """The barrier that the error comes from, as the end of a sentence; nothing if it is none."""
        if self._sandbox is None:
            return ""
        from crunch_game.hosts.barriers import barrier_of

        barrier = barrier_of(error)
        return f" ({barrier})" if barrier else ""

    def _load(self, body: SetupBody) -> list[str]:
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

    def _call(self, frame: wire.Frame) -> Any:
        assert self._callee is not None
        call = _calls.decode(frame.body)
        args, kwargs = wire.decode(call.args)
        extra = wire.decode(frame.extra)
        if extra:
            kwargs.update(extra)
        return self._callee.call(call.method, args, kwargs)


def _class_at(reference: str) -> type:
    module_name, _, path = reference.partition(":")
    found: Any = importlib.import_module(module_name)
    for part in path.split("."):
        found = getattr(found, part)
    assert isinstance(found, type)
    return found


def _told(kind: str, message: str, traceback: str | None = None) -> bytes:
    return wire.encode((kind, message, traceback))


def _framed(kind: int, call: int, body: bytes) -> bytes:
    try:
        return wire.frame(kind, call, body)
    except wire.Unsendable as error:
        return wire.frame(wire.UNSENDABLE, call, _told("invalid", f"the answer cannot be sent: {error}"))


def reseed() -> None:
    """Give a forked process luck of its own."""
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()

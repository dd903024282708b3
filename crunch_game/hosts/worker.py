"""The process of one model: load it, then answer calls until the runner is gone."""

from __future__ import annotations

import importlib
import os
import pickle
import random
import socket
import sys
import warnings
from typing import Any, NoReturn

import msgspec

from crunch_game.contract import Contract
from crunch_game.errors import LoadError
from crunch_game.faults import fault_of, own_frames
from crunch_game.hosts import wire
from crunch_game.hosts.calling import Callee, NotOffered
from crunch_game.importing import import_code
from crunch_game.loading import Loader, make_model

__all__ = ["SetupBody", "serve"]

_CHUNK = 1 << 16


class SetupBody(msgspec.Struct, array_like=True):
    """What a worker needs to load its model. The loader is the author's, and so may be pickled."""

    source: str
    is_class: bool
    loader: bytes
    init: msgspec.Raw
    folder: str | None


class CallBody(msgspec.Struct, array_like=True):
    """One call, as every model gets it."""

    method: str
    args: msgspec.Raw


_setups = msgspec.msgpack.Decoder(SetupBody)
_calls = msgspec.msgpack.Decoder(CallBody)


def serve(channel: socket.socket, contract: Contract) -> NoReturn:
    """Answer what arrives on the channel; ends the process when it closes."""
    worker = _Worker(contract)
    reader = wire.FrameReader()
    while data := channel.recv(_CHUNK):
        for frame in reader.feed(data):
            kind, body = worker.answer(frame)
            channel.sendall(_framed(kind, frame.call, body))
    os._exit(0)


class _Worker:
    def __init__(self, contract: Contract) -> None:
        self._contract = contract
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
            cause = error.__cause__
            return wire.FAULT, _told(type(cause or error).__name__, str(error), own_frames(cause) if cause else None)
        except BaseException as error:  # noqa: BLE001 - SystemExit and the like are outcomes too
            fault = fault_of(error)
            return wire.FAULT, _told(fault.kind, fault.message, fault.traceback)

    def _load(self, body: SetupBody) -> list[str]:
        if body.folder is not None:
            os.chdir(body.folder)
        source = _class_at(body.source) if body.is_class else body.source
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            code = import_code(source)
            code.scope.__enter__()  # for good: the whole process is this model's
            args, kwargs = wire.decode(body.init)
            loader: Loader = pickle.loads(body.loader)
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

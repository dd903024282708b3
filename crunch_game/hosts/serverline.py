"""The engine's line to the fork server: orders go out as it can take them, reports come in."""

from __future__ import annotations

import os
import selectors
import socket
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from crunch_game.hosts import forkserver

__all__ = ["ServerLine"]

_reports = msgspec.msgpack.Decoder(forkserver.Report)
_encode = msgspec.msgpack.Encoder().encode


class ServerLine:
    """The line, for the thread of the selector; what is ordered while it is not connected waits.

    Args:
        selector: Where it is registered, with the function to call when it is ready.
        report: Called with each report.
        lost: Called when the fork server has hung up.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        report: Callable[[forkserver.Report], None],
        lost: Callable[[], None],
    ) -> None:
        self._selector = selector
        self._report = report
        self._lost = lost
        self._socket: socket.socket | None = None
        self._orders: deque[tuple[bytes, list[int]]] = deque()

    @property
    def connected(self) -> bool:
        """Whether there is a fork server at the other end."""
        return self._socket is not None

    def connect(self, server: socket.socket) -> None:
        """Speak to this fork server from now on."""
        server.setblocking(False)
        self._socket = server
        self._selector.register(server, selectors.EVENT_READ, self._ready)
        self._flush()

    def order(self, message: Any, descriptors: Iterable[int] = ()) -> None:
        """Send a message; the descriptors are closed once it is sent."""
        self._orders.append((_encode(message), list(descriptors)))
        self._flush()

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None

    def drop(self) -> None:
        """Forget what was not sent."""
        for _, descriptors in self._orders:
            for descriptor in descriptors:
                os.close(descriptor)
        self._orders.clear()

    def _flush(self) -> None:
        while self._orders and self._socket is not None:
            message, descriptors = self._orders[0]
            try:
                socket.send_fds(self._socket, [message], descriptors)
            except BlockingIOError:
                self._selector.modify(self._socket, selectors.EVENT_READ | selectors.EVENT_WRITE, self._ready)
                return
            except ConnectionError:
                self._lose()
                return
            self._orders.popleft()
            for descriptor in descriptors:
                os.close(descriptor)
        if self._socket is not None and self._selector.get_key(self._socket).events & selectors.EVENT_WRITE:
            self._selector.modify(self._socket, selectors.EVENT_READ, self._ready)

    def _ready(self) -> None:
        self._flush()
        while self._socket is not None:
            try:
                message = self._socket.recv(forkserver.PACKET)
            except BlockingIOError:
                return
            except ConnectionError:
                message = b""
            if not message:
                self._lose()
                return
            self._report(_reports.decode(message))

    def _lose(self) -> None:
        self.close()
        self.drop()
        self._lost()

"""A TCP proxy before a PostgreSQL server, that cuts, stalls and refuses."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import make_url


class Proxy:
    """It forwards what comes, until a test says otherwise.

    Attributes:
        url: As the server's, through the proxy.
        seen: Called with whatever a client sends; it returns what becomes of that: "forward", "drop" (the connection
            is cut before), or "send" (it is cut right after, so that no answer comes back).
    """

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self.lead_to(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        own = parsed.difference_update_query(["host"]).set(host="127.0.0.1", port=self._listener.getsockname()[1])
        self.url = own.render_as_string(hide_password=False)
        self.seen: Callable[[bytes], str] = lambda data: "forward"
        self._refuses = False
        self._flowing = threading.Event()
        self._flowing.set()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def lead_to(self, url: str) -> None:
        """Forward connections that are new to this server."""
        parsed = make_url(url)
        host, port = parsed.query.get("host", parsed.host), parsed.port or 5432
        self._server = f"{host}/.s.PGSQL.{port}" if str(host).startswith("/") else (str(host), port)

    def cut(self) -> None:
        """Cut all connections, and refuse new ones."""
        self._refuses = True
        self.cut_once()

    def cut_once(self) -> None:
        """Cut all connections."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            _end(*pair)

    def stall(self) -> None:
        """Accept connections and bytes, and forward nothing."""
        self._flowing.clear()

    def back(self) -> None:
        """Forward again, what has come meanwhile too."""
        self._refuses = False
        self._flowing.set()

    def close(self) -> None:
        _end(self._listener)
        self._flowing.set()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refuses:
                _end(client)
                continue
            server = socket.socket(socket.AF_UNIX if isinstance(self._server, str) else socket.AF_INET)
            server.connect(self._server)
            pair = (client, server)
            with self._lock:
                self._pairs.add(pair)
            threading.Thread(target=self._pump, args=(*pair, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, asks: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                fate = self.seen(data) if asks else "forward"
                self._flowing.wait()
                if fate != "drop":
                    target.sendall(data)
                if fate == "send":  # the server carries it out; who is to bring back its answer finds nobody
                    _end(source)
                    return
                if fate == "drop":
                    break
        _end(source, target)


def _end(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


@contextmanager
def before(url: str) -> Iterator[Proxy]:
    proxy = Proxy(url)
    try:
        yield proxy
    finally:
        proxy.close()

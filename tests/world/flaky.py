"""A server of prices that stalls, drops connections, fails, repeats itself, and gives some rows late."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_EVERY = 0.25


class Prices(ThreadingHTTPServer):
    """Four rows a second, each stamped with its time; the last few are given again and again."""

    daemon_threads = True

    def __init__(self, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.url = f"http://127.0.0.1:{self.server_port}/"
        self.rows: list[tuple[float, float]] = []
        self.stalls_until = 0.0
        self.chance = random.Random(seed)
        self.over = threading.Event()

    def make_rows(self) -> None:
        late: list[tuple[float, tuple[float, float]]] = []
        while not self.over.wait(_EVERY):
            now = time.time()
            # Some are exactly on a slot, most beside one.
            stamp = float(round(now)) if self.chance.random() < 0.3 else now
            row = (stamp, round(self.chance.uniform(1, 999), 3))
            if self.chance.random() < 0.1:
                late.append((now + self.chance.uniform(0.3, 2.0), row))
            else:
                self._give(row)
            for due in [each for each in late if each[0] <= now]:
                late.remove(due)
                self._give(due[1])
            if self.chance.random() < 0.03:
                self.stalls_until = time.monotonic() + self.chance.uniform(0.3, 2.0)

    def _give(self, row: tuple[float, float]) -> None:
        self.rows = sorted([*self.rows[-9:], row])


class _Answer(BaseHTTPRequestHandler):
    server: Prices

    def do_GET(self) -> None:
        time.sleep(max(0.0, self.server.stalls_until - time.monotonic()))
        body, fate = json.dumps(self.server.rows).encode(), self.server.chance.random()
        if fate < 0.03:
            return  # it hangs up
        with suppress(OSError):  # who asked waits no longer, or is gone
            self.send_response(503 if fate < 0.06 else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:20] if fate > 0.97 else body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def prices(seed: int) -> Iterator[Prices]:
    server = Prices(seed)
    threads = [threading.Thread(target=target, daemon=True) for target in (server.serve_forever, server.make_rows)]
    for thread in threads:
        thread.start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()

"""A minute of a real game: a server that stalls, a worker that is killed five times, and then its replay."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import ticking

from crunch_game import MemoryStore, ReplayFeed, Status, open_store
from crunch_game.sync import run_game

SECONDS = 60.0
KILLS = 5


class Prices(ThreadingHTTPServer):
    """Two rows a second, each stamped with its time; the last few are given again and again. It stalls now and then."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_port}/"
        self.rows: list[tuple[float, float]] = []
        self.stalls_until = 0.0
        self._chance = random.Random(5)
        self._over = threading.Event()

    def make_rows(self) -> None:
        while not self._over.wait(0.5):
            now = time.time()
            # Some are exactly on a slot, most beside one.
            stamp = float(round(now)) if self._chance.random() < 0.3 else now
            if not self.rows or stamp > self.rows[-1][0]:
                self.rows = [*self.rows[-5:], (stamp, round(self._chance.uniform(1, 999), 3))]
            if self._chance.random() < 0.05:
                self.stalls_until = time.monotonic() + self._chance.uniform(0.5, 3.0)

    def close(self) -> None:
        self._over.set()
        self.shutdown()
        self.server_close()


class Answer(BaseHTTPRequestHandler):
    server: Prices

    def do_GET(self) -> None:
        time.sleep(max(0.0, self.server.stalls_until - time.monotonic()))
        body = json.dumps(self.server.rows).encode()
        try:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            pass  # the worker waits no longer, or is gone

    def log_message(self, *_: object) -> None:
        pass


def played(store: Any) -> tuple[list[Any], list[Any]]:
    return [replace(each, elapsed=0.0, asked_at=None) for each in store.predictions()], store.scores()


@pytest.mark.processes
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_minute_of_a_live_game_is_its_own_replay(tmp_path):
    server = Prices()
    threads = [threading.Thread(target=target, daemon=True) for target in (server.serve_forever, server.make_rows)]
    for thread in threads:
        thread.start()
    url = f"sqlite:///{tmp_path / 'game.db'}"
    command = [sys.executable, ticking.__file__, server.url, url]
    began = time.monotonic()
    try:
        for life in range(KILLS + 1):
            with subprocess.Popen(command, cwd=Path(ticking.__file__).parent) as worker:
                time.sleep(max(0.0, began + SECONDS * (life + 1) / (KILLS + 1) - time.monotonic()))
                assert worker.poll() is None, "it plays on until it is killed"
                worker.kill()
    finally:
        server.close()
    again = MemoryStore()
    with open_store(url) as store:
        assert len(store.sessions()) == KILLS + 1
        game = ticking.game(ReplayFeed(store))
        from crunch_game import ScoreWorker

        ScoreWorker(game, store).step()  # what was not scored yet when it was killed
        predictions, scores = played(store)
        assert {p.status for p in predictions} == {Status.OK}, "no timeout, or the two may differ"
        run_game(game, ["ticking:Memory"], store=again)
        assert played(again) == (predictions, scores)
    on_slots = [p for p in predictions if p.arguments["asset"] == "BTC"]
    assert len(on_slots) > 15
    assert len(scores) > 60
    assert all(p.seen <= p.at for p in predictions)

"""An orchestrator that says what the test tells it to, over a real WebSocket, and keeps what it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve


class Orchestrator:
    """Announces models on 127.0.0.1, with the frames, and the quirks, of CrunchDAO's own."""

    def __init__(self, crunch_id: str = "bird-game") -> None:
        self.crunch_id = crunch_id
        self.running: dict[tuple[str, str], dict[str, Any]] = {}
        self.reports: list[dict[str, Any]] = []
        self.connected = 0
        self.port = 0
        self._server: Server | None = None
        self._sockets: set[ServerConnection] = set()
        self._news = asyncio.Event()

    async def start(self) -> None:
        self._server = await serve(self._speak, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Go away: every connection is closed, and the port is free."""
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _speak(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        crunch_id = socket.request.path.strip("/")
        if not crunch_id:
            await socket.send(json.dumps({"error": "crunch_id is required in the path"}))
            return
        running = list(self.running.values()) if crunch_id == self.crunch_id else []
        await socket.send(json.dumps({"event": "init", "data": running}))
        self.connected += 1
        self._sockets.add(socket)
        self._ring()
        async for message in socket:
            self.reports.append(json.loads(message))
            self._ring()
        self._sockets.discard(socket)

    def _ring(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def until(self, condition) -> None:
        """Wait for a connection, or a report."""
        async with asyncio.timeout(30):
            while not condition():
                await self._news.wait()

    async def announce(self, *models: dict[str, Any]) -> None:
        """Send an update of these models."""
        frame = json.dumps({"event": "update", "data": list(models)})
        for socket in list(self._sockets):
            await socket.send(frame)

    async def say(self, text: str) -> None:
        for socket in list(self._sockets):
            await socket.send(text)

    async def run(
        self, model_id: str, port: int | str, deployment_id: str = "d1", ip="127.0.0.1", **infos: Any
    ) -> None:
        """A model runs."""
        model = {
            "deployment_id": deployment_id,
            "model_id": model_id,
            "infos": {"model_name": model_id.title(), "cruncher_id": "c", "cruncher_hotkey": None, **infos},
            "state": "RUNNING",
            "ip": ip,
            "port": port,
        }
        self.running[model_id, deployment_id] = model
        await self.announce(model)

    async def recover(self, model_id: str, deployment_id: str = "d1") -> None:
        """A model's node ended, and is started again: it is RUNNING once `run` says so."""
        model = self.running.pop((model_id, deployment_id))
        await self.announce({**model, "state": "RECOVERING"})

    async def stop(self, model_id: str, deployment_id: str = "d1") -> None:
        """A model is stopped: two frames, the second without a place."""
        model = {**self.running.pop((model_id, deployment_id)), "state": "STOPPED"}
        await self.announce(model)
        await self.announce({**model, "ip": "localhost", "port": 0})


@asynccontextmanager
async def orchestrator(crunch_id: str = "bird-game") -> AsyncIterator[Orchestrator]:
    """One that listens."""
    orchestrator = Orchestrator(crunch_id)
    await orchestrator.start()
    try:
        yield orchestrator
    finally:
        await orchestrator.close()

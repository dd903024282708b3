"""A coordinator that is written with the published library, in the interpreter that has it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from callers import PATIENCE

PROGRAM = Path(__file__).with_name("peer_client.py")


class Peer:
    """The process, and what it can be told to do."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def said(self) -> Any:
        """The next thing that it says."""
        with anyio.fail_after(PATIENCE):
            line = await self._process.stdout.readline()
        assert line, (await self._process.stderr.read()).decode()
        return json.loads(line)

    async def do(self, name: str, **given: Any) -> Any:
        """Have it do something, and give back what came of it."""
        self._process.stdin.write(json.dumps([name, given]).encode() + b"\n")
        await self._process.stdin.drain()
        return await self.said()

    async def call(self, method: str, *args: Any, **given: Any) -> Any:
        """By model id: status, result and detail."""
        return await self.do("call", method=method, args=args, **given)

    async def until(self, **models: str) -> None:
        """Wait until exactly these models are connected, each with that deployment."""
        await self.do("until", models=models)


@asynccontextmanager
async def coordinating(python: Path, port: int, **told: Any) -> AsyncIterator[Peer]:
    """A coordinator of the game "arena" that follows the orchestrator behind the port."""
    told = {"crunch_id": "arena", "base": "arena.Base", "port": port, "retry_interval": 0.1, **told}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        python, "-I", PROGRAM, json.dumps(told), stdin=pipe, stdout=pipe, stderr=pipe, limit=1 << 26
    )
    try:
        one = Peer(process)
        assert await one.said() == "ready"
        yield one
    finally:
        process.kill()
        await process.communicate()

"""A small orchestrator: starts model nodes as processes, and announces them over a WebSocket when all of them listen.

That is kinder to the peer than life is: its client never meets a node that is still starting. Runs in the client's
environment; ends its nodes when its standard input ends.

    python -m benchmarks.peer.orchestrator NODE_PYTHON CODE_FOLDER IMPORT_FOLDER COUNT
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from typing import Any

import websockets

_HOST = "127.0.0.1"
_PATIENCE = 1500.0


def _kept_ports(count: int) -> list[socket.socket]:
    """Ports of this host that nobody else is given; they never listen, and the nodes may have them too."""
    kept = []
    for _ in range(count):
        port = socket.socket()
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        port.bind((_HOST, 0))
        kept.append(port)
    return kept


def _start(python: str, code: str, imports: str, port: int) -> subprocess.Popen[bytes]:
    command = [python, "-m", "model_runner.server", "--address", f"{_HOST}:{port}", "--code-directory", code]
    quiet = subprocess.DEVNULL
    environment = {**os.environ, "PYTHONPATH": imports}
    return subprocess.Popen(command, env=environment, stdin=quiet, stdout=quiet, stderr=quiet)


async def _listens(port: int, node: subprocess.Popen[bytes]) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection(_HOST, port)
        except OSError:
            if node.poll() is not None:
                raise SystemExit(f"a node ended with {node.returncode}") from None
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


def _announcement(index: int, port: int) -> dict[str, Any]:
    infos = {"model_name": f"model {index}", "cruncher_id": str(index), "cruncher_name": f"cruncher {index}"}
    return {
        "deployment_id": f"deployment-{index}",
        "model_id": f"model_{index}",
        "infos": infos,
        "state": "RUNNING",
        "ip": _HOST,
        "port": port,
    }


async def _serve(nodes: list[subprocess.Popen[bytes]], ports: list[int]) -> None:
    async with asyncio.timeout(_PATIENCE):
        for port, node in zip(ports, nodes, strict=True):
            await _listens(port, node)
    init = json.dumps({"event": "init", "data": [_announcement(*each) for each in enumerate(ports)]})

    async def announce(client: Any) -> None:
        await client.send(init)
        await client.wait_closed()

    async with websockets.serve(announce, _HOST, 0) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    """Start, announce, and end with the standard input."""
    python, code, imports, count = sys.argv[1:]
    kept = _kept_ports(int(count))
    ports = [port.getsockname()[1] for port in kept]
    nodes = [_start(python, code, imports, port) for port in ports]
    try:
        asyncio.run(_serve(nodes, ports))
    finally:
        for node in nodes:
            node.kill()
        for node in nodes:
            node.wait()


if __name__ == "__main__":
    main()

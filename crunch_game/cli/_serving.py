"""What the commands that serve models share: options, the process host, and how they end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Final

import anyio
import typer

from crunch_game.cli._output import escape, screen
from crunch_game.errors import ResourceError
from crunch_game.hosts.process import MAX_FRAME, ProcessHost
from crunch_game.sandbox import Sandbox
from crunch_game.workers import beside

Logs = Annotated[
    Path | None, typer.Option("--logs", help="The folder for what happens to models, and what they print.")
]
Sandboxed = Annotated[bool, typer.Option("--sandbox/--no-sandbox", help="Whether models run in the sandbox.")]
Network = Annotated[bool, typer.Option("--network", help="Let models in the sandbox use the network.")]
SetupTimeout = Annotated[float, typer.Option("--setup-timeout", min=0.1, help="Seconds for loading a model.")]
CallTimeout = Annotated[
    float,
    typer.Option("--call-timeout", min=0.1, help="Seconds after which a call is ended, and the model's process."),
]


GRACE_SECONDS: Final = 0.25
"""For calls under way when a server is told to end. It ends within a second, whatever its clients do."""
_STUCK_SECONDS: Final = 5.0
"""After which a server that has been told to end, and has not, can be interrupted."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def host_of(*, sandboxed: bool, network: bool, logs: Path | None) -> ProcessHost:
    """Return the host that models run in, and make the working directory importable, as `python -m` does.

    Raises:
        ResourceError: The folder for logs cannot be created.
    """
    if logs is not None:
        make_logs(logs)
    sys.path.insert(0, str(Path.cwd()))
    return ProcessHost(sandbox=Sandbox(network=network) if sandboxed else None, logs=logs, answer_limit=MAX_FRAME)


def make_logs(folder: Path) -> None:
    """Make the folder for logs, where there is none yet.

    Raises:
        ResourceError: It cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise ResourceError(
            f"the folder {str(folder)!r} cannot be made for the logs: {reason}; give another with --logs"
        ) from None


async def interrupted() -> None:
    """Wait for Ctrl-C or SIGTERM. A second Ctrl-C interrupts at once."""
    with anyio.open_signal_receiver(*_SIGNALS) as signals:
        async for _ in signals:
            return


async def until_told(serve: Callable[[], Awaitable[Any]]) -> None:
    """Run a server until Ctrl-C or SIGTERM, then cancel it, and wait until it has ended, which it shields.

    Further signals change nothing, since it is ending already; only if that takes long, one interrupts at once.
    """
    serving = anyio.CancelScope()

    async def listen() -> None:
        with anyio.open_signal_receiver(*_SIGNALS) as signals:
            async for _ in signals:
                break
            serving.cancel()
            await anyio.sleep(_STUCK_SECONDS)

    async with beside(listen):
        with serving:
            await serve()
    if serving.cancelled_caught:
        for each in _SIGNALS:  # whatever is left to do is the interpreter's, and must not end with a traceback
            signal.signal(each, signal.SIG_IGN)


def tell(sentence: str) -> None:
    """Print what happens to a model."""
    screen.print(escape(sentence), soft_wrap=True)

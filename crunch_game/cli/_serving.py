"""What the commands that serve models share: options, the process host, and Ctrl-C."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import anyio
import typer

from crunch_game.cli._output import escape, screen
from crunch_game.errors import ResourceError
from crunch_game.hosts.process import MAX_FRAME, ProcessHost
from crunch_game.sandbox import Sandbox

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


def host_of(*, sandboxed: bool, network: bool, logs: Path | None) -> ProcessHost:
    """Return the host that models run in, and make the working directory importable, as `python -m` does.

    Raises:
        ResourceError: The folder for logs cannot be created.
    """
    try:
        if logs is not None:
            logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise ResourceError(
            f"the folder {str(logs)!r} cannot be made for the logs: {reason}; give another with --logs"
        ) from None
    sys.path.insert(0, str(Path.cwd()))
    return ProcessHost(sandbox=Sandbox(network=network) if sandboxed else None, logs=logs, answer_limit=MAX_FRAME)


async def interrupted() -> None:
    """Wait for Ctrl-C or SIGTERM. A second Ctrl-C interrupts at once."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            return


def tell(sentence: str) -> None:
    """Print what happens to a model."""
    screen.print(escape(sentence), soft_wrap=True)

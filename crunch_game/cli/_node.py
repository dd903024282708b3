"""`crunch-game node`: serves one submission as a model node."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import anyio
import typer

from crunch_game.cli import _serving as serving
from crunch_game.errors import UsageError
from crunch_game.models import Submission
from crunch_game.sources import FileSource


def node(
    submission: Annotated[
        str, typer.Argument(metavar="SUBMISSION", help="A .py file, a folder with a main.py, or package.module:attr.")
    ],
    base: Annotated[str, typer.Option("--base", help="The game's base class: package.module.TrackerBase")],
    address: Annotated[str, typer.Option("--address", help="HOST:PORT to listen on, such as 127.0.0.1:50051")],
    credentials: Annotated[
        Path | None, typer.Option("--credentials", help="A folder with tls.crt, tls.key, ca.crt and cruncher_msg.json.")
    ] = None,
    model_id: Annotated[str | None, typer.Option("--model-id", help="The model's id; its name unless given.")] = None,
    logs: serving.Logs = None,
    sandbox: serving.Sandboxed = True,
    network: serving.Network = False,
    setup_timeout: serving.SetupTimeout = 60.0,
    call_timeout: serving.CallTimeout = 120.0,
) -> None:
    """Serve one submission as a model node of the CrunchDAO network, until Ctrl-C."""
    named = Submission.of(submission)
    if isinstance(named.source, FileSource) and named.source.place is None:
        raise UsageError(f"there is no submission at {submission!r}")
    host = serving.host_of(sandboxed=sandbox, network=network, logs=logs)
    named = replace(named, id=model_id or named.id)

    from crunch_game.crunchdao.node import ModelNode, NodeIdentity, Workplace
    from crunch_game.crunchdao.protocol import parsed, written

    where, port = parsed(address)
    identity = NodeIdentity.from_directory(credentials) if credentials is not None else None

    async def serve() -> None:
        async with Workplace(base, host=host, submissions=[named]) as workplace:
            node = ModelNode(
                named,
                workplace,
                identity=identity,
                setup_timeout=setup_timeout,
                call_timeout=call_timeout,
                tell=serving.tell,
            )
            await node.open(where, port)
            try:
                serving.tell(f"{named.id} is served at {written(where, node.port)}, as a {workplace.contract.name}")
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await node.close(serving.GRACE_SECONDS)

    anyio.run(serving.until_told, serve)

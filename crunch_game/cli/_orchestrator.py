"""`crunch-game orchestrator`: serves a folder of submissions as a local network, and shows a table of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from crunch_game import events
from crunch_game._quantities import counted
from crunch_game.cli import _serving as serving
from crunch_game.cli._output import screen
from crunch_game.cli._references import game_at
from crunch_game.rosters import DirectoryRoster

if TYPE_CHECKING:
    from crunch_game.crunchdao.dev import Deployment, DevOrchestrator

_COLORS = {"running": "green", "recovering": "yellow", "stopped": "red", "quarantined": "red"}
_BAD = (events.ModelStopped, events.ModelRestarted)


def orchestrator(
    game: Annotated[str, typer.Argument(metavar="GAME", help="package.module:game, or a file that has a `game`.")],
    models: Annotated[Path, typer.Option("--models", help="The folder of submissions; it is watched.")],
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="Where coordinators connect.")] = 9091,
    listen: Annotated[str, typer.Option("--listen", help="The address to listen on; it is not secured.")] = "127.0.0.1",
    announce: Annotated[
        str | None, typer.Option("--announce", help="The nodes' address that coordinators are told, if it is another.")
    ] = None,
    logs: serving.Logs = Path("logs"),
    sandbox: serving.Sandboxed = True,
    network: serving.Network = False,
    setup_timeout: serving.SetupTimeout = 60.0,
    call_timeout: serving.CallTimeout = 120.0,
) -> None:
    """Run a folder of models as a local CrunchDAO network, without Docker, until Ctrl-C."""
    from crunch_game.crunchdao.dev import DevOrchestrator

    described = game_at(game)
    roster = DirectoryRoster(models)
    roster.scan()
    board = FleetTable(screen)
    fleet = DevOrchestrator(
        described.name,
        described.contract,
        roster,
        host=listen,
        port=port,
        announce=announce,
        loader=described.loader,
        process_host=serving.host_of(sandboxed=sandbox, network=network, logs=logs),
        setup_timeout=setup_timeout,
        call_timeout=call_timeout,
        logs=logs,
        on_event=board.hear,
    )

    async def run() -> None:
        async with fleet:
            with board.of(fleet):
                await anyio.sleep_forever()

    anyio.run(serving.until_told, run)


class FleetTable:
    """A table of an orchestrator's models, on the screen. `hear` is to be the orchestrator's `on_event`."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._fleet: DevOrchestrator | None = None

    def of(self, fleet: DevOrchestrator) -> Live:
        """Return a context in which this orchestrator is shown."""
        self._fleet = fleet
        url = f"ws://{fleet.host}:{fleet.port}/{fleet.crunch_id}"
        self._console.print(f"[bold]{escape(url)}[/]   (Ctrl-C ends it)", soft_wrap=True)
        return Live(get_renderable=self._table, console=self._console, refresh_per_second=4)

    def hear(self, event: Any) -> None:
        """Print an event above the table. Events before the table is shown are not printed: its rows show them."""
        if self._fleet is not None:
            color = "red" if isinstance(event, _BAD) else "dim"
            self._console.print(f"[{color}]{escape(str(event))}[/]", soft_wrap=True)

    def _table(self) -> Table:
        assert self._fleet is not None
        caption = f"{counted(self._fleet.coordinators, 'coordinator')} connected"
        table = Table(
            box=None, pad_edge=False, padding=(0, 2, 0, 0), caption=caption, caption_justify="left", expand=True
        )
        # Without `expand`, rich ignores `ratio` and narrows all columns alike.
        table.add_column("model", no_wrap=True, max_width=self._console.width // 3)
        for name in ("state", "node"):
            table.add_column(name, no_wrap=True)
        for name in ("calls", "failed"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("what happened last", ratio=1, no_wrap=True, overflow="ellipsis")
        for model in sorted(self._fleet.models.values(), key=lambda model: model.id):
            table.add_row(*_row(model))
        return table


def _row(model: Deployment) -> list[str]:
    served = ["-", "-", "-"]
    if model.node is not None:
        announced, service = model.announcement, model.node.service
        served = [f"{announced.ip}:{announced.port}", f"{service.calls:,}", f"{service.failures:,}"]
    return [escape(model.id), f"[{_COLORS[model.stage]}]{model.stage}[/]", *served, escape(model.last_note)]

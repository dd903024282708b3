"""`crunch-game events`: what happened in a game, from its store, also as it happens."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from crunch_game import events as told
from crunch_game.cli import _output as output
from crunch_game.cli._boards import StoreUrl
from crunch_game.cli._output import escape, screen
from crunch_game.cli.asking._shown import event_line, time_of
from crunch_game.errors import StoreUnavailable, UsageError
from crunch_game.storage import EventRecord, Store, as_document, open_store

_POLL_SECONDS: Final = 0.5
_TROUBLE: Final = {kind.__name__ for kind in told.TROUBLE}


def events(
    store: StoreUrl,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with what happens from now on, until Ctrl-C.")
    ] = False,
    since: Annotated[str | None, typer.Option("--since", help='How far back ("1d"), or a time, UTC.')] = None,
    model_id: Annotated[str | None, typer.Option("--model", help="Only what is about this model.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also that each row was told, each round played.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document on stdout; with --follow, one on each line.")
    ] = False,
) -> None:
    """Show what happened in a game that is, or was, played: the last 50 events, or those since a time."""
    start = None if since is None else time_of(since, datetime.now(UTC), "--since")
    which: dict[str, Any] = {"model_id": model_id, "each_time": everything}
    with open_store(store, create=False) as opened:
        if not opened.keeps_log:
            raise UsageError("the store keeps no events")
        found = opened.events(since=start, last=50 if start is None else None, **which)
        if as_json and not follow:
            shown = [{"number": number, **as_document(event)} for number, event in found]
            output.print_json({"game": (opened.noted("game") or {}).get("name"), "events": shown})
            return
        try:
            _print_events(found, as_json=as_json)
            if follow:
                newest = opened.events(last=1)
                for more in _following(opened, max([number for number, _ in [*found, *newest]], default=0), which):
                    _print_events(more, as_json=as_json)
        except BrokenPipeError:  # whoever read this has enough, as `head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())  # type: ignore[union-attr]
        except KeyboardInterrupt:
            raise typer.Exit(130) from None


def _following(store: Store, after: int, which: Mapping[str, Any]) -> Iterator[list[tuple[int, EventRecord]]]:
    """Yield what is new, for good. A store that cannot be read for a while is told of once."""
    is_away = False
    while True:
        try:
            found = store.events(after, **which)
        except StoreUnavailable as error:
            if not is_away:
                output.warn(f"{error}; it is tried again")
            is_away, found = True, []
        else:
            is_away = False
        if found:
            after = found[-1][0]
            yield found
        time.sleep(_POLL_SECONDS)


def _print_events(found: Sequence[tuple[int, EventRecord]], *, as_json: bool) -> None:
    for number, event in found:
        if as_json:
            output.print_line({"number": number, **as_document(event)})
        else:
            style = "yellow" if event.kind in _TROUBLE else None
            screen.print(escape(event_line(as_document(event))), style=style, soft_wrap=True)

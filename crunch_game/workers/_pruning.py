"""Which old records of a store nobody needs any more, by what its workers say of their game; and deleting them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from crunch_game.game import Game
from crunch_game.storage import PRUNED, Correction, PruneBounds
from crunch_game.storage.base import Store
from crunch_game.workers.settling import CORRECTED, OF_ROUNDS

_NEEDS: Final = "needs-{}"
"""The note of what a worker needs, by its kind."""
_FORMAT: Final = 1
_SILENCE: Final = timedelta(seconds=30)
"""After which a worker that gives no sign of life is taken to have ended."""
_LEAST_PAUSE: Final = 0.01
"""Seconds between two steps."""


@dataclass(frozen=True)
class PrunePlan:
    """What is deleted, and what is not though it is old.

    Attributes:
        bounds: What is deleted.
        kept: Sentences: what else is as old, and is kept, and why.
        newest: The time of the newest row, which the age of rows and rounds is counted from.
    """

    bounds: PruneBounds
    kept: tuple[str, ...]
    newest: datetime | None


def note_needs(store: Store, game: Game, kind: str) -> None:
    """Note what a worker needs of the past, for `prune`. It does so when it begins, after it has taken the lease.

    Args:
        store: The store.
        game: The worker's game.
        kind: "predict" or "score".
    """
    history = None if game.history is None else game.history.total_seconds()
    if kind == "predict":
        told = [each.total_seconds() for each in (game.history, game.warmup) if each is not None]
        needs: dict[str, Any] = {"rows": min(told, default=None)}
    else:
        lengths = {
            f"{board.name}/{name}": length.total_seconds() if isinstance(length, timedelta) else None
            for board in game.boards
            for name, length in board.lengths().items()
        }
        needs = {"history": history, "windows": lengths}
    store.note(_NEEDS.format(kind), {"format": _FORMAT, "written": datetime.now(UTC).isoformat(), **needs})


def plan_pruning(store: Store, older: timedelta, now: datetime) -> PrunePlan:
    """Return what of a store can be deleted, so that its game goes on as if it were still there.

    Args:
        store: The store.
        older: How old it is at least: rows and rounds by the newest row, events by the wall clock.
        now: The wall clock; aware, UTC.
    """
    kept: list[str] = []
    newest = store.last_row()
    log = now - older
    if newest is None:
        return PrunePlan(PruneBounds(log=log), ("everything but events: there are no rows yet",), None)
    needs = {kind: _needs_of(store, kind, now) for kind in ("predict", "score")}
    for kind, said in needs.items():
        if isinstance(said, str):
            kept.append(f"{'rounds and rows' if kind == 'score' else 'rows'}: {said}")
    rounds = rows = None
    if not isinstance(score := needs["score"], str):
        rounds = _rounds_before(store, score, newest.time, older, kept)
        if not isinstance(predict := needs["predict"], str):
            rows = _rows_before(store, score, predict, newest.time, rounds, kept)
    return PrunePlan(PruneBounds(rounds=rounds, rows=rows, log=log), tuple(kept), newest.time)


def _needs_of(store: Store, kind: str, now: datetime) -> Mapping[str, Any] | str:
    """What a worker has noted, or why that is not known."""
    noted, lease = store.noted(_NEEDS.format(kind)), store.lease(kind)
    if noted is None:
        return f"no {kind} worker has noted what it needs; let one of this version play on the store first"
    if noted.get("format") != _FORMAT:
        return f"the {kind} worker is of another version: what it has noted is not understood"
    runs = lease is not None and now - lease.beat <= _SILENCE
    if lease is not None and runs and datetime.fromisoformat(noted["written"]) < lease.since:
        return f"the {kind} worker (process {lease.pid} on {lease.host}) has not noted what it needs; try again later"
    return noted


def _rounds_before(
    store: Store, score: Mapping[str, Any], newest: datetime, older: timedelta, kept: list[str]
) -> datetime | None:
    """The time before which rounds can go."""
    cut = newest - older
    if not score["windows"]:
        kept.append("rounds and rows: the game has no windows, and looks back at every round")
        return None
    endless = sorted(name for name, length in score["windows"].items() if length is None)
    if endless:
        kept.append(f"rounds and rows: the window {endless[0]} is one of rounds, and looks back as far as it must")
        return None
    name, length = max(score["windows"].items(), key=lambda each: each[1])
    if newest - timedelta(seconds=length) < cut:
        cut = newest - timedelta(seconds=length)
        kept.append(f"rounds that resolve from {_shown(cut)} on: the window {name} looks back so far")
    done = (store.noted(CORRECTED) or {}).get("number", 0)
    for number, correction in store.corrections(done):
        if correction.verb in OF_ROUNDS:
            kept.append(f"rounds and rows: correction {number} ({correction.verb}) is not carried out yet")
            return None
    waiting = next(iter(store.due(None, newest)), None)
    if waiting and waiting[0].resolves_at < cut:
        cut = waiting[0].resolves_at
        kept.append(f"rounds that resolve from {_shown(cut)} on: those of {waiting[0].key} wait for their truth")
    return cut


def _rows_before(
    store: Store,
    score: Mapping[str, Any],
    predict: Mapping[str, Any],
    newest: datetime,
    rounds: datetime | None,
    kept: list[str],
) -> datetime | None:
    """The time before which rows can go. Each round that is kept could be resolved once more."""
    if rounds is None:
        return None
    if score["history"] is None or predict["rows"] is None:
        kept.append("rows: `resolve` may look up any of them; give the game a history=, then old ones can go")
        return None
    history = timedelta(seconds=score["history"])
    found = store.looked_up_from(rounds, history)
    told = newest - timedelta(seconds=predict["rows"])
    if found is None:
        kept.append("rows: the game's history= reaches from what is kept to the first row")
        return None
    _, oldest = found
    if told < oldest:
        kept.append(f"rows from {_shown(told)} on: a fresh model is told these")
    return min(oldest, told)


def prune(
    store: Store,
    plan: PrunePlan,
    asked: Correction,
    on_step: Callable[[Mapping[str, int]], object] = lambda counts: None,
) -> dict[str, int]:
    """Delete what is planned: bit by bit, with pauses as long as the steps, for a game that is played meanwhile.

    Whoever is killed amid it has deleted a part; the next one goes on from there.

    Args:
        store: The store.
        plan: What is deleted.
        asked: Who asks for it, and why; it is appended to the corrections first.
        on_step: Called after each step with how many records it has deleted, by kind.

    Returns:
        How many of each kind, and "bytes": what was given back to the file system.
    """
    number = store.correct(asked) if store.keeps_corrections else 0
    _note_pruned(store, plan.bounds, number)
    total: dict[str, int] = {}
    for counts in _in_turns(lambda: store.prune(plan.bounds)):
        for kind, count in counts.items():
            total[kind] = total.get(kind, 0) + count
        on_step(counts)
    for freed in _in_turns(store.give_back):
        total["bytes"] = total.get("bytes", 0) + freed
    return total


def _in_turns(step: Callable[[], Any]) -> Iterator[Any]:
    while True:
        began = time.monotonic()
        done = step()
        if not done:
            return
        yield done
        time.sleep(max(_LEAST_PAUSE, time.monotonic() - began))


def _note_pruned(store: Store, bounds: PruneBounds, number: int) -> None:
    """Note it before it is done: whoever reads meanwhile, or after a kill, knows what may be gone."""
    before = store.noted(PRUNED) or {}
    after = {"rounds": bounds.rounds, "rows": bounds.rows, "log": bounds.log}
    latest = {
        name: max(filter(None, (before.get(name), moment and moment.astimezone(UTC).isoformat())), default=None)
        for name, moment in after.items()
    }
    store.note(PRUNED, {**latest, "number": number})


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"

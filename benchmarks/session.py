"""One run: every measurement in a fresh process, the sides taking turns, and the document that comes of it."""

from __future__ import annotations

import os
import platform
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from benchmarks.apart import Broken, apart
from benchmarks.peer.install import python_of
from benchmarks.rows import SIDES, Measure, Row, Side

__all__ = ["Measured", "document", "measure"]

Measured = dict[str, dict[str, dict[str, list[float]]]]
"""measurement → side → quantity → its value in each repeat."""


def measure(
    chosen: Sequence[Measure], repeat: int, peers: bool, tell: Callable[[str], None]
) -> tuple[Measured, list[str]]:
    """Make the measurements: peer, floor, ours, peer, floor, ours, ...; and what is to be said about them.

    A peer that fails is left out of that measurement, and a measurement whose nodes do not start is left out.

    Raises:
        Broken: One of the other sides failed.
    """
    measured: Measured = {}
    notes: list[str] = []
    for one in chosen:
        sides = [side for side in SIDES if side in one.sides and (peers or side != "peer")]
        with ExitStack() as stack:
            further: Mapping[str, Any] = {}
            if one.nodes is not None:
                tell(f"{one.name}, its nodes start")
                try:
                    further = stack.enter_context(one.nodes())
                except Broken as error:
                    tell(str(error))
                    notes.append(f"{one.name} is left out: {error}")
                    continue
            measured[one.name], failed = _turns(one, sides, further, repeat, tell)
        notes += failed
        _agree(one.name, measured[one.name])
    return measured, notes


def _turns(
    one: Measure, sides: Sequence[Side], further: Mapping[str, Any], repeat: int, tell: Callable[[str], None]
) -> tuple[dict[str, dict[str, list[float]]], list[str]]:
    found: dict[str, dict[str, list[float]]] = {side: {} for side in sides}
    notes: list[str] = []
    for turn, side in ((turn, side) for turn in range(repeat) for side in sides):
        tell(f"{one.name}, {side}, {turn + 1} of {repeat}")
        place, arguments = one.sides[side]
        try:
            numbers = apart(
                place, {**arguments, **further}, str(python_of(one.peer)) if side == "peer" else sys.executable
            )
        except Broken as error:
            if side != "peer":
                raise
            tell(str(error))
            notes.append(f"the peer failed in run {turn + 1} of {one.name}")
            continue
        for quantity, value in numbers.items():
            found[side].setdefault(quantity, []).append(value)
    return {side: numbers for side, numbers in found.items() if numbers}, notes


def _agree(name: str, sides: dict[str, dict[str, list[float]]]) -> None:
    """Refuse numbers of sides that did not do the same: who adds up what it was sent must come to the same."""
    totals = {total for numbers in sides.values() for total in numbers.get("total", ())}
    if totals and max(totals) - min(totals) > 1e-9 * max(totals):
        raise Broken(f"{name}: what arrived was not the same for all: {totals}")


def document(
    measured: Measured, rows: Sequence[Row], repeat: int, notes: Sequence[str], load: float = 0.0
) -> dict[str, Any]:
    """All that a run came to, as JSON holds it; `load` is what the machine was busy with before it began."""
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "load": round(load, 1),
        "repeat": repeat,
        "notes": list(notes),
        "rows": [_line(row, measured[row.measure]) for row in rows if row.measure in measured],
        "growth": _growth(measured),
        "measured": measured,
    }


def _line(row: Row, sides: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    found = {side: _spread(numbers[row.metric]) for side, numbers in sides.items() if row.metric in numbers}
    ours, floor, peer = (found.get(side, {}).get("median") for side in ("ours", "floor", "peer"))
    times_floor = ours / floor if ours and floor else None
    limits = [(ours, row.most), (times_floor, row.most_of_floor)]
    kept = [value <= most for value, most in limits if value is not None and most is not None]
    return {
        "title": row.title,
        "unit": row.unit,
        **{side: found.get(side) for side in SIDES},
        "most": row.most,
        "most_of_floor": row.most_of_floor,
        "times_floor": times_floor,
        "peer_times_ours": peer / ours if ours and peer else None,
        "met": all(kept) if kept else None,
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


_GROWS = ("start_s", "memory_mib", "round_ms", "round_p10_ms", "round_p90_ms", "cpu_us")


def _growth(measured: Measured) -> list[dict[str, Any]]:
    """What grows with the number of models, by that number: medians over the repeats."""
    grown = []
    for name, sides in measured.items():
        if name == "rounds" or name.startswith("growth-"):
            [models] = {int(numbers["models"][0]) for numbers in sides.values()}
            medians = {
                side: {quantity: statistics.median(numbers[quantity]) for quantity in _GROWS}
                for side, numbers in sides.items()
            }
            grown.append({"models": models, **medians})
    return sorted(grown, key=lambda line: line["models"])

"""A run's document as Markdown: the table, how the cost grows, and the short form for the README."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["growth", "heading", "page", "short", "table"]

_PEER = "model-runner-client 0.14.0 + crunch-model-runner 0.4.2"
_SHORT = 6
"""So many of the first rows stand in the README."""


def page(run: Mapping[str, Any]) -> str:
    """All of it."""
    parts = [heading(run)]
    if run["rows"]:
        parts.append(table(run))
    if run["growth"]:
        parts += ["How the cost grows with the number of models:", growth(run)]
    return "\n\n".join(parts)


def heading(run: Mapping[str, Any]) -> str:
    """How the numbers came about, in a sentence."""
    several = f"medians of {run['repeat']} alternating runs, with the lowest and the highest"
    repeats = several if run["repeat"] > 1 else "one run"
    told = [
        f"{run['cores']} cores (load before the run: {run['load']:g}), {run['system']}, Python {run['python']}, "
        f"{run['when']}; {repeats}."
    ]
    if any("peer" in sides for sides in run["measured"].values()):
        told.append(f"Peer: {_PEER}.")
    return " ".join([*told, *(f"{note[0].upper()}{note[1:]}." for note in run["notes"])])


def table(run: Mapping[str, Any]) -> str:
    """Every row, with its limit and the ratios."""
    lines = [
        "| | peer | floor | crunch_game | limit | crunch_game ÷ floor | peer ÷ crunch_game |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in run["rows"]:
        sides = [_spread(row[side], row["unit"]) for side in ("peer", "floor", "ours")]
        ratios = [_times(row["times_floor"]), _times(row["peer_times_ours"])]
        lines.append(_line([row["title"], *sides, _limit(row), *ratios]))
    return "\n".join(lines)


def growth(run: Mapping[str, Any]) -> str:
    """What grows with the number of models."""
    lines = [
        "| models | | start | memory per model | round: median (p10 to p90) | coordinator CPU per call |",
        "|---|---|---|---|---|---|",
    ]
    for grown in run["growth"]:
        for side, name in (("peer", "peer"), ("floor", "floor"), ("ours", "crunch_game")):
            if side in grown:
                numbers = grown[side]
                spread = f"({_short(numbers['round_p10_ms'])} to {_short(numbers['round_p90_ms'])})"
                lines.append(
                    _line(
                        [
                            f"{grown['models']:,}",
                            name,
                            f"{_short(numbers['start_s'])} s",
                            f"{_short(numbers['memory_mib'])} MiB",
                            f"{_short(numbers['round_ms'])} ms {spread}",
                            f"{_short(numbers['cpu_us'])} µs",
                        ]
                    )
                )
    return "\n".join(lines)


def short(run: Mapping[str, Any]) -> str:
    """The first rows, medians only."""
    lines = ["| | peer | floor | crunch_game |", "|---|---|---|---|"]
    for row in run["rows"][:_SHORT]:
        sides = [f"{_short(row[side]['median'])} {row['unit']}" if row[side] else "" for side in _SIDES]
        lines.append(_line([row["title"], *sides]))
    told = (
        f"On {run['cores']} cores, each model in a process of its own with numpy imported. The peer is CrunchDAO's\n"
        "`model-runner-client` with `crunch-model-runner`; the floor does the same over bare socketpairs, without\n"
        "budgets, checks or outcomes (`make bench`, medians; [all numbers](docs/performance.md)):"
    )
    return "\n\n".join([told, "\n".join(lines)])


_SIDES: Sequence[str] = ("peer", "floor", "ours")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _spread(value: Mapping[str, float] | None, unit: str) -> str:
    if value is None:
        return ""
    median, low, high = (_short(value[name]) for name in ("median", "low", "high"))
    return f"{median} {unit}" if low == high else f"{median} {unit} ({low} to {high})"


def _limit(row: Mapping[str, Any]) -> str:
    limits = [f"≤ {row['most']:g} {row['unit']}"] if row["most"] is not None else []
    limits += [f"≤ {row['most_of_floor']:g} × floor"] if row["most_of_floor"] is not None else []
    return ", ".join(limits) + (": missed" if row["met"] is False else "")


def _times(ratio: float | None) -> str:
    return f"{_short(ratio)} ×" if ratio is not None else ""


def _short(value: float) -> str:
    """Three digits that matter, and no more."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"

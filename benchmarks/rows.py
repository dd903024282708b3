"""What is measured, and the rows of the table: one measurement gives several, as peer, floor and ours alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from benchmarks.peer.nodes import nodes

__all__ = ["FULL", "SIDES", "TINY", "Measure", "Row", "Side", "Sizes", "measures", "rows"]

Side = Literal["peer", "floor", "ours"]
SIDES: Sequence[Side] = ("peer", "floor", "ours")
"""In the order in which they take turns."""


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    models: int = 100
    rounds: int = 200
    peer_rounds: int = 50
    growth: Sequence[int] = (1, 10, 300, 1000)
    growth_rounds: int = 50
    peer_models: int = 100
    receivers: int = 10
    payload: int = 10_000
    payload_rounds: int = 50
    predictions: int = 1000
    saves: int = 50
    inline_models: int = 10
    inline_rows: int = 500
    spinning: int = 10
    budget: float = 0.5
    limit: int = 8
    demo_models: int = 1000
    demo_rounds: int = 100
    nodes: Sequence[int] = (1, 10, 50)
    node_rounds: int = 50
    asks: int = 13
    slots: int = 50
    scored: int = 100_000
    scored_by_peer: int = 5_000
    components: Sequence[int] = (1, 2, 5)
    board_models: int = 1000
    board_rounds: int = 2016
    told_rows: int = 10_000
    joining_rows: int = 100_000
    joining_seconds: float = 60.0


FULL = Sizes()
TINY = Sizes(
    2, 2, 2, (3,), 2, 2, 2, 10, 2, 10, 2, 2, 3, 1, 0.2, 1, 5, 3, (2,), 2, 3, 2, 20, 5, (2,), 2, 12, 20, 20, 12.0
)
"""For tests: everything runs, and no number means anything."""


@dataclass(frozen=True)
class Measure:
    """One measurement: for each side that makes it, the function ("module:name") and its arguments."""

    name: str
    sides: Mapping[Side, tuple[str, dict[str, Any]]]
    nodes: Callable[[], AbstractContextManager[Mapping[str, Any]]] | None = None
    """Model nodes that are there while the sides take turns; gives further arguments, which tell where."""
    peer: str = "client"
    """The environment in which the peer is."""


@dataclass(frozen=True)
class Row:
    """One quantity, and what it should be at most: an absolute number, and a multiple of the floor."""

    title: str
    measure: str
    metric: str
    unit: str
    most: float | None = None
    most_of_floor: float | None = None


def measures(sizes: Sizes) -> list[Measure]:
    """Every measurement, in the order in which they are made."""
    small = {"models": sizes.receivers, "size": sizes.payload, "rounds": sizes.payload_rounds}
    saved = {"predictions": sizes.predictions, "rounds": sizes.saves}
    inline = {"models": sizes.inline_models, "rows": sizes.inline_rows}
    spinning = {
        "models": sizes.models,
        "spinning": sizes.spinning,
        "budget": sizes.budget,
        "limit": sizes.limit,
        "rounds": sizes.growth_rounds,
    }
    demo = {"models": sizes.demo_models, "rounds": sizes.demo_rounds}
    board = {"models": sizes.board_models, "rounds": sizes.board_rounds}
    slot = {"models": sizes.models, "asks": sizes.asks, "rounds": sizes.slots}
    return [
        _rounds("rounds", sizes.models, sizes.rounds, sizes),
        Measure("slot", {"floor": ("benchmarks.floor:slot", slot), "ours": ("benchmarks.runner:slot", slot)}),
        *(_rounds(f"growth-{count}", count, sizes.growth_rounds, sizes) for count in sizes.growth),
        _payload("floats", small),
        _payload("frame", small),
        Measure("storage", {"floor": ("benchmarks.storage:floor", saved), "ours": ("benchmarks.storage:ours", saved)}),
        Measure(
            "storage-copy",
            {"floor": ("benchmarks.storage:copied", saved), "ours": ("benchmarks.storage:postgres", saved)},
        ),
        Measure(
            "storage-many",
            {"floor": ("benchmarks.storage:many", saved), "ours": ("benchmarks.storage:postgres", saved)},
        ),
        Measure(
            "eventlog",
            {
                "floor": ("benchmarks.eventlog:without", {"models": sizes.models, "rounds": sizes.rounds}),
                "ours": ("benchmarks.eventlog:kept", {"models": sizes.models, "rounds": sizes.rounds}),
            },
        ),
        Measure("backtest", {"floor": ("benchmarks.inline:floor", inline), "ours": ("benchmarks.inline:ours", inline)}),
        *(_scoring(count, sizes) for count in sizes.components),
        Measure(
            "board", {"floor": ("benchmarks.boards:rebuilt", board), "ours": ("benchmarks.boards:one_more", board)}
        ),
        Measure("start", {"floor": ("benchmarks.start:selected", board), "ours": ("benchmarks.start:loaded", board)}),
        Measure("start-beside", {"ours": ("benchmarks.start:beside", {**board, "players": sizes.models})}),
        Measure(
            "warmup",
            {
                "floor": ("benchmarks.warmup:floor", {"models": sizes.models, "rows": sizes.told_rows}),
                "ours": ("benchmarks.warmup:told", {"models": sizes.models, "rows": sizes.told_rows}),
            },
        ),
        Measure(
            "warmup-beside",
            {
                "ours": (
                    "benchmarks.warmup:beside",
                    {
                        "models": sizes.models,
                        "rows": sizes.joining_rows,
                        "players": sizes.receivers,
                        "seconds": sizes.joining_seconds,
                    },
                )
            },
        ),
        Measure("spinners", {"ours": ("benchmarks.spinners:spinners", spinning)}),
        Measure("demo", {"ours": ("benchmarks.demo:demo", demo)}),
        *(_network(count, sizes.node_rounds) for count in sizes.nodes),
    ]


def _rounds(name: str, models: int, rounds: int, sizes: Sizes) -> Measure:
    asked = {"models": models, "rounds": rounds}
    sides: dict[Side, tuple[str, dict[str, Any]]] = {
        "floor": ("benchmarks.floor:rounds", asked),
        "ours": ("benchmarks.runner:rounds", asked),
    }
    if models <= sizes.peer_models:
        peers = {"models": models, "rounds": min(rounds, sizes.peer_rounds)}
        sides["peer"] = ("benchmarks.peer.coordinator:rounds", peers)
    return Measure(name, sides)


def _payload(kind: str, asked: dict[str, Any]) -> Measure:
    asked = {"kind": kind, **asked}
    return Measure(
        kind,
        {
            "peer": ("benchmarks.peer.coordinator:payload", asked),
            "floor": ("benchmarks.floor:payload", asked),
            "ours": ("benchmarks.payloads:payload", asked),
        },
    )


def _scoring(components: int, sizes: Sizes) -> Measure:
    asked = {"answers": sizes.scored, "components": components}
    by_peer = {**asked, "answers": sizes.scored_by_peer}
    sides: dict[Side, tuple[str, dict[str, Any]]] = {
        "peer": ("benchmarks.peer.scoring:grid", by_peer),
        "floor": ("benchmarks.scoring:floor", asked),
        "ours": ("benchmarks.scoring:ours", asked),
    }
    return Measure(f"scoring-{components}", sides, peer="synth")


def _network(models: int, rounds: int) -> Measure:
    asked = {"models": models, "rounds": rounds}
    sides: dict[Side, tuple[str, dict[str, Any]]] = {
        "peer": ("benchmarks.peer.coordinator:network", asked),
        "ours": ("benchmarks.network:rounds", asked),
    }
    return Measure(f"network-{models}", sides, partial(_announced, models))


@contextmanager
def _announced(models: int) -> Iterator[Mapping[str, Any]]:
    with nodes("density", models) as (port, _):
        yield {"port": port}


def rows(sizes: Sizes) -> list[Row]:
    """The table, in the order of its rows; the limits are those of the full sizes."""
    most = sizes.growth[-1]
    models, many, big = f"{sizes.models:,}", f"{most:,}", f"{sizes.payload:,}"
    demo = f"{sizes.demo_models:,} models, {sizes.demo_rounds:,} rounds of the demo game"
    others = f"{sizes.models - sizes.spinning:,}"
    board = f"{sizes.board_models:,} models on a board of {sizes.board_rounds:,} rounds"
    last = f"growth-{most}"
    told = [
        Row(f"start {models} isolated models", "rounds", "start_s", "s", 1.5),
        Row(f"memory per model at {models} (PSS)", "rounds", "memory_mib", "MiB", 5),
        Row(f"round (tick + predict), {models} models", "rounds", "round_ms", "ms", 6, 4),
        Row(f"coordinator CPU per call, {models} models", "rounds", "cpu_us", "µs", 20),
        Row(f"start {many} isolated models", last, "start_s", "s", 10),
        Row(f"round (tick + predict), {many} models", last, "round_ms", "ms", 120),
        Row(f"a slot of {sizes.asks} asks to {models} models, batched", "slot", "slot_ms", "ms"),
        Row(f"the same, {sizes.asks} calls one after the other", "slot", "apart_ms", "ms"),
        Row("the same, batched, in rounds (tick + predict)", "slot", "slot_rounds", "rounds", 4),
        Row("coordinator CPU per call of it, batched", "slot", "cpu_us", "µs", 20),
        Row(f"tick of {big} floats to {sizes.receivers} models", "floats", "round_ms", "ms", 6),
        Row(f"tick of a {big} × 5 DataFrame to {sizes.receivers} models", "frame", "round_ms", "ms", 6),
        Row(f"{sizes.predictions:,} predictions stored (SQLite, durable)", "storage", "round_ms", "ms", 25),
        Row(
            f"{sizes.predictions:,} predictions stored (PostgreSQL; floor: COPY)",
            "storage-copy",
            "round_ms",
            "ms",
            None,
            2.5,
        ),
        Row(
            f"{sizes.predictions:,} predictions stored (PostgreSQL; floor: executemany)",
            "storage-many",
            "round_ms",
            "ms",
            None,
            2.5,
        ),
        *(
            Row(f"{what}, {models} models, with its events (floor: without)", "eventlog", metric, unit, None, most)
            for what, metric, unit, most in (
                ("a row told, three predictions asked for, stored", "row_ms", "ms", None),
                ("the same, 90th percentile", "row_p90_ms", "ms", None),
                ("the same, coordinator CPU", "cpu_ms", "ms", 1.1),
                ("the same, on the disk", "row_kib", "KiB", None),
            )
        ),
        Row("backtest: one call inline, checked", "backtest", "call_us", "µs", 25),
        Row("backtest: the same with keeping, scoring and ranking", "backtest", "whole_us", "µs"),
        *(
            Row(
                f"CRPS of {sizes.scored:,} answers, {count} normals each: {what}",
                f"scoring-{count}",
                metric,
                "µs",
                None,
                most,
            )
            for count in sizes.components
            for what, metric, most in (
                ("from stored text", "stored_us", None),
                ("from dicts", "dicts_us", None),
                ("from arrays", "arrays_us", 2),
            )
        ),
        Row(f"one more round of {board}, with standings (floor: rebuilding it)", "board", "round_ms", "ms", 20),
        Row(f"memory of a process with {board} (PSS)", "board", "board_mib", "MiB", 300),
        Row(f"{board}, from a store at a start (floor: SELECT of its rows)", "start", "start_s", "s", None, 3),
        Row("memory of that process (PSS)", "start", "start_mib", "MiB", 300),
        Row(
            f"a live round (tick + predict) of {models} models, alone, 90th percentile",
            "start-beside",
            "alone_ms",
            "ms",
        ),
        Row("the same while the board is loaded in its process", "start-beside", "loading_ms", "ms"),
        Row(f"{sizes.told_rows:,} rows told to {models} fresh models", "warmup", "told_s", "s"),
        Row("the same, coordinator CPU for each row and model", "warmup", "cpu_us", "µs", 10),
        Row(
            f"{models} models join a live game, {sizes.joining_rows:,} rows each: until all play",
            "warmup-beside",
            "joined_s",
            "s",
        ),
        Row("the same: of its rounds, one a second, played in time", "warmup-beside", "in_time", "%"),
        Row("the same: a round of who plays, 90th percentile", "warmup-beside", "round_p90_ms", "ms"),
        Row(
            f"{sizes.spinning} of {models} spin: the slowest call, of its budget",
            "spinners",
            "slowest_of_budget",
            "%",
            110,
        ),
        Row(f"{sizes.spinning} of {models} spin: all others have answered after", "spinners", "others_ms", "ms"),
        Row(f"those are stopped: round of the other {others}", "spinners", "after_ms", "ms"),
        Row("those are stopped: compared with a round without them", "spinners", "after_of_without", "%"),
        Row(f"{demo}: time", "demo", "game_s", "s"),
        Row(f"{demo}: most memory of all processes (PSS)", "demo", "peak_mib", "MiB"),
        Row(f"{demo}: predictions answered", "demo", "answered", "%"),
        *(
            Row(f"the peer's model nodes, {count:,}: {what}", f"network-{count}", metric, unit)
            for count in sizes.nodes
            for what, metric, unit in (
                ("round (tick + predict)", "round_ms", "ms"),
                ("coordinator CPU per call", "cpu_us", "µs"),
            )
        ),
    ]
    return told if sizes == FULL else [replace(row, most=None, most_of_floor=None) for row in told]

"""The command: measures, prints the table, and writes it where it is told to.

make bench                           every row, peers included; writes benchmarks/results.json and .md
make bench ONLY="rounds storage" REPEAT=1
python -m benchmarks --help
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import pages, table
from benchmarks.apart import ROOT, Broken
from benchmarks.peer.install import Unavailable, install
from benchmarks.rows import FULL, TINY, Measure, measures, rows
from benchmarks.session import document, measure
from crunch_game import MissingExtra

_RESULTS = ROOT / "benchmarks"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, or read what was measured; write; print."""
    options = _options(arguments)
    run = json.loads(options.show.read_text(encoding="utf-8")) if options.show else _run(options)
    whole = not (options.show or options.only or options.tiny)
    if out := options.out or (_RESULTS if whole else None):
        out.mkdir(parents=True, exist_ok=True)
        (out / "results.json").write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
        (out / "results.md").write_text(table.page(run) + "\n", encoding="utf-8")
    if options.pages:
        pages.write(run)
    print(table.page(run))


def _run(options: argparse.Namespace) -> dict[str, Any]:
    sizes, load = TINY if options.tiny else FULL, os.getloadavg()[0]
    chosen = _chosen(measures(sizes), options.only)
    peers = not options.no_peers and any("peer" in one.sides for one in chosen)
    notes: list[str] = []
    if peers:
        try:
            install("node", *sorted({one.peer for one in chosen}))
        except Unavailable as error:
            peers = False
            notes.append(f"the peers are left out: {error}")
    if any(one.nodes for one in chosen) and (why := _without_nodes(peers)):
        chosen = [one for one in chosen if one.nodes is None]
        notes.append(f"the rows of model nodes are left out: {why}")
    for note in notes:
        _tell(note)
    try:
        measured, further = measure(chosen, options.repeat, peers, _tell)
    except Broken as error:
        raise SystemExit(str(error)) from None
    return document(measured, rows(sizes), options.repeat, [*notes, *further], load)


def _chosen(every: Sequence[Measure], only: Sequence[str]) -> list[Measure]:
    """Those that were asked for; "growth" is all that begin so, and `rounds`, which belongs to them."""
    known = {one.name for one in every} | {one.name.partition("-")[0] for one in every}
    if unknown := [name for name in only if name not in known]:
        raise SystemExit(f"nothing is called {' or '.join(unknown)}; there is {', '.join(one.name for one in every)}")
    return [one for one in every if not only or {one.name, one.name.partition("-")[0]} & set(only)]


def _without_nodes(peers: bool) -> str | None:
    """Why model nodes cannot be played with here, if so."""
    if not peers:
        return "the nodes are the peer's"
    try:
        importlib.import_module("benchmarks.network")
    except MissingExtra as error:
        return str(error)
    return None


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="only these; printed, not written")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each side")
    parser.add_argument("--no-peers", action="store_true", help="leave the peers out")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where results.json and results.md go")
    parser.add_argument("--pages", action="store_true", help="put the numbers into docs/performance.md and README.md")
    parser.add_argument("--show", type=Path, metavar="JSON", help="measure nothing: show an earlier run")
    parser.add_argument("--tiny", action="store_true", help="two models, two rounds: to see that everything runs")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()

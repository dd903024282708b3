"""The pages that show a run's numbers: what stands between their markers is written here, never by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import table
from benchmarks.apart import ROOT

__all__ = ["PAGES", "shown", "write"]

PAGES = {ROOT / "docs" / "performance.md": table.page, ROOT / "README.md": table.short}

_START, _END = "<!-- numbers -->", "<!-- /numbers -->"


def write(run: Mapping[str, Any]) -> None:
    """Put the run's numbers into every page."""
    for page, render in PAGES.items():
        before, _, after = _parts(page)
        page.write_text(f"{before}{_START}\n{render(run)}\n{_END}{after}", encoding="utf-8")


def shown(page: Path) -> str:
    """The numbers that a page shows."""
    return _parts(page)[1].strip("\n")


def _parts(page: Path) -> tuple[str, str, str]:
    before, start, rest = page.read_text(encoding="utf-8").partition(_START)
    numbers, end, after = rest.partition(_END)
    if not start or not end:
        raise ValueError(f"{page.name} has no {_START} ... {_END}")
    return before, numbers, after

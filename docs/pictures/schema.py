"""Draws the picture of docs/storage.md, the tables of a store, from the tables themselves: run this file.

It is drawn twice, for a light and for a dark background. A test compares the files with what this draws.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from sqlalchemy import Column, Table

from crunch_game.storage.sql._store import tables

HERE = Path(__file__).parent
LOOKS = {"": ("#1f2328", "#57606a", "#d0d7de"), "-dark": ("#e6edf3", "#9198a1", "#3d444d")}
"""Ink, pale ink and lines, by what the file's name ends in."""
COLORS = {"model_id": "#1a85ff", "key": "#d41159", "at": "#d98c00"}
"""What identifies a model, a prediction's name and a slot, wherever it stands."""
TYPES = {"BIGINT": "integer", "INTEGER": "integer", "FLOAT": "real", "TEXT": "text", "VARCHAR": "text"}
ACROSS, WIDTH, GAP, LINE, HEAD = 4, 226, 18, 18, 30


def draw(look: str) -> str:
    """The picture as SVG."""
    ink, pale, line = LOOKS[look]
    ends = [GAP] * ACROSS
    boxes = []
    for table in tables.metadata.tables.values():
        place = ends.index(min(ends))
        boxes += _box(table, GAP + place * (WIDTH + GAP), ends[place], ink, pale, line)
        ends[place] += _height(table) + GAP
    width, height = GAP + ACROSS * (WIDTH + GAP), max(ends) + LINE + GAP // 2
    marks = "bold: what identifies a record   ?: may be missing   one colour is one thing, wherever it stands"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
            ' font-family="DejaVu Sans, Verdana, sans-serif" font-size="12">',
            *boxes,
            f'<text x="{GAP}" y="{height - GAP}" fill="{pale}" xml:space="preserve">{escape(marks)}</text>',
            "</svg>",
            "",
        ]
    )


def _height(table: Table) -> int:
    return HEAD + LINE * len(table.columns) + GAP // 3


def _box(table: Table, x: int, y: int, ink: str, pale: str, line: str) -> list[str]:
    frame = f'x="{x}" y="{y}" width="{WIDTH}" height="{_height(table)}" rx="5" fill="none" stroke="{line}"'
    under = y + HEAD - 7
    drawn = [
        f"<rect {frame}/>",
        f'<text x="{x + 10}" y="{y + 17}" fill="{ink}" font-size="13" font-weight="bold">{escape(table.name)}</text>',
        f'<line x1="{x}" y1="{under}" x2="{x + WIDTH}" y2="{under}" stroke="{line}"/>',
    ]
    for number, column in enumerate(table.columns):
        drawn += _line(column, x, y + HEAD + LINE * number + 9, COLORS.get(column.name, ink), pale)
    return drawn


def _line(column: Column[object], x: int, y: int, color: str, pale: str) -> list[str]:
    weight = ' font-weight="bold"' if column.primary_key else ""
    kind = TYPES[str(column.type).partition("(")[0].partition(" ")[0]] + ("?" if column.nullable else "")
    return [
        f'<text x="{x + 10}" y="{y}" fill="{color}"{weight}>{escape(column.name)}</text>',
        f'<text x="{x + WIDTH - 10}" y="{y}" fill="{pale}" text-anchor="end">{kind}</text>',
    ]


def main() -> None:
    for look in LOOKS:
        (HERE / f"schema{look}.svg").write_text(draw(look), encoding="utf-8")


if __name__ == "__main__":
    main()

"""The picture of the schema shows the tables as they are."""

from __future__ import annotations

from pathlib import Path
from runpy import run_path
from xml.etree import ElementTree as ET

import pytest

from crunch_game.storage.sql._store import tables

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"


@pytest.mark.parametrize("look", ["", "-dark"])
def test_the_picture_is_what_its_program_draws_from_the_tables(look: str) -> None:
    drawn = run_path(str(PICTURES / "schema.py"))["draw"](look)
    kept = (PICTURES / f"schema{look}.svg").read_text(encoding="utf-8")
    assert kept == drawn, "a table has changed: python docs/pictures/schema.py draws it anew"


def test_it_has_every_table_and_every_column() -> None:
    root = ET.fromstring((PICTURES / "schema.svg").read_text(encoding="utf-8"))
    texts = [each for each in root.iter("{http://www.w3.org/2000/svg}text") if each.get("text-anchor") != "end"]
    expected = [name for table in tables.metadata.tables.values() for name in (table.name, *table.columns.keys())]
    assert [each.text for each in texts[:-1]] == expected

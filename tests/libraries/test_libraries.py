"""Submissions that use common libraries as their authors would play on, in the sandbox and inline.

`make models` plays all of them, with the newest releases; here are those whose libraries are no gigabytes.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
from matrix import BEGIN, END, ROWS
from playing import AGAIN, names, play

HERE = Path(__file__).parent
DOCS = HERE.parent.parent / "docs" / "models.md"
ASKS = 20
"""Enough for three failures to stop a model; `make models` asks 200 times."""
SMALL = ["duckdb_window", "lightgbm_regressor", "scikit_learn_forest", "scikit_learn_search", "statsmodels_arima"]


@pytest.mark.anyio
@pytest.mark.processes
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("name", SMALL)
async def test_a_submission_plays_in_the_sandbox_as_its_author_wrote_it(name: str) -> None:
    played = (await play([name], "sandbox", ASKS))[name]
    assert (len(played.answers), played.fault) == (ASKS + AGAIN, None)


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_submissions_play_inline_as_their_authors_wrote_them() -> None:
    # joblib's processes would be this one's, and stay for minutes.
    chosen = [name for name in SMALL if name != "scikit_learn_search"]
    played = await play(chosen, "inline", ASKS)
    assert {name: (len(each.answers), each.fault) for name, each in played.items()} == dict.fromkeys(
        chosen, (ASKS + AGAIN, None)
    )


def test_every_submission_is_in_the_docs() -> None:
    table = DOCS.read_text().partition(BEGIN)[2].partition(END)[0]
    rows = [line.split("|")[1].strip(" `") for line in table.splitlines() if line.startswith("| `")]
    assert rows == names() == sorted(ROWS), "`make models` makes the table"


def test_the_newest_releases_of_all_libraries_are_asked_for() -> None:
    wanted = {line.strip() for line in (HERE / "requirements.txt").read_text().splitlines() if line[:1].isalpha()}
    assert {library for library in ROWS.values() if library != "torch"} <= wanted
    assert all(importlib.metadata.version(ROWS[name]) for name in SMALL)

"""Models that misbehave: a few are played among four good ones, who never notice, and nothing of them is left."""

from __future__ import annotations

from pathlib import Path

import pytest
from keeper import Keeper
from leftovers import nothing_left
from table import SPECIMENS, cages, page

HERE = Path(__file__).parent
DOCS = HERE.parent.parent / "docs" / "isolation.md"


CAGES = cages()


@pytest.mark.anyio
@pytest.mark.processes
@pytest.mark.parametrize("cage", CAGES.values(), ids=CAGES)
async def test_whatever_models_do_the_others_never_notice(cage, field) -> None:
    before = contents(field)
    with nothing_left() as ours:
        keeper = Keeper(cage, field)
        await keeper.play()
        ours |= keeper.processes
    assert contents(field) == before


def test_every_specimen_is_in_one_cage() -> None:
    assert sorted(each.name for cage in CAGES.values() for each in cage) == sorted(each.name for each in SPECIMENS)


def test_every_specimen_is_in_the_docs_as_it_is_here() -> None:
    assert page() in DOCS.read_text(), "PYTHONPATH=. python tests/zoo/table.py prints what should stand there"


def test_every_model_of_the_zoo_is_a_specimen() -> None:
    files = {path.stem for path in (HERE / "models").iterdir() if not path.name.startswith("__")}
    assert files == {specimen.file for specimen in SPECIMENS}
    assert len({specimen.name for specimen in SPECIMENS}) == len(SPECIMENS)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}

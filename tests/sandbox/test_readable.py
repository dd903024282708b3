"""What every model reads, and what is left out of it: the folders that submissions lie in."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from crunch_game.sandbox._readable import without


@pytest.fixture
def game(tmp_path: Path) -> Path:
    game = (tmp_path / "game").resolve()
    for file in ("base.py", "data/prices.csv", "play/models/alice.py", "play/models/_common.py", "play/rules.py"):
        (game / file).parent.mkdir(parents=True, exist_ok=True)
        (game / file).touch()
    (game / "latest").symlink_to(game / "play" / "models")
    (game / "play" / "models" / "_link").symlink_to(game / "play" / "models" / "alice.py")
    return game


def test_a_root_becomes_what_it_holds_beside_the_submissions(game: Path) -> None:
    left, listed = without(["/lib", str(game)], [str(game / "play" / "models"), "/elsewhere"])
    beside = {game / name for name in ("base.py", "data", "play/rules.py", "play/models/_common.py")}
    assert set(left) == {"/lib", *map(str, beside)}
    assert listed == [str(game)]


def test_where_no_submissions_lie_the_roots_stay_as_they_are(game: Path) -> None:
    for shelf in (game, game.parent, Path("/elsewhere"), game.with_name("game-models")):
        assert without(["/lib", str(game)], [str(shelf)]) == (["/lib", str(game)], [])


def test_a_folder_that_holds_a_package_too_is_read_as_ever() -> None:
    prefix, libraries = str(Path(sys.prefix).resolve()), str(Path(pytest.__file__).resolve().parent.parent)
    assert without([prefix, libraries], [libraries]) == ([prefix, libraries], [])


def test_what_is_installed_is_read_as_a_whole_though_submissions_lie_in_it() -> None:
    libraries = Path(pytest.__file__).resolve().parent.parent
    installed = str(libraries / "_pytest" / "assertion")
    assert without([str(libraries)], [installed]) == ([str(libraries)], [])

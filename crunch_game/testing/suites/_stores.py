"""What any store must do, as cases for pytest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import ClassVar

import pytest

from crunch_game._public import public
from crunch_game.storage.base import Store
from crunch_game.testing.suites._any_history import check_any_history
from crunch_game.testing.suites._corrections_of_store import CorrectionsOfStore
from crunch_game.testing.suites._kept_by_store import KeptByStore
from crunch_game.testing.suites._log_of_store import LogOfStore
from crunch_game.testing.suites._pruning_of_store import PruningOfStore
from crunch_game.testing.suites._rounds_of_store import RoundsOfStore
from crunch_game.testing.suites._rows_of_store import RowsOfStore


@public
class StoreSuite(RowsOfStore, RoundsOfStore, KeptByStore, LogOfStore, CorrectionsOfStore, PruningOfStore):
    """What any store must do. For a class that needs fixtures of its own; `store_suite` is for all others.

    Attributes:
        lasts: Whether a store that was closed is found again by who opens it at the same place.
        shared: Whether several may have it open at once, in this process and in others.
    """

    lasts: ClassVar[bool] = True
    shared: ClassVar[bool] = True

    def open(self, folder: Path) -> Store:
        """Open the store of this folder, which is empty at first."""
        raise NotImplementedError(f"{type(self).__name__} does not say how its store is opened")

    @pytest.fixture
    def places(self, tmp_path: Path) -> Callable[[], Callable[[], Store]]:
        """Make a new place, and return what opens the store there: as often as a test wants several."""
        numbers = count()

        def place() -> Callable[[], Store]:
            folder = tmp_path / f"store{next(numbers)}"
            folder.mkdir()
            return lambda: self.open(folder)

        return place

    @pytest.fixture
    def opener(self, places: Callable[[], Callable[[], Store]]) -> Callable[[], Store]:
        """Open the store of this test's one place."""
        return places()

    @pytest.fixture
    def store(self, opener: Callable[[], Store]) -> Iterator[Store]:
        """A new store."""
        with opener() as opened:
            yield opened

    def test_any_history_of_writes_leaves_what_plain_dicts_have(
        self, places: Callable[[], Callable[[], Store]]
    ) -> None:
        check_any_history(places, lasts=self.lasts)


@public
def store_suite(open: Callable[[Path], Store], *, lasts: bool = True, shared: bool = True) -> type[StoreSuite]:  # noqa: A002
    """Return a class of tests, which pytest runs under a name that begins with Test.

    For example `TestMyStore = store_suite(lambda folder: MyStore(folder / "game.log"))`.

    Args:
        open: Opens the store of a folder, which is empty at first. It is called again for the same folder.
        lasts: Whether a store that was closed is found again by who opens it at the same place.
        shared: Whether several may have it open at once, in this process and in others.
    """
    return type("StoreSuite", (StoreSuite,), {"open": staticmethod(open), "lasts": lasts, "shared": shared})

"""What every store promises, asked of each."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from postgres import Server

from crunch_game.storage import MemoryStore, SQLStore, Store
from crunch_game.testing import StoreSuite, store_suite

TestMemoryStore = store_suite(lambda folder: MemoryStore(), lasts=False, shared=False)
TestSQLite = store_suite(lambda folder: SQLStore(f"sqlite:///{folder / 'game.db'}"))


class TestPostgreSQL(StoreSuite):
    @pytest.fixture
    def places(self, postgres: Server) -> Callable[[], Callable[[], Store]]:
        def place() -> Callable[[], Store]:
            url = postgres.fresh()
            return lambda: SQLStore(url)

        return place

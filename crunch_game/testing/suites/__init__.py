"""What any implementation of a protocol must do: tests that its author runs against it.

They need the extra `testing`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from crunch_game._public import lazy_face
from crunch_game.errors import MissingExtra

try:
    import hypothesis as _hypothesis  # noqa: F401
    import pytest
except ImportError as _error:
    raise MissingExtra(_error.name or "pytest", "testing") from None

# So that a failing assertion shows its values, as it does in the author's own tests.
pytest.register_assert_rewrite(*(f"{__name__}.{file.stem}" for file in Path(__file__).parent.glob("_[a-z]*.py")))

if TYPE_CHECKING:
    from crunch_game.testing.suites._feeds import FeedSuite as FeedSuite
    from crunch_game.testing.suites._feeds import feed_suite as feed_suite
    from crunch_game.testing.suites._rosters import RosterChanges as RosterChanges
    from crunch_game.testing.suites._rosters import RosterSuite as RosterSuite
    from crunch_game.testing.suites._rosters import roster_suite as roster_suite
    from crunch_game.testing.suites._stores import StoreSuite as StoreSuite
    from crunch_game.testing.suites._stores import store_suite as store_suite
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)

"""What games and this package are tested with: suites for what an author implements, and a CrunchDAO network.

The network runs in the test's own process, and fails when a test says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.testing._network import SimulatedNetwork as SimulatedNetwork
    from crunch_game.testing.suites import FeedSuite as FeedSuite
    from crunch_game.testing.suites import RosterChanges as RosterChanges
    from crunch_game.testing.suites import RosterSuite as RosterSuite
    from crunch_game.testing.suites import StoreSuite as StoreSuite
    from crunch_game.testing.suites import feed_suite as feed_suite
    from crunch_game.testing.suites import roster_suite as roster_suite
    from crunch_game.testing.suites import store_suite as store_suite
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)

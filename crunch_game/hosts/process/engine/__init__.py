"""One thread that writes calls to the models' processes and collects answers and deadlines.

It runs in the coordinator, beside the event loop, which hands it functions and hears from it once a round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.hosts.process.engine._engine import Engine as Engine
    from crunch_game.hosts.process.engine._exchange import Exchange as Exchange
    from crunch_game.hosts.process.engine._exchange import Gone as Gone
    from crunch_game.hosts.process.engine._exchange import Link as Link
    from crunch_game.hosts.process.engine._exchange import LinkWatcher as LinkWatcher
    from crunch_game.hosts.process.engine._exchange import Result as Result
    from crunch_game.hosts.process.engine._exchange import Results as Results
    from crunch_game.hosts.process.engine._exchange import channel_pair as channel_pair
    from crunch_game.hosts.process.engine._exchange import loop_caller as loop_caller
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)

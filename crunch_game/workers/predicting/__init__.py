"""From rows that arrive to answers that are stored: when a slot is asked, what is told before it, and what the author's
functions make of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.workers.predicting._arriving import closing as closing
    from crunch_game.workers.predicting._clock import Clock as Clock
    from crunch_game.workers.predicting._clock import WallClock as WallClock
    from crunch_game.workers.predicting._hooks import Hooks as Hooks
    from crunch_game.workers.predicting._live import Live as Live
    from crunch_game.workers.predicting._notices import Notices as Notices
    from crunch_game.workers.predicting._outbox import Outbox as Outbox
    from crunch_game.workers.predicting._recorded import Recorded as Recorded
    from crunch_game.workers.predicting._recorded import recorded_steps as recorded_steps
    from crunch_game.workers.predicting._steps import Executor as Executor
    from crunch_game.workers.predicting._warmup import Warmup as Warmup
    from crunch_game.workers.predicting._wishes import HANDLED as HANDLED
    from crunch_game.workers.predicting._wishes import Wishes as Wishes
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)

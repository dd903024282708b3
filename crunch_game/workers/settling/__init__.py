"""From predictions whose horizon has passed to scores and boards: who waits for what truth, what the rules make of it.

All of it runs in the coordinator, on the thread of a ScoreWorker; the author's own functions on one that can be left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.workers.settling._backlog import Backlog as Backlog
    from crunch_game.workers.settling._boards import KeptBoards as KeptBoards
    from crunch_game.workers.settling._correcting import CORRECTED as CORRECTED
    from crunch_game.workers.settling._correcting import Correcting as Correcting
    from crunch_game.workers.settling._due import DueRound as DueRound
    from crunch_game.workers.settling._executors import ExecutorLike as ExecutorLike
    from crunch_game.workers.settling._executors import Rules as Rules
    from crunch_game.workers.settling._in_force import OF_ROUNDS as OF_ROUNDS
    from crunch_game.workers.settling._in_force import InForce as InForce
    from crunch_game.workers.settling._judge import Failed as Failed
    from crunch_game.workers.settling._judge import Judge as Judge
    from crunch_game.workers.settling._publishing import LEADERBOARD as LEADERBOARD
    from crunch_game.workers.settling._publishing import Publishing as Publishing
    from crunch_game.workers.settling._settling import Settler as Settler
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)

"""From predictions whose horizon has passed to scores and boards: who waits for what truth, what the rules make of it.

All of it runs in the coordinator, on the thread of a ScoreWorker; the author's own functions on one that can be left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.workers.settling._backlog import Backlog as Backlog
    from crunch_game.workers.settling._boards import KeptBoards as KeptBoards
    from crunch_game.workers.settling._due import DueRound as DueRound
    from crunch_game.workers.settling._due import absences as absences
    from crunch_game.workers.settling._judge import Failed as Failed
    from crunch_game.workers.settling._judge import Judge as Judge
    from crunch_game.workers.settling._rules import NEWCOMER as NEWCOMER
    from crunch_game.workers.settling._rules import newcomer as newcomer
    from crunch_game.workers.settling._rules import newcomers_score as newcomers_score
    from crunch_game.workers.settling._rules import scored as scored
    from crunch_game.workers.settling._rules import settled as settled
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)

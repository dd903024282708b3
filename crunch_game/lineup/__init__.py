"""Who plays: the seats of a runner's models, what follows from each verdict of the policy, and who listens to it.

Everything here runs in the coordinator, on its event loop; but `between_rounds`, which keeps other threads off it.
"""

from __future__ import annotations

from crunch_game.lineup._lineup import Lineup
from crunch_game.lineup._observing import News, Observer
from crunch_game.lineup._quiet import between_rounds, playing, until_quiet
from crunch_game.lineup._seats import Fresh, Player, Seat, Verdict

__all__ = [
    "Fresh",
    "Lineup",
    "News",
    "Observer",
    "Player",
    "Seat",
    "Verdict",
    "between_rounds",
    "playing",
    "until_quiet",
]

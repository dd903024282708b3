"""What runners and games tell their author, each event in a frozen record.

Nothing here calls anything: an event is made where it happens, and told to listeners.
"""

from __future__ import annotations

from typing import get_args

from crunch_game.events._game import (
    ClockSet,
    Corrected,
    GameEvent,
    HookFailed,
    JournalAside,
    JournalFull,
    OutageEvent,
    PredictionsSetAside,
    RoundLate,
    RoundPlayed,
    RoundsMissed,
    RowsSlow,
    StoreAway,
    StoreBack,
    TickPlayed,
)
from crunch_game.events._runner import (
    CapsuleLost,
    CapsuleSaved,
    FieldFault,
    LoopBlocked,
    ModelJoined,
    ModelLeft,
    ModelLoadFailed,
    ModelReady,
    ModelRedeployed,
    ModelRestarted,
    ModelStopped,
    RosterFound,
    RosterLost,
    RunnerEvent,
)

__all__ = [
    "TROUBLE",
    "CapsuleLost",
    "CapsuleSaved",
    "ClockSet",
    "Corrected",
    "FieldFault",
    "GameEvent",
    "HookFailed",
    "JournalAside",
    "JournalFull",
    "LoopBlocked",
    "ModelJoined",
    "ModelLeft",
    "ModelLoadFailed",
    "ModelReady",
    "ModelRedeployed",
    "ModelRestarted",
    "ModelStopped",
    "PredictionsSetAside",
    "RosterFound",
    "RosterLost",
    "RoundLate",
    "RoundPlayed",
    "RoundsMissed",
    "RowsSlow",
    "RunnerEvent",
    "StoreAway",
    "StoreBack",
    "TickPlayed",
]

TROUBLE = (
    ModelLoadFailed,
    ModelStopped,
    ModelRestarted,
    FieldFault,
    LoopBlocked,
    RosterLost,
    RoundLate,
    RoundsMissed,
    PredictionsSetAside,
    HookFailed,
    ClockSet,
    RowsSlow,
    CapsuleLost,
    *get_args(OutageEvent),
)
"""The events that are logged as warnings if the author has no listener."""

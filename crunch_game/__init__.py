"""Write live prediction games: run many people's models side by side, under budgets, and rank them.

Public names are loaded on first use, so that a participant's model, which imports this package for its base
class, pays for nothing else.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from crunch_game.tracker import TrackerBase as TrackerBase

if TYPE_CHECKING:
    from crunch_game.contract import Contract as Contract
    from crunch_game.runner import ModelRunner as ModelRunner

_HOMES = {
    "backtest": ("Backtest", "backtest"),
    "contract": ("Contract",),
    "errors": (
        "AmbiguousModel",
        "ContractError",
        "CrunchGameError",
        "FeedError",
        "GameError",
        "InvalidAnswer",
        "LoadError",
        "MissingExtra",
        "ModelDied",
        "ModelError",
        "ModelRaised",
        "ModelTimeout",
        "NoModelFound",
        "StoreError",
        "UnknownModel",
    ),
    "events": (
        "FieldFault",
        "LoopBlocked",
        "ModelJoined",
        "ModelLeft",
        "ModelLoadFailed",
        "ModelReady",
        "ModelRedeployed",
        "ModelRestarted",
        "ModelStopped",
        "RosterFound",
        "RosterLost",
        "RoundLate",
        "RoundPlayed",
        "RoundsMissed",
    ),
    "feeds.base": ("Feed", "FeedGap", "FeedTrouble", "Row", "RowDropped"),
    "feeds.history": ("History",),
    "feeds.polling": ("PollingFeed",),
    "feeds.replay": ("ReplayFeed",),
    "game": ("Game", "Predict"),
    "hosts.inline": ("InlineHost",),
    "hosts.process": ("ProcessHost",),
    "loading": ("AutoLoader", "FactoryLoader", "SubclassLoader", "load_model"),
    "models": ("Model", "Submission"),
    "outcomes": ("Fault", "Outcome", "Round", "Status"),
    "policy": ("Policy",),
    "rosters.base": ("Roster",),
    "rosters.directory": ("DirectoryRoster",),
    "rosters.static": ("StaticRoster",),
    "runner": ("ModelRunner",),
    "scoring.base": ("Scorer",),
    "scoring.densities": ("Density",),
    "scoring.leaderboard": ("Leaderboard", "Standing"),
    "scoring.rules": ("CRPS", "LogScore"),
    "storage": ("open_store",),
    "storage.base": ("Prediction", "Score", "Store"),
    "storage.memory": ("MemoryStore",),
    "storage.sql": ("SQLStore",),
    "workers": ("GameResult", "PredictWorker", "ScoreWorker", "Standings", "run_game"),
}
_HOME = {name: f"crunch_game.{home}" for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value

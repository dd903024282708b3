"""Every error that crunch_game raises.

CrunchGameError
 ├── ContractError        a call, or a base class, breaks the author's own contract
 │    └── UnknownModel    an id that was never in the game (a KeyError too)
 ├── LoadError            a submission could not be turned into a model
 │    ├── NoModelFound    it holds no concrete subclass, and no factory
 │    └── AmbiguousModel  it holds several, and the loader is strict
 ├── ModelError           one model failed one call; raised by Outcome.raise_for_status()
 │    ├── InvalidAnswer   the answer breaks the contract
 │    ├── ModelRaised     the model raised an exception
 │    ├── ModelTimeout    no answer within the budget
 │    ├── ModelDied       its process ended during the call
 │    └── ModelStopped    it was not called: joining, failed, stopped, unreachable or unsupported
 ├── GameError            a game, or one of its parts, is described wrongly
 ├── CapsuleError         a file is no fault capsule, or it cannot be played again here
 ├── StoreError           a store cannot be opened, read or written
 ├── FeedError            a feed's data cannot be read
 └── MissingExtra         a library of an optional extra is not installed
"""

from __future__ import annotations

__all__ = [
    "AmbiguousModel",
    "CapsuleError",
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
    "ModelStopped",
    "ModelTimeout",
    "NoModelFound",
    "StoreError",
    "UnknownModel",
]


class CrunchGameError(Exception):
    """The root of all errors of crunch_game."""


class ContractError(CrunchGameError):
    """The author's own code breaks the author's own contract; no model was called."""


class UnknownModel(ContractError, KeyError):
    """A model id that was never in the game."""

    __str__ = Exception.__str__  # KeyError would show the quoted repr


class LoadError(CrunchGameError):
    """A submission could not be turned into a model."""


class NoModelFound(LoadError):
    """A submission holds no concrete subclass of the base class, and no factory."""


class AmbiguousModel(LoadError):
    """A submission holds several concrete subclasses, and the loader is strict."""


class ModelError(CrunchGameError):
    """One model failed one call.

    Attributes:
        model_id: The model's id.
        method: The method that was called.
        traceback: The participant's own frames as text, or None.
    """

    def __init__(self, message: str, *, model_id: str, method: str, traceback: str | None = None) -> None:
        super().__init__(message)
        self.model_id = model_id
        self.method = method
        self.traceback = traceback


class InvalidAnswer(ModelError):
    """The model's answer breaks the contract."""


class ModelRaised(ModelError):
    """The model raised an exception."""


class ModelTimeout(ModelError):
    """The model gave no answer within its budget."""


class ModelDied(ModelError):
    """The model's process ended during the call."""


class ModelStopped(ModelError):
    """The model was not called; the message says why."""


class GameError(CrunchGameError):
    """A game, or one of its parts, is described wrongly."""


class CapsuleError(CrunchGameError):
    """A file is no fault capsule, or it cannot be played again here."""


class StoreError(CrunchGameError):
    """A store cannot be opened, read or written."""


class FeedError(CrunchGameError):
    """A feed's data cannot be read."""


class MissingExtra(CrunchGameError, ImportError):
    """A library that belongs to an optional extra is not installed."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed; run: pip install 'crunch-game[{extra}]'")
        self.library = library
        self.extra = extra


for _name in __all__:
    globals()[_name].__module__ = "crunch_game"  # what a traceback shows is what one imports

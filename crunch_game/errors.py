"""Every error that crunch_game raises.

CrunchGameError
 ├── ContractError           a call, or a base class, breaks the author's own contract
 │    └── UnknownModel       an id that was never in the game (a KeyError too)
 ├── LoadError               a submission could not be turned into a model
 │    ├── NoModelFound       it holds no concrete subclass, and no factory
 │    └── AmbiguousModel     it holds several, and the loader is strict
 ├── ModelError              one model failed one call; raised by Outcome.raise_for_status()
 │    ├── InvalidAnswer      the answer breaks the contract
 │    ├── ModelRaised        the model raised an exception
 │    ├── ModelTimeout       no answer within the budget
 │    ├── ModelDied          its process ended during the call
 │    └── ModelUnavailable   it was not called: joining, failed, stopped, unreachable or unsupported
 ├── GameError               a game, or one of its parts, is described wrongly
 ├── UsageError              a part is used at a moment, or in a way, that cannot be
 ├── ResourceError           the machine does not give what is needed: a port, a key, open files, Linux
 ├── CapsuleError            a file is no fault capsule, or it cannot be played again here
 ├── StoreError              a store cannot be opened, read or written
 │    └── StoreUnavailable   its database does not do it for now: it is locked, full, or out of reach
 ├── FeedError               a feed's data cannot be read
 └── MissingExtra            a library of an optional extra is not installed
"""

from __future__ import annotations

import copyreg
from typing import Any

from crunch_game._public import public

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
    "ModelTimeout",
    "ModelUnavailable",
    "NoModelFound",
    "ResourceError",
    "StoreError",
    "StoreUnavailable",
    "UnknownModel",
    "UsageError",
]


class CrunchGameError(Exception):
    """The root of all errors of crunch_game. Each can be pickled and copied, with its attributes."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Python would call the class with `args` alone, and many of these constructors ask for more than a message.
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


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


class ModelUnavailable(ModelError):
    """The model was not called, or could not be reached; the message says why."""


ModelStopped = ModelUnavailable
"""Its earlier name; `crunch_game.ModelStopped` is the event."""


class GameError(CrunchGameError):
    """A game, or one of its parts, is described wrongly."""


class UsageError(CrunchGameError):
    """A part is used at a moment, or in a way, that cannot be: a runner that is not running, a second time."""


class ResourceError(CrunchGameError):
    """The machine does not give what is needed: the port is taken, the key cannot be read, it is not Linux."""


class CapsuleError(CrunchGameError):
    """A file is no fault capsule, or it cannot be played again here."""


class StoreError(CrunchGameError):
    """A store cannot be opened, read or written."""


class StoreUnavailable(StoreError):
    """A store's database does not read or write for now: it is locked, full, or out of reach."""


class FeedError(CrunchGameError):
    """A feed's data cannot be read."""


def how_to_install(extra: str) -> str:
    """What to type for an extra. The package is not on PyPI yet."""
    return f"from a clone of crunch_game: pip install '.[{extra}]'"


class MissingExtra(CrunchGameError, ImportError):
    """A library that belongs to an optional extra is not installed."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed; {how_to_install(extra)}")
        self.library = library
        self.extra = extra

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.library, self.extra), self.__dict__  # an ImportError's message is set by __init__ only


# All of them are the package's face. They stand in the order of the tree above, each without a decorator of its own.
for _name in __all__:
    public(globals()[_name])

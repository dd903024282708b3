"""Who plays: a Submission as the roster tells of it, the Model that comes of it, and by what a host is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from crunch_game._public import public, record
from crunch_game._quantities import described
from crunch_game.errors import GameError
from crunch_game.policy import Health, State
from crunch_game.sources import ClassSource, FileSource, FolderSource, Source, SourceLike, source_of

__all__ = ["HostLike", "Model", "Submission", "checked_host"]

_HOST_METHODS: Final = ("open", "start", "ask", "stop", "close")


@record
class Submission:
    """The code that a model comes from.

    Attributes:
        id: The model's id.
        source: Where the code is. Give a class, a path, "package.module:attr" or the "host:port" of a model node; it is
            kept as what that means: ClassSource, FileSource, FolderSource, NameSource or NodeSource.
        deployment_id: The version of the code; new code is a new one.
        name: The model's name for people; the id unless told.
        info: What else the roster knows of it.
        away: Whether its roster says that it cannot be reached for now. It stays in the game.
        sole: Whether its roster says that nothing older of the model runs any more, here or elsewhere: then the older
            code does not play on if this cannot be loaded.
    """

    id: str
    source: Source
    deployment_id: str = "1"
    name: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)
    away: bool = False
    sole: bool = False

    if TYPE_CHECKING:  # what may be given is more than what is kept

        def __init__(
            self,
            id: str,  # noqa: A002 - the field's own name
            source: SourceLike,
            deployment_id: str = "1",
            name: str = "",
            info: Mapping[str, Any] = ...,
            away: bool = False,
            sole: bool = False,
        ) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", source_of(self.source))

    @classmethod
    def of(cls, source: SourceLike | Submission) -> Submission:
        """The submission itself, or one made of its source: its id is the class's name or the file's stem."""
        if isinstance(source, Submission):
            return source
        if isinstance(source, str) and ":" not in source:
            source = Path(source)  # a folder that is not there, rather than a module of its name
        understood = source_of(source)
        return cls(_id_of(understood), understood)


def _id_of(source: Source) -> str:
    match source:
        case ClassSource(cls):
            return cls.__name__
        case FileSource(path) if path.is_file():
            return path.stem
        case FileSource(path) | FolderSource(path):
            return path.absolute().name  # that of "." is empty
        case _:
            return str(source).rpartition(":")[2]


@public
class Model:
    """One participant's model in the game, as the runner sees it. Read-only for everyone else.

    Attributes:
        id: The model's id.
        name: Its name for people.
        deployment_id: The version of the code that plays.
        health: State, strikes, and why it does not play.
        info: What the roster knows of it.
    """

    __slots__ = ("deployment_id", "health", "id", "info", "name")

    def __init__(self, submission: Submission, now: float) -> None:
        self.id = submission.id
        self.name = submission.name or submission.id
        self.deployment_id = submission.deployment_id
        self.info = submission.info
        self.health = Health(since=now)

    @property
    def state(self) -> State:
        """Where it stands in the game."""
        return self.health.state

    def __repr__(self) -> str:
        return f"<Model {self.id} ({self.deployment_id}): {self.state}>"


class _RunsModels(Protocol):
    """As much of a Host as those know who stand below the hosts."""

    async def start(self, submission: Submission, timeout: float) -> Any: ...

    async def close(self) -> None: ...


HostLike = Literal["process", "inline"] | _RunsModels
"""Where models run: the name of a host, or a Host."""


def checked_host(given: Any) -> Any:
    """What somebody gave as a host: "process", "inline", or a Host, which is known by its methods.

    Raises:
        GameError: It is none of these.
    """
    if isinstance(given, type):
        raise GameError(f"host is {described(given)}; give an instance: host={given.__name__}(...)")
    if isinstance(given, str):
        is_host = given in ("process", "inline")
    else:
        is_host = all(callable(getattr(given, method, None)) for method in _HOST_METHODS)
    if not is_host:
        raise GameError(f'host is {described(given)}; it must be "process", "inline" or a Host, such as ProcessHost()')
    return given

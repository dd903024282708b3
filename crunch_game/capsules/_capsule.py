"""The fault capsule as a file: one failing call, and all that is needed to play it again elsewhere.

It is a zip file, because one can be mailed, opened without this library, and is known to be whole by its checksums:

    capsule.json     who failed, how, and at what; for people too
    values.msgpack   the arguments, as they go over the wire to the models (`hosts.wire`)
    code/            the submission

Nothing in it is pickled, so that a file from anywhere can be opened. Playing it runs the submission.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from crunch_game.errors import CapsuleError
from crunch_game.outcomes import Fault

VERSION: Final = 1
CODE: Final = "code/"
MANIFEST: Final = "capsule.json"
VALUES: Final = "values.msgpack"
LOAD: Final = "load"
"""The method of a capsule whose submission could not be loaded."""

_FORMAT: Final = "crunch_game fault capsule"
MAX_MANIFEST_BYTES: Final = 1 << 20
MAX_BYTES: Final = 512 << 20
"""Bytes of everything in a capsule, unpacked: a small zip file can stand for a disk full."""


class PackedCode(msgspec.Struct, frozen=True, kw_only=True):
    """The submission, as far as the capsule has a copy of it.

    Attributes:
        kind: A "file", a "folder", or something "named": a class, or "package.module:attr".
        name: The copy's name in `code/`; None where there is no copy.
        reference: "module:attr" of something named.
        left_out: Files that the copy lacks, each with the reason.
        changed: Whether the code was changed after the model was loaded; then the copy may not be what failed.
    """

    kind: Literal["file", "folder", "named"]
    name: str | None = None
    reference: str | None = None
    left_out: list[str] = []
    changed: bool = False


class Isolation(msgspec.Struct, frozen=True, kw_only=True):
    """How the game held its models' processes.

    Attributes:
        sandbox: The fields of its Sandbox; None where there was none.
        preload: The libraries that it preloaded; None for those that submissions import.
        env: The names of the variables that it set. Their values may be secrets, and capsules are sent around.
        answer_limit: Bytes that an answer may take.
    """

    sandbox: dict[str, Any] | None
    preload: list[str] | None
    env: list[str]
    answer_limit: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Who failed, how, and at what.

    Attributes:
        saved_at: UTC, ISO 8601.
        python, crunch_game: The versions that the game ran with.
        contract: The base class, "module:Class".
        returns: The return types that the game overrides, by method: "module:Class", or None for a type that has no
            such name.
        allow_inf_nan: As Contract's.
        loader: The loader's class.
        method: The method; `LOAD` when there was no model yet.
        call: The call as people write it.
        calls_before: How many earlier calls the capsule lacks.
        budget, elapsed: Seconds.
        status: How the call ended, a Status.
        isolation: What models had in their processes; None where they had none of their own, or elsewhere.
    """

    format: str = _FORMAT
    version: int = VERSION
    saved_at: str
    python: str
    crunch_game: str
    model_id: str
    deployment_id: str
    code: PackedCode
    contract: str
    returns: dict[str, str | None]
    allow_inf_nan: bool
    loader: str
    method: str
    call: str
    calls_before: int
    budget: float
    elapsed: float
    status: str
    fault: Fault
    isolation: Isolation | None = None


class Told(msgspec.Struct, array_like=True, frozen=True):
    """One call as a model got it. `args` is (args, kwargs), `extra` this model's further keyword arguments."""

    method: str
    args: msgspec.Raw
    extra: msgspec.Raw
    status: str


class Values(msgspec.Struct, array_like=True, frozen=True):
    """The init arguments, the loader's fields, the calls before the failing one (oldest first), and the failing one."""

    init: msgspec.Raw
    loader: msgspec.Raw
    calls: list[Told]
    failing: Told | None


class _Head(msgspec.Struct):
    format: str
    version: int


@dataclass(frozen=True)
class Capsule:
    """A capsule that was read."""

    path: Path
    manifest: Manifest
    values: Values


def read(path: str | Path) -> Capsule:
    """Read a capsule; nothing of it is run.

    Raises:
        CapsuleError: The file is no capsule, is damaged, or is from a newer version of this library.
    """
    path = Path(path)
    with legible(path) as archive:
        text = _member(archive, MANIFEST, MAX_MANIFEST_BYTES)
        head = msgspec.json.decode(text, type=_Head)
        if head.format != _FORMAT:
            raise CapsuleError(f"{path} is no fault capsule")
        if head.version > VERSION:
            raise CapsuleError(
                f"{path} was saved by a newer crunch_game (its format is {head.version}, this one reads {VERSION}); "
                "play it with that version"
            )
        manifest = msgspec.json.decode(text, type=Manifest)
        values = msgspec.msgpack.decode(_member(archive, VALUES, MAX_BYTES), type=Values)
    if (values.failing is None) is not (manifest.method == LOAD):
        raise CapsuleError(f"{path} is no fault capsule that can be read: its parts do not belong together")
    return Capsule(path, manifest, values)


@contextmanager
def legible(path: Path) -> Iterator[zipfile.ZipFile]:
    """The capsule's archive, while the block runs; whatever is wrong with the file becomes one sentence.

    Raises:
        CapsuleError: It is no zip file, is damaged, or holds more than MAX_BYTES.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
                raise CapsuleError(f"{path} is no fault capsule: it holds more than {MAX_BYTES >> 20} MiB")
            yield archive
    except (FileNotFoundError, IsADirectoryError):
        raise CapsuleError(f"there is no file {str(path)!r}") from None
    except OSError as error:
        raise CapsuleError(f"{path} cannot be read: {error.strerror or error}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError, ValueError) as error:
        why = str(error).strip("\"'") or type(error).__name__
        raise CapsuleError(f"{path} is no fault capsule, or only a part of one: {why}") from None


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    entry = archive.getinfo(name)
    if entry.file_size > most:
        raise ValueError(f"its {name} has {entry.file_size >> 20} MiB")
    return archive.read(entry)

"""One failing call written as a capsule: whole or not at all. Runs on a thread, since it waits for disks."""

from __future__ import annotations

import dataclasses
import os
import platform
import re
import reprlib
import secrets
import tempfile
import zipfile
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import msgspec

from crunch_game._importing import main_of
from crunch_game.capsules._capsule import LOAD, MANIFEST, VALUES, Isolation, Manifest, PackedCode, Told, Values
from crunch_game.capsules._history import Recent
from crunch_game.capsules._packing import pack
from crunch_game.contract import Contract
from crunch_game.encoding import decode, encode
from crunch_game.errors import CapsuleError
from crunch_game.hosts.base import Host, Setup
from crunch_game.hosts.process import ProcessHost, reference_of
from crunch_game.loading import Loader
from crunch_game.outcomes import Fault, Status
from crunch_game.sources import ClassSource, FileSource, FolderSource, Source, place_of

_GIB: Final = 1 << 30
MAX_FOLDER_BYTES: Final = _GIB
"""Bytes of capsules that a folder holds: a game that fails for weeks must not fill the disk."""


@dataclasses.dataclass(frozen=True, slots=True)
class Capture:
    """One failing call, or a load that failed, with what came before.

    Attributes:
        source: The code that failed.
        loaded: When it was loaded, in seconds since 1970.
        failing: The call; None for a load.
        recent: The calls before it.
        budget, elapsed: Seconds.
        isolation: What its process had.
    """

    model_id: str
    deployment_id: str
    source: Source
    loaded: float
    failing: Told | None
    recent: Recent
    status: Status
    fault: Fault
    budget: float
    elapsed: float
    isolation: Isolation | None = None

    @property
    def which(self) -> tuple[str, str, str | None]:
        """The model, its deployment, and the method that failed; None for a load."""
        return self.model_id, self.deployment_id, self.failing.method if self.failing else None


def isolation_of(host: Host) -> Isolation | None:
    """What the host's models have in their processes, as a capsule says it."""
    if not isinstance(host, ProcessHost):
        return None
    given = host.arguments
    sandbox, preload = given["sandbox"], given["preload"]
    return Isolation(
        sandbox=None if sandbox is None else dataclasses.asdict(sandbox),
        preload=None if preload == "auto" else list(preload),
        env=sorted(given["env"]),
        answer_limit=given["answer_limit"],
    )


def write(capture: Capture, setup: Setup, folder: Path) -> Path:
    """Write a capsule, whole or not at all, and return its path.

    Raises:
        CapsuleError: Something in it has no form outside of this process, or the folder is full.
        OSError: It cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if sum(path.stat().st_size for path in folder.glob("*.zip")) >= MAX_FOLDER_BYTES:
        raise CapsuleError(f"{folder} holds {MAX_FOLDER_BYTES // _GIB} GiB of capsules; remove some for more")
    descriptor, part = tempfile.mkstemp(prefix=".", suffix=".part", dir=folder)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
            _fill(file, capture, setup)
            file.flush()
            os.fsync(file.fileno())
        path = folder / _name(capture)
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink()
        raise
    return path


def _name(capture: Capture) -> str:
    """A file name that no other capsule has, and that tells people what is in it."""
    method = capture.failing.method if capture.failing else LOAD
    words = (capture.model_id, method, str(capture.status), f"{datetime.now(UTC):%Y%m%dT%H%M%S}", secrets.token_hex(3))
    return "-".join(re.sub(r"[^\w.]", "_", word)[:60] for word in words).lstrip(".") + ".zip"


def _fill(file: Any, capture: Capture, setup: Setup) -> None:
    init = encode((list(setup.init_args), dict(setup.init_kwargs)))
    loader, fields = _loader(setup.loader)
    calls, before = capture.recent.told()
    values = Values(msgspec.Raw(init), msgspec.Raw(fields), calls, capture.failing)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        code, place = _code(capture.source)
        if place is not None:
            code = pack(place, code, archive, capture.loaded)
        manifest = _manifest(capture, setup.contract, code, loader, before)
        archive.writestr(zipfile.ZipInfo(VALUES), msgspec.msgpack.encode(values), zipfile.ZIP_DEFLATED)
        archive.writestr(zipfile.ZipInfo(MANIFEST), msgspec.json.format(msgspec.json.encode(manifest)))


def _manifest(capture: Capture, contract: Contract, code: PackedCode, loader: str, before: int) -> Manifest:
    return Manifest(
        saved_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        python=platform.python_version(),
        crunch_game=_version(),
        model_id=capture.model_id,
        deployment_id=capture.deployment_id,
        code=code,
        contract=_reference(contract.base),
        returns={name: _type(contract.method(name).returns) for name in contract.overridden},
        allow_inf_nan=contract.allow_inf_nan,
        loader=loader,
        method=capture.failing.method if capture.failing else LOAD,
        call=_shown(capture.failing) if capture.failing else "",
        calls_before=before,
        budget=capture.budget,
        elapsed=capture.elapsed,
        status=capture.status,
        fault=capture.fault,
        isolation=capture.isolation,
    )


def _version() -> str:
    try:
        return version("crunch-game")
    except PackageNotFoundError:
        return "not installed"


def _code(source: Source) -> tuple[PackedCode, Path | None]:
    """Where the code is: as the capsule says it, and its file or folder here."""
    match source:
        case ClassSource(cls):
            reference = _reference(cls)
            script = main_of().get("path") if cls.__module__ == "__main__" else None
            package = Path(script) if script else place_of(reference)
            return PackedCode(kind="named", reference=reference), package or source.place
        case FolderSource():
            return PackedCode(kind="folder"), source.place
        case FileSource():
            return PackedCode(kind="file"), source.place
        case _:
            return PackedCode(kind="named", reference=str(source)), source.place


def _reference(cls: type) -> str:
    """How other processes, elsewhere, find the class; a script counts as the module that it would be imported as."""
    where = reference_of(cls)
    if cls.__module__ != "__main__":
        return where
    main = main_of()
    return f"{main.get('name') or Path(main['path']).stem}:{cls.__qualname__}"


def _type(annotation: Any) -> str | None:
    plain = isinstance(annotation, type) and not hasattr(annotation, "__args__") and "<" not in annotation.__qualname__
    return f"{annotation.__module__}:{annotation.__qualname__}" if plain else None


def _loader(loader: Loader) -> tuple[str, bytes]:
    """The loader's class, and its fields if it is a dataclass; what else it keeps cannot be written down."""
    names: list[str] = [field.name for field in dataclasses.fields(loader)] if dataclasses.is_dataclass(loader) else []
    return _reference(type(loader)), encode({name: getattr(loader, name) for name in names})


_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 60
_repr.maxdict = _repr.maxlist = 8


def _shown(told: Told) -> str:
    """The call as people write it."""
    args, kwargs = decode(told.args)
    named = {**kwargs, **(decode(told.extra) or {})}
    parts = [*map(_repr.repr, args), *(f"{name}={_repr.repr(value)}" for name, value in named.items())]
    return f"{told.method}({', '.join(parts)})"

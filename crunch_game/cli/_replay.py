"""`crunch-game replay`: a failing call played again, under a debugger if wanted."""

from __future__ import annotations

import faulthandler
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from getpass import getuser
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.padding import Padding
from rich.text import Text

from crunch_game.capsules import LOAD, Capsule, Here, Manifest, legible, play, read, unpack
from crunch_game.cli._output import AsJson, print_json, screen
from crunch_game.errors import CapsuleError
from crunch_game.outcomes import Status

CapsuleFile = Annotated[Path, typer.Argument(metavar="CAPSULE", help="A file from the folder of Policy(capsules=...).")]
Debug = Annotated[bool, typer.Option("--pdb", help="Stop in the debugger where it failed.")]
OtherCode = Annotated[
    Path | None, typer.Option("--code", metavar="PATH", help="Play this submission instead of the capsule's copy.")
]


def replay(capsule: CapsuleFile, debug: Debug = False, code: OtherCode = None, as_json: AsJson = False) -> None:
    """Play a failing call again. Exit code 1 if it fails as it did in the game, 0 if it does not.

    This runs the participant's code, in the sandbox that it had in the game.

    Where it had none, with --pdb, and where an answer broke the contract, it runs with your rights.
    """
    if debug and as_json:
        raise typer.BadParameter("--pdb talks with you, and --json is for programs; use one of them")
    opened = read(capsule)
    apart = _goes_apart(opened.manifest) and not debug
    with tempfile.TemporaryDirectory(prefix="crunch_game-replay-") as folder:
        prepared = _prepared(opened, Path(folder).resolve(), code)
        if not as_json:
            _announce(opened, prepared.own if code else None, apart=apart)
        if debug:
            faulthandler.enable(sys.__stderr__ or 2)
        here = play(opened, prepared.source, prepared.folder, prepared.imports, apart=apart)
        root = prepared.own.parent if code else prepared.own
        if as_json:
            print_json(_document(opened, here, root))
        else:
            _tell(opened.manifest, here, root, mended=code is not None)
        if debug and here.status is not Status.OK:
            if here.stop is None:
                screen.print("there is no line of Python to stop at")
            else:
                from crunch_game.cli._debugging import stop_at

                stop_at(here.stop, prepared.own)
    if here.reproduces(opened.manifest):
        raise typer.Exit(1)


def _goes_apart(manifest: Manifest) -> bool:
    """Whether it is played in a process of its own, where the system has them: it could end this one, or the game's
    sandbox may be what it failed at.

    An answer that breaks the contract is not: only here can be seen where it is returned.
    """
    ends = manifest.status in (Status.DIED, Status.TIMEOUT) or manifest.fault.kind == "KeyboardInterrupt"
    is_held = manifest.isolation is not None and manifest.isolation.sandbox is not None
    unsent = manifest.status == Status.INVALID and manifest.fault.message.startswith("the answer cannot be sent")
    held = is_held and (manifest.status == Status.RAISED or unsent)
    return (ends or held) and hasattr(os, "pidfd_open")


class _Prepared(NamedTuple):
    """What `play` takes, and the file or folder that the participant's code is in."""

    source: Path | str
    folder: Path
    imports: Path | None
    own: Path


def _prepared(capsule: Capsule, folder: Path, code: Path | None) -> _Prepared:
    copies, home = folder / "code", folder / "home"
    copies.mkdir()
    home.mkdir()
    if code is not None:
        path = code.resolve()
        if not path.exists():
            raise CapsuleError(f"there is no submission at {str(code)!r}")
        return _Prepared(path, path if path.is_dir() else home, None, path)
    with legible(capsule.path) as archive:
        place = unpack(archive, capsule.manifest.code, copies)
    if capsule.manifest.code.reference is not None:
        return _Prepared(capsule.manifest.code.reference, home, copies, copies)
    if place is None:
        raise CapsuleError(
            f"{capsule.path} has no copy of the submission: it was gone when the call failed; give one with --code PATH"
        )
    return _Prepared(place, place if place.is_dir() else home, None, copies)


# For people.


def _announce(capsule: Capsule, code: Path | None, *, apart: bool) -> None:
    """What is about to be run."""
    manifest, count = capsule.manifest, len(capsule.values.calls)
    what = "its load" if manifest.method == LOAD else manifest.call
    screen.print(Text.assemble((manifest.model_id, "bold"), f" (deployment {manifest.deployment_id}): {what}"))
    when = manifest.saved_at.replace("T", " ").replace("Z", " UTC")
    screen.print(Text(f"in the game, {when}: {manifest.fault.message}", style="dim"))
    before = {0: "", 1: "the call before it, then "}.get(count, f"the {count:,} calls before it, then ")
    where = "in a process of its own" if apart else "in this process"
    screen.print(Text(f"playing {before}the call itself, {where}" if what == manifest.call else f"loading it {where}"))
    if code is not None:
        screen.print(Text(f"with {code} instead of the capsule's copy"))
    user = "this user"
    with suppress(KeyError, OSError):  # it may have no name
        user = getuser()
    held = apart and manifest.isolation is not None and manifest.isolation.sandbox is not None
    how = "in the sandbox that the game had" if held else f"with the rights of {user}, and without a sandbox"
    screen.print(Text(f"this runs the participant's code {how}", style="yellow"))


def _tell(manifest: Manifest, here: Here, root: Path, *, mended: bool) -> None:
    """What came of it."""
    if here.fault.traceback is not None:
        from crunch_game.cli._debugging import show  # and pygments, which no other command has a use for

        screen.print()
        show(here.fault.traceback, root, screen)
    screen.print()
    for note in here.notes:
        screen.print(Text(f"! {note}", style="yellow"))
    if here.reproduces(manifest):
        screen.print(Text.assemble(("✗ it reproduces: ", "red"), here.fault.message))
        return
    mark = ("✓", "green") if here.status is Status.OK else ("!", "yellow")
    screen.print(Text.assemble(mark, (" it does not reproduce: ", mark[1]), here.fault.message))
    for reason in () if mended else _missing(manifest):
        screen.print(Padding(Text(reason, style="dim"), (0, 0, 0, 2)))


def _missing(manifest: Manifest) -> Iterator[str]:
    """What the game had and this replay has not."""
    if manifest.calls_before:
        yield f"the {manifest.calls_before:,} calls before those that the capsule has are not in it"
    if manifest.code.left_out:
        yield f"these files are not in it: {', '.join(manifest.code.left_out)}"
    if manifest.code.changed:
        yield "the code was changed after the game had loaded it: the copy may not be what failed"
    if manifest.python != platform.python_version():
        yield f"the game ran on Python {manifest.python}, this is {platform.python_version()}"
    if manifest.isolation is not None and (
        unset := [name for name in manifest.isolation.env if name not in os.environ]
    ):
        yield f"the game set these variables, which are not set here: {', '.join(unset)}"
    yield "what may differ here: chance, the clock, the sandbox, other versions of libraries, a machine under load"


# For programs.


def _document(capsule: Capsule, here: Here, root: Path) -> dict[str, Any]:
    from crunch_game.cli._debugging import relative

    manifest = capsule.manifest
    game = {"at": manifest.saved_at, "status": manifest.status, "elapsed": manifest.elapsed, **asdict(manifest.fault)}
    return {
        "capsule": str(capsule.path),
        "model_id": manifest.model_id,
        "deployment_id": manifest.deployment_id,
        "method": manifest.method,
        "call": manifest.call,
        "calls": len(capsule.values.calls),
        "calls_before": manifest.calls_before,
        "budget": manifest.budget,
        "reproduces": here.reproduces(manifest),
        "game": game,
        "here": {
            "status": here.status,
            "elapsed": here.elapsed,
            "kind": here.fault.kind,
            "message": here.fault.message,
            "traceback": here.fault.traceback and relative(here.fault.traceback, root),
        },
        "notes": list(here.notes),
        "missing": [] if here.reproduces(manifest) else list(_missing(manifest)),
    }

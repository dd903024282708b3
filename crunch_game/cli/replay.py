"""`crunch-game replay`: a failing call played again, under a debugger if wanted."""

from __future__ import annotations

import faulthandler
import linecache
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import asdict
from getpass import getuser
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text
from rich.traceback import Frame, Stack, Trace, Traceback

from crunch_game.capsules.apart import play_apart
from crunch_game.capsules.capsule import LOAD, Capsule, Manifest, legible, read
from crunch_game.capsules.packing import unpack
from crunch_game.capsules.replaying import Here, Replay
from crunch_game.capsules.stacks import relative, text_of
from crunch_game.cli import output
from crunch_game.cli.debugging import stop_at
from crunch_game.errors import CapsuleError
from crunch_game.outcomes import Status

__all__ = ["replay"]

CapsuleFile = Annotated[Path, typer.Argument(metavar="CAPSULE", help="A file from the folder of Policy(capsules=...).")]
Debug = Annotated[bool, typer.Option("--pdb", help="Stop in the debugger where it failed.")]
OtherCode = Annotated[
    Path | None, typer.Option("--code", metavar="PATH", help="Play this submission instead of the capsule's copy.")
]


def replay(capsule: CapsuleFile, debug: Debug = False, code: OtherCode = None, as_json: output.AsJson = False) -> None:
    """Play a failing call again. Exit code 1 if it fails as it did in the game, 0 if it does not.

    This runs the participant's code with your rights, and without a sandbox.
    """
    if debug and as_json:
        raise typer.BadParameter("--pdb talks with you, and --json is for programs; use one of them")
    opened = read(capsule)
    apart = opened.manifest.status in (Status.DIED, Status.TIMEOUT) and not debug
    with tempfile.TemporaryDirectory(prefix="crunch_game-replay-") as folder:
        played, own = _prepared(opened, Path(folder).resolve(), code)
        if not as_json:
            _announce(opened, own if code else None, output.screen, apart=apart)
        if debug:
            faulthandler.enable(sys.__stderr__ or 2)
        here, traceback = _play(played, apart=apart)
        root = own.parent if code else own
        if as_json:
            output.print_json(_document(opened, here, root))
        else:
            _tell(opened.manifest, here, root, output.screen, mended=code is not None)
        if debug and here.status is not Status.OK:
            if traceback is None:
                output.screen.print("there is no line of Python to stop at")
            else:
                stop_at(traceback, own)
    if here.reproduces(opened.manifest):
        raise typer.Exit(1)


def _play(replay: Replay, *, apart: bool) -> tuple[Here, TracebackType | None]:
    if apart:
        return play_apart(replay), None
    played = replay.play()
    return played.here, played.traceback


def _prepared(capsule: Capsule, folder: Path, code: Path | None) -> tuple[Replay, Path]:
    """What to play, and the file or folder of the participant's code."""
    copies, home = folder / "code", folder / "home"
    copies.mkdir()
    home.mkdir()
    if code is not None:
        path = code.resolve()
        if not path.exists():
            raise CapsuleError(f"there is no submission at {str(code)!r}")
        return Replay(capsule, path, path if path.is_dir() else home), path
    with legible(capsule.path) as archive:
        place = unpack(archive, capsule.manifest.code, copies)
    if capsule.manifest.code.reference is not None:
        return Replay(capsule, capsule.manifest.code.reference, home, copies), copies
    if place is None:
        raise CapsuleError(
            f"{capsule.path} has no copy of the submission: it was gone when the call failed; give one with --code PATH"
        )
    return Replay(capsule, place, place if place.is_dir() else home), copies


# For people.


def _announce(capsule: Capsule, code: Path | None, console: Console, *, apart: bool) -> None:
    """What is about to be run."""
    manifest, count = capsule.manifest, len(capsule.values.calls)
    what = "its load" if manifest.method == LOAD else manifest.call
    console.print(Text.assemble((manifest.model_id, "bold"), f" (deployment {manifest.deployment_id}): {what}"))
    when = manifest.saved_at.replace("T", " ").replace("Z", " UTC")
    console.print(Text(f"in the game, {when}: {manifest.fault.message}", style="dim"))
    before = {0: "", 1: "the call before it, then "}.get(count, f"the {count:,} calls before it, then ")
    where = "in a process of its own" if apart else "in this process"
    console.print(Text(f"playing {before}the call itself, {where}" if what == manifest.call else f"loading it {where}"))
    if code is not None:
        console.print(Text(f"with {code} instead of the capsule's copy"))
    warning = f"this runs the participant's code with the rights of {_user()}, and without a sandbox"
    console.print(Text(warning, style="yellow"))


def _user() -> str:
    try:
        return getuser()
    except (KeyError, OSError):
        return "this user"


def _tell(manifest: Manifest, here: Here, root: Path, console: Console, *, mended: bool) -> None:
    """What came of it."""
    if any(stack.frames for stack in here.stacks):
        console.print()
        _show(here, root, console)
    console.print()
    for note in here.notes:
        console.print(Text(f"! {note}", style="yellow"))
    if here.reproduces(manifest):
        console.print(Text.assemble(("✗ it reproduces: ", "red"), here.message))
        return
    mark = ("✓", "green") if here.status is Status.OK else ("!", "yellow")
    console.print(Text.assemble(mark, (" it does not reproduce: ", mark[1]), here.message))
    for reason in () if mended else _missing(manifest):
        console.print(Padding(Text(reason, style="dim"), (0, 0, 0, 2)))


def _show(here: Here, root: Path, console: Console) -> None:
    """The participant's traceback, its files named from the root."""
    linecache.checkcache()
    stacks = [
        Stack(
            exc_type=stack.kind,
            exc_value=stack.text,
            is_cause=stack.is_cause,
            frames=[Frame(relative(root, frame.file), frame.line, frame.name) for frame in stack.frames],
        )
        for stack in here.stacks
    ]
    with chdir(root):
        console.print(Traceback(Trace(stacks), max_frames=20, word_wrap=True, extra_lines=2))


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
    yield "what may differ here: chance, the clock, the sandbox, other versions of libraries, a machine under load"


# For programs.


def _document(capsule: Capsule, here: Here, root: Path) -> dict[str, Any]:
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
            "kind": here.kind,
            "message": here.message,
            "traceback": text_of(here.stacks, root),
        },
        "notes": here.notes,
        "missing": [] if here.reproduces(manifest) else list(_missing(manifest)),
    }

"""`crunch-game doctor`: reports what this machine has, and lacks, for running models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Final, Literal, NamedTuple

import anyio
import typer
from rich.table import Table
from rich.text import Text

from crunch_game.cli import _output as output
from crunch_game.cli._machine import Libraries, Machine, Trial, libraries, machine, try_out
from crunch_game.errors import how_to_install
from crunch_game.sandbox import Barrier, Sandbox

Mark = Literal["good", "bad", "note", "none"]
_MARKS: Final[Mapping[Mark, tuple[str, str]]] = {
    "good": ("✓", "green"),
    "bad": ("✗", "red"),
    "note": ("!", "yellow"),
    "none": ("-", "dim"),
}
_GIB: Final = 1 << 30
_ENOUGH_MODELS: Final = 1_000


class Line(NamedTuple):
    """One line of the report."""

    mark: Mark
    name: str
    value: str


def doctor(as_json: output.AsJson = False) -> None:
    """Say what this machine has for running models, and try it out: exit code 0 if they run isolated, 1 if not."""
    sandbox = Sandbox()
    trials = [anyio.run(try_out, sandbox)]
    if trials[0].error is not None:
        # Is it the sandbox, or do models not run here at all?
        trials.append(anyio.run(try_out, None))
    # After the trial, in which the process host has raised the limit of open files.
    found, installed = machine(), libraries()
    barriers = sandbox.report()
    problems = list(_problems(trials, barriers))
    if as_json:
        output.print_json(
            {
                "ok": not problems,
                "problems": problems,
                "machine": asdict(found),
                "libraries": asdict(installed),
                "models": [asdict(trial) for trial in trials],
                "sandbox": [asdict(barrier) for barrier in barriers],
            }
        )
    else:
        _show("machine", _machine_lines(found))
        _show("libraries", _library_lines(installed))
        _show("models", [line for trial in trials for line in _trial_lines(trial)])
        _show("sandbox: what a model is kept from", [_barrier_line(each) for each in barriers if not each.expected])
        _show("sandbox: what nothing keeps it from", [_barrier_line(each) for each in barriers if each.expected])
        for problem in problems:
            output.screen.print(Text.assemble(("✗ ", "red"), problem))
        if not problems:
            fine = " models run here, each in a process and a sandbox of its own"
            output.screen.print(Text.assemble(("✓", "green"), fine))
    if problems:
        raise typer.Exit(1)


def _problems(trials: Sequence[Trial], barriers: Iterable[Barrier]) -> Iterator[str]:
    """Yield the reasons for which models cannot run isolated here."""
    first, last = trials[0], trials[-1]
    if last.error is not None:
        yield f"no model can be run in a process of its own: {last.error}"
    elif first.error is not None:
        yield f"no model can be run in the sandbox: {first.error}"
    for barrier in barriers:
        if not (barrier.enforced or barrier.expected):
            yield f"nothing keeps a model from this: {barrier.name}: {barrier.why_not}"


def _machine_lines(found: Machine) -> Iterator[Line]:
    yield Line("good", "Python", f"{found.python}, {found.executable}")
    yield Line("good", "platform", found.platform)
    yield Line("good", "cores", f"{found.cores:g}")
    if found.memory is not None and found.free_memory is not None:
        yield Line("good", "memory", f"{found.memory / _GIB:.1f} GiB, {found.free_memory / _GIB:.1f} GiB of it free")
    if found.descriptors is None or found.models is None:
        yield Line("good", "open files", "no limit")
        return
    text = f"{found.descriptors:,} at most, enough for about {found.models:,} models"
    enough = found.models >= _ENOUGH_MODELS
    yield Line(
        "good" if enough else "note",
        "open files",
        text if enough else f"{text}; more with a higher hard limit (ulimit -Hn)",
    )


def _library_lines(installed: Libraries) -> Iterator[Line]:
    own = dict(installed.own)
    package = own.pop("crunch-game")
    yield Line("good", "crunch-game", package or "not installed, but run from its source")
    if own:
        yield Line("bad" if None in own.values() else "good", "it needs", _versions(own))
    for extra, needed in installed.extras.items():
        missing = [name for name, version in needed.items() if version is None]
        if not missing:
            yield Line("good", extra, _versions(needed))
            continue
        there = {name: version for name, version in needed.items() if version is not None}
        has = f"{_versions(there)}; " if there else ""
        yield Line("none", extra, f"{has}without {', '.join(missing)}; {how_to_install(extra)}")


def _versions(versions: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {version or 'is missing'}" for name, version in sorted(versions.items()))


def _trial_lines(trial: Trial) -> Iterator[Line]:
    where = "in the sandbox" if trial.sandbox else "without a sandbox"
    if trial.server is None or trial.model is None or trial.call is None:
        yield Line("bad", "a model", f"{where}, it does not run: {trial.error}")
        return
    yield Line("good", "fork server", f"there after {trial.server * 1000:.0f} ms")
    yield Line("good", "a model", f"ready after {trial.model * 1000:.0f} ms more, {where}")
    yield Line("good", "a call", f"{trial.call * 1000:.2f} ms")


def _barrier_line(barrier: Barrier) -> Line:
    if barrier.enforced:
        return Line("good", barrier.name, barrier.mechanism)
    return Line("none" if barrier.expected else "bad", barrier.name, barrier.why_not or "")


def _show(title: str, lines: Iterable[Line]) -> None:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(min_width=12, max_width=max(30, output.screen.width // 2))
    table.add_column(ratio=1)
    for line in lines:
        sign, color = _MARKS[line.mark]
        table.add_row(Text(sign, style=color), line.name, Text(line.value, style="dim" if line.mark == "none" else ""))
    output.screen.print(Text(title, style="bold"))
    output.screen.print(table)
    output.screen.print()

"""What a row of the zoo's table is made of: how each call of a specimen ends, and what becomes of it."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from crunch_game import Sandbox, Status
from crunch_game.policy import State

CALM = {"mean": 0.0, "scale": 1.0}
"""What a specimen answers when it misbehaves in other ways."""

_PLAYING = (State.READY, State.BUSY)


@dataclass(frozen=True)
class Expected:
    """How one call of a specimen ends.

    Attributes:
        status: The outcome's status.
        sentence: The fault's message, word for word; `{s}` is a number, `{any}` is anything, `{budget}` the budget.
        value: The answer, or what must be true of it.
        method: The method that the round is about.
        exit: The exit code of its process, if it is told.
        when: The states that are waited for before the round.
        life: The process, by number, that is waited for.
    """

    status: Status
    sentence: str = ""
    value: Any = None
    method: str = "predict"
    exit: int | None = None
    when: tuple[State, ...] = _PLAYING
    life: int = 0


def ok(value: Any = CALM, method: str = "predict", life: int = 0) -> Expected:
    """It answers."""
    return Expected(Status.OK, value=None if method == "tick" else value, method=method, life=life)


def late(method: str = "predict") -> Expected:
    """It does not answer."""
    return Expected(Status.TIMEOUT, "no answer within {budget} s", method=method)


def busy(with_: str = "predict", method: str = "predict") -> Expected:
    """It is not even asked, since it is still busy."""
    sentence = f"not asked within {{budget}} s: it has been busy with {with_} for {{s}} s"
    return Expected(Status.TIMEOUT, sentence, method=method)


def raised(sentence: str, method: str = "predict") -> Expected:
    """It raises."""
    return Expected(Status.RAISED, sentence, method=method)


def refused(sentence: str, barrier: str) -> Expected:
    """It runs into a barrier of the sandbox, which is named."""
    return Expected(Status.RAISED, f"{sentence} (the sandbox {barrier})")


def invalid(sentence: str) -> Expected:
    """Its answer breaks the contract."""
    return Expected(Status.INVALID, f"the answer does not fit predict's contract: {sentence}")


def unsendable(sentence: str) -> Expected:
    """Its answer has no form on the wire."""
    return Expected(Status.INVALID, f"the answer cannot be sent: {sentence}")


def unread(sentence: str, method: str = "predict") -> Expected:
    """What it says makes no sense."""
    return Expected(Status.INVALID, sentence, method=method)


def died(how: str, exit: int | None = None) -> Expected:  # noqa: A002
    """Its process ends."""
    return Expected(Status.DIED, f"its process ended during predict: {how}", exit=exit)


def cut_off(why: str) -> Expected:
    """Its process is ended, because it breaks the protocol."""
    return Expected(Status.DIED, f"its process was ended during predict: {why}")


def loading() -> Expected:
    """It is still being loaded, and is not waited for."""
    return Expected(Status.SKIPPED, "it has been loading for {s} s", when=(State.JOINING,))


def not_loaded(sentence: str) -> Expected:
    """It could not be loaded."""
    return Expected(Status.SKIPPED, f"it could not be loaded: {sentence}", when=(State.FAILED,))


@dataclass(frozen=True)
class Specimen:
    """One way to misbehave.

    Attributes:
        name: What it is called.
        rounds: How each call ends.
        stopped: The reason for which it is stopped after the last of them; None if it plays on.
        lives: How many processes it has had that were ready to play.
        budget: Seconds for each call; None where nobody is late.
        model: The file or folder in `models/`; the name unless given.
        what: What it does; what its file says unless given.
        sandbox: What it is in, unless that is what every model is in.
        on_timeout: As in Policy.
        setup_timeout: As in Policy.
        limit: Of failures, and of timeouts, of one method in a row.
    """

    name: str
    rounds: tuple[Expected, ...]
    stopped: str | None = None
    lives: int = 1
    budget: float | None = None
    model: str = ""
    what: str = ""
    sandbox: Sandbox | None = None
    on_timeout: Literal["keep", "restart"] = "keep"
    setup_timeout: float = 60.0
    limit: int = 3

    @property
    def conditions(self) -> tuple[object, ...]:
        """What those have in common that can play in one runner."""
        return self.budget, self.sandbox, self.on_timeout, self.setup_timeout, self.limit

    @property
    def file(self) -> str:
        """Its file's stem, or its folder's name."""
        return self.model or self.name

    def fits(self, sentence: str, said: str) -> bool:
        """Whether a message is this sentence of the table."""
        pattern = re.escape(sentence)
        for place, what in (("s", r"[0-9.e+-]+"), ("any", "(?s:.*)"), ("budget", re.escape(f"{self.budget or 0:g}"))):
            pattern = pattern.replace(rf"\{{{place}\}}", what)
        return re.fullmatch(pattern, said) is not None


def told(specimen: Specimen) -> tuple[str, str, str, str]:
    """A row for readers: its name, what it does, how its calls end, and what becomes of it."""
    return f"`{specimen.name}`", specimen.what or _says(specimen.file), _outcomes(specimen), _end(specimen)


def _says(name: str) -> str:
    path = Path(__file__).parent / "models" / name
    source = (path / "main.py" if path.is_dir() else path.with_suffix(".py")).read_text()
    return ast.get_docstring(ast.parse(source)) or ""


def _outcomes(specimen: Specimen) -> str:
    runs = [(name, len(list(group))) for name, group in groupby(expected.status.name for expected in specimen.rounds)]
    statuses = ", ".join(f"`{name}`" if count == 1 else f"`{name}` × {count}" for name, count in runs)
    sentences = dict.fromkeys(expected.sentence for expected in specimen.rounds if expected.sentence)
    told = ", then ".join(f"`{_shown(sentence, specimen)}`" for sentence in sentences)
    return f"{statuses}: {told}" if told else statuses


def _shown(sentence: str, specimen: Specimen) -> str:
    text = sentence.replace("{budget}", f"{specimen.budget or 0:g}").replace("\n", " ")
    return re.sub(r"{[a-z]+}", "…", text)


def _end(specimen: Specimen) -> str:
    if specimen.stopped is not None:
        return "stopped" + ("", ", restarted once before", ", restarted twice before")[specimen.lives - 1]
    if specimen.lives == 0:
        return "never plays"
    return "plays on" if specimen.lives == 1 else "plays on, restarted each time"

"""Method: one method of a base class, its parameters and their types.

This module imports only the standard library, because model processes use it too. The first check imports pydantic, and
checks are only made in the coordinator.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from crunch_game.contract._fitting import POSITIONAL, VARIADIC, Arguments, ByName, Fit, Keep
from crunch_game.errors import ContractError

if TYPE_CHECKING:
    from crunch_game.contract._checking import Check

UNSET: Any = object()
"""Where the annotation is the base class's own."""


class Method:
    """One method of a contract: checks arguments and answers, and fits calls to models' signatures.

    Attributes:
        silent: Whether the method returns nothing (`-> None`), so that a model's answer is ignored.
    """

    def __init__(self, owner: str, name: str, function: Callable[..., Any], returns: Any, allow_inf_nan: bool) -> None:
        self.name = name
        self.owner = owner
        signature = inspect.signature(function)
        # Without self.
        self.signature = signature.replace(parameters=list(signature.parameters.values())[1:])
        self._hints = _hints(function, f"{owner}.{name}")
        if returns is not UNSET:
            self._hints["return"] = returns
        self.returns: Any = self._hints.get("return", Any)
        self.silent = self.returns in (None, types.NoneType)
        self.returns_table = _is_table(self.returns)
        """Whether it answers with a pandas DataFrame, always or sometimes."""
        self.may_abstain = _admits_none(self.returns)
        """Whether the annotation says that it may answer with None: it has no answer this time."""
        self.must_answer = "return" in self._hints and not (self.silent or self.may_abstain)
        """Whether the annotation says that it answers, and never with None."""
        self._finite = not allow_inf_nan
        parameters = self.signature.parameters.values()
        self._positions = [p.name for p in parameters if p.kind in POSITIONAL]
        self._variadic = {p.name for p in parameters if p.kind in VARIADIC}
        required = {p.name for p in parameters if p.default is p.empty} - self._variadic
        self._is_positional = required <= set(self._positions)
        self._min_arguments = len(required)
        self._checks: dict[str, Check] = {}
        self._is_admitted = False

    def takes(self, name: str) -> bool:
        """Whether the method has a parameter of that name, or **kwargs."""
        parameters = self.signature.parameters
        return name in parameters or any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any], *, partial: bool = False) -> Arguments:
        """Check the arguments of a call, and return them; positional ones stay positional.

        Args:
            args: Positional arguments.
            kwargs: Keyword arguments.
            partial: Whether each model gets further ones.

        Raises:
            ContractError: They do not fit the signature or its annotations.
        """
        self.check_names(args, kwargs, partial=partial)
        if not self._is_admitted:
            self.check_annotations()
        positions = self._positions
        positional = [
            self._check_argument(positions[i], value) if i < len(positions) else value for i, value in enumerate(args)
        ]
        return positional, {name: self._check_argument(name, value) for name, value in kwargs.items()}

    def extra(self, args: Sequence[Any], kwargs: Mapping[str, Any], further: Mapping[str, Any]) -> dict[str, Any]:
        """Check one model's further keyword arguments, together with those that all models get.

        Raises:
            ContractError: They do not fit the signature or its annotations, or one is given twice.
        """
        twice = kwargs.keys() & further.keys()
        if twice:
            raise ContractError(f"{self.owner}.{self.name}: {listed(sorted(twice))} given both to all and per model")
        self.check_names(args, {**kwargs, **further}, partial=False)
        return {name: self._check_argument(name, value) for name, value in further.items()}

    def check_names(self, args: Sequence[Any], kwargs: Mapping[str, Any], *, partial: bool) -> None:
        """Check the number and the names of arguments, not their types.

        Raises:
            ContractError: They do not fit the signature.
        """
        if not kwargs and self._is_positional and self._min_arguments <= len(args) <= len(self._positions):
            return  # the usual case, ten times as fast as signature.bind
        bind = self.signature.bind_partial if partial else self.signature.bind
        try:
            bind(*args, **kwargs)
        except TypeError as error:
            raise ContractError(f"{self.owner}.{self.name}{self.signature}: {error}") from None

    def fit(self, function: Callable[..., Any]) -> Fit:
        """Return how this method's arguments are arranged for a model's function."""
        return Fit(self.signature, self._positions, function, self._keeps)

    @functools.cached_property
    def _keeps(self) -> dict[str, Keep]:
        """By parameter, what makes the annotated type of what arrives at a model, where that is another.

        Raises:
            ContractError: No value of an annotation reaches a model as such.
        """
        # Of the usual ones nothing is kept, and nothing is imported for them in a model's process.
        names = [name for name in self.signature.parameters if name in self._hints and name not in self._variadic]
        unusual = [name for name in names if not _is_usual(self._hints[name])]
        if not unusual:
            return {}

        from crunch_game.contract._keeping import Unkept, keeper

        keeps = {}
        for name in unusual:
            try:
                keep = keeper(self._hints[name])
            except Unkept as error:
                where = f"{self.owner}.{self.name}: the annotation of {name!r} cannot be kept"
                raise ContractError(f"{where}: {error}") from None
            if keep is not None:
                keeps[name] = keep
        return keeps

    def fit_by_name(self, function: Callable[..., Any]) -> ByName:
        """Return the same for callers whose contract may be another version than this one."""
        return ByName(function, self.signature, self._positions)

    def read(self, value: Any) -> Any:
        """Return a model's answer as the annotated type.

        Raises:
            Mismatch: It does not fit the annotation, or contains NaN or infinity without being allowed to.
        """
        return None if self.silent else self._check("return").read(value)

    def prepare(self) -> None:
        """Build the checks now, so that the first call is not slower.

        Raises:
            ContractError: Values cannot be checked against an annotation.
        """
        for name in (*self.signature.parameters, "return"):
            self._check(name)

    def check_annotations(self) -> None:
        """Check that arguments reach models, and answers come back, as their annotations say; for what is called.

        Raises:
            ContractError: There are some that cannot; the message says what to write instead.
        """
        _ = self._keeps
        why = self._check("return").unanswerable(is_table=self.returns_table)
        if why is not None:
            raise ContractError(f"{self.owner}.{self.name}: no answer can fit its return annotation: {why}")
        self._is_admitted = True

    def _check(self, name: str) -> Check:
        if name in self._checks:
            return self._checks[name]

        from pydantic.errors import PydanticUserError

        from crunch_game.contract._checking import Check

        annotation = Any if name in self._variadic else self._hints.get(name, Any)
        try:
            answer = name == "return"
            check = self._checks[name] = Check(annotation, finite=answer and self._finite, shallow=answer)
        except PydanticUserError as error:
            raise ContractError(
                f"{self.owner}.{self.name}: the annotation of {name!r} cannot be checked: {error.message}"
            ) from None
        return check

    def _check_argument(self, name: str, value: Any) -> Any:
        check = self._checks.get(name)
        if check is None:
            if name not in self.signature.parameters:
                return value
            check = self._check(name)
        try:
            return check.read(value)
        except ValueError as error:  # a Mismatch
            raise ContractError(f"{self.owner}.{self.name}: the argument {name!r} does not fit: {error}") from None


def _is_usual(annotation: Any) -> bool:
    """Whether its values arrive at a model as they are, seen at a glance."""
    if isinstance(annotation, types.GenericAlias) and annotation.__origin__ in (list, dict):
        return all(map(_is_usual, annotation.__args__))
    return annotation in (str, int, float, bool, Any, None, types.NoneType, list, dict)


def _is_table(annotation: Any) -> bool:
    """Whether it is pandas' DataFrame, or a union or an Annotated with it."""
    pandas = sys.modules.get("pandas")  # who annotates with it has imported it
    if pandas is None:
        return False
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, typing.Annotated):
        return any(map(_is_table, typing.get_args(annotation)))
    return annotation is pandas.DataFrame


def _admits_none(annotation: Any) -> bool:
    """Whether it is None, or a union or an Annotated with it."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, typing.Annotated):
        return any(map(_admits_none, typing.get_args(annotation)))
    return annotation in (None, types.NoneType)


def _hints(function: Callable[..., Any], where: str) -> dict[str, Any]:
    unreadable = (NameError, TypeError, AttributeError, SyntaxError)
    with suppress(*unreadable):
        return typing.get_type_hints(function, include_extras=True)
    # One annotation that cannot be read must not leave the others unchecked.
    hints: dict[str, Any] = {}
    for name, annotation in function.__annotations__.items():
        lone = types.FunctionType(function.__code__, function.__globals__)
        lone.__annotations__ = {name: annotation}
        try:
            hints |= typing.get_type_hints(lone, include_extras=True)
        except unreadable as error:
            warnings.warn(f"{where}: {name!r} is not checked, its annotation cannot be read: {error}", stacklevel=2)
    return hints


def listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"

"""Contract: the methods of an author's base class, their parameters and their types.

This module imports only the standard library, because model processes use it too. The first check imports pydantic, and
checks are only made in the coordinator.
"""

from __future__ import annotations

import inspect
import sys
import types
import typing
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from crunch_game._public import public
from crunch_game.contract._stubs import is_stub
from crunch_game.errors import ContractError
from crunch_game.sources import resolve

if TYPE_CHECKING:
    from crunch_game.contract._checking import Check

Arguments = tuple[list[Any], dict[str, Any]]

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_ANYTHING = [inspect.Parameter(f"any_{kind.name.lower()}", kind) for kind in _VARIADIC]


@public
class Contract:
    """The methods of a base class, and the types of their arguments and answers.

    Args:
        base: Any class, its dotted name ("package.module.Class" or "package.module:Class"), or a Contract.
        returns: Return types by method name, for base classes whose annotations are not what the game needs.
        allow_inf_nan: Whether answers may contain NaN and infinity. A single method allows them with pydantic's
            `AllowInfNan` in its return annotation.

    Raises:
        ContractError: The class cannot be found, or `returns` names a method that it does not have.
    """

    def __init__(
        self,
        base: type | str | Contract,
        *,
        returns: Mapping[str, Any] | None = None,
        allow_inf_nan: bool = False,
    ) -> None:
        self.base: type = base.base if isinstance(base, Contract) else find_class(base)
        self.name = f"{self.base.__module__}.{self.base.__qualname__}"
        attributes = _attributes(self.base)
        returns = dict(returns or {})
        self.overridden: tuple[str, ...] = tuple(returns)
        self.allow_inf_nan = allow_inf_nan
        self.methods: Mapping[str, Method] = {
            name: Method(self.name, name, function, returns.pop(name, _UNSET), allow_inf_nan)
            for name, function in attributes.items()
            if isinstance(function, types.FunctionType) and not name.startswith("_")
        }
        if returns:
            raise ContractError(f"{self.name} has no method {next(iter(returns))!r}; it has {_listed(self.methods)}")
        own = {name: attribute for name, attribute in attributes.items() if not name.startswith("__")}
        self.required: tuple[str, ...] = tuple(sorted(name for name in own if _is_left_open(own[name])))

    @classmethod
    def of(cls, base: type | str | Contract) -> Contract:
        """Return the contract of a class or its dotted name; a Contract is returned as it is."""
        return base if isinstance(base, Contract) else cls(base)

    def method(self, name: str) -> Method:
        """Return the method of that name.

        Raises:
            ContractError: The base class does not have it.
        """
        try:
            return self.methods[name]
        except KeyError:
            raise ContractError(f"{self.name} has no method {name!r}; it has {_listed(self.methods)}") from None

    def lacking(self, candidate: type) -> list[str]:
        """Return the required methods that a class lacks, and those that are abstract in it; sorted."""
        found, ours = _attributes(candidate), _attributes(self.base)
        lacking = {name for name, attribute in found.items() if _is_abstract(attribute)}
        for name in self.required:
            attribute = found.get(name)
            if attribute is None or attribute is ours[name] or _is_left_open(attribute):
                lacking.add(name)
        return sorted(lacking)

    def __repr__(self) -> str:
        return f"<Contract {self.name}: {_listed(self.methods)}>"


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
        if returns is not _UNSET:
            self._hints["return"] = returns
        self.returns: Any = self._hints.get("return", Any)
        self.silent = self.returns in (None, types.NoneType)
        self.returns_table = _is_table(self.returns)
        """Whether it answers with a pandas DataFrame, always or sometimes."""
        self.may_abstain = _admits_none(self.returns)
        """Whether the annotation says that it may answer with None: it has no answer this time."""
        self._finite = not allow_inf_nan
        parameters = self.signature.parameters.values()
        self._positions = [p.name for p in parameters if p.kind in _POSITIONAL]
        self._variadic = {p.name for p in parameters if p.kind in _VARIADIC}
        required = {p.name for p in parameters if p.default is p.empty} - self._variadic
        self._is_positional = required <= set(self._positions)
        self._min_arguments = len(required)
        self._checks: dict[str, Check] = {}

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
            raise ContractError(f"{self.owner}.{self.name}: {_listed(sorted(twice))} given both to all and per model")
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
        return Fit(self.signature, self._positions, function)

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


class Fit:
    """Arranges a method's arguments for a model's function.

    Required parameters are passed by position, because participants rename them. Parameters with a default in the base
    class are left out if the model does not accept them, so that a game can add some later.

    Attributes:
        positions: Up to this many positional arguments, without keyword arguments, need no arranging.
    """

    def __init__(self, signature: inspect.Signature, ordered: Sequence[str], function: Callable[..., Any]) -> None:
        self._ordered = ordered
        parameters = signature.parameters
        self._optional = {name for name in parameters if parameters[name].default is not inspect.Parameter.empty}
        self._required_positions = sum(1 for name in ordered if name not in self._optional)
        try:
            accepted = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):  # it does not say what it accepts
            accepted = _ANYTHING
        kinds = [parameter.kind for parameter in accepted]
        positional = sum(kind in _POSITIONAL for kind in kinds)
        self.positions = sys.maxsize if inspect.Parameter.VAR_POSITIONAL in kinds else positional
        self._names = {
            p.name: i if p.kind in _POSITIONAL else sys.maxsize for i, p in enumerate(accepted) if p.kind in _NAMED
        }
        """The last number of positional arguments with which each can still be given by name."""
        self._any_name = inspect.Parameter.VAR_KEYWORD in kinds

    def __call__(self, args: list[Any], kwargs: dict[str, Any]) -> Arguments:
        """Return the arguments as the model accepts them."""
        positions, ordered = self.positions, self._ordered
        if len(args) > positions >= self._required_positions:
            # Optional arguments that the model does not accept by position may still be accepted by name.
            surplus = zip(ordered[positions:], args[positions:], strict=False)
            args, kwargs = args[:positions], {**kwargs, **dict(surplus)}
        if not kwargs:
            return args, kwargs
        args, kwargs = list(args), dict(kwargs)
        for name in ordered[len(args) : self._required_positions]:
            if name not in kwargs:
                break
            args.append(kwargs.pop(name))
        return args, {
            name: kwargs[name] for name in kwargs if name not in self._optional or self._accepts(name, len(args))
        }

    def _accepts(self, name: str, given: int) -> bool:
        """Whether the function accepts a keyword argument of that name after `given` positional ones."""
        return self._names[name] >= given if name in self._names else self._any_name


class ByName(Fit):
    """The same for a method without a contract: only keyword arguments that the model does not accept are left out."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(inspect.Signature(), (), function)
        self.positions = sys.maxsize

    def __call__(self, args: list[Any], kwargs: dict[str, Any]) -> Arguments:
        """Return the arguments as the model accepts them."""
        return args, {name: kwargs[name] for name in kwargs if self._accepts(name, len(args))}


_UNSET: Any = object()


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


def find_class(base: type | str) -> type:
    """Return the class, or the one that a dotted name refers to.

    Raises:
        ContractError: There is no such module, or no such class in it.
    """
    if isinstance(base, type):
        return base
    if not isinstance(base, str):
        raise ContractError(f"a contract is a class or its dotted name, not {base!r}")
    reference = base if ":" in base else ":".join(base.rpartition(".")[::2])
    try:
        found = resolve(reference)
    except (ImportError, AttributeError, ValueError) as error:
        raise ContractError(f"the base class {base!r} cannot be found: {error}") from error
    if not isinstance(found, type):
        raise ContractError(f"{base!r} is not a class but {found!r}")
    return found


def _attributes(cls: type) -> dict[str, Any]:
    """What the class and its ancestors define, by name and as they define it: no descriptor is asked."""
    # Base classes first, so that an override replaces what it overrides.
    return {name: value for ancestor in reversed(cls.__mro__[:-1]) for name, value in vars(ancestor).items()}


def _is_abstract(attribute: Any) -> bool:
    return bool(getattr(attribute, "__isabstractmethod__", False))


def _is_left_open(attribute: Any) -> bool:
    """Whether it is a method that a participant has to write."""
    return _is_abstract(attribute) or (isinstance(attribute, types.FunctionType) and is_stub(attribute))


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


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"

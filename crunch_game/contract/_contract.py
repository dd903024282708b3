"""Contract: the methods of an author's base class, their parameters and their types.

This module imports only the standard library, because model processes use it too. The first check imports pydantic, and
checks are only made in the coordinator.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

from crunch_game._public import public
from crunch_game.contract._method import UNSET, Method, listed
from crunch_game.contract._offered import why_unplayable, why_unrun
from crunch_game.contract._stubs import is_empty, is_stub
from crunch_game.errors import ContractError
from crunch_game.sources import resolve


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
            name: Method(self.name, name, function, returns.pop(name, UNSET), allow_inf_nan)
            for name, function in attributes.items()
            if isinstance(function, types.FunctionType) and not name.startswith("_")
        }
        if returns:
            raise ContractError(f"{self.name} has no method {next(iter(returns))!r}; it has {listed(self.methods)}")
        own = {name: attribute for name, attribute in attributes.items() if not name.startswith("__")}
        self.required: tuple[str, ...] = tuple(sorted(name for name in own if _is_left_open(own[name])))
        for name in self.methods:
            if (why := why_unrun(attributes[name])) is not None:
                raise ContractError(f"{self.name} has the method {name}, {why}")

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
            raise ContractError(f"{self.name} has no method {name!r}; it has {listed(self.methods)}") from None

    def lacking(self, candidate: type) -> list[str]:
        """Return the required methods that a class lacks, and those that are abstract in it; sorted."""
        found, ours = _attributes(candidate), _attributes(self.base)
        lacking = {name for name, attribute in found.items() if _is_abstract(attribute)}
        for name in self.required:
            attribute = found.get(name)
            if attribute is None or attribute is ours[name] or self._is_unwritten(name, attribute):
                lacking.add(name)
        return sorted(lacking)

    def _is_unwritten(self, name: str, attribute: Any) -> bool:
        """Whether a participant's own method is still to be written; `...` is enough where None is an answer."""
        if not isinstance(attribute, types.FunctionType) or not is_stub(attribute):
            return False
        method = self.methods.get(name)
        return (method is not None and method.must_answer) or not is_empty(attribute)

    def unplayable(self, model: Any) -> str | None:
        """Say why one of the methods could never be called on this model, or would not run; None if all can.

        What only a call can show is not said: a decorator that hides what it accepts, a property.
        """
        for method in self.methods.values():
            why = why_unplayable(model, self.base, method)
            if why is not None:
                return f"{method.name}, {why}"
        return None

    def __repr__(self) -> str:
        return f"<Contract {self.name}: {listed(self.methods)}>"


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

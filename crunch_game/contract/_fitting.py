"""Arranges a call's arguments for one model's function, and says whether that function can be called at all.

It uses only the standard library, because it runs where the model does.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

Keep = Callable[[Any], Any]
"""Makes the annotated type of what arrives."""
Arguments = tuple[list[Any], dict[str, Any]]

POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
VARIADIC: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_NAMED: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_EMPTY: Final = inspect.Parameter.empty
_ANYTHING: Final = inspect.Signature([inspect.Parameter(f"any_{kind.name.lower()}", kind) for kind in VARIADIC])
_NO_KEEPS: Final[Mapping[str, Keep]] = {}


class Fit:
    """Arranges a method's arguments for a model's function.

    Required parameters are passed by position, because participants rename them; but from the first one on that the
    model has in another place than the contract, or takes by keyword only, they are passed by name. Parameters with a
    default in the base class are left out if the model does not accept them, so that a game can add some later.

    Args:
        signature: The method's, without self.
        ordered: Its positional parameters.
        function: The model's.
        keeps: By parameter, what makes the annotated type of what arrives.

    Attributes:
        positions: Up to this many positional arguments, without keyword arguments, need no arranging.
        by_name: Whether arguments are passed by name that the contract has by position.
        misfit: Why no call of the contract can reach the function: because of the "order" of its parameters, or of
            their "count". None if one can.
    """

    def __init__(
        self,
        signature: inspect.Signature,
        ordered: Sequence[str],
        function: Callable[..., Any],
        keeps: Mapping[str, Keep] = _NO_KEEPS,
    ) -> None:
        self._ordered = ordered
        self._keeps: Mapping[str, Keep] = {}
        parameters = signature.parameters
        self._optional = {name for name in parameters if parameters[name].default is not _EMPTY}
        self._required = sum(1 for name in ordered if name not in self._optional)
        accepted = _signature(function)
        kinds = [parameter.kind for parameter in accepted.parameters.values()]
        most = sys.maxsize if inspect.Parameter.VAR_POSITIONAL in kinds else sum(kind in POSITIONAL for kind in kinds)
        self._names = {
            p.name: i if p.kind in POSITIONAL else sys.maxsize
            for i, p in enumerate(accepted.parameters.values())
            if p.kind in _NAMED
        }
        """The last number of positional arguments with which each can still be given by name."""
        self._any_name = inspect.Parameter.VAR_KEYWORD in kinds
        self._by_keyword = [n for n, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY]
        in_place = self._in_place()
        is_misplaced = in_place < min(most, len(ordered))
        self.by_name = is_misplaced or most < self._required
        self._positions = min(most, in_place)
        self._passes_on = self._takes_by_name(parameters, accepted)
        """Whether required arguments beyond the positions are accepted by name."""
        # A decorator may say what it wraps, and pass on something else: only how it is called itself is certain then.
        outer = _signature(function, through=False)
        self.misfit: Literal["order", "count"] | None = None
        if self.by_name and not self._passes_on:
            self.by_name, self._positions = False, most
            self._passes_on = self._required <= most
            if outer == accepted and is_misplaced:
                self.misfit = "order"
        self._leading = min(self._required, self._positions)
        if self.misfit is None and not self._reaches(parameters, outer):
            self.misfit = "order" if is_misplaced else "count"
        self._keeps = keeps
        self.positions = -1 if keeps else self._positions

    def _in_place(self) -> int:
        """How many of the model's first parameters no name says to be another than the contract's of that place."""
        places = {name: place for place, name in enumerate(self._ordered)}
        elsewhere = [
            min(place, places.get(name, place))
            for name, place in self._names.items()
            if places.get(name, place) != place or (name in self._by_keyword and place < len(places))
        ]
        return min(elsewhere, default=sys.maxsize)

    def _takes_by_name(self, parameters: Mapping[str, inspect.Parameter], accepted: inspect.Signature) -> bool:
        """Whether the model has a name for each required argument beyond the positions, and requires nothing else."""
        beyond = self._ordered[self._positions : self._required]
        if not all(self._accepts(name, self._positions) for name in beyond):
            return False
        if not self.by_name or any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
            return True
        known = {*self._ordered[self._positions :], *self._by_keyword}
        wanted = {name for name, place in self._names.items() if place >= self._positions}
        return all(name in known or accepted.parameters[name].default is not _EMPTY for name in wanted)

    def _reaches(self, parameters: Mapping[str, inspect.Parameter], outer: inspect.Signature) -> bool:
        """Whether a function of this signature can be called with what is required, or with all that there is."""
        if any(parameter.kind in VARIADIC for parameter in parameters.values()):
            return True  # only a call shows what it is given
        named = self._by_keyword
        least = self._required, [name for name in named if name not in self._optional]
        for count, names in (least, (len(self._ordered), named)):
            args, kwargs = self([None] * count, dict.fromkeys(names))
            try:
                outer.bind(*args, **kwargs)
            except TypeError:
                continue
            return True
        return False

    def __call__(self, args: list[Any], kwargs: dict[str, Any]) -> Arguments:
        """Return the arguments as the model accepts them."""
        positions, ordered = self._positions, self._ordered
        if self._keeps:
            args = [self._kept(ordered[i], each) if i < len(ordered) else each for i, each in enumerate(args)]
            kwargs = {name: self._kept(name, each) for name, each in kwargs.items()}
        if len(args) > positions and self._passes_on:
            surplus = zip(ordered[positions:], args[positions:], strict=False)
            args, kwargs = args[:positions], {**kwargs, **dict(surplus)}
        if not kwargs:
            return args, kwargs
        args, kwargs = list(args), dict(kwargs)
        for name in ordered[len(args) : self._leading]:
            if name not in kwargs:
                break
            args.append(kwargs.pop(name))
        return args, {
            name: kwargs[name] for name in kwargs if name not in self._optional or self._accepts(name, len(args))
        }

    def _kept(self, name: str, value: Any) -> Any:
        keep = self._keeps.get(name)
        return value if keep is None else keep(value)

    def _accepts(self, name: str, given: int) -> bool:
        """Whether the function accepts a keyword argument of that name after `given` positional ones."""
        return self._names[name] >= given if name in self._names else self._any_name


class ByName(Fit):
    """The same for callers that may know another version of the contract: what the model does not accept is left out.

    Positional arguments stay positional, unless the model has the contract's names in another order.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        signature: inspect.Signature = inspect.Signature(),  # noqa: B008 - it is immutable
        ordered: Sequence[str] = (),
    ) -> None:
        super().__init__(signature, ordered, function)
        if not self.by_name:
            self._positions = self.positions = sys.maxsize

    def __call__(self, args: list[Any], kwargs: dict[str, Any]) -> Arguments:
        """Return the arguments as the model accepts them."""
        positions, ordered = self._positions, self._ordered
        if positions < len(args) <= len(ordered):
            args, kwargs = (
                args[:positions],
                {**kwargs, **dict(zip(ordered[positions:], args[positions:], strict=False))},
            )
        return args, {name: kwargs[name] for name in kwargs if self._accepts(name, len(args))}


def _signature(function: Callable[..., Any], *, through: bool = True) -> inspect.Signature:
    """What a function accepts; `through` its decorators, as far as these name what they wrap."""
    try:
        return inspect.signature(function, follow_wrapped=through)
    except (TypeError, ValueError):  # it does not say what it accepts
        return _ANYTHING

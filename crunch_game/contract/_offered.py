"""Looks at what a model offers of a contract, before it is called: whether its methods can ever be called, and run.

It uses only the standard library, because it runs where the model does.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any, Final

from crunch_game.contract._method import Method

_ASKED_LATER: Final = (property, functools.cached_property)
"""They run a participant's code, which may need what only a call has brought."""
_MAX_SIGNATURE: Final = 200
"""Characters of a signature that are shown: a default may be an array."""


def why_unplayable(model: Any, base: type, method: Method) -> str | None:
    """Say why a method of a base class could never be called on this model, or never run; None if it can."""
    found = inspect.getattr_static(model, method.name, None)
    if found is None or isinstance(found, _ASKED_LATER) or found is inspect.getattr_static(base, method.name):
        return None
    try:
        function = getattr(model, method.name)
    except Exception:  # noqa: BLE001 - a participant's own attribute access, which may want to be called later
        return None
    return (why_unrun(function) or _misfit(method, function)) if callable(function) else None


def why_unrun(function: Callable[..., Any]) -> str | None:
    """Say why calling the function would run nothing of it; None if it would."""
    while not isinstance(function, types.FunctionType):
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, types.MethodType):
            function = function.__func__
        elif isinstance(function, functools._lru_cache_wrapper):
            function = function.__wrapped__
        else:
            called = inspect.getattr_static(type(function), "__call__", None)
            if not isinstance(called, types.FunctionType):
                return None
            function = called
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return (
            "which is async: the game calls it and awaits nothing, so that none of it would run; write def instead of "
            "async def in the methods that the game calls, and asyncio.run(...) around what must be awaited"
        )
    if inspect.isgeneratorfunction(function):
        return (
            "which is a generator: the game calls it and iterates over nothing, so that none of it would run; write "
            "return instead of yield, and a list if it answers with several values"
        )
    return None


def _misfit(method: Method, function: Callable[..., Any]) -> str | None:
    wanted = _written(method.name, method.signature)
    if isinstance(function, types.MethodType) and isinstance(function.__func__, types.FunctionType):
        written = _written(method.name, inspect.signature(function.__func__, follow_wrapped=False), bound=True)
        code = function.__func__.__code__
        misfit = "count" if code.co_argcount == 0 and not code.co_flags & inspect.CO_VARARGS else None
    else:
        written, misfit = _written(method.name, _signature_of(function), bound=True), None
    misfit = misfit or method.fit(function).misfit
    if misfit is None:
        return None
    if misfit == "order":
        why = "whose parameters have names of the game's, but in another order and not all of them"
    else:
        why = "which cannot take what the game gives it"
    return f"{why}: it is {written}; write {wanted}"


def _signature_of(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # it does not say
        return inspect.Signature()


def _written(name: str, signature: inspect.Signature, *, bound: bool = False) -> str:
    """A method's first line, without annotations; `self` is in the signature if it is that of a bound method."""
    parameters = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    text = str(inspect.Signature(parameters))
    if not bound:
        text = "(self" + (", " if parameters else "") + text[1:]
    return f"def {name}{text if len(text) <= _MAX_SIGNATURE else f'{text[: _MAX_SIGNATURE - 3]}...'}"

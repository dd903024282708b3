"""Checks one value against one annotation: strictly, but int is accepted as float, and numpy as plain values."""

from __future__ import annotations

import itertools
import math
import sys
import types
import typing
import warnings
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import pydantic
import pydantic_core

from crunch_game.contract._answerable import unanswerable
from crunch_game.contract._keeping import instead_of, shown

_MAX_DEPTH = 100
_MAX_SAMPLE_ITEMS = 1_000
"""Items of a value that are searched for mistakes, and shown."""
_REFUSALS = (pydantic.ValidationError, TypeError, ValueError, RecursionError)
_CONTAINERS = frozenset({"list", "tuple", "set", "frozenset", "dict"})
_NESTED = (dict, list, tuple)
_STR = frozenset({str})
_FINITE = frozenset({int, str, bool, bytes, types.NoneType})
# What pydantic calls by its name in JSON, and a participant writes in Python.
_IN_PYTHON = {
    "Input should be a valid array": "Input should be a list",
    "Input should be an object": "Input should be a dict",
}
# Errors of pydantic about the presence or absence of a value, whose message should not show the value.
_WITHOUT_VALUE = frozenset({"missing", "extra_forbidden", "unexpected_keyword_argument"})


class Mismatch(ValueError):
    """A value does not fit its annotation. The message says where and why."""


class Check:
    """Checks values against an annotation.

    Args:
        annotation: Anything that pydantic understands, or any other class (checked with isinstance).
        finite: Refuse NaN and infinity anywhere in a value.
        shallow: Refuse values that are nested so deeply that later code could run out of stack.

    Raises:
        pydantic.errors.PydanticUserError: Values cannot be checked against the annotation.
    """

    def __init__(self, annotation: Any, *, finite: bool = False, shallow: bool = False) -> None:
        self._finite = finite and not _allows_inf_nan(annotation)
        self._is_walked = self._finite or shallow
        self._adapter = None if annotation is Any else _adapter(annotation)
        self._json_first = False
        if self._adapter is not None:
            # On the wire a tuple becomes a list, a dataclass a dict and an enum its value. Python's strict mode
            # refuses these, JSON's accepts them.
            validator = _fail_fast_validator(self._adapter)
            self._python = partial(validator.validate_python, strict=True)
            self._json = partial(_as_json, validator)

    def unanswerable(self, *, is_table: bool) -> str | None:
        """Say why no answer of a model can fit the annotation, and what to write instead; None if one can.

        Args:
            is_table: Whether the contract promises a DataFrame.
        """
        found = None if self._adapter is None else unanswerable(self._adapter.core_schema, is_table=is_table)
        if found is None:
            return None
        what = found if isinstance(found, str) else f"a {shown(found)}"
        return f"{what} does not come back from a model as such; use {'list' if what is found else instead_of(found)}"

    def read(self, value: Any) -> Any:
        """Return the value as the annotated type.

        Raises:
            Mismatch: It does not fit.
        """
        if self._is_walked and not _all_finite(value) and self._finite:
            raise Mismatch(f"{_not_finite(value)}; NaN and infinity are not allowed")
        if self._adapter is None:
            return value
        # The values of one annotation mostly need the same mode: try the one first that worked last.
        first, second = (self._json, self._python) if self._json_first else (self._python, self._json)
        try:
            return first(value)
        except _REFUSALS as error:
            refusals = {first: error}
        try:
            read = second(value)
        except _REFUSALS as error:
            refusals[second] = error
            raise Mismatch(_explain(self._adapter, value, refusals[self._python], refusals[self._json])) from None
        self._json_first = not self._json_first
        return read


def _explain(adapter: pydantic.TypeAdapter[Any], value: Any, python: Exception, json: Exception) -> str:
    """Name the first mistakes; of a large value, which may have millions, only the one that was met."""
    if _is_small(value):
        try:
            adapter.validator.validate_python(value, strict=True)
        except _REFUSALS as first:
            try:
                _as_json(adapter.validator, value)
            except _REFUSALS as second:
                return _sentence(first, second, value)
    return _sentence(python, json)


def _adapter(annotation: Any) -> pydantic.TypeAdapter[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", pydantic.warnings.ArbitraryTypeWarning)
        try:
            return pydantic.TypeAdapter(annotation, config=pydantic.ConfigDict(arbitrary_types_allowed=True))
        except pydantic.warnings.ArbitraryTypeWarning as warning:
            raise pydantic.errors.PydanticUserError(str(warning).partition(" (")[0], code=None) from None
        except pydantic_core.SchemaError as error:  # a Protocol that is not for isinstance, for one
            raise pydantic.errors.PydanticUserError(_short(str(error), 1_000), code=None) from None
        except pydantic.errors.PydanticUserError as error:
            if error.code != "type-adapter-config-unused":
                raise
            return pydantic.TypeAdapter(annotation)


def _fail_fast_validator(adapter: pydantic.TypeAdapter[Any]) -> Any:
    """Return a validator that stops at the first mistake.

    An answer of a few MiB may have millions of mistakes. Collecting them would block the event loop for seconds, and
    take gigabytes.
    """
    # Pydantic models have prebuilt validators, which collect all mistakes; some versions cannot avoid those.
    for options in ({"_use_prebuilt": False}, {}):
        with suppress(pydantic_core.SchemaError, TypeError, RecursionError):
            return pydantic_core.SchemaValidator(_failing_fast(adapter.core_schema), None, **options)
    return adapter.validator


def _failing_fast(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_failing_fast(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    # Metadata is not part of the schema, and may contain anything.
    copy = {key: each if key == "metadata" else _failing_fast(each) for key, each in schema.items()}
    return copy | {"fail_fast": True} if schema.get("type") in _CONTAINERS else copy


def _as_json(validator: Any, value: Any) -> Any:
    text = pydantic_core.to_json(value, inf_nan_mode="constants", fallback=_from_numpy)
    read = validator.validate_json(text, strict=True)
    _check_keys(value, read, "")
    return read


def _check_keys(value: Any, read: Any, where: str) -> None:
    """Refuse keys that only became text in JSON."""
    if isinstance(value, dict) and isinstance(read, dict):
        for (key, inner), (read_key, read_inner) in zip(value.items(), read.items(), strict=False):
            if isinstance(read_key, str) and not isinstance(key, str):
                place = f"at {where} stands" if where else "it has"
                raise Mismatch(f"{place} the key {_shown(key)}, which should be a str")
            if isinstance(inner, _NESTED):
                _check_keys(inner, read_inner, f"{where}[{_shown(key)}]")
    elif isinstance(value, list | tuple) and isinstance(read, list | tuple):
        for number, (inner, read_inner) in enumerate(zip(value, read, strict=False)):
            if isinstance(inner, _NESTED):
                _check_keys(inner, read_inner, f"{where}[{number}]")


def _from_numpy(value: Any) -> Any:
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no plain value")


def _allows_inf_nan(annotation: Any) -> bool:
    if isinstance(annotation, pydantic.AllowInfNan):
        return annotation.allow_inf_nan
    inner = (*typing.get_args(annotation), *getattr(annotation, "__metadata__", ()))
    return any(_allows_inf_nan(part) for part in inner if not isinstance(part, str | types.NoneType))


def _all_finite(value: Any, depth: int = 0) -> bool:
    kind = type(value)
    if kind is list or kind is tuple:
        inner = value
    elif kind is dict:
        inner = value.values()
        if not _STR.issuperset(map(type, value)) and not all(_all_finite(key, depth + 1) for key in value):
            return False
    else:
        return math.isfinite(value) if kind is float else kind in _FINITE or _all_finite_in(value, depth)
    if depth == _MAX_DEPTH:
        raise Mismatch(f"it is nested more than {_MAX_DEPTH} levels deep; use a flatter list or dict instead")
    for item in inner:  # without a call for each number: answers may be long
        kind = type(item)
        if kind is float:
            if not math.isfinite(item):
                return False
        elif kind not in _FINITE and (kind not in _NESTED or item) and not _all_finite(item, depth + 1):
            return False
    return True


def _all_finite_in(value: Any, depth: int) -> bool:
    """Do the same for subclasses of plain types, arrays and tables."""
    # A numpy.float64 is a float, too.
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return _all_finite(dict(value), depth)
    if isinstance(value, list | tuple | set | frozenset):
        return _all_finite(list(value), depth)
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic):
        return value.dtype.kind not in "fc" or bool(numpy.isfinite(value).all())
    if pandas is not None and isinstance(value, pandas.DataFrame):
        return all(_all_finite(column.to_numpy()) for _, column in value.items())
    return True


def _not_finite(value: Any, where: str = "") -> str:
    """Say where the first NaN or infinity is in a value that has one."""
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    for key, inner in items:
        if not _all_finite(key):
            return f"at {where} stands the key {key}" if where else f"it has the key {key}"
        if not _all_finite(inner):
            return _not_finite(inner, f"{where}[{_shown(key)}]")
    shown = value if isinstance(value, float) else f"a {type(value).__name__} that holds one"
    return f"at {where} stands {shown}" if where else f"it is {shown}"


def _sentence(python: Exception, json: Exception, value: Any = None) -> str:
    """Choose the messages of JSON's mode, which looks into tuples and dataclasses, if it could read the annotation.

    Places are those of the value, if it is given.
    """
    for error in (json, python):
        if isinstance(error, Mismatch):
            return str(error)
        if isinstance(error, pydantic.ValidationError):
            details = error.errors(include_url=False, include_context=False)
            if error is python or all(detail["type"] != "needs_python_object" for detail in details):
                return "; ".join(_detail(detail, value) for detail in details[:3])
    return _short(str(python), 1_000)


def _detail(detail: Any, value: Any) -> str:
    where = detail["loc"] if value is None else _place(detail["loc"], value, missing=detail["type"] == "missing")
    place = "".join(f"[{_shown(part)}]" for part in where)
    said = _IN_PYTHON.get(detail["msg"], detail["msg"])
    message = f"at {place}: {said}" if place else said
    return message if detail["type"] in _WITHOUT_VALUE else f"{message}, not {_shown(detail['input'])}"


def _place(parts: tuple[Any, ...], value: Any, *, missing: bool) -> list[Any]:
    """Where a mistake is, without the names of types that pydantic puts between the keys and numbers."""
    place: list[Any] = []
    for number, part in enumerate(parts):
        found: list[Any] = []
        if isinstance(value, dict):
            found = [key for key in value if key == part or str(key) == part]
        elif isinstance(value, list | tuple):
            found = [part] if isinstance(part, int) and part < len(value) else []
        elif not isinstance(value, str | int | float | None):
            return [*place, *parts[number:]]  # only pydantic looks into it
        if found or part == "[key]" or (missing and number == len(parts) - 1):
            place.append(part)
        value = value[found[0]] if found else value
    return place


def _shown(value: Any) -> str:
    if isinstance(value, str | bytes):
        value = value[:_MAX_SAMPLE_ITEMS]
    return _short(repr(value if _is_small(value) else _truncated(value)))


def _short(text: str, most: int = 80) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _is_small(value: Any) -> bool:
    """Whether the value has few items, those of nested values included."""
    count, seen, waiting = 0, set[int](), [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict | list | tuple | set | frozenset) and id(each) not in seen:
            seen.add(id(each))
            count += len(each)
            if count > _MAX_SAMPLE_ITEMS:
                return False
            waiting.extend(each.values() if isinstance(each, dict) else each)
    return True


def _truncated(value: Any) -> Any:
    """Return the value with its first items only."""
    left = _MAX_SAMPLE_ITEMS

    def first(value: Any, depth: int = 0) -> Any:
        nonlocal left
        if not isinstance(value, dict | list | tuple):
            return value
        most = max(0, min(len(value), left)) if depth < _MAX_DEPTH else 0
        left -= most
        if isinstance(value, dict):
            return {key: first(inner, depth + 1) for key, inner in itertools.islice(value.items(), most)}
        return [first(inner, depth + 1) for inner in value[:most]]

    return first(value)

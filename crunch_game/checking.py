"""One value against one annotation: strict, but for int to float and for numpy to plain values."""

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

__all__ = ["Check", "Mismatch"]


class Mismatch(ValueError):
    """A value does not fit its annotation; the message says where and why."""


class Check:
    """Checks values against an annotation; `None` as the check of a value means that anything goes.

    Args:
        annotation: What pydantic understands, and any class besides (checked by isinstance).
        finite: Whether NaN and infinity are refused, wherever they stand in the value.
        shallow: Whether values are refused that are nested so deeply that what comes after may fail at them.

    Raises:
        pydantic.errors.PydanticUserError: Values cannot be checked against the annotation.
    """

    def __init__(self, annotation: Any, *, finite: bool = False, shallow: bool = False) -> None:
        self._finite = finite and not _allows_inf_nan(annotation)
        self._walked = self._finite or shallow
        self._adapter = None if annotation is Any else _adapter(annotation)
        self._json_first = False
        if self._adapter is not None:
            # A tuple, a dataclass or an enum has no form of its own on the wire; JSON's strict mode reads them all.
            validator = _hasty(self._adapter)
            self._python = partial(validator.validate_python, strict=True)
            self._json = partial(_as_json, validator)

    def read(self, value: Any) -> Any:
        """The value as the annotated type.

        Raises:
            Mismatch: It does not fit.
        """
        if self._walked and not _all_finite(value) and self._finite:
            raise Mismatch(f"{_not_finite(value)}; NaN and infinity are not allowed")
        if self._adapter is None:
            return value
        first, second = (self._json, self._python) if self._json_first else (self._python, self._json)
        try:
            return first(value)
        except _REFUSALS as error:
            refusals = {first: error}
        try:
            read = second(value)
        except _REFUSALS as error:
            refusals[second] = error
            raise Mismatch(_why(self._adapter, value, refusals[self._python], refusals[self._json])) from None
        self._json_first = not self._json_first
        return read


def _why(adapter: pydantic.TypeAdapter[Any], value: Any, python: Exception, json: Exception) -> str:
    """The first mistakes, from a value small enough that finding all costs little; else only the very first."""
    sample = value if _is_small(value) else _beginning(value)
    try:
        adapter.validator.validate_python(sample, strict=True)
    except _REFUSALS as first:
        try:
            _as_json(adapter.validator, sample)
        except _REFUSALS as second:
            return _sentence(first, second)
    return _sentence(python, json)


_REFUSALS = (pydantic.ValidationError, TypeError, ValueError, RecursionError)


def _adapter(annotation: Any) -> pydantic.TypeAdapter[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", pydantic.warnings.ArbitraryTypeWarning)
        try:
            return pydantic.TypeAdapter(annotation, config=pydantic.ConfigDict(arbitrary_types_allowed=True))
        except pydantic.warnings.ArbitraryTypeWarning as warning:
            raise pydantic.errors.PydanticUserError(str(warning).partition(" (")[0], code=None) from None
        except pydantic.errors.PydanticUserError as error:
            if error.code != "type-adapter-config-unused":
                raise
            return pydantic.TypeAdapter(annotation)


def _hasty(adapter: pydantic.TypeAdapter[Any]) -> Any:
    """A validator that is content with the first mistake: an answer of a few MiB may have millions.

    To note them all takes seconds of the event loop and gigabytes.
    """
    # Models bring validators of their own along, which note all mistakes; not every pydantic can do without.
    for options in ({"_use_prebuilt": False}, {}):
        with suppress(pydantic_core.SchemaError, TypeError, RecursionError):
            return pydantic_core.SchemaValidator(_failing_fast(adapter.core_schema), None, **options)
    return adapter.validator


_CONTAINERS = frozenset({"list", "tuple", "set", "frozenset", "dict"})


def _failing_fast(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_failing_fast(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    copy = {key: each if key == "metadata" else _failing_fast(each) for key, each in schema.items()}
    return copy | {"fail_fast": True} if schema.get("type") in _CONTAINERS else copy


def _as_json(validator: Any, value: Any) -> Any:
    text = pydantic_core.to_json(value, inf_nan_mode="constants", fallback=_plain)
    read = validator.validate_json(text, strict=True)
    _check_keys(value, read, "")
    return read


def _check_keys(value: Any, read: Any, where: str) -> None:
    """JSON turns every key into text; where text was asked for, only text will do."""
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


_NESTED = (dict, list, tuple)


def _plain(value: Any) -> Any:
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
    if depth == _DEEPEST:
        raise Mismatch(f"it is nested more than {_DEEPEST} levels deep; use a flatter list or dict instead")
    for item in inner:  # a leaf costs no call: answers may be long
        kind = type(item)
        if kind is float:
            if not math.isfinite(item):
                return False
        elif kind not in _FINITE and (kind not in _NESTED or item) and not _all_finite(item, depth + 1):
            return False
    return True


_DEEPEST = 100


_STR = frozenset({str})
_FINITE = frozenset({int, str, bool, bytes, types.NoneType})


def _all_finite_in(value: Any, depth: int) -> bool:
    """The same for subclasses of the plain types, arrays and tables."""
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
    """Where the first NaN or infinity stands in a value that holds one."""
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


def _sentence(python: Exception, json: Exception) -> str:
    """What JSON's mode says, because it looks into tuples and dataclasses; what Python's says where it cannot."""
    for told in (json, python):
        if isinstance(told, Mismatch):
            return str(told)
        if isinstance(told, pydantic.ValidationError):
            details = told.errors(include_url=False, include_context=False)
            if told is python or all(detail["type"] != "needs_python_object" for detail in details):
                return "; ".join(map(_detail, details[:3]))
    return _short(str(python), 1_000)


def _detail(detail: Any) -> str:
    place = "".join(f"[{_shown(part)}]" for part in detail["loc"])
    told = f"at {place}: {detail['msg']}" if place else detail["msg"]
    return told if detail["type"] in _PLACED else f"{told}, not {_shown(detail['input'])}"


def _shown(value: Any) -> str:
    if isinstance(value, str | bytes):
        value = value[:_MANY]
    return _short(repr(value if _is_small(value) else _beginning(value)))


def _short(text: str, most: int = 80) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


_MANY = 1_000


def _is_small(value: Any) -> bool:
    """Whether the value has few items, with those of its items."""
    count, seen, waiting = 0, set[int](), [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict | list | tuple | set | frozenset) and id(each) not in seen:
            seen.add(id(each))
            count += len(each)
            if count > _MANY:
                return False
            waiting.extend(each.values() if isinstance(each, dict) else each)
    return True


def _beginning(value: Any) -> Any:
    """The value with its first items only."""
    left = _MANY

    def first(value: Any, depth: int = 0) -> Any:
        nonlocal left
        if not isinstance(value, dict | list | tuple):
            return value
        most = max(0, min(len(value), left)) if depth < _DEEPEST else 0
        left -= most
        if isinstance(value, dict):
            return {key: first(inner, depth + 1) for key, inner in itertools.islice(value.items(), most)}
        return [first(inner, depth + 1) for inner in value[:most]]

    return first(value)


# What is wrong is that something stands there, or that nothing does: the value itself tells nothing.
_PLACED = frozenset({"missing", "extra_forbidden", "unexpected_keyword_argument"})

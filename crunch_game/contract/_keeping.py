"""Gives a model its arguments as the types that the contract says, though the wire knows plain values only.

It uses only the standard library and msgspec, because it runs in a model's process: pydantic and numpy are used only if
the base class has imported them. Nothing is validated here; that was done before the arguments were sent.
"""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import datetime as dt
import decimal
import enum
import functools
import sys
import types
import typing
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from crunch_game.contract._fitting import Keep

_NONE: Final = types.NoneType
_PLAIN: Final[Mapping[Any, tuple[Any, ...]]] = {
    None: (_NONE,),
    _NONE: (_NONE,),
    str: (str,),
    int: (int,),
    bool: (bool,),
    bytes: (bytes,),
    float: (float, int),  # which an int fits too
}
_TEXT: Final[Mapping[Any, Keep]] = {
    dt.date: dt.date.fromisoformat,
    dt.time: dt.time.fromisoformat,
    dt.timedelta: functools.partial(msgspec.convert, type=dt.timedelta),
    decimal.Decimal: decimal.Decimal,
    uuid.UUID: uuid.UUID,
}
_LISTS: Final = (list, collections.abc.Sequence, collections.abc.MutableSequence)
_DICTS: Final = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_COLLECTIONS: Final[Mapping[Any, type]] = {
    set: set,
    frozenset: frozenset,
    collections.abc.Set: frozenset,
    collections.abc.MutableSet: set,
    collections.OrderedDict: collections.OrderedDict,
    collections.Counter: collections.Counter,
    bytearray: bytearray,
}
_OF_PYDANTIC: Final[Mapping[str, type]] = {
    "AwareDatetime": dt.datetime,
    "NaiveDatetime": dt.datetime,
    "PastDatetime": dt.datetime,
    "FutureDatetime": dt.datetime,
    "PastDate": dt.date,
    "FutureDate": dt.date,
}
_INSTEAD: Final[Mapping[str, str]] = {
    "pandas.Series": "numpy.ndarray or pandas.DataFrame",
    "pandas.Index": "numpy.ndarray or pandas.DataFrame",
    "polars.Series": "numpy.ndarray or pandas.DataFrame",
    "polars.DataFrame": "pandas.DataFrame",
    "polars.LazyFrame": "pandas.DataFrame",
    "pyarrow.Table": "pandas.DataFrame",
    "collections.Iterable": "list",
    "collections.Iterator": "list",
    "collections.Collection": "list",
    "collections.Container": "list",
    "collections.ChainMap": "dict",
    "numpy.datetime64": "datetime.datetime",
    "zoneinfo.ZoneInfo": "str",
    "collections.Generator": "list",
    "collections.deque": "list",
    "collections.defaultdict": "dict",
    "pathlib.Path": "str",
}
"""Of a class by its package and name, what to use."""
_WRAPPERS: Final = (typing.Annotated, typing.Required, typing.NotRequired, typing.Final, typing.ClassVar)


class Unkept(TypeError):
    """No value of an annotation reaches a model as that type. The message says what to use instead."""


class _Restoring(NamedTuple):
    """How an annotation's values arrive, by type (empty if they may be anything), and what makes them again."""

    arrive_as: tuple[Any, ...]
    keep: Keep | None = None


_ANYTHING: Final = _Restoring(())


def keeper(annotation: Any) -> Keep | None:
    """Return what makes an annotation's values of what arrives; None where they arrive as they are.

    Raises:
        Unkept: They cannot be made.
    """
    return _Keepers().of(annotation).keep


class _Keepers:
    """What keeps each part of one annotation, whose classes may hold themselves."""

    def __init__(self) -> None:
        self._made: dict[type, _Restoring] = {}

    def of(self, annotation: Any) -> _Restoring:
        annotation = _bare(annotation)
        if annotation is Any or annotation is object:
            return _ANYTHING
        origin, args = typing.get_origin(annotation) or annotation, typing.get_args(annotation)
        if origin is typing.Literal:
            return self._any_of([type(each) if isinstance(each, enum.Enum) else _bare(type(each)) for each in args])
        if origin in (typing.Union, types.UnionType):
            return self._any_of(args)
        if origin in _PLAIN:
            return _Restoring(_PLAIN[origin])
        if origin in _TEXT:
            return _Restoring((str,), _TEXT[origin])
        if origin is dt.datetime:
            return _Restoring((dt.datetime, str), _as_datetime)
        if origin in _LISTS:
            keep = self.of(args[0]).keep if args else None
            return _Restoring((list,), None if keep is None else _each(list, keep))
        if origin in _DICTS:
            return _Restoring((dict,), self._items(args))
        if origin is tuple:
            return _Restoring((list, tuple), self._tuple(args))
        if origin in _COLLECTIONS:
            return self._collection(_COLLECTIONS[origin], args)
        if isinstance(origin, type):
            return self._of_class(origin, args)
        raise _unkept(annotation)

    def _any_of(self, annotations: Iterable[Any]) -> _Restoring:
        alternatives = {annotation: self.of(annotation) for annotation in dict.fromkeys(annotations)}
        if all(each.keep is None for each in alternatives.values()):
            known = [kind for each in alternatives.values() for kind in each.arrive_as]
            return _Restoring(tuple(known)) if all(each.arrive_as for each in alternatives.values()) else _ANYTHING
        table: dict[Any, Keep | None] = {}
        owners: dict[Any, Any] = {}
        for annotation, each in alternatives.items():
            if not each.arrive_as:
                raise Unkept(f"{shown(annotation)} may be any of the others; name one type for each kind of value")
            for kind in each.arrive_as:
                if kind in table and (each.keep is not None or table[kind] is not None):
                    raise Unkept(
                        f"{shown(owners[kind])} and {shown(annotation)} look alike when they are sent; use one of "
                        "them, or a dataclass with a field for each"
                    )
                table[kind], owners[kind] = each.keep, annotation
        return _Restoring(tuple(table), functools.partial(_by_kind, table))

    def _items(self, args: tuple[Any, ...]) -> Keep | None:
        if not args:
            return None
        self._check_key(args[0], args[0])
        key, value = (self.of(each).keep for each in args)
        if key is None and value is None:
            return None
        key, value = key or _same, value or _same
        return lambda given: {key(name): value(each) for name, each in given.items()}

    def _check_key(self, annotation: Any, part: Any) -> None:
        """Check that no part of a key is sent as a dict, which could not be read as one."""
        bare = _bare(part)
        parts = _hints(bare).values() if hasattr(bare, "_fields") else typing.get_args(bare)
        for each in parts if typing.get_origin(bare) is not typing.Literal else ():
            if each is not ...:
                self._check_key(annotation, each)
        if dict in self.of(part).arrive_as:
            whole = "" if part is annotation else f" in {shown(annotation)}"
            why = "is sent as a dict, which can be no key; use a NamedTuple, a tuple or a str"
            raise Unkept(f"{shown(part)}{whole} {why}")

    def _tuple(self, args: tuple[Any, ...]) -> Keep:
        if len(args) == 2 and args[1] is ...:
            return _each(tuple, self.of(args[0]).keep)
        keeps = [self.of(each).keep or _same for each in args]
        if not any(keep is not _same for keep in keeps):
            return tuple
        return lambda given: tuple(keep(each) for keep, each in zip(keeps, given, strict=True))

    def _collection(self, kind: type, args: tuple[Any, ...]) -> _Restoring:
        if kind is bytearray:
            return _Restoring((bytes,), bytearray)
        if kind in (set, frozenset):
            return _Restoring((list, tuple), _each(kind, self.of(args[0]).keep if args else None))
        items = self._items((args[0], int) if kind is collections.Counter and args else args)
        return _Restoring((dict,), (lambda given: kind(items(given))) if items is not None else kind)

    def _of_class(self, cls: type, args: tuple[Any, ...]) -> _Restoring:
        if cls in self._made:
            return self._made[cls]
        if issubclass(cls, enum.Enum):
            return _of_enum(cls)
        if cls.__module__.startswith("pydantic.") and cls.__name__ in _OF_PYDANTIC:
            return self.of(_OF_PYDANTIC[cls.__name__])
        if issubclass(cls, tuple) and hasattr(cls, "_fields"):
            return _Restoring((list, tuple), self._of_named_tuple(cls))
        pydantic, numpy, pandas = (sys.modules.get(name) for name in ("pydantic", "numpy", "pandas"))
        if numpy is not None and (cls is numpy.ndarray or issubclass(cls, numpy.generic)):
            return _of_numpy(cls, numpy)
        if pandas is not None and cls is pandas.DataFrame:
            return _Restoring((cls,))
        if any(self.of(each).keep is not None for each in args):
            raise Unkept(f"{shown(cls)} has type parameters that are lost; use one without")
        is_typed_dict = issubclass(cls, dict) and hasattr(cls, "__total__")  # typing's, and typing_extensions' too
        if is_typed_dict:
            return self._of_fields(cls, _dict, _hints(cls))
        if dataclasses.is_dataclass(cls):
            hints = _hints(cls)  # with those of class variables and of what is only for making one
            return self._of_fields(cls, _instance, {each.name: hints[each.name] for each in dataclasses.fields(cls)})
        if issubclass(cls, msgspec.Struct) and not hasattr(cls, "__post_init__"):
            return _Restoring((dict, list), functools.partial(msgspec.convert, type=cls))
        if pydantic is not None and issubclass(cls, pydantic.BaseModel):
            return self._of_model(cls, pydantic)
        raise _unkept(cls)

    def _of_fields(self, cls: type, make: Callable[..., Any], hints: Mapping[str, Any]) -> _Restoring:
        keeps: dict[str, Keep] = {}
        kept = self._made[cls] = _Restoring((dict,), functools.partial(make, cls, keeps))
        keeps |= {name: self.of(annotation).keep or _same for name, annotation in hints.items()}
        return kept

    def _of_named_tuple(self, cls: Any) -> Keep:
        hints = _hints(cls)
        keeps = [self.of(hints.get(name, Any)).keep or _same for name in cls._fields]
        return lambda given: cls._make(keep(each) for keep, each in zip(keeps, given, strict=True))

    def _of_model(self, cls: Any, pydantic: Any) -> _Restoring:
        decorators = cls.__pydantic_decorators__
        if cls.__private_attributes__ or decorators.field_serializers or decorators.model_serializers:
            raise Unkept(f"{shown(cls)} has private attributes or serializers, which are lost; use one without")
        if any(field.exclude for field in cls.model_fields.values()):
            raise Unkept(f"{shown(cls)} has fields that are excluded when it is sent; use one without")
        hints = {name: field.annotation for name, field in cls.model_fields.items()}
        if issubclass(cls, pydantic.RootModel):
            root = self.of(hints["root"])
            keep = root.keep or _same
            return _Restoring(root.arrive_as, lambda given: _model(cls, {"root": keep}, {"root": given}))
        return self._of_fields(cls, _model, hints)


def _bare(annotation: Any) -> Any:
    """The annotation without what says nothing of the type at run time."""
    while True:
        origin = typing.get_origin(annotation)
        if origin in _WRAPPERS or str(origin).endswith(".ReadOnly"):
            annotation = typing.get_args(annotation)[0]
        elif isinstance(annotation, typing.TypeVar):
            constraints = annotation.__constraints__ or (Any,)
            annotation = annotation.__bound__ or typing.Union[constraints]  # noqa: UP007 - of a tuple
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            return annotation


def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except (NameError, TypeError, AttributeError, SyntaxError) as error:
        raise Unkept(f"an annotation of {shown(cls)} cannot be read: {error}") from None


def _of_enum(cls: type[enum.Enum]) -> _Restoring:
    kinds = dict.fromkeys(type(member.value) for member in cls)
    if not set(kinds) <= {str, int, float, bool, bytes, _NONE}:
        raise Unkept(f"{shown(cls)} has members that are no plain values; use str or int for each")
    return _Restoring(tuple(kinds), cls)


def _of_numpy(cls: Any, numpy: Any) -> _Restoring:
    if cls is numpy.ndarray:
        return _Restoring((cls,))
    for abstract, kinds in ((numpy.integer, (int,)), (numpy.floating, (float,)), (numpy.bool_, (bool,))):
        if issubclass(cls, abstract) and cls.__module__ == "numpy" and issubclass(cls, numpy.generic):
            if cls in (numpy.integer, numpy.floating, numpy.signedinteger, numpy.unsignedinteger, numpy.longdouble):
                break
            return _Restoring(kinds, cls)
    raise _unkept(cls)


def _each(kind: type, keep: Keep | None) -> Keep:
    if keep is None:
        return kind
    return lambda given: kind(map(keep, given))


def _by_kind(table: Mapping[Any, Keep | None], given: Any) -> Any:
    keep = table.get(type(given))
    return given if keep is None else keep(given)


def _same(given: Any) -> Any:
    return given


def _as_datetime(given: Any) -> dt.datetime:
    return given if isinstance(given, dt.datetime) else dt.datetime.fromisoformat(given)


def _dict(cls: type, keeps: Mapping[str, Keep], given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: keeps.get(name, _same)(each) for name, each in given.items()}


def _instance(cls: type, keeps: Mapping[str, Keep], given: Mapping[str, Any]) -> Any:
    """An instance as it was: its `__post_init__` has run once, and must not change it again."""
    made: Any = object.__new__(cls)
    for name, each in given.items():
        if name in keeps:
            object.__setattr__(made, name, keeps[name](each))
    return made


def _model(cls: Any, keeps: Mapping[str, Keep], given: Mapping[str, Any]) -> Any:
    """A pydantic model as it was: its validators have run once."""
    fields = {name: keeps[name](each) for name, each in given.items() if name in keeps}
    extra = None
    if cls.model_config.get("extra") == "allow":
        extra = {n: each for n, each in given.items() if n not in keeps and n not in cls.model_computed_fields}
    made: Any = cls.__new__(cls)
    made.__setstate__(
        {
            "__dict__": fields,
            "__pydantic_fields_set__": set(fields),
            "__pydantic_extra__": extra,
            "__pydantic_private__": None,
        }
    )
    return made


def _unkept(annotation: Any) -> Unkept:
    return Unkept(f"a {shown(annotation)} does not reach a model as such; use {instead_of(annotation)}")


def instead_of(annotation: Any) -> str:
    """What to use instead of a class whose values cannot be sent as such."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(annotation, type) and issubclass(annotation, numpy.floating | numpy.integer):
        return "float" if issubclass(annotation, numpy.floating) else "int"
    package = str(getattr(annotation, "__module__", "")).partition(".")[0]
    return _INSTEAD.get(f"{package}.{getattr(annotation, '__name__', '')}", "a dataclass of plain values, or dict")


def shown(annotation: Any) -> str:
    """An annotation as one would write it."""
    if not isinstance(annotation, type) or annotation is Any:
        return str(annotation).replace("typing.", "").replace("collections.abc.", "")
    module = annotation.__module__
    return annotation.__qualname__ if module == "builtins" else f"{module}.{annotation.__qualname__}"

"""Values as JSON text, and back: what a store keeps of answers, outcomes, arguments and rows."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import msgspec

from crunch_game.errors import StoreError


def encode(value: Any) -> str | None:
    """Write a value as JSON text; None for None.

    Tuples and sets become lists, numpy scalars and arrays become numbers and lists, and dates, dataclasses and pydantic
    models are written as usual in JSON. NaN and infinity, which a game may allow, are written as NaN, Infinity and
    -Infinity, as Python's `json` and JSON5 do.

    Raises:
        ValueError: JSON has no form for it.
    """
    if value is None:
        return None
    try:
        text = _ENCODER.encode(value)
        if b"null" not in text:  # msgspec writes NaN as null, so without null no NaN was lost
            return text.decode()
        plain = msgspec.to_builtins(value, str_keys=True, enc_hook=_plain)
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(str(error)) from error


def decode(text: str | None) -> Any:
    """Read the text that `encode` wrote.

    Raises:
        StoreError: The text is not JSON, or has half a character, which nobody could write again.
    """
    if text is None:
        return None
    try:
        found = _DECODER.decode(text)
    except msgspec.DecodeError:  # it may contain NaN or Infinity, which only Python's own decoder reads
        try:
            found = json.loads(text)
        except ValueError:
            raise StoreError(f"the store holds a value that is not JSON: {text[:80]!r}") from None
    if "\\u" in text:  # `encode` writes characters themselves
        try:
            json.dumps(found, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise StoreError(f"the store holds a value with half a character: {text[:80]!r}") from None
    return found


def decode_object(text: str | None) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        StoreError: The text is something else.
    """
    found = decode(text)
    if not isinstance(found, dict):
        raise StoreError(f"the store holds {text!r:.80} where a JSON object should be")
    return found


def finite(value: float) -> float:
    """Return a number that the store holds.

    Raises:
        StoreError: It is infinite, or NaN.
        TypeError: It is none.
    """
    if not math.isfinite(value):
        raise StoreError(f"the store holds {value!r} where a finite number should be")
    return value


def _plain(value: Any) -> Any:
    """Convert a value that msgspec cannot encode into one that it can."""
    if isinstance(value, Mapping):
        return dict(value)
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    if hasattr(value, "tolist"):  # numpy's scalars and arrays, array.array
        return value.tolist()
    if hasattr(value, "model_dump"):  # pydantic
        return value.model_dump(mode="json")
    raise TypeError(f"JSON has no place for a {type(value).__name__}")


_ENCODER = msgspec.json.Encoder(enc_hook=_plain)
_DECODER = msgspec.json.Decoder()


def name(text: str) -> str:
    """Return an identifier, or refuse one that cannot be encoded: changed, it could equal another one."""
    if "\0" in text:  # PostgreSQL keeps none
        raise StoreError(f"{text!r} holds a NUL character and cannot be kept as a name")
    # isascii is a flag of the string, so that nearly all names cost nothing.
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise StoreError(f"{text!r} holds half a character and cannot be kept as a name") from None
    return text


def prose(text: str | None) -> str | None:
    """Return a text for people. A participant may have written it, so it is repaired rather than refused."""
    if text is None:
        return None
    if not text.isascii():
        text = text.encode(errors="backslashreplace").decode()
    return text.replace("\0", "\\x00") if "\0" in text else text

"""Stored answers, straight from their JSON text to arrays: what is a plain mixture of normals never becomes a dict."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

import msgspec

from crunch_game.scoring.answers import MAX_COMPONENTS
from crunch_game.scoring.rules.formulas._libraries import Array, np

__all__ = ["Plain", "as_dict", "decoded", "layout", "numbers_in"]


class _Params(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    loc: float
    scale: float


class _Leaf(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    type: Literal["builtin"]
    name: Literal["norm"]
    params: _Params


class _Share(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    weight: float
    density: _Leaf


class PlainNormal(
    msgspec.Struct, tag="builtin", tag_field="type", gc=False, forbid_unknown_fields=True, omit_defaults=True
):
    """A normal distribution."""

    name: Literal["norm"]
    params: _Params
    step: float | None = None


class PlainMixture(
    msgspec.Struct, tag="mixture", tag_field="type", gc=False, forbid_unknown_fields=True, omit_defaults=True
):
    """A mixture of normals."""

    components: tuple[_Share, ...]
    step: float | None = None


Plain = (PlainNormal, PlainMixture)
_Answer = tuple[PlainNormal | PlainMixture, ...] | PlainNormal | PlainMixture
_plain_answers = msgspec.json.Decoder(list[_Answer]).decode
_plain_answer = msgspec.json.Decoder(_Answer).decode
_pack = msgspec.msgpack.Encoder().encode


def decoded(texts: Sequence[str | bytes]) -> list[Any]:
    """Decode stored answers: plain mixtures of normals to structs, and all others to what is in the text.

    A text that is no JSON becomes a ValueError.
    """
    raw = [text.encode() if isinstance(text, str) else text for text in texts]
    try:
        answers = _plain_answers(b"[%b]" % b",".join(raw))
    except (msgspec.DecodeError, UnicodeError):
        return [_decoded_alone(text) for text in raw]
    # Two texts that are no JSON may be some together.
    return answers if len(answers) == len(raw) else [_decoded_alone(text) for text in raw]


def _decoded_alone(text: bytes) -> Any:
    try:
        return _plain_answer(text)
    except (msgspec.DecodeError, UnicodeError):
        pass
    try:
        return json.loads(text)
    except ValueError as error:
        return ValueError(f"the stored answer is not JSON: {error}")


def as_dict(density: Any) -> Any:
    """A density as models return it."""
    return msgspec.to_builtins(density)


def numbers_in(densities: Sequence[Any], of: tuple[int, bool]) -> Array:
    """Return the weights, means and standard deviations (n, components, 3) of structs that have this `layout`.

    msgspec packs structs with the same fields into rows of equal length, with each number as eight bytes in the same
    place: no Python for each number. What is no mixture has the weight 1.
    """
    rows = _rows(*of)
    packed = _pack(densities)
    table = np.frombuffer(packed, rows, offset=len(packed) - len(densities) * rows.itemsize)
    numbers = np.empty((len(densities), max(3, len(rows.names or ()))))
    for place, name in enumerate(rows.names or (), numbers.shape[1] - len(rows.names or ())):
        numbers[:, place] = table[name]
    if of[0] == 0:
        numbers[:, 0] = 1.0
    return numbers.reshape(len(densities), -1, 3)


def layout(density: Any) -> tuple[int, bool] | None:
    """What structs have in common whose numbers are in the same places: how many components, and whether a step.

    A normal has 0. None for a mixture that has none, or too many.
    """
    if type(density) is PlainNormal:
        return 0, density.step is not None
    count = len(density.components)
    return (count, density.step is not None) if 0 < count <= MAX_COMPONENTS else None


@cache
def _rows(components: int, has_step: bool) -> Any:
    """Where the numbers of one packed density are, but for the step: where its bytes change with the number."""
    low, high = (
        np.frombuffer(_pack(_sample(components, number, has_step)), np.uint8)
        for number in (0.0, struct.unpack(">d", b"\xff" * 8)[0])
    )
    places = np.flatnonzero(low != high)[::8].tolist()[: components * 3 or 2]
    names = [f"number {place}" for place in places]
    return np.dtype({"names": names, "formats": [">f8"] * len(names), "offsets": places, "itemsize": len(low)})


def _sample(components: int, number: float, has_step: bool) -> PlainNormal | PlainMixture:
    params, step = _Params(number, number), number if has_step else None
    if not components:
        return PlainNormal("norm", params, step)
    return PlainMixture((_Share(number, _Leaf("builtin", "norm", params)),) * components, step)

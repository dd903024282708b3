"""Frames come out of a socket's bytes as they went in, wherever these are cut; what is no frame is refused."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crunch_game.encoding import Undecodable, Unsendable, decode, encode
from crunch_game.hosts.process import _framing as framing
from crunch_game.hosts.process._framing import Frame, FrameReader, ProtocolError, frame

text = st.text(st.characters(exclude_categories=["Cs"]))
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
plain = st.recursive(
    st.none() | st.booleans() | numbers | text | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(text | st.integers(-(2**63), 2**64 - 1), inner),
    max_leaves=20,
)
frames = st.tuples(st.integers(0, 127), st.integers(0, 2**63), plain, plain)


def told(read: Frame) -> tuple[Any, ...]:
    return read.kind, read.call, decode(read.body), decode(read.extra)


@given(st.lists(frames, max_size=6), st.data())
def test_frames_come_out_the_same_wherever_the_socket_cuts_them(sent, data):
    stream = b"".join(frame(kind, call, encode(body), encode(extra)) for kind, call, body, extra in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reader = FrameReader()

    read = [
        told(one)
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for one in reader.feed(stream[start:end])
    ]

    assert read == sent


def test_frames_come_out_byte_by_byte():
    reader = FrameReader()
    stream = frame(framing.CALL, 7, encode("BTC")) * 2

    read = [told(one) for byte in stream for one in reader.feed(bytes([byte]))]

    assert read == [(framing.CALL, 7, "BTC", None)] * 2


def drain(reader: FrameReader, data: bytes) -> None:
    with suppress(ProtocolError):
        for one in reader.feed(data):
            for value in (one.body, one.extra):
                with suppress(Undecodable):
                    decode(value)


@given(st.lists(st.binary(), max_size=5))
def test_random_bytes_are_frames_or_a_protocol_error(chunks):
    reader = FrameReader()
    for chunk in chunks:
        drain(reader, chunk)
    drain(FrameReader(), b"".join(len(chunk).to_bytes(4, "little") + chunk for chunk in chunks))


@given(frames, st.data())
def test_damaged_frames_are_frames_or_a_protocol_error(sent, data):
    kind, call, body, extra = sent
    damaged = bytearray(frame(kind, call, encode(body), encode(extra)))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    drain(FrameReader(), bytes(damaged))


def protocol_error(data: bytes) -> str:
    with pytest.raises(ProtocolError) as caught:
        list(FrameReader().feed(data))
    return str(caught.value)


def test_a_frame_that_is_too_long_is_refused_before_it_is_read():
    assert protocol_error(struct.pack("<I", 2**32 - 1)) == "a frame of 4096 MiB was announced"
    assert list(FrameReader().feed(struct.pack("<I", framing.MAX_FRAME))) == []


@pytest.mark.parametrize(
    "body", [b"", b"\xc0", b"\x91\x01", b"\x93\xa1a\x01\xc0", b"\x94\x01\x01\xc0", b"\x94\x01\x01" + b"\x91" * 9999]
)
def test_a_frame_that_is_none_is_refused(body):
    assert protocol_error(struct.pack("<I", len(body)) + body).startswith("a frame could not be read: ")


def test_a_frame_of_the_longest_length_goes_through_and_a_longer_one_is_not_sent(monkeypatch):
    monkeypatch.setattr(framing, "MAX_FRAME", 2 * 2**20)
    longest = b"\xc6" + struct.pack(">I", 2**21 - 9) + bytes(2**21 - 9)  # four bytes of head and extra

    [read] = FrameReader().feed(frame(framing.VALUE, 1, longest))

    assert len(decode(read.body)) == 2**21 - 9
    with pytest.raises(Unsendable) as caught:
        frame(framing.VALUE, 1, longest + b"\xc0")
    assert str(caught.value) == "it takes 2 MiB; at most 2 MiB can be sent"


def test_what_a_reader_was_given_is_kept_until_it_is_complete():
    reader, stream = FrameReader(), frame(framing.VALUE, 1, encode("late")) + frame(framing.VALUE, 2, encode("next"))

    assert list(reader.feed(stream[:3])) == []
    assert [told(one)[2] for one in reader.feed(stream[3:])] == ["late", "next"]
    assert list(reader.feed(b"")) == []

"""HOST:PORT as people write it."""

from __future__ import annotations

import socket

import pytest

from crunch_game import ResourceError, UsageError
from crunch_game.crunchdao.protocol import check, is_loopback, is_unspecified, parsed, written


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:50051", "127.0.0.1", 50051),
        ("localhost:0", "localhost", 0),
        ("[::1]:50051", "::1", 50051),
        ("0.0.0.0:65535", "0.0.0.0", 65535),
    ],
)
def test_an_address_is_read_and_written(text, host, port):
    assert parsed(text) == (host, port)
    assert written(host, port) == text


@pytest.mark.parametrize(
    "text", ["", "50051", ":50051", "localhost", "localhost:", "::1:50051", "a:b", "a:65536", "a:-1"]
)
def test_what_is_no_address_is_a_sentence(text):
    with pytest.raises(UsageError) as caught:
        parsed(text)

    assert str(caught.value) == (f"{text!r} is no address; write HOST:PORT, for example 127.0.0.1:50051 or [::1]:50051")


def test_only_loopback_is_out_of_the_reach_of_strangers():
    assert all(map(is_loopback, ["localhost", "127.0.0.1", "127.8.8.8", "::1"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "10.0.0.1", "example.org", "", "128.0.0.1"]))


def test_an_address_that_stands_for_all_of_a_machine_cannot_be_announced():
    assert all(map(is_unspecified, ["0.0.0.0", "::", "0::0"]))
    assert not any(map(is_unspecified, ["127.0.0.1", "::1", "localhost", "", None]))


def test_an_address_that_cannot_be_had_is_a_sentence():
    check("node", "127.0.0.1", 0)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        for host, port, why in (
            ("127.0.0.1", taken, "Address already in use"),
            ("203.0.113.7", 50051, "Cannot assign requested address"),
            ("nowhere.invalid", 50051, None),
        ):
            with pytest.raises(ResourceError) as caught:
                check("node", host, port)
            assert str(caught.value).startswith(f"the node cannot listen on {host}:{port}: {why or ''}")
            assert str(caught.value).endswith("; give another address")

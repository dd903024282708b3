"""HOST:PORT as people write it."""

from __future__ import annotations

import pytest

from crunch_game import GameError
from crunch_game.crunchdao.addresses import is_loopback, parsed, written


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
    with pytest.raises(GameError) as caught:
        parsed(text)

    assert str(caught.value) == (f"{text!r} is no address; write HOST:PORT, for example 127.0.0.1:50051 or [::1]:50051")


def test_only_loopback_is_out_of_the_reach_of_strangers():
    assert all(map(is_loopback, ["localhost", "127.0.0.1", "127.8.8.8", "::1"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "10.0.0.1", "example.org", "", "128.0.0.1"]))

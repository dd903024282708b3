"""Where a node or an orchestrator listens: HOST:PORT as people write it, and whether strangers can reach it."""

from __future__ import annotations

import socket
from ipaddress import ip_address

from crunch_game.errors import ResourceError, UsageError
from crunch_game.sources import NodeSource, host_and_port


def parsed(address: str) -> tuple[str, int]:
    """The host and the port of "HOST:PORT"; an IPv6 host stands in brackets.

    Raises:
        UsageError: It is no address.
    """
    found = host_and_port(address)
    if found is None:
        raise UsageError(f"{address!r} is no address; write HOST:PORT, for example 127.0.0.1:50051 or [::1]:50051")
    return found


def written(host: str, port: int) -> str:
    """The address as people, and gRPC, write it."""
    return str(NodeSource(host, port))


def check(who: str, host: str, port: int) -> None:
    """Listen on an address for a moment, because gRPC does not say why it cannot.

    Raises:
        ResourceError: The address is taken, or not this machine's.
    """
    try:
        for family, kind, protocol, _, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(place)
    except OSError as error:
        reason = error.strerror or error
        raise ResourceError(
            f"the {who} cannot listen on {written(host, port)}: {reason}; give another address"
        ) from None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def is_unspecified(host: str | None) -> bool:
    """Whether it stands for every address of a machine: it can be listened on, and not be reached."""
    try:
        return host is not None and ip_address(host).is_unspecified
    except ValueError:
        return False

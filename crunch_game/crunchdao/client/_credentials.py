"""How connections to model nodes are secured: not at all, by mTLS and wallet attestations, or by a gateway's tokens."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, Final, Protocol, Self

import anyio
import grpc
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509 import load_der_x509_certificate

from crunch_game._public import public
from crunch_game.crunchdao.protocol import Refused, verify
from crunch_game.errors import ResourceError
from crunch_game.models import Submission

_HANDSHAKE_TIMEOUT: Final = 5.0


@dataclass(frozen=True)
class Secured:
    """What secures one channel.

    Attributes:
        channel: gRPC's channel credentials; None is plain text.
        options: Further options of the channel.
        metadata: Returns the metadata of a request.
        verify: Called with the initial metadata of every answer; raises Refused.
    """

    channel: Any = None
    options: Sequence[tuple[str, Any]] = ()
    metadata: Callable[[], Sequence[tuple[str, str]] | None] = lambda: None
    verify: Callable[[Any], None] | None = None


class Credentials(Protocol):
    """How connections are secured."""

    @property
    def pinned(self) -> bool:
        """Whether a channel accepts only one certificate, so that every new connection needs a new channel."""
        ...

    async def secure(self, host: str, port: int, submission: Submission) -> Secured:
        """Return what secures a channel to the node of a submission.

        Raises:
            Refused: The node is not the one that was announced, or refuses us.
            OSError: It cannot be reached.
        """
        ...


class Insecure:
    """Plain text, for loopback and trusted networks."""

    pinned = False

    async def secure(self, host: str, port: int, submission: Submission) -> Secured:
        """Return nothing that secures it."""
        return Secured()


@public
@dataclass(frozen=True)
class SecureCredentials:
    """Mutual TLS, and a wallet attestation that the node is the participant's.

    With every answer, a node sends a message that is signed by the wallet that the orchestrator announced. It must
    contain the TLS key of this connection, the model's id, the hotkey, and an expiry in the future.

    Args:
        ca: The authority's certificate, PEM.
        certificate: The coordinator's certificate, PEM.
        key: Its private key, PEM.

    Raises:
        ResourceError: They cannot be read, or do not belong together.
    """

    ca: bytes = field(repr=False)
    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)
    pinned = True

    def __post_init__(self) -> None:
        _ = self._context

    @classmethod
    def from_directory(cls, path: str | os.PathLike[str]) -> Self:
        """Read `ca.crt`, `tls.crt` and `tls.key` of a folder.

        Raises:
            ResourceError: One is missing, cannot be read, or does not belong to the others.
        """
        return cls(*(_read(Path(path) / name) for name in ("ca.crt", "tls.crt", "tls.key")))

    @cached_property
    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_alpn_protocols(["h2"])
        try:
            # Raises if the key needs a password, for which OpenSSL would ask on the terminal.
            load_pem_private_key(self.key, password=None)
            context.load_verify_locations(cadata=self.ca.decode())
            with tempfile.TemporaryDirectory() as folder:  # Python reads keys only from files
                file = Path(folder) / "tls.pem"
                file.touch(mode=0o600)
                file.write_bytes(self.key + b"\n" + self.certificate)
                context.load_cert_chain(file)
        except (ssl.SSLError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ResourceError(f"the credentials cannot be used: {error}") from None
        return context

    async def secure(self, host: str, port: int, submission: Submission) -> Secured:
        """Secure a channel that accepts only the node's present certificate, and answers with an attestation for it."""
        name = f"model-node-{submission.id}.crunchdao.internal"
        leaf = load_der_x509_certificate(await _fetch_certificate(host, port, self._context, name))
        public = leaf.public_key()
        if not isinstance(public, rsa.RSAPublicKey):
            raise Refused("its node's certificate has no RSA key, and no other is used for wallets to vouch for")
        key = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return Secured(
            channel=grpc.ssl_channel_credentials(leaf.public_bytes(Encoding.PEM), self.key, self.certificate),
            options=(("grpc.ssl_target_name_override", name), ("grpc.default_authority", name)),
            verify=partial(verify, submission=submission, tls_key=key),
        )


@public
@dataclass(frozen=True)
class GatewayCredentials:
    """Ordinary TLS to a gateway, and a token in every request that the coordinator has signed.

    Args:
        key: The coordinator's RSA private key, PEM.
        ca: The authority of the gateway's certificate, PEM; by default those of the system.

    Raises:
        ResourceError: The key cannot be read, or is not an RSA key.
    """

    key: bytes = field(repr=False)
    ca: bytes | None = field(default=None, repr=False)
    pinned = False

    def __post_init__(self) -> None:
        _ = self._private

    @classmethod
    def from_directory(cls, path: str | os.PathLike[str]) -> Self:
        """Read the `tls.key` of a folder.

        Raises:
            ResourceError: It is missing, cannot be read, or is not an RSA key.
        """
        return cls(_read(Path(path) / "tls.key"))

    @cached_property
    def _private(self) -> rsa.RSAPrivateKey:
        try:
            key = load_pem_private_key(self.key, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ResourceError(f"the gateway's key cannot be used: {error}") from None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ResourceError(f"the gateway's key is a {type(key).__name__}; it must be an RSA key")
        return key

    async def secure(self, host: str, port: int, submission: Submission) -> Secured:
        """Secure a channel to the gateway, with tokens for this submission."""
        public = self._private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

        @lru_cache(maxsize=1)  # a token serves all requests of its second
        def token(second: int) -> Sequence[tuple[str, str]]:
            message = json.dumps({"model_id": submission.id, "timestamp": second}, separators=(",", ":")).encode()
            signature = self._private.sign(message, padding.PKCS1v15(), hashes.SHA256())
            parts = {"message": message, "signature": signature, "pubkey": public}
            return tuple((f"x-gateway-auth-{name}", base64.b64encode(part).decode()) for name, part in parts.items())

        return Secured(channel=grpc.ssl_channel_credentials(self.ca), metadata=lambda: token(int(time.time())))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ResourceError(f"the credentials cannot be read: {error}") from None


async def _fetch_certificate(host: str, port: int, context: ssl.SSLContext, name: str) -> bytes:
    """Connect to a node, and return its certificate (DER), which gRPC does not reveal."""
    with anyio.fail_after(_HANDSHAKE_TIMEOUT):
        try:
            name.encode("idna")  # TLS does this too, but after connecting, and asyncio would then leave the socket open
            reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=name)
        except ssl.SSLCertVerificationError as error:
            raise Refused(f"its node's certificate is refused: {error.verify_message}") from None
        except ssl.SSLError as error:
            raise Refused(f"its node speaks no TLS that can be used: {error.reason or error}") from None
        except ValueError as error:
            text = f"its node cannot be asked for its certificate: {host!r} or {name!r} is no host name ({error})"
            raise Refused(text) from None
        try:
            # A server refuses our certificate only after the handshake; if it accepts it, it sends first.
            if not await reader.read(1):
                raise Refused("its node refuses the coordinator's certificate")
            return bytes(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        except ssl.SSLError as error:
            raise Refused(f"its node refuses the coordinator's certificate: {error.reason or error}") from None
        except ConnectionError as error:
            raise OSError(f"it ends the connection after the handshake, as if it refused us: {error}") from None
        finally:
            writer.transport.abort()


async def speaks_tls(host: str, port: int) -> bool:
    """Whether a server speaks TLS, whatever its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with anyio.fail_after(_HANDSHAKE_TIMEOUT):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except (OSError, ValueError):  # ValueError: the host's name is not valid
        return False
    writer.transport.abort()
    return True

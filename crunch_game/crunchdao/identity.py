"""Who a secured model node is: its TLS key, whom it lets in, and its participant's wallet that vouches for the key."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from crunch_game.crunchdao.delegation import MESSAGE, SIGNATURE, WALLET, Refused, verify
from crunch_game.errors import ResourceError
from crunch_game.models import Submission

__all__ = ["NodeIdentity", "Vouched", "Word"]


class Word(msgspec.Struct, frozen=True):
    """A wallet's word for a TLS key, as CrunchDAO's tool writes it to `cruncher_msg.json`."""

    message_b64: str
    signature_b64: str
    wallet_pubkey_b58: str

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What a node shows with each answer."""
        return ((MESSAGE, self.message_b64), (SIGNATURE, self.signature_b64), (WALLET, self.wallet_pubkey_b58))

    @property
    def hotkey(self) -> str | None:
        """The hotkey that the wallet vouches for; None where there is none, or the word cannot be read."""
        try:
            return msgspec.json.decode(base64.b64decode(self.message_b64), type=_Said).hotkey
        except (binascii.Error, msgspec.MsgspecError):
            return None


class _Said(msgspec.Struct):
    hotkey: str | None = None


@dataclass(frozen=True)
class NodeIdentity:
    """What a node needs for mTLS with a wallet as its witness.

    Args:
        certificate: Its certificate, PEM, with an RSA key.
        key: The private key, PEM.
        authority: Who signs the certificates of those it lets in, PEM.
        word: The wallet's word for the key; None where nobody asks for it.

    Raises:
        ResourceError: They cannot be read, or do not belong together.
    """

    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)
    authority: bytes = field(repr=False)
    word: Word | None = None

    @classmethod
    def from_directory(cls, path: str | Path) -> NodeIdentity:
        """`tls.crt`, `tls.key` and `ca.crt` of a folder, and `cruncher_msg.json` if it is there.

        Raises:
            ResourceError: One is missing, cannot be read, or does not belong to the others.
        """
        certificate, key, authority = (_read(Path(path) / name) for name in ("tls.crt", "tls.key", "ca.crt"))
        file = Path(path) / "cruncher_msg.json"
        try:
            word = msgspec.json.decode(_read(file), type=Word) if file.exists() else None
        except msgspec.MsgspecError as error:
            raise ResourceError(f"the wallet's word in {file} cannot be read: {error}") from None
        return cls(certificate, key, authority, word)

    def __post_init__(self) -> None:
        try:
            own = load_pem_private_key(self.key, password=None).public_key()
            public = x509.load_pem_x509_certificate(self.certificate).public_key()
            x509.load_pem_x509_certificates(self.authority)
        except (ValueError, TypeError) as error:
            raise ResourceError(f"the node's credentials cannot be read: {error}") from None
        if not isinstance(public, RSAPublicKey):
            raise ResourceError("the node's certificate has no RSA key, and coordinators accept no other")
        if public != own:
            raise ResourceError("the node's certificate and its private key do not belong together")

    def check(self, model_id: str) -> None:
        """Find out whether coordinators will believe the wallet's word.

        Raises:
            ResourceError: They will not: it is broken, expired, for another key or another model.
        """
        if self.word is None:
            return
        public = x509.load_pem_x509_certificate(self.certificate).public_key()
        own = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        try:
            verify(self.word.metadata(), Submission(model_id, "", info=self.infos()), own)
        except Refused as error:
            raise ResourceError(f"coordinators would refuse the node of {model_id}: {error}") from None

    def server_credentials(self) -> Any:
        """For gRPC's secure port: only those whom the authority vouches for are let in."""
        return grpc.ssl_server_credentials([(self.key, self.certificate)], self.authority, require_client_auth=True)

    def infos(self) -> dict[str, str | None]:
        """What an orchestrator announces of it."""
        if self.word is None:
            return {}
        return {"cruncher_wallet_pubkey": self.word.wallet_pubkey_b58, "cruncher_hotkey": self.word.hotkey}


class Vouched(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Shows the wallet's word ahead of each answer, and of refusals too."""

    def __init__(self, word: Word) -> None:
        self._metadata = word.metadata()

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """The handler, with the word in front."""
        handler = await continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler

        async def answer(request: Any, context: Any) -> Any:
            await context.send_initial_metadata(self._metadata)
            return await handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(answer, handler.request_deserializer, handler.response_serializer)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ResourceError(f"the node's credentials cannot be read: {error}") from None

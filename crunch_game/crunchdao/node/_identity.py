"""The identity of a secured model node: its TLS key, the clients that it accepts, and its wallet attestation."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from crunch_game.crunchdao.protocol import Refused, WalletAttestation, verify
from crunch_game.errors import ResourceError
from crunch_game.models import Submission


@dataclass(frozen=True)
class NodeIdentity:
    """What a node needs for mTLS, and to prove whose node it is.

    Args:
        certificate: Its certificate, PEM, with an RSA key.
        key: The private key, PEM.
        authority: The authority that signs the certificates of the clients it accepts, PEM.
        attestation: The wallet's signature for the key; None where coordinators do not verify it.

    Raises:
        ResourceError: They cannot be read, or do not belong together.
    """

    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)
    authority: bytes = field(repr=False)
    attestation: WalletAttestation | None = None

    @classmethod
    def from_directory(cls, path: str | Path) -> NodeIdentity:
        """Read `tls.crt`, `tls.key` and `ca.crt` of a folder, and `cruncher_msg.json` if it exists.

        Raises:
            ResourceError: One is missing, cannot be read, or does not belong to the others.
        """
        certificate, key, authority = (_read(Path(path) / name) for name in ("tls.crt", "tls.key", "ca.crt"))
        file = Path(path) / "cruncher_msg.json"
        try:
            attestation = msgspec.json.decode(_read(file), type=WalletAttestation) if file.exists() else None
        except msgspec.MsgspecError as error:
            raise ResourceError(f"the wallet's attestation in {file} cannot be read: {error}") from None
        return cls(certificate, key, authority, attestation)

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
        """Verify the attestation as coordinators will.

        Raises:
            ResourceError: They would refuse it: it is damaged, expired, or for another key or model.
        """
        if self.attestation is None:
            return
        public = x509.load_pem_x509_certificate(self.certificate).public_key()
        own = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        try:
            verify(self.attestation.metadata(), Submission(model_id, "", info=self.infos()), own)
        except Refused as error:
            raise ResourceError(f"coordinators would refuse the node of {model_id}: {error}") from None

    def server_credentials(self) -> Any:
        """Return credentials for gRPC's secure port. Only clients with a certificate of the authority are accepted."""
        return grpc.ssl_server_credentials([(self.key, self.certificate)], self.authority, require_client_auth=True)

    def infos(self) -> dict[str, str | None]:
        """Return what an orchestrator announces about it."""
        if self.attestation is None:
            return {}
        return {
            "cruncher_wallet_pubkey": self.attestation.wallet_pubkey_b58,
            "cruncher_hotkey": self.attestation.hotkey,
        }


class AttestationInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Sends the wallet attestation before each answer, errors included: coordinators verify both."""

    def __init__(self, attestation: WalletAttestation) -> None:
        self._metadata = attestation.metadata()

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Return the handler, wrapped."""
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

"""Wallet attestations: a participant's wallet signs that a TLS key serves its model, and coordinators verify that."""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Iterable
from typing import Any, Final

import base58
import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from crunch_game.faults import shortened
from crunch_game.models import Submission

_MESSAGE: Final = "x-server-auth-message"
_SIGNATURE: Final = "x-server-auth-signature"
_WALLET: Final = "x-server-wallet-pubkey"


class Refused(Exception):
    """A node is not the one that was announced, or refuses us; the message says why.

    It may quote what the node sent, and is therefore shortened.
    """

    def __init__(self, why: str) -> None:
        super().__init__(shortened(why))


class WalletAttestation(msgspec.Struct, frozen=True):
    """What a wallet has signed about a TLS key, as CrunchDAO's tool writes it to `cruncher_msg.json`."""

    message_b64: str
    signature_b64: str
    wallet_pubkey_b58: str

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return the gRPC metadata that a node sends with each answer."""
        return ((_MESSAGE, self.message_b64), (_SIGNATURE, self.signature_b64), (_WALLET, self.wallet_pubkey_b58))

    @property
    def hotkey(self) -> str | None:
        """The hotkey in the signed message; None if it has none, or cannot be read."""
        try:
            hotkey = _claims(_base64(self.message_b64, _MESSAGE)).get("hotkey")
        except Refused:
            return None
        return hotkey if isinstance(hotkey, str) else None


def verify(metadata: Iterable[tuple[str, str | bytes]], submission: Submission, tls_key: bytes) -> None:
    """Verify that the participant's wallet has signed the TLS key of this connection for this submission.

    Args:
        metadata: The initial metadata of a node's answer.
        submission: Its info has the `cruncher_wallet_pubkey` and `cruncher_hotkey` that the orchestrator announced.
        tls_key: The key of the connection: the DER SubjectPublicKeyInfo of the server's certificate.

    Raises:
        Refused: Something is missing, wrong, expired, or belongs to another model.
    """
    headers = {str(key).lower(): value for key, value in metadata}
    message, signature, wallet = (_header(headers, name) for name in (_MESSAGE, _SIGNATURE, _WALLET))
    expected = submission.info.get("cruncher_wallet_pubkey")
    if not expected:
        raise Refused("the orchestrator announced no wallet for it, so that nobody can vouch for its node")
    if wallet != expected:
        raise Refused(f"its node shows the wallet {wallet}; the participant's is {expected}")
    signed = _base64(message, _MESSAGE)
    try:
        Ed25519PublicKey.from_public_bytes(base58.b58decode(wallet)).verify(_base64(signature, _SIGNATURE), signed)
    except (InvalidSignature, ValueError):
        raise Refused("the signature that its node shows is not that of the participant's wallet") from None
    claims = _claims(signed)
    if _base64(str(claims.get("cert_pub") or ""), "cert_pub") != tls_key:
        raise Refused("the wallet vouches for another TLS key than that of the connection to its node")
    if claims.get("model_id") != submission.id:
        raise Refused(f"the wallet vouches for the model {claims.get('model_id')!r}, not for {submission.id!r}")
    hotkey = submission.info.get("cruncher_hotkey")
    if claims.get("hotkey") != hotkey:
        raise Refused(f"the wallet vouches for the hotkey {claims.get('hotkey')!r}, not for {hotkey!r}")
    expires = claims.get("expires_at")
    if isinstance(expires, bool) or not isinstance(expires, int | float):
        raise Refused(f"the wallet's attestation has no time at which it expires: expires_at is {expires!r}")
    if not time.time() < expires:  # written so that NaN has expired
        raise Refused(f"the wallet's attestation has expired: expires_at is {expires!r}")


def _header(headers: dict[str, str | bytes], name: str) -> str:
    value = headers.get(name)
    if not value:
        raise Refused(f"its node does not show who it is: {name} is missing in its answer")
    if not isinstance(value, str):
        raise Refused(f"its node does not show who it is: {name} is not text")
    return value


def _base64(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(f"what its node shows cannot be read: {name} is not base64") from None


def _claims(signed: bytes) -> dict[str, Any]:
    try:
        claims = json.loads(signed)
    except (ValueError, RecursionError):
        raise Refused("what the wallet has signed cannot be read: it is not JSON") from None
    if not isinstance(claims, dict):
        raise Refused("what the wallet has signed cannot be read: it is no JSON object")
    return claims

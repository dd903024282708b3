"""A wallet's word that a TLS key speaks for its model: read from a node's answers, believed if all of it is true."""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Iterable
from typing import Any, Final

import base58
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from crunch_game.models import Submission

__all__ = ["MESSAGE", "SIGNATURE", "WALLET", "Refused", "verify"]

MESSAGE: Final = "x-server-auth-message"
SIGNATURE: Final = "x-server-auth-signature"
WALLET: Final = "x-server-wallet-pubkey"


class Refused(Exception):
    """A node is not the one that was announced, or refuses us; the message says why."""


def verify(metadata: Iterable[tuple[str, str | bytes]], submission: Submission, tls_key: bytes) -> None:
    """Believe a node's answer, because the participant's wallet vouches for this very connection.

    Args:
        metadata: The initial metadata of the answer.
        submission: Whose node it must be: its info has `cruncher_wallet_pubkey` and `cruncher_hotkey`.
        tls_key: The connection's key: the DER SubjectPublicKeyInfo of the server's certificate.

    Raises:
        Refused: Something is missing, wrong, expired, or somebody else's.
    """
    headers = {str(key).lower(): value for key, value in metadata}
    message, signature, wallet = (_header(headers, name) for name in (MESSAGE, SIGNATURE, WALLET))
    expected = submission.info.get("cruncher_wallet_pubkey")
    if not expected:
        raise Refused("the orchestrator announced no wallet for it, so that nobody can vouch for its node")
    if wallet != expected:
        raise Refused(f"its node shows the wallet {wallet}; the participant's is {expected}")
    signed = _base64(message, MESSAGE)
    try:
        Ed25519PublicKey.from_public_bytes(base58.b58decode(wallet)).verify(_base64(signature, SIGNATURE), signed)
    except (InvalidSignature, ValueError):
        raise Refused("the signature that its node shows is not that of the participant's wallet") from None
    _check(_said(signed), submission, tls_key)


def _check(said: dict[str, Any], submission: Submission, tls_key: bytes) -> None:
    """What the wallet has signed is about this node, and about now."""
    if _base64(str(said.get("cert_pub") or ""), "cert_pub") != tls_key:
        raise Refused("the wallet vouches for another TLS key than that of the connection to its node")
    if said.get("model_id") != submission.id:
        raise Refused(f"the wallet vouches for the model {said.get('model_id')!r}, not for {submission.id!r}")
    hotkey = submission.info.get("cruncher_hotkey")
    if said.get("hotkey") != hotkey:
        raise Refused(f"the wallet vouches for the hotkey {said.get('hotkey')!r}, not for {hotkey!r}")
    expires = said.get("expires_at")
    if isinstance(expires, bool) or not isinstance(expires, int | float):
        raise Refused(f"the wallet's word has no time at which it expires: expires_at is {expires!r}")
    if not time.time() < expires:  # not NaN either
        raise Refused(f"the wallet's word has expired: expires_at is {expires!r}")


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


def _said(signed: bytes) -> dict[str, Any]:
    try:
        said = json.loads(signed)
    except (ValueError, RecursionError):
        raise Refused("what the wallet has signed cannot be read: it is not JSON") from None
    if not isinstance(said, dict):
        raise Refused("what the wallet has signed cannot be read: it is no JSON object")
    return said

"""Certificates, wallets and their words, made in the test."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from typing import Any

import base58
import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID


@cache
def rsa_key(which: str) -> rsa.RSAPrivateKey:
    """A key by name; making one takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: Any) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def spki(key: Any) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class Authority:
    """Signs certificates."""

    def __init__(self, name: str = "ca") -> None:
        self._key = rsa_key(f"authority {name}")
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self._name, self._key, None, timedelta(days=1), ca=True)

    def issue(self, name: str, key: Any, lasts: timedelta = timedelta(days=1)) -> bytes:
        """A certificate for that host name or address, PEM."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:60])])
        return self._sign(subject, key, name, lasts, ca=False)

    def _sign(self, subject: x509.Name, key: Any, name: str | None, lasts: timedelta, *, ca: bool) -> bytes:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=30))
            .not_valid_after(now + lasts)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if ca:
            usage = x509.KeyUsage(*[number in (5, 6) for number in range(9)])  # signs certificates and their revocation
            builder = builder.add_extension(usage, critical=True)
        if name is not None:
            known = x509.DNSName(name) if name.upper() != name else x509.IPAddress(ip_address(name))
            builder = builder.add_extension(x509.SubjectAlternativeName([known]), critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)


def elliptic_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def node_name(model_id: str) -> str:
    return f"model-node-{model_id}.crunchdao.internal"


def serving(certificate: bytes, key: Any, clients: bytes | None) -> grpc.ServerCredentials:
    """A server's credentials, which asks its clients for a certificate of that authority, if one is given."""
    return grpc.ssl_server_credentials([(pem(key), certificate)], clients, clients is not None)


class Wallet:
    """A participant's."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.address = base58.b58encode(self._key.public_key().public_bytes_raw()).decode()

    def vouch(self, key: Any, model_id: str = "alice", hotkey: str | None = "hot", **other: Any) -> dict[str, str]:
        """The headers of a node."""
        said = {
            "cert_pub": base64.b64encode(spki(key)).decode(),
            "model_id": model_id,
            "hotkey": hotkey,
            "expires_at": int(time.time()) + 3600,
            **other,
        }
        return self.sign(json.dumps({name: value for name, value in said.items() if value is not ...}).encode())

    def sign(self, message: bytes) -> dict[str, str]:
        return {
            "x-server-auth-message": base64.b64encode(message).decode(),
            "x-server-auth-signature": base64.b64encode(self._key.sign(message)).decode(),
            "x-server-wallet-pubkey": self.address,
        }

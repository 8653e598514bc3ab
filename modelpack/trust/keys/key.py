"""What a signature needs of a key, and how a key is named.

ECDSA over P-256 with SHA-256 is the one algorithm that every verifier of Sigstore bundles takes.
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from modelpack.errors import InputError


class Key(Protocol):
    """A private key that can be used and not read."""

    @property
    def spki(self) -> bytes:
        """The public key, a DER SubjectPublicKeyInfo (RFC 5280, 4.1.2.7)."""

    def sign(self, message: bytes) -> bytes:
        """Return the signature of SHA-256 of `message`, a DER ECDSA-Sig-Value (RFC 3279)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Where what opens a key comes from; nothing is asked for before it is needed."""

    password: Callable[[str], bytes | None]
    "of an encrypted file, whose name is given; None: nobody knows it"
    pin: Callable[[str], str | None]
    "of a token, whose URI is given"
    pkcs11_module: str = ""
    "path of the library of a token, where its URI does not name one"


def hint_of(spki: bytes) -> str:
    """Return the name of a key in bundles, as cosign writes it: base64 of SHA-256 of its DER."""
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


def model_hint_of(spki: bytes) -> str:
    """Return the name of a key in signatures of models: SHA-256 of its PEM, hexadecimal (OMS)."""
    return hashlib.sha256(pem(spki).encode()).hexdigest()


def fingerprint(spki: bytes) -> str:
    """Return the name of a key for people and policies: `sha256:` and hexadecimal digits."""
    return f"sha256:{hashlib.sha256(spki).hexdigest()}"


def pem(spki: bytes) -> str:
    """Return a public key as PEM, as verifiers are given it (RFC 7468)."""
    return _armoured(spki, "PUBLIC KEY")


def certificate_pem(der: bytes) -> str:
    """Return a certificate as PEM."""
    return _armoured(der, "CERTIFICATE")


def _armoured(der: bytes, label: str) -> str:
    body = base64.b64encode(der).decode()
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def check_curve(spki: bytes, *, at: str) -> None:
    """Raise InputError unless the key is one of P-256."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    try:
        public = load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError("not a public key that is known", at=at) from error
    if isinstance(public, ec.EllipticCurvePublicKey):
        kind = f"EC {public.curve.name}"
        if isinstance(public.curve, ec.SECP256R1):
            return
    else:
        kind = type(public).__name__.removeprefix("_").removesuffix("PublicKey")
    raise InputError(
        f"a key of another kind: {kind}", at=at,
        hint="use ECDSA on P-256, which every verifier of Sigstore bundles takes",
    )  # fmt: skip

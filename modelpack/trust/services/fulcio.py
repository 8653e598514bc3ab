"""A certificate of some minutes for whoever an identity token is about.

Source: Fulcio, `fulcio.proto`, CreateSigningCertificate over HTTP, version 2.
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from modelpack.errors import InputError, Unavailable
from modelpack.trust.keys.key import Key
from modelpack.trust.keys.pem_file import ephemeral
from modelpack.trust.members import encoded
from modelpack.trust.services.calls import post
from modelpack.web.client import Client
from modelpack.web.urls import is_loopback, origin

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_PATH: Final = "/api/v2/signingCert"
_LIMIT: Final = 1 << 20
_CHAIN: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """A new key, and the certificate that says whose it is."""

    key: Key
    certificate: bytes
    "DER"
    issuers: tuple[bytes, ...]
    "DER: who issued it, and who issued that"


def certify(url: str, token: str, client: Client) -> Certified:
    """Return a new key with a certificate for the holder of `token`.

    Raises Refused when Fulcio does not accept the token.
    """
    scheme, host, _ = origin(url)
    if scheme != "https" and not is_loopback(host):
        raise InputError(
            f"an identity token would be sent to `{host}` without TLS", at="caUrls",
            hint="give Fulcio a https URL in the signing configuration",
        )  # fmt: skip
    private, request = ephemeral()
    answer = post(
        client, url + _PATH, json.dumps({"certificateSigningRequest": encoded(request)}).encode(),
        what="certificate from Fulcio", limit=_LIMIT, secret=token,
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
    )  # fmt: skip
    leaf, *issuers = _chain(answer, host)
    if _spki(leaf) != private.spki:
        raise Unavailable("the certificate is for another key", at=host)
    return Certified(
        key=private, certificate=_der(leaf), issuers=tuple(_der(one) for one in issuers)
    )


def _chain(answer: bytes, host: str) -> "list[Certificate]":
    """Return the certificates of an answer, the leaf first."""
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415

    try:
        value = json.loads(answer)
        # The other kind has its proof of publication beside it, and is of no use in a bundle.
        chain = value["signedCertificateEmbeddedSct"]["chain"]["certificates"]
        found = [load_pem_x509_certificate(text.encode()) for text in chain[:_CHAIN]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unavailable("Fulcio's answer holds no certificate", at=host) from error
    if not found:
        raise Unavailable("Fulcio's answer holds no certificate", at=host)
    return found


def _der(certificate: "Certificate") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    return certificate.public_bytes(Encoding.DER)


def _spki(certificate: "Certificate") -> bytes:
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        PublicFormat,
    )

    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

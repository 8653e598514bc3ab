"""The files that clients are given: who is trusted, and where to sign.

Source: sigstore protobuf-specs `sigstore_trustroot.proto`, in the JSON form of protobuf.
"""

import base64
from collections.abc import Mapping
from typing import Any, Literal

from tests.sigstore.certificates import ORGANIZATION, PublicKey, sha256, spki

Json = dict[str, Any]
Version = Literal[1, 2]
_SINCE = {"start": "2000-01-01T00:00:00Z"}


def log_instance(url: str, key: PublicKey) -> Json:
    """Return a log as a trusted root lists it."""
    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": _text(spki(key)),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": _SINCE,
        },
        "logId": {"keyId": _text(sha256(spki(key)))},
    }


def authority_instance(name: str, url: str, chain: list[bytes], **until: str) -> Json:
    """Return an authority as a trusted root lists it."""
    return {
        "subject": {"organization": ORGANIZATION, "commonName": name},
        "uri": url,
        "certChain": {"certificates": [{"rawBytes": _text(item)} for item in chain]},
        "validFor": {**_SINCE, **until},
    }


def signing_config(
    *, fulcio: str, issuer: str, rekor: tuple[str, Version], timestamps: str = ""
) -> Json:
    """Return where to sign."""

    def service(url: str, version: int) -> Json:
        return {
            "url": url, "majorApiVersion": version, "validFor": _SINCE, "operator": ORGANIZATION,
        }  # fmt: skip

    return {
        "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
        "caUrls": [service(fulcio, 1)],
        "oidcUrls": [service(issuer, 1)],
        "rekorTlogUrls": [service(*rekor)],
        "tsaUrls": [service(timestamps, 1)] if timestamps else [],
        "rekorTlogConfig": {"selector": "ANY"},
        "tsaConfig": {"selector": "ANY"},
    }


def trust_config(trusted_root: Mapping[str, Any], signing: Mapping[str, Any]) -> Json:
    """Return who is trusted and where to sign, in one."""
    return {
        "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
        "trustedRoot": dict(trusted_root),
        "signingConfig": dict(signing),
    }


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()

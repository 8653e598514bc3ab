"""Whom verification trusts: the authorities and logs of a trusted root, each with its time.

Source: sigstore/protobuf-specs 0.5, `sigstore_trustroot.proto`. Members that are not known are
let pass: the public root gets new ones, and what is not read is not trusted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from modelpack.errors import InputError
from modelpack.oci.manifest import parse_object, printable
from modelpack.trust.members import Members

MEDIA_TYPES: Final = frozenset({
    "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    "application/vnd.dev.sigstore.trustedroot.v0.2+json",
})  # fmt: skip
CONFIGURATION: Final = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
SIZE_LIMIT: Final = 4 << 20
"bytes of a file; the public root has twenty thousand"
_MANY: Final = 100
_CERTIFICATE: Final = 64 << 10
_KEY: Final = 4 << 10
_TEXT: Final = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """When something may be relied on, in seconds since 1970, both ends included."""

    start: float
    end: float | None = None
    "None: until further notice"

    def covers(self, time: float) -> bool:
        """Tell whether `time` lies in the period."""
        return self.start <= time and (self.end is None or time <= self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Who issues certificates to signers, or to clocks."""

    uri: str
    chain: tuple[bytes, ...]
    "DER, up to the root; of an authority for time the clock's own certificate stands first"
    valid: Period


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A transparency log by its key: of signatures, or of certificates."""

    url: str
    id: bytes
    key: bytes
    "DER SubjectPublicKeyInfo"
    details: str
    "algorithm of its signatures, such as `PKIX_ECDSA_P256_SHA_256`"
    valid: Period


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedRoot:
    """Everything that a signature can be proved with."""

    authorities: tuple[Authority, ...] = ()
    logs: tuple[Log, ...] = ()
    certificate_logs: tuple[Log, ...] = ()
    timestamp_authorities: tuple[Authority, ...] = ()


def parse(data: bytes, *, at: str = "trusted root") -> TrustedRoot:
    """Return the trusted root in `data`, or in the client's trust configuration that it is.

    Raises InputError with what is not as specified.
    """
    value = parse_object(data, at=at, limit=SIZE_LIMIT)
    if value.get("mediaType") == CONFIGURATION:
        value, at = value.get("trustedRoot"), f"{at}.trustedRoot"  # type: ignore[assignment]
    return _parsed(value, at)


def _parsed(value: Any, at: str) -> TrustedRoot:  # noqa: ANN401  any JSON value
    members = Members(value, at=at)
    media_type = members.text("mediaType", limit=_TEXT)
    if media_type not in MEDIA_TYPES:
        raise InputError(
            f"not a trusted root: `{printable(media_type)}`", at=members.where("mediaType")
        )
    root = TrustedRoot(
        authorities=tuple(_authorities(members, "certificateAuthorities")),
        logs=tuple(_logs(members, "tlogs")),
        certificate_logs=tuple(_logs(members, "ctlogs")),
        timestamp_authorities=tuple(_authorities(members, "timestampAuthorities")),
    )
    if root == TrustedRoot():
        raise InputError("a trusted root that trusts nobody", at=at)
    return root


def _authorities(members: Members, key: str) -> Iterator[Authority]:
    for one in members.children(key, limit=_MANY):
        chain = one.child("certChain")
        certificates = tuple(
            certificate.data("rawBytes", limit=_CERTIFICATE)
            for certificate in chain.children("certificates", limit=_MANY)
        )
        if not certificates:
            raise InputError("a chain without a certificate", at=chain.at)
        yield Authority(
            uri=one.text("uri", limit=_TEXT, default=""), chain=certificates, valid=_period(one)
        )


def _logs(members: Members, key: str) -> Iterator[Log]:
    for one in members.children(key, limit=_MANY):
        public = one.child("publicKey")
        yield Log(
            url=one.text("baseUrl", limit=_TEXT, default=""),
            id=one.child("logId").data("keyId", limit=64),
            key=public.data("rawBytes", limit=_KEY),
            details=public.text("keyDetails", limit=64),
            valid=_period(public),
        )


def _period(members: Members) -> Period:
    """Return `validFor`; what does not say since when it is valid never is."""
    valid = members.child("validFor")
    end = valid.moment("end") if valid.has("end") else None
    return Period(start=valid.moment("start"), end=end)

"""Who seems to have signed: read from certificates, timestamps and log entries, not verified.

Source: Fulcio, docs/oid-info.md; RFC 5280, 4.2.1.6.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from modelpack import canonical_json
from modelpack.errors import InputError
from modelpack.inspection.beside import LogClaim, SignatureClaim, SignerClaim
from modelpack.trust.bundle import Bundle, Certificate, Chain, PublicKey
from modelpack.trust.log_entry import LogEntry

if TYPE_CHECKING:
    from cryptography import x509

_FULCIO: Final = "1.3.6.1.4.1.57264.1."
_USERNAME: Final = f"{_FULCIO}7"
_DETAILS: Final[Mapping[str, str]] = {
    "9": "build-signer",
    "12": "source-repository",
    "13": "source-digest",
    "14": "source-ref",
    "20": "build-trigger",
    "21": "run",
}
_UTF8: Final = 0x0C
_SHORT: Final = 0x80
"lengths below it are one byte (X.690, 8.1.3)"
_IDENTITIES: Final = 20
_LONGEST: Final = 2000


def of_bundle(bundle: Bundle) -> SignatureClaim:
    """Return who seems to have signed `bundle`, and when."""
    match bundle.material:
        case PublicKey(hint=hint):
            signer = SignerClaim(key_hint=hint)
        case Certificate(der=der):
            signer = of_certificate(der)
        case Chain(certificates=(der, *_)):
            signer = of_certificate(der)
        case Chain():
            signer = SignerClaim()
    return SignatureClaim(
        form="bundle", signer=signer, entries=tuple(map(_entry, bundle.entries)),
        timestamps=timestamps(bundle.timestamps),
    )  # fmt: skip


def of_certificate(data: bytes) -> SignerClaim:
    """Return what a certificate, DER or PEM, says; raise InputError when it is none."""
    from cryptography import x509  # noqa: PLC0415  only for what is signed
    from cryptography.utils import CryptographyDeprecationWarning  # noqa: PLC0415

    from modelpack.trust import certificates  # noqa: PLC0415

    pem = data.lstrip().startswith(b"-----BEGIN")
    load = x509.load_pem_x509_certificate if pem else x509.load_der_x509_certificate
    try:
        with warnings.catch_warnings():
            # What is against RFC 5280 is shown as well: nothing is verified here.
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            return _claims(load(data))
    except certificates.UNREADABLE as error:
        raise InputError("a certificate that cannot be read", at="certificate") from error


def _claims(found: "x509.Certificate") -> SignerClaim:
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415

    extensions = dict(_extensions(found))
    return SignerClaim(
        identities=tuple(_identities(found)),
        issuer=extensions.get("8", "") or extensions.get("1", ""),
        certificate=f"sha256:{found.fingerprint(hashes.SHA256()).hex()}",
        certificate_issuer=found.issuer.rfc4514_string()[:_LONGEST],
        not_before=_rfc3339(found.not_valid_before_utc),
        not_after=_rfc3339(found.not_valid_after_utc),
        details={
            name: extensions[number]
            for number, name in sorted(_DETAILS.items(), key=lambda item: item[1])
            if number in extensions
        },
    )


def _identities(found: "x509.Certificate") -> Iterator[str]:
    from cryptography import x509  # noqa: PLC0415

    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    for name in list(names)[:_IDENTITIES]:
        if isinstance(name, x509.OtherName):
            if name.type_id.dotted_string == _USERNAME:
                yield _text(name.value)
        elif isinstance(name.value, str):
            yield name.value[:_LONGEST]


def _extensions(found: "x509.Certificate") -> Iterator[tuple[str, str]]:
    """Yield Fulcio's extensions by their last number."""
    from cryptography import x509  # noqa: PLC0415

    for extension in found.extensions:
        name = extension.oid.dotted_string
        if name.startswith(_FULCIO) and isinstance(extension.value, x509.UnrecognizedExtension):
            number, data = name.removeprefix(_FULCIO), extension.value.value
            # The first six are texts as they are, the later ones DER.
            plain = number.isdecimal() and int(number) < 7  # noqa: PLR2004
            yield number, data.decode(errors="replace")[:_LONGEST] if plain else _text(data)


def _text(data: bytes) -> str:
    """Return the text that a DER UTF8String holds; nothing where it is none."""
    if len(data) < 2 or data[0] != _UTF8:  # noqa: PLR2004  tag and length
        return ""
    skip = 2 + (data[1] & ~_SHORT if data[1] & _SHORT else 0)
    return data[skip:].decode(errors="replace")[:_LONGEST]


def _entry(entry: LogEntry) -> LogClaim:
    return LogClaim(
        index=entry.log_index, log=entry.log_id.hex(), kind=f"{entry.kind} {entry.version}".strip(),
        time=time(entry.integrated_time),
    )  # fmt: skip


def time(seconds: object) -> str:
    """Return a time that somebody wrote as seconds since 1970; empty where it is none."""
    if isinstance(seconds, bool) or not isinstance(seconds, int) or seconds <= 0:
        return ""
    try:
        return canonical_json.rfc3339(seconds)
    except (ValueError, OverflowError, OSError):
        return ""


def timestamps(responses: Sequence[bytes]) -> tuple[str, ...]:
    """Return the times of RFC 3161 responses; of one that cannot be read an empty text."""
    return tuple(map(_timestamp, responses))


def _timestamp(response: bytes) -> str:
    from rfc3161_client import decode_timestamp_response  # noqa: PLC0415

    try:
        return _rfc3339(decode_timestamp_response(response).tst_info.gen_time)
    except ValueError:
        return ""


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""What a certificate authority says of a signer, and who saw it say so.

Sources: fulcio `docs/oid-info.md` and `docs/certificate-specification.md`; RFC 5280; RFC 6962 §3.2
(signed certificate timestamps).
"""

import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import verification
from cryptography.x509.certificate_transparency import LogEntryType, SignedCertificateTimestamp
from cryptography.x509.oid import ExtendedKeyUsageOID

from modelpack.trust import public_keys
from modelpack.trust.proof import Unproved
from modelpack.trust.trusted_root import Authority, Log

_ARC: Final = "1.3.6.1.4.1.57264.1."
_OTHER_NAME: Final = x509.ObjectIdentifier(_ARC + "7")
_FIRST_DER: Final = 8
"extensions from this one on are DER UTF8String; before it, bare text"
_NAMES: Mapping[int, str] = MappingProxyType({
    1: "issuer", 8: "issuer",
    9: "build-signer-uri", 10: "build-signer-digest", 11: "runner-environment",
    12: "source-repository-uri", 13: "source-repository-digest", 14: "source-repository-ref",
    15: "source-repository-identifier", 16: "source-repository-owner-uri",
    17: "source-repository-owner-identifier", 18: "build-config-uri", 19: "build-config-digest",
    20: "build-trigger", 21: "run-invocation-uri", 22: "source-repository-visibility",
})  # fmt: skip
"2 to 6 are GitHub's old spellings of what later ones say, and are not read"
_UTF8: Final = 0x0C
_LONG: Final = 0x80
_TEXT: Final = 4096
_TBS_LIMIT: Final = 1 << 24
UNREADABLE: Final = (
    ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)  # fmt: skip
"what is raised for certificates that are none"


@contextmanager
def strictly() -> Iterator[None]:
    """Let what is against RFC 5280, and so far only warned of, raise Unproved."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", CryptographyDeprecationWarning)
        try:
            yield
        except CryptographyDeprecationWarning as error:
            raise Unproved("a certificate that is not as specified") from error


def load(der: bytes) -> x509.Certificate:
    """Return the certificate in `der`, or raise Unproved."""
    try:
        with strictly():
            certificate = x509.load_der_x509_certificate(der)
            certificate.extensions  # noqa: B018  parsed when asked for, all of them
            certificate.public_key()
    except UNREADABLE as error:
        raise Unproved("a certificate that cannot be read") from error
    return certificate


def identity(certificate: x509.Certificate) -> str:
    """Return whom the certificate is for: an address, or a URI such as that of a workflow."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as error:
        raise Unproved("a certificate for nobody") from error
    found = [
        *names.get_values_for_type(x509.RFC822Name),
        *names.get_values_for_type(x509.UniformResourceIdentifier),
        *(
            _utf8(other.value)
            for other in names.get_values_for_type(x509.OtherName)
            if other.type_id == _OTHER_NAME
        ),
    ]
    if len(found) != 1 or len(list(names)) != 1:
        raise Unproved("a certificate that is not for exactly one identity")
    return found[0]


def extensions(certificate: x509.Certificate) -> Mapping[str, str]:
    """Return what Fulcio wrote of the signer, by the names of its documentation."""
    found: dict[str, str] = {}
    for extension in certificate.extensions:
        oid = extension.oid.dotted_string
        number = oid.removeprefix(_ARC)
        if oid == number or not number.isdigit() or int(number) not in _NAMES:
            continue
        name = _NAMES[int(number)]
        data = extension.value.public_bytes()
        text = _text(data) if int(number) < _FIRST_DER else _utf8(data)
        if found.setdefault(name, text) != text:
            raise Unproved(f"a certificate that contradicts itself about `{name}`")
    return found


def check_usage(certificate: x509.Certificate) -> None:
    """Find the certificate to be for signing code, and for nothing above it, or raise Unproved."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound as error:
        raise Unproved("a certificate that does not say what it is for") from error
    if not usage.digital_signature or usage.key_cert_sign:
        raise Unproved("a certificate that is not for signatures")
    if ExtendedKeyUsageOID.CODE_SIGNING not in extended:
        raise Unproved("a certificate that is not for signing code")


def issuer_of(
    certificate: x509.Certificate, authorities: Sequence[Authority], times: Sequence[float]
) -> tuple[Authority, x509.Certificate]:
    """Return who issued `certificate`, and with which certificate, at all the `times`.

    Raises Unproved. An authority counts for the time of which the trusted root says so, whatever
    its certificates say.
    """
    ended = False
    for authority in authorities:
        issued = [_chain(certificate, authority, time) for time in times]
        if not issued or not all(issued):
            continue
        if all(authority.valid.covers(time) for time in times):
            return authority, issued[0][0]
        ended = True
    if ended:
        raise Unproved("its authority was not to be relied on when it was used")
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    for time in times:
        moment = datetime.fromtimestamp(time, tz=UTC)
        if not start <= moment <= end:
            raise Unproved(f"it was valid from {start} to {end}, and used at {moment}")
    raise Unproved("nobody whom the trusted root knows has issued it")


def _chain(
    certificate: x509.Certificate, authority: Authority, time: float
) -> list[x509.Certificate]:
    """Return the certificates from the issuer up to the root; none: it is not of this authority."""
    above = [load(der) for der in authority.chain]
    # What a client must be able to do is TLS's business; code signing is looked at by itself.
    usage = (x509.ExtendedKeyUsage, verification.Criticality.NON_CRITICAL, None)
    policy = verification.ExtensionPolicy
    builder = (
        verification.PolicyBuilder()
        .store(verification.Store(above[-1:]))
        .time(datetime.fromtimestamp(time, tz=UTC))
        .extension_policies(
            ca_policy=policy.webpki_defaults_ca().may_be_present(*usage),
            ee_policy=policy.webpki_defaults_ee().may_be_present(*usage),
        )
    )
    try:
        verified = builder.build_client_verifier().verify(certificate, above[:-1])
    except (verification.VerificationError, x509.UnsupportedGeneralNameType):
        return []
    return list(verified.chain[1:])


def logged_at(
    certificate: x509.Certificate, issuer: x509.Certificate, logs: Sequence[Log]
) -> float:
    """Return when a certificate log promised to publish the certificate, or raise Unproved."""
    kind = x509.PrecertificateSignedCertificateTimestamps
    try:
        found = list(certificate.extensions.get_extension_for_class(kind).value)
    except x509.ExtensionNotFound as error:
        raise Unproved("no certificate log has seen it") from error
    if len(found) != 1:
        raise Unproved("not exactly one timestamp of a certificate log")
    stamp = found[0]
    log = next((log for log in logs if log.id == stamp.log_id), None)
    if log is None:
        raise Unproved("a timestamp of a certificate log that the trusted root does not know")
    key = public_keys.load(log.key)
    if not isinstance(stamp.signature_hash_algorithm, hashes.SHA256):
        raise Unproved("a timestamp of a certificate log by a weak algorithm")
    if not public_keys.has_signed(key, stamp.signature, _promised(stamp, certificate, issuer)):
        raise Unproved("a timestamp that the certificate log has not signed")
    time: float = stamp.timestamp.replace(tzinfo=UTC).timestamp()
    if not log.valid.covers(time):
        raise Unproved("a timestamp of a certificate log that was not to be relied on at that time")
    return time


def _promised(
    stamp: SignedCertificateTimestamp, certificate: x509.Certificate, issuer: x509.Certificate
) -> bytes:
    """Return what a certificate log signs (RFC 6962 §3.2)."""
    body = certificate.tbs_precertificate_bytes
    if stamp.entry_type != LogEntryType.PRE_CERTIFICATE or len(body) >= _TBS_LIMIT:
        raise Unproved("a timestamp of a certificate log about something else")
    milliseconds = round(stamp.timestamp.replace(tzinfo=UTC).timestamp() * 1000)
    key = issuer.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return b"".join((
        bytes([stamp.version.value, 0]),
        milliseconds.to_bytes(8, "big"),
        stamp.entry_type.value.to_bytes(2, "big"),
        hashlib.sha256(key).digest(),
        len(body).to_bytes(3, "big"), body,
        len(stamp.extension_bytes).to_bytes(2, "big"), stamp.extension_bytes,
    ))  # fmt: skip


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Unproved("a certificate with an extension that is no text") from error


def _utf8(der: bytes) -> str:
    """Return the text of a DER UTF8String (X.690 §8.21)."""
    if len(der) < 2 or der[0] != _UTF8:  # noqa: PLR2004  tag and length
        raise Unproved("a certificate with an extension that is no text")
    head, size = 2, der[1]
    if size >= _LONG:
        digits = size - _LONG
        head, size = 2 + digits, int.from_bytes(der[2 : 2 + digits], "big")
    if not head <= len(der) <= _TEXT or len(der) != head + size:
        raise Unproved("a certificate with an extension that is no text")
    return _text(der[head:])

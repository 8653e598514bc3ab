"""Certificates of a Sigstore of our own: authorities, and leaves as Fulcio and a TSA issue them."""

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

ORGANIZATION = "modelpack.test"
SHA256 = ec.ECDSA(hashes.SHA256())
DAY = 86_400

PublicKey = ec.EllipticCurvePublicKey
Validity = tuple[int, int]
"first and last second, since 1970"


def sha256(data: bytes) -> bytes:
    """Return the SHA-256 of `data`."""
    return hashlib.sha256(data).digest()


def spki(key: PublicKey) -> bytes:
    """Return a public key as SubjectPublicKeyInfo: the bytes that logs and hints are named by."""
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def public_pem(key: PublicKey) -> bytes:
    """Return a public key as people store it."""
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def private_pem(key: ec.EllipticCurvePrivateKey, password: bytes = b"") -> bytes:
    """Return a private key as PKCS#8, encrypted where there is a password."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption(),
    )


def new_key(curve: type[ec.EllipticCurve] = ec.SECP256R1) -> ec.EllipticCurvePrivateKey:
    """Return a fresh key."""
    return ec.generate_private_key(curve())


def der(certificate: x509.Certificate) -> bytes:
    """Return a certificate as bundles and trusted roots hold it."""
    return certificate.public_bytes(serialization.Encoding.DER)


def pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as files and Fulcio's answers hold it."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def moment(seconds: int) -> dt.datetime:
    """Return a time as certificates hold it."""
    return dt.datetime.fromtimestamp(seconds, tz=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Somebody who issues certificates."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    parents: tuple[x509.Certificate, ...] = ()
    "from the next up to the root"

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """Its certificate and those above it, as a trusted root lists them."""
        return (self.certificate, *self.parents)

    def issue(self, builder: x509.CertificateBuilder, *, usage: ObjectIdentifier, critical: bool,
              ) -> x509.CertificateBuilder:  # fmt: skip
        """Complete a leaf with what every leaf has; the subject's key must be set."""
        key = builder._public_key
        assert isinstance(key, PublicKey)
        return (
            builder.issuer_name(self.certificate.subject)
            .serial_number(x509.random_serial_number())
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=critical)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(_issued_by(self.key.public_key()), critical=False)
        )


def root(name: str, *, valid: Validity, curve: type[ec.EllipticCurve], depth: int) -> Authority:
    """Return a new root with `depth` authorities allowed below it."""
    key = new_key(curve)
    certificate = _authority(name, key.public_key(), issuer=named(name), valid=valid, depth=depth)
    return Authority(
        key=key,
        certificate=certificate.add_extension(
            _issued_by(key.public_key()), critical=False
        ).sign(key, _hash(curve)),
    )  # fmt: skip


def below(
    parent: Authority, name: str, *, valid: Validity, usages: Sequence[ObjectIdentifier] = ()
) -> Authority:
    """Return a new authority that `parent` vouches for."""
    key = new_key()
    builder = _authority(
        name, key.public_key(), issuer=parent.certificate.subject, valid=valid, depth=0
    ).add_extension(_issued_by(parent.key.public_key()), critical=False)
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    certificate = builder.sign(parent.key, _hash(type(parent.key.curve)))
    return Authority(key=key, certificate=certificate, parents=parent.chain)


def named(name: str) -> x509.Name:
    """Return the distinguished name of one of our services."""
    return x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
        x509.NameAttribute(NameOID.COMMON_NAME, name),
    ])  # fmt: skip


def leaf(key: PublicKey, *, subject: x509.Name, valid: Validity) -> x509.CertificateBuilder:
    """Return the beginning of a certificate for `key`."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .not_valid_before(moment(valid[0]))
        .not_valid_after(moment(valid[1]))
    )


def _authority(
    name: str, key: PublicKey, *, issuer: x509.Name, valid: Validity, depth: int
) -> x509.CertificateBuilder:
    return (
        leaf(key, subject=named(name), valid=valid)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=True, path_length=depth), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _issued_by(key: PublicKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _hash(curve: type[ec.EllipticCurve]) -> hashes.SHA256 | hashes.SHA384:
    return hashes.SHA384() if curve is ec.SECP384R1 else hashes.SHA256()


CODE_SIGNING = ExtendedKeyUsageOID.CODE_SIGNING
TIME_STAMPING = ExtendedKeyUsageOID.TIME_STAMPING

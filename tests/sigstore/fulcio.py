"""Fulcio: a certificate of ten minutes for whoever shows a token, and the CT log that saw it.

Sources: fulcio `docs/certificate-specification.md`, `docs/oid-info.md`; RFC 6962 §3.2, §3.3.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ObjectIdentifier

from tests.sigstore.certificates import (
    CODE_SIGNING,
    DAY,
    SHA256,
    Authority,
    PublicKey,
    Validity,
    below,
    leaf,
    new_key,
    root,
    sha256,
    spki,
)
from tests.sigstore.identity import Issuer

LIFETIME = 600
_ARC = "1.3.6.1.4.1.57264.1"
_SCT_LIST = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_GITHUB = "https://github.com"
_GITLAB = "https://gitlab.com"
Sct = Literal["right", "other-key", "other-certificate", "missing"]


@dataclass
class CertificateLog:
    """Promises to publish certificates: signed certificate timestamps (SCT)."""

    clock: Callable[[], float]
    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)

    @property
    def id(self) -> bytes:
        """The name by which a trusted root finds the key."""
        return sha256(spki(self.key.public_key()))

    def promise(self, tbs: bytes, issuer: PublicKey) -> tuple[int, bytes]:
        """Return the time and the signature over the body of a precertificate, without poison."""
        time = int(self.clock() * 1000)
        signed = b"\0\0" + time.to_bytes(8, "big") + b"\0\1" + sha256(spki(issuer))
        signed += len(tbs).to_bytes(3, "big") + tbs + b"\0\0"
        return time, b"\4\3" + _sized(self.key.sign(signed, SHA256))

    def add_pre_chain(self, chain: list[str]) -> dict[str, Any]:
        """Answer Fulcio as a CT log does (RFC 6962 §4.2): the precertificate has a poison."""
        precertificate, issuer = (
            x509.load_der_x509_certificate(base64.b64decode(item)) for item in chain[:2]
        )
        key = issuer.public_key()
        assert isinstance(key, PublicKey)
        time, signature = self.promise(_unpoisoned(precertificate), key)
        return {
            "sct_version": 0,
            "id": base64.b64encode(self.id).decode(),
            "timestamp": time,
            "extensions": "",
            "signature": base64.b64encode(signature).decode(),
        }

    def sct_list(self, tbs: bytes, issuer: PublicKey) -> bytes:
        """Return the promise as the extension of a certificate."""
        time, signature = self.promise(tbs, issuer)
        sct = b"\0" + self.id + time.to_bytes(8, "big") + b"\0\0" + signature
        return _octet_string(_sized(_sized(sct)))


@dataclass
class Fulcio:
    """Issues certificates: root P-384, intermediate P-256, leaf of ten minutes."""

    issuer: Issuer
    clock: Callable[[], float]
    log: CertificateLog
    authority: Authority
    sct: Sct = "right"
    "fault: what the certificate's timestamp is worth"

    def certificate(self, token: str, key: PublicKey) -> x509.Certificate:
        """Return a certificate over `key` for whoever the token names."""
        now = int(self.clock())
        claims = self.issuer.claims(token)
        if claims["exp"] < now:
            raise ValueError("the token has expired")
        name, extensions = identity(claims)
        builder = self.authority.issue(
            leaf(key, subject=x509.Name([]), valid=(now, now + LIFETIME)),
            usage=CODE_SIGNING,
            critical=False,
        ).add_extension(x509.SubjectAlternativeName([name]), critical=True)
        for number, value in sorted(extensions.items()):
            content = value.encode() if number < _FIRST_DER else _utf8_string(value)
            oid = ObjectIdentifier(f"{_ARC}.{number}")
            builder = builder.add_extension(
                x509.UnrecognizedExtension(oid, content), critical=False
            )
        return self._logged(builder)

    def answer(self, token: str, request: Mapping[str, Any]) -> list[x509.Certificate]:
        """Answer `/api/v2/signingCert`: a certificate for the key of a request, and its chain."""
        pem = base64.b64decode(request["certificateSigningRequest"])
        csr = x509.load_pem_x509_csr(pem)
        if not csr.is_signature_valid:
            raise ValueError("the request is not signed by its own key")
        key = csr.public_key()
        if not isinstance(key, PublicKey):
            raise TypeError("only keys on elliptic curves")
        return [self.certificate(token, key), *self.authority.chain]

    def _logged(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        tbs = builder.sign(self.authority.key, hashes.SHA256()).tbs_certificate_bytes
        if self.sct == "other-certificate":
            tbs = tbs[:-1] + bytes([tbs[-1] ^ 1])
        log = CertificateLog(self.clock) if self.sct == "other-key" else self.log
        if self.sct != "missing":
            sct = log.sct_list(tbs, self.authority.key.public_key())
            builder = builder.add_extension(
                x509.UnrecognizedExtension(_SCT_LIST, sct), critical=False
            )
        return builder.sign(self.authority.key, hashes.SHA256())


_FIRST_DER = 8
"extensions 1 to 7 hold bare text, later ones a DER UTF8String"


def new_authority(valid: Validity) -> Authority:
    """Return an intermediate below a root, as the public Fulcio has."""
    up = (valid[0] - DAY, valid[1] + DAY)
    top = root("fulcio root", valid=up, curve=ec.SECP384R1, depth=1)
    return below(top, "fulcio intermediate", valid=valid, usages=[CODE_SIGNING])


def identity(claims: Mapping[str, Any]) -> tuple[x509.GeneralName, dict[int, str]]:
    """Return the subject of a certificate, and its extensions by the last number of their OID."""
    issuer = {1: claims["iss"], 8: claims["iss"]}
    if "ci_config_ref_uri" in claims:
        pipeline, project = f"https://{claims['ci_config_ref_uri']}", claims["project_path"]
        kind = "heads" if claims["ref_type"] == "branch" else "tags"
        return x509.UniformResourceIdentifier(pipeline), {
            8: claims["iss"],
            9: pipeline,
            10: claims["sha"],
            11: claims["runner_environment"],
            12: f"{_GITLAB}/{project}",
            13: claims["sha"],
            14: f"refs/{kind}/{claims['ref']}",
            18: pipeline,
            19: claims["sha"],
            20: claims["pipeline_source"],
            21: f"{_GITLAB}/{project}/-/jobs/{claims['job_id']}",
        }
    if "job_workflow_ref" not in claims:
        if not claims.get("email_verified"):
            raise ValueError("the token has no verified e-mail address")
        return x509.RFC822Name(claims["email"]), issuer
    repository = f"{_GITHUB}/{claims['repository']}"
    job = f"{_GITHUB}/{claims['job_workflow_ref']}"
    return x509.UniformResourceIdentifier(job), {
        **issuer,
        2: claims["event_name"],
        3: claims["sha"],
        4: claims["workflow"],
        5: claims["repository"],
        6: claims["ref"],
        9: job,
        10: claims["job_workflow_sha"],
        11: claims["runner_environment"],
        12: repository,
        13: claims["sha"],
        14: claims["ref"],
        15: claims["repository_id"],
        16: f"{_GITHUB}/{claims['repository_owner']}",
        17: claims["repository_owner_id"],
        18: f"{_GITHUB}/{claims['workflow_ref']}",
        19: claims["workflow_sha"],
        20: claims["event_name"],
        21: f"{repository}/actions/runs/{claims['run_id']}/attempts/{claims['run_attempt']}",
        22: claims["repository_visibility"],
        24: claims["sub"],
    }


def _unpoisoned(precertificate: x509.Certificate) -> bytes:
    """Return the body that the log signs; who signs it again does not matter."""
    builder = (
        x509.CertificateBuilder()
        .issuer_name(precertificate.issuer)
        .subject_name(precertificate.subject)
        .public_key(precertificate.public_key())
        .serial_number(precertificate.serial_number)
        .not_valid_before(precertificate.not_valid_before_utc)
        .not_valid_after(precertificate.not_valid_after_utc)
    )
    for extension in precertificate.extensions:
        if extension.oid != x509.oid.ExtensionOID.PRECERT_POISON:
            builder = builder.add_extension(extension.value, extension.critical)
    algorithm = precertificate.signature_hash_algorithm
    assert isinstance(algorithm, hashes.SHA256)
    return builder.sign(new_key(), algorithm).tbs_certificate_bytes


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def _octet_string(data: bytes) -> bytes:
    return b"\x04" + _der_length(len(data)) + data


def _utf8_string(text: str) -> bytes:
    data = text.encode()
    return b"\x0c" + _der_length(len(data)) + data


def _der_length(size: int) -> bytes:
    if size < 128:
        return bytes([size])
    content = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(content)]) + content

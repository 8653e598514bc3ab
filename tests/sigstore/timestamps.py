"""A timestamp authority: RFC 3161 answers, signed as RFC 5652 and RFC 5816 say, at any time."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.sigstore.certificates import (
    DAY,
    SHA256,
    TIME_STAMPING,
    Authority,
    Validity,
    der,
    leaf,
    moment,
    named,
    new_key,
    root,
    sha256,
)

_POLICY = "1.3.6.1.4.1.57264.2"


@dataclass
class TimestampAuthority:
    """Says that something was there at the time of its clock."""

    clock: Callable[[], float]
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    parent: x509.Certificate
    works: bool = True
    serials: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """From the signer up."""
        return (self.certificate, self.parent)

    def answer(self, query: bytes) -> bytes:
        """Return the reply to a query."""
        if not self.works:
            raise ConnectionRefusedError("no timestamps today")
        request = tsp.TimeStampReq.load(query)
        info = tsp.TSTInfo({
            "version": "v1",
            "policy": _POLICY,
            "message_imprint": request["message_imprint"],
            "serial_number": next(self.serials),
            "gen_time": moment(int(self.clock())),
            "accuracy": {"seconds": 1},
        })  # fmt: skip
        if request["nonce"].native is not None:
            info["nonce"] = request["nonce"]
        reply = {"status": {"status": "granted"}, "time_stamp_token": self._signed(info)}
        if not request["cert_req"].native:
            del reply["time_stamp_token"]["content"]["certificates"]
        return tsp.TimeStampResp(reply).dump()

    def stamp(self, data: bytes) -> bytes:
        """Return the reply to a query about `data`."""
        imprint = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": sha256(data)}
        query = tsp.TimeStampReq({"version": "v1", "message_imprint": imprint, "cert_req": True})
        return self.answer(query.dump())

    def _signed(self, info: tsp.TSTInfo) -> cms.ContentInfo:
        content = info.dump()
        attributes = cms.CMSAttributes([
            _attribute("content_type", "tst_info"),
            _attribute("signing_time", cms.Time({"utc_time": info["gen_time"].native})),
            _attribute("message_digest", sha256(content)),
            _attribute("signing_certificate_v2", tsp.SigningCertificateV2(
                {"certs": [{"cert_hash": sha256(der(self.certificate))}]})),
        ])  # fmt: skip
        mine = asn1_x509.Certificate.load(der(self.certificate))
        digest = algos.DigestAlgorithm({"algorithm": "sha256"})
        number = {"issuer": mine.issuer, "serial_number": mine.serial_number}
        signer = {
            "version": "v1",
            "sid": cms.SignerIdentifier({"issuer_and_serial_number": number}),
            "digest_algorithm": digest,
            "signed_attrs": attributes,
            "signature_algorithm": {"algorithm": "sha256_ecdsa"},
            # signed as a SET, stored with an implicit tag
            "signature": self.key.sign(attributes.dump(), SHA256),
        }
        return cms.ContentInfo({
            "content_type": "signed_data",
            "content": {
                "version": "v3",
                "digest_algorithms": [digest],
                "encap_content_info": {
                    "content_type": "tst_info",
                    "content": core.ParsableOctetString(content),
                },
                "certificates": [mine],
                "signer_infos": [signer],
            },
        })  # fmt: skip


def new_timestamp_authority(clock: Callable[[], float], valid: Validity) -> TimestampAuthority:
    """Return an authority with a signer below a root."""
    up = (valid[0] - DAY, valid[1] + DAY)
    top: Authority = root("tsa root", valid=up, curve=ec.SECP256R1, depth=0)
    key = new_key()
    certificate = top.issue(
        leaf(key.public_key(), subject=named("tsa"), valid=valid),
        usage=TIME_STAMPING,
        critical=True,
    ).sign(top.key, hashes.SHA256())
    return TimestampAuthority(clock, key, certificate, top.certificate)


def _attribute(kind: str, value: object) -> cms.CMSAttribute:
    return cms.CMSAttribute({"type": kind, "values": [value]})

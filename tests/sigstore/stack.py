"""A whole Sigstore in this process: who is trusted, and bundles that somebody signed with it.

All services share one clock, which a test may set; every fault is a field of a service.
Nothing here uses the code under test.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.sigstore import fulcio as fulcio_
from tests.sigstore.certificates import (
    DAY,
    SHA256,
    Authority,
    PublicKey,
    Validity,
    der,
    new_key,
    pem,
    public_pem,
    sha256,
    spki,
)
from tests.sigstore.clock import Clock
from tests.sigstore.fulcio import CertificateLog, Fulcio
from tests.sigstore.identity import SOMEBODY, Issuer
from tests.sigstore.log import Log
from tests.sigstore.rekor import RekorV1, RekorV2, artifact_request, dsse_request
from tests.sigstore.timestamps import TimestampAuthority, new_timestamp_authority
from tests.sigstore.trusted import (
    Json,
    Version,
    authority_instance,
    log_instance,
    signing_config,
    trust_config,
)

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
IN_TOTO = "application/vnd.in-toto+json"
_DETAILS = {
    256: ("PKIX_ECDSA_P256_SHA_256", hashes.SHA256()),
    384: ("PKIX_ECDSA_P384_SHA_384", hashes.SHA384()),
}


@dataclass
class Sigstore:
    """OIDC issuer, Fulcio with its CT log, Rekor v1 and v2, timestamp authority."""

    clock: Clock
    issuer: Issuer
    jobs: Issuer
    "for a real Fulcio, which has one kind of identity for each issuer"
    certificates: CertificateLog
    fulcio: Fulcio
    rekor_v1: RekorV1
    rekor_v2: RekorV2
    timestamps: TimestampAuthority
    authority_until: str = ""
    "RFC 3339: the end of trust in Fulcio that the trusted root states"
    folder: Path | None = None

    @property
    def url(self) -> str:
        """Where all services listen, and the issuer that certificates name."""
        return self.issuer.url

    @contextmanager
    def at(self, moment: float) -> Iterator[None]:
        """Let it be another time for all services."""
        before, self.clock.moment = self.clock.moment, moment
        try:
            yield
        finally:
            self.clock.moment = before

    # ---- who somebody is

    def token(self, identity: str = SOMEBODY, **claims: object) -> str:
        """Return a token for the holder of an e-mail address."""
        return self.issuer.token(identity, **claims)

    def job_token(self, repository: str = "acme/minilm", **words: Any) -> str:
        """Return a token for a job of a workflow, as in GitHub Actions."""
        return self.issuer.job_token(repository, **words)

    # ---- bundles

    def sign(
        self,
        statement: bytes,
        *,
        token: str = "",
        log: Version | None = 2,
        timestamp: bool = True,
    ) -> Json:
        """Return a keyless bundle around an in-toto statement."""
        key = new_key()
        certificate = self.fulcio.certificate(token or self.token(), key.public_key())
        material = {"certificate": {"rawBytes": _text(der(certificate))}}
        return self._sealed(
            statement, key, material=material, verifier=pem(certificate),
            raw={"x509Certificate": {"rawBytes": _text(der(certificate))}}, log=log,
            timestamp=timestamp,
        )  # fmt: skip

    def sign_with(
        self,
        statement: bytes,
        key: ec.EllipticCurvePrivateKey,
        *,
        log: Version | None = None,
        timestamp: bool = False,
        hint: str | None = None,
    ) -> Json:
        """Return a bundle around an in-toto statement, signed with a key."""
        public = key.public_key()
        named = _text(sha256(spki(public))) if hint is None else hint
        return self._sealed(
            statement, key, material={"publicKey": {"hint": named}}, verifier=public_pem(public),
            raw={"publicKey": {"rawBytes": _text(spki(public))}}, log=log, timestamp=timestamp,
        )  # fmt: skip

    def sign_artifact(
        self, content: bytes, *, token: str = "", log: Version = 1, timestamp: bool = True
    ) -> Json:
        """Return a keyless bundle with a bare signature over `content`."""
        key = new_key()
        certificate = self.fulcio.certificate(token or self.token(), key.public_key())
        signature = key.sign(content, SHA256)
        raw = {"x509Certificate": {"rawBytes": _text(der(certificate))}}
        if log == 1:
            entry = self.rekor_v1.entry(
                artifact_request(sha256(content), signature, pem(certificate))
            )
        else:
            entry = self._logged(sha256(content), signature, raw, key.public_key())
        digest = {"algorithm": "SHA2_256", "digest": _text(sha256(content))}
        return {
            "mediaType": BUNDLE,
            "verificationMaterial": {
                "certificate": {"rawBytes": _text(der(certificate))},
                "tlogEntries": [entry],
                **(self._stamped(signature) if timestamp else {}),
            },
            "messageSignature": {"messageDigest": digest, "signature": _text(signature)},
        }

    def _sealed(
        self,
        statement: bytes,
        key: ec.EllipticCurvePrivateKey,
        *,
        material: Json,
        verifier: bytes,
        raw: Json,
        log: Version | None,
        timestamp: bool,
    ) -> Json:
        signed = b"DSSEv1 %d %s %d %s" % (len(IN_TOTO), IN_TOTO.encode(), len(statement), statement)
        algorithm = _DETAILS[key.curve.key_size][1]
        signature = key.sign(signed, ec.ECDSA(algorithm))
        envelope = {
            "payload": _text(statement),
            "payloadType": IN_TOTO,
            "signatures": [{"sig": _text(signature)}],
        }
        entries = []
        if log == 1:
            entries = [self.rekor_v1.entry(dsse_request(envelope, verifier))]
        elif log == 2:
            digest = hashes.Hash(algorithm)
            digest.update(signed)
            entries = [self._logged(digest.finalize(), signature, raw, key.public_key())]
        return {
            "mediaType": BUNDLE,
            "verificationMaterial": {
                **material,
                "tlogEntries": entries,
                **(self._stamped(signature) if timestamp else {}),
            },
            "dsseEnvelope": envelope,
        }

    def _logged(self, digest: bytes, signature: bytes, raw: Json, key: PublicKey) -> Json:
        details = _DETAILS[key.curve.key_size][0]
        verifier = {**raw, "keyDetails": details}
        request = {
            "digest": _text(digest),
            "signature": {"content": _text(signature), "verifier": verifier},
        }
        answer = self.rekor_v2.add({"hashedRekordRequestV002": request})
        return {name: value for name, value in answer.items() if value is not None}

    def _stamped(self, signature: bytes) -> Json:
        stamp = {"signedTimestamp": _text(self.timestamps.stamp(signature))}
        return {"timestampVerificationData": {"rfc3161Timestamps": [stamp]}}

    # ---- who is trusted

    def trusted_root(self) -> Json:
        """Return the services' keys and certificates, as `trusted_root.json`."""
        until = {"end": self.authority_until} if self.authority_until else {}
        chain = self.fulcio.authority.chain
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [
                log_instance(self.url, self.rekor_v1.log.key.public_key()),
                log_instance(self.url, self.rekor_v2.log.key.public_key()),
            ],
            "certificateAuthorities": [
                authority_instance("fulcio", self.url, [der(c) for c in chain], **until)
            ],
            "ctlogs": [log_instance(self.url, self.certificates.key.public_key())],
            "timestampAuthorities": [
                authority_instance("tsa", self.url, [der(c) for c in self.timestamps.chain])
            ],
        }

    def signing_config(self, *, rekor: Version = 2, timestamps: bool = True) -> Json:
        """Return where to sign, as `signing_config.json`."""
        return signing_config(
            fulcio=self.url, issuer=self.url, rekor=(self.url, rekor),
            timestamps=f"{self.url}/api/v1/timestamp" if timestamps else "",
        )  # fmt: skip

    def trust_config(self, *, rekor: Version = 2, timestamps: bool = True) -> Json:
        """Return both in one, as `--trust-config` takes it."""
        return trust_config(
            self.trusted_root(), self.signing_config(rekor=rekor, timestamps=timestamps)
        )

    def trusted_root_file(self) -> Path:
        """Return a file with the trusted root as it is now."""
        return self._file("trusted_root.json", self.trusted_root())

    def signing_config_file(self, *, rekor: Version = 2, timestamps: bool = True) -> Path:
        """Return a file that says where to sign."""
        name = f"signing_config.rekor{rekor}{'' if timestamps else '-no-tsa'}.json"
        return self._file(name, self.signing_config(rekor=rekor, timestamps=timestamps))

    def trust_config_file(self, *, rekor: Version = 2, timestamps: bool = True) -> Path:
        """Return a file with both."""
        name = f"trust_config.rekor{rekor}{'' if timestamps else '-no-tsa'}.json"
        return self._file(name, self.trust_config(rekor=rekor, timestamps=timestamps))

    def _file(self, name: str, content: Json) -> Path:
        if self.folder is None:
            raise ValueError("this Sigstore has no folder for files")
        path = self.folder / name
        path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
        return path


def new_sigstore(
    url: str = "https://sigstore.modelpack.test",
    *,
    folder: Path | None = None,
    moment: float | None = None,
    authority_valid: Validity | None = None,
) -> Sigstore:
    """Return a Sigstore with keys of its own; without a server it answers calls only.

    `authority_valid` are the first and last second of Fulcio's intermediate certificate.
    """
    clock = Clock(moment)
    now = int(clock())
    valid = (now - 10 * 365 * DAY, now + 10 * 365 * DAY)
    issuer = Issuer(url, clock)
    certificates = CertificateLog(clock)
    authority: Authority = fulcio_.new_authority(authority_valid or valid)
    host = url.partition("://")[2].partition(":")[0]
    return Sigstore(
        clock=clock,
        issuer=issuer,
        jobs=Issuer(f"{url}/jobs", clock),
        certificates=certificates,
        fulcio=Fulcio(issuer, clock, certificates, authority),
        # the names that Go's verifiers expect: the host of the trusted root's baseUrl, without port
        rekor_v1=RekorV1(Log(f"{host} - 1193050959916656506"), clock),
        rekor_v2=RekorV2(Log(host)),
        timestamps=new_timestamp_authority(clock, valid),
        folder=folder,
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()

"""Who signed: a key, or whoever a certificate names."""

from dataclasses import dataclass

from modelpack.errors import InputError
from modelpack.trust.bundle import Certificate, Chain, Material
from modelpack.trust.keys.key import fingerprint, hint_of, model_hint_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A signer, as verifiers are told whom to expect."""

    subject: str = ""
    "an e-mail address or URI in a certificate"
    issuer: str = ""
    "URL of who says so"
    key: str = ""
    "`sha256:` and the digits of the public key's DER"
    hints: tuple[str, ...] = ()
    "names of the key in bundles: about images, and about models"

    def __str__(self) -> str:
        """Return the signer for people."""
        return f"key {self.key}" if self.key else f"{self.subject} ({self.issuer})"

    def may_be(self, material: Material) -> bool:
        """Tell whether a bundle with `material` claims to be of this signer; nothing is proved."""
        if isinstance(material, Certificate | Chain):
            try:
                found = of_certificate(leaf(material))
            except InputError:
                return False
            return not self.key and found == self
        return bool(self.key) and material.hint in self.hints


def of_key(spki: bytes) -> Identity:
    """Return the signer that a key is."""
    return Identity(key=fingerprint(spki), hints=(hint_of(spki), model_hint_of(spki)))


def leaf(material: Certificate | Chain) -> bytes:
    """Return the signer's own certificate."""
    return material.der if isinstance(material, Certificate) else material.certificates[0]


def of_certificate(der: bytes) -> Identity:
    """Return whom a certificate of Fulcio names, or raise InputError."""
    from modelpack.trust import certificates  # noqa: PLC0415  slow to import
    from modelpack.trust.proof import Unproved  # noqa: PLC0415

    try:
        certificate = certificates.load(der)
        issuer = certificates.extensions(certificate).get("issuer", "")
        return Identity(subject=certificates.identity(certificate), issuer=issuer)
    except Unproved as error:
        raise InputError(str(error), at="certificate") from error

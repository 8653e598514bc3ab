"""What is to be signed and what was: statements about images, and their bundles."""

import hashlib
from dataclasses import dataclass
from typing import Final

from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.oci.layer import Descriptor
from modelpack.oci.referrers import Referrer
from modelpack.trust import model_signature, predicate_types
from modelpack.trust.bundle import MEDIA_TYPE, Bundle, annotations
from modelpack.trust.identity import Identity
from modelpack.trust.predicate_types import SIGNATURE
from modelpack.trust.statement import Statement, about

SIGNATURE_KIND: Final = "signature"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A statement that is to stand, signed, beside one image."""

    subject: Descriptor
    kind: str
    "`signature`, `sbom`, `provenance`, `scan`, …"
    statement: Statement

    @property
    def is_of_model(self) -> bool:
        """Whether it is about the weights (OMS), not about the image that holds them."""
        return self.statement.predicate_type == predicate_types.OMS

    @property
    def about(self) -> Digest:
        """The digest that a bundle must be proof about."""
        found = self.statement.subjects[0].sha256 if self.is_of_model else None
        return found or self.subject.digest

    @property
    def digest(self) -> Digest:
        """The digest of the statement's text: what is signed."""
        return digest_of(self.statement.as_bytes())

    def is_said_by(self, other: Statement) -> bool:
        """Tell whether `other` says the same; of a bare signature the names do not count."""
        if self.kind != SIGNATURE_KIND:
            return other.as_bytes() == self.statement.as_bytes()
        return (
            other.predicate_type == SIGNATURE
            and not other.predicate
            and other.is_about(self.subject.digest)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A statement that stands, signed, beside one image."""

    wanted: Wanted
    bundle: Bundle
    identity: Identity
    referrer_digest: Digest | None = None
    "of the manifest that has it already; None: it is new"

    @property
    def referrer(self) -> Referrer:
        """What a store keeps beside the image; a later one of this signer takes its place.

        No time stands in it: the bundle has its own, which are proved.
        """
        mark = kind_of(self.wanted.kind, self.identity)
        if self.wanted.is_of_model:
            return model_signature.referrer(self.bundle, kind=mark)
        return Referrer(
            artifact_type=MEDIA_TYPE,
            content=self.bundle.as_blob(),
            annotations=annotations(self.wanted.statement.predicate_type),
            kind=mark,
        )

    @property
    def manifest(self) -> Digest:
        """The digest of the manifest that has the bundle."""
        return self.referrer_digest or self.referrer.manifest(self.wanted.subject).digest


def kind_of(kind: str, identity: Identity) -> str:
    """Return what marks the bundles of which a later one takes an earlier one's place."""
    return f"{kind}.signed.{hashlib.sha256(str(identity).encode()).hexdigest()[:16]}"


def signature(subject: Descriptor, name: str) -> Wanted:
    """Return the statement that an image, found under `name`, is signed."""
    statement = Statement(
        subjects=about(name, subject.digest), predicate_type=SIGNATURE, predicate={}
    )
    return Wanted(subject=subject, kind=SIGNATURE_KIND, statement=statement)

"""One content that stands beside an image and says something about it, as it was read."""

from dataclasses import dataclass
from typing import Final

from modelpack.digest import Digest
from modelpack.inspection import predicates
from modelpack.inspection.contents import Content
from modelpack.oci.layer import Descriptor
from modelpack.oci.referrers import KIND
from modelpack.trust.bundle import PREDICATE as BUNDLE_PREDICATE
from modelpack.trust.statement import PREDICATE_TYPE, Statement

SUBJECT: Final = "subject"
"how a manifest refers that names the image itself"
INDEX: Final = "index"
"how a manifest refers of which the image's index says that it is about the image"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferrerDocument:
    """One content that vouches for an image, or a manifest of which none is known."""

    subject: Digest
    descriptor: Descriptor
    "of the manifest, with type and annotations as it says itself"
    by: str = SUBJECT
    layer: Descriptor | None = None
    stored: bytes = b""
    "the content as it is stored"
    content: Content | None = None
    trouble: str = ""
    unavailable: bool = False
    "whether the trouble is that it could not be fetched"

    @property
    def statement(self) -> Statement | None:
        """The statement in it, signed or not, where there is one that can be read."""
        return self.content.statement if self.content else None

    @property
    def kind(self) -> str:
        """What this program calls it, when it made it: `sbom`; a claim like all else."""
        return self.descriptor.annotations.get(KIND, "")

    @property
    def predicate_type(self) -> str:
        """The type of its statement; where that was not read, as its annotations say."""
        if self.statement:
            return self.statement.predicate_type
        said = {**(self.layer.annotations if self.layer else {}), **self.descriptor.annotations}
        return said.get(PREDICATE_TYPE) or said.get(BUNDLE_PREDICATE, "")

    @property
    def what(self) -> str:
        """The word for what it is, whoever made it."""
        types = [self.layer.media_type] if self.layer else []
        return (
            self.kind.partition(".")[0]
            or predicates.word(self.predicate_type)
            or next(filter(None, map(predicates.word_of_document,
                                     (*types, self.descriptor.artifact_type))), "")
            or ("signature" if self.content and self.content.signature else "")
        )  # fmt: skip

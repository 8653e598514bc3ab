"""How to build, and what was built."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from modelpack.assembly.evidence import Evidence, Planned
from modelpack.assembly.pushing import Push
from modelpack.assembly.source_reading import CodeAndSource
from modelpack.assembly.weights_at_hand import AtHand
from modelpack.digest import Digest
from modelpack.errors import Finding
from modelpack.evidence.provenance import Invocation
from modelpack.lock import Lock
from modelpack.oci.image import Image, Index
from modelpack.platform import Platform

if TYPE_CHECKING:
    from modelpack.evidence.scan.database import Wanted
    from modelpack.evidence.scan.scanning import Scanned
    from modelpack.functional.gate import Wanted as WantedTest
    from modelpack.functional.value import Tested
    from modelpack.signing.signing import Signing
    from modelpack.signing.value import Signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to build; none of it changes what is built, but for the revision."""

    revision: str | None = None
    "replaces git's; `none`: no revision"
    epoch: int | None = None
    "seconds: SOURCE_DATE_EPOCH"
    platforms: frozenset[Platform] = frozenset()
    "which of the locked ones are built; none: all, under one index"
    locked: bool = False
    use_cache: bool = True
    builder: str = "embedded"
    "or `docker`, or the name of a buildx builder"
    scan: "Wanted | None" = None
    "scan before the image gets its names, with this database"
    test: "WantedTest | None" = None
    "test it before it gets its names"
    invocation: Invocation = field(default_factory=Invocation)
    "who builds and since when: stands in the provenance and nowhere in the image"
    pushes: tuple[Push, ...] = ()
    "registries that get the image when all outputs have it"
    replace: bool = False
    "version tags may move there"
    signing: "Signing | None" = None
    "sign the image, and what is said of it, before it gets its names"


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """The images of one build, made but not yet anywhere."""

    serving: tuple[Planned, ...]
    "those that serve, one for each platform"
    weights: Planned | None
    "the image of the mounted weights; None where all are baked"
    whole: Image | Index
    "what gets the names: the image that serves, or the index of several"

    @property
    def mounted(self) -> Image | None:
        """The image of the mounted weights alone."""
        return self.weights[1] if self.weights else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a build made."""

    digest: Digest
    "of the image, or of the index of several"
    images: tuple[Planned, ...]
    "those that serve, one for each platform"
    weights: Planned | None
    "the image of the mounted weights; None where all are baked"
    lock: Lock
    source: CodeAndSource
    at_hand: AtHand
    builder: str
    evidence: tuple[Evidence, ...]
    findings: tuple[Finding, ...]
    new_lock: bool
    scans: tuple["Scanned", ...] = ()
    "of each platform, where a scan was asked for"
    tested: "Tested | None" = None
    "of the engine's platform, where a test was asked for"
    pushed: tuple[str, ...] = ()
    "full names in registries"
    signed: tuple["Signed", ...] = ()
    "bundles that stand beside the images"

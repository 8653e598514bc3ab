"""The bill of materials of an image of anybody's: the one that stands beside it, or made again."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from modelpack import plan
from modelpack.assembly.bill import components, inventory
from modelpack.assembly.layer_reading import StoredLayer, holds_packages
from modelpack.comparison import layer_files
from modelpack.digest import Digest
from modelpack.digest import parse as parse_digest
from modelpack.errors import InputError, ModelpackError
from modelpack.evidence import cyclonedx
from modelpack.evidence.cyclonedx import Version
from modelpack.evidence.named_image import NamedImage, of_spec
from modelpack.inputs import weights_image
from modelpack.inputs.machine import Machine
from modelpack.inspection import configuration, description, parts
from modelpack.inspection.documents import Documents
from modelpack.inspection.reading import Readable
from modelpack.oci.layer import Descriptor
from modelpack.plan import Plan
from modelpack.trust import predicate_types

if TYPE_CHECKING:
    from modelpack.inspection.referrer_document import ReferrerDocument
    from modelpack.lock import Lock, PlatformLock
    from modelpack.source import Source
    from modelpack.spec import Spec


def attached(documents: Documents, version: Version | None) -> Mapping[str, Any] | None:
    """Return the CycloneDX document that stands beside the image, ours before others'.

    Ours is valid in every `version`; one of others is returned in its own only, and InputError
    raised where another one is asked for.
    """
    found = [
        (document.kind == "sbom", bom)
        for document in documents.referrers
        if (bom := _bom(document, documents.descriptor.digest)) is not None
    ]
    if not found:
        return None
    ours, bom = max(found, key=lambda one: one[0])
    if version is None or bom.get("specVersion") == version:
        return bom
    if not ours:
        raise InputError(
            "the SBOM beside the image is not ours, and of another version",
            at=documents.descriptor.digest, hint="leave `--spec-version` out",
        )  # fmt: skip
    return {**bom, "$schema": cyclonedx.schema(version), "specVersion": version}


def _bom(document: "ReferrerDocument", digest: Digest) -> Mapping[str, Any] | None:
    """Return the CycloneDX document in a referrer, as a statement or bare."""
    statement = document.statement
    if statement is not None:
        ours = statement.predicate_type == predicate_types.CYCLONEDX and statement.is_about(digest)
        return statement.predicate if ours else None
    bare = document.content.bom if document.content and document.subject == digest else None
    return bare if bare is not None and bare.get("bomFormat") == "CycloneDX" else None


class Described:
    """An image of ours, with all that its own last layer says of it."""

    def __init__(self, documents: Documents, store: Readable) -> None:
        """Raise InputError when the image does not describe itself, or not all of it."""
        self._documents, self._store = documents, store
        digest = documents.descriptor.digest
        told = description.parse(documents.meta.files if documents.meta else {})
        if told.spec is None or told.lock is None or told.source is None:
            raise InputError(
                "no SBOM stands beside the image, and it does not say of itself what is in it",
                at=digest, hint="trivy image --format cyclonedx",
            )  # fmt: skip
        self._spec: Spec = told.spec
        self._lock: Lock = told.lock
        self._source: Source = told.source
        config = documents.manifest.config
        settings = configuration.parse(documents.config_bytes, config.media_type if config else "")
        platform = parts.platform_lock(self._lock, settings.platform)
        if platform is None:
            raise InputError("its lock has nothing for its platform", at=digest)
        self._platform: PlatformLock = platform
        self._diff_ids = tuple(parse_digest(text, at=digest) for text in settings.diff_ids)

    def cyclonedx(self, machine: Machine, version: Version) -> Mapping[str, Any]:
        """Return the CycloneDX document, but for what stood beside the weights (metrics)."""
        body = components(
            self._spec, self._lock, self._platform, self._layers(), metrics={}, machine=machine
        )
        return cyclonedx.document(body, self._named, version=version)

    def spdx(self, machine: Machine) -> Mapping[str, Any]:
        """Return the SPDX document."""
        from modelpack.evidence import spdx  # noqa: PLC0415  not for the other format

        found = inventory(
            self._spec, self._lock, self._platform, self._layers(), metrics={}, machine=machine
        )
        return spdx.document(found, self._named)

    @property
    def name(self) -> str:
        """The name under which people know the image."""
        return self._named.repository

    @property
    def _plan(self) -> Plan:
        return plan.make(
            self._spec, self._lock, self._source, self._platform,
            weights_image=weights_image.digest(self._spec, self._lock),
        )  # fmt: skip

    @property
    def _named(self) -> NamedImage:
        return of_spec(
            self._spec, self._documents.descriptor.digest, plan=self._plan, source=self._source
        )

    def _layers(self) -> tuple[StoredLayer, ...]:
        """Return the layers that hold packages."""
        steps, found = self._plan.steps, self._documents.manifest.layers
        if not len(steps) == len(found) == len(self._diff_ids):
            raise InputError(
                "the image has other layers than it says: nothing can be relied on",
                at=self._documents.descriptor.digest, hint="modelpack inspect shows more",
            )  # fmt: skip
        return tuple(
            StoredLayer(diff_id=diff_id, open=self._opener(layer))
            for step, layer, diff_id in zip(steps, found, self._diff_ids, strict=True)
            if holds_packages(step)
        )

    def _opener(self, layer: Descriptor) -> Callable[[], BinaryIO | None]:
        def opened() -> BinaryIO | None:
            try:
                return layer_files.opened(self._store, layer)
            except ModelpackError:
                return None

        return opened

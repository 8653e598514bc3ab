"""The bill of materials of an image of anybody's: the one that stands beside it, or made again."""

import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from modelpack import plan
from modelpack.assembly.bill import components, inventory
from modelpack.assembly.layer_reading import Openable, StoredLayer, holds_packages, stored
from modelpack.digest import parse as parse_digest
from modelpack.errors import InputError
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

if TYPE_CHECKING:
    from modelpack.lock import Lock, PlatformLock
    from modelpack.source import Source
    from modelpack.spec import Spec

_READ_LIMIT = 256 << 20
"bytes of a layer that is read into memory, where it cannot be opened"


def attached(documents: Documents) -> Mapping[str, Any] | None:
    """Return the CycloneDX document that stands beside the image, ours before others'."""
    found = [
        document
        for document in documents.referrers
        if document.statement
        and document.statement.predicate_type == cyclonedx.PREDICATE
        and document.statement.is_about(documents.descriptor.digest)
    ]
    ours = [document for document in found if document.kind == "sbom"]
    for document in (*ours, *found):
        if document.statement:
            return document.statement.predicate
    return None


def in_version(document: Mapping[str, Any], version: Version) -> Mapping[str, Any]:
    """Return `document` in another version of CycloneDX; ours are valid in each."""
    return {**document, "$schema": cyclonedx.schema(version), "specVersion": version}


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
        store = self._store
        if isinstance(store, Openable):
            opens = store
            return lambda: stored(layer, opens)
        if layer.size > _READ_LIMIT:
            return lambda: None
        return lambda: io.BytesIO(store.read(layer, limit=_READ_LIMIT))

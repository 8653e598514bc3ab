"""What a policy asks of an image itself: it is signed, so these are its signer's words."""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass

from modelpack.digest import Digest
from modelpack.inspection import description
from modelpack.inspection.describing import describe
from modelpack.inspection.documents import Documents
from modelpack.lock import AssembledBase

LICENSE_LABEL = "org.opencontainers.image.licenses"


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightSet:
    """The files of one `[weights]`, by name in their folder, each with its sha256."""

    name: str
    files: Mapping[str, str]
    mounted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What one image says of itself."""

    digest: Digest
    platform: str
    labels: Mapping[str, str]
    base: tuple[str, ...]
    "every name that its base has; nothing: it does not say"
    license: str
    unsafe: tuple[str, ...]
    "exceptions for weights that can carry code: `rule path`"
    states_weights: bool
    "whether it says what its weights are: made by modelpack, and legible"
    weights: tuple[WeightSet, ...]
    weights_digest: str = ""
    "of all of them, by its label"
    weights_image: str = ""
    "digest of the image of those that are mounted, by its label"


def of(documents: Documents) -> Facts:
    """Return what `documents` say; what cannot be read says nothing."""
    inspection = describe(documents)
    claims = inspection.claims
    sets: dict[str, dict[str, str]] = {}
    folders = {one.name: one.destination for one in inspection.weight_sets}
    mounted = {one.name for one in inspection.weight_sets if one.mode == "mount"}
    for file in inspection.weights:
        folder = folders.get(file.set, "")
        path = posixpath.relpath(file.path, folder) if folder else file.path
        sets.setdefault(file.set, {})[path] = file.sha256
    return Facts(
        digest=documents.descriptor.digest,
        platform=inspection.platform,
        labels=claims.labels,
        base=_base(documents, claims.base_name, claims.base_digest),
        license=claims.labels.get(LICENSE_LABEL, ""),
        unsafe=claims.unsafe,
        states_weights=bool(sets),
        weights_digest=claims.weights,
        weights_image=claims.weights_image,
        weights=tuple(
            WeightSet(name=name, files=files, mounted=name in mounted)
            for name, files in sets.items()
        ),
    )


def _base(documents: Documents, name: str, digest: str) -> tuple[str, ...]:
    if name or digest:
        return tuple(filter(None, (name, f"{name}@{digest}" if name and digest else "", digest)))
    if documents.meta is None or documents.meta.trouble:
        return ()
    told = description.parse(documents.meta.files)
    if told.spec is None or told.lock is None:
        return ()
    assembled = all(isinstance(one.base, AssembledBase) for one in told.lock.platforms)
    return (told.spec.runtime.base,) if assembled else ()

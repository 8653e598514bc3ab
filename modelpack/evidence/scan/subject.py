"""The image that is scanned: its layers with where their bytes are, and which hold only weights."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO, Protocol

from modelpack.digest import Digest
from modelpack.errors import ModelpackError
from modelpack.inspection import configuration, description, parts
from modelpack.inspection.documents import Documents
from modelpack.inspection.value import PackageClaim
from modelpack.lock import Lock, PlatformLock, WeightsLock
from modelpack.oci.blobs import content_of
from modelpack.oci.image import Image
from modelpack.oci.layer import TAR, Blob, Descriptor, StoredFile
from modelpack.oci.tar_index import members
from modelpack.plan import is_own_layer
from modelpack.spec.rules import SYSTEM_FOLDERS


class Source(Protocol):
    """The part of a layout or archive that a scan uses."""

    def blob(self, descriptor: Descriptor) -> Blob:
        """Return a blob to be copied elsewhere; whoever reads it checks its digest."""

    def open_blob(self, what: Descriptor) -> BinaryIO:
        """Open a blob; whoever reads it checks its digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One image of one platform."""

    manifest: Descriptor
    platform: str
    config: bytes
    config_type: str
    layers: tuple[Blob, ...]
    weights: Mapping[Digest, tuple[str, ...]]
    "layers that hold nothing but weights, with the files in them"
    packages: tuple[PackageClaim, ...] = ()
    "what its lock says that it holds"


def built(
    image: Image, platform: PlatformLock, weights: Mapping[Digest, tuple[str, ...]]
) -> Subject:
    """Return an image that was just made; `weights` are its layers that hold nothing else."""
    return Subject(
        manifest=image.manifest_blob.descriptor,
        platform=str(image.platform),
        config=content_of(image.config_blob),
        config_type=image.config_blob.descriptor.media_type,
        layers=tuple(layer.blob for layer in image.layers),
        weights=weights,
        packages=parts.packages(platform),
    )


def stored(source: Source, documents: Documents) -> Subject:
    """Return an image of a layout or archive, whose `documents` were read.

    What it says of its weights is not relied on: a layer counts as weights only when it is a
    plain tar of nothing but files that its lock names, in a folder where no packages are.
    """
    manifest = documents.manifest
    media_type = manifest.config.media_type if manifest.config else ""
    settings = configuration.parse(documents.config_bytes, media_type)
    files = documents.meta.files if documents.meta else {}
    lock = description.parse(files).lock
    platform = parts.platform_lock(lock, settings.platform)
    return Subject(
        manifest=replace(documents.descriptor, annotations={}),
        platform=settings.platform,
        config=documents.config_bytes,
        config_type=media_type,
        layers=tuple(_absolute(source.blob(layer)) for layer in manifest.layers),
        weights=_weights(source, manifest.layers, lock),
        packages=parts.packages(platform),
    )


def _absolute(blob: Blob) -> Blob:
    if not isinstance(blob.origin, StoredFile):
        return blob
    return replace(blob, origin=StoredFile(os.path.abspath(blob.origin.path)))


def _weights(
    source: Source, layers: Sequence[Descriptor], lock: Lock | None
) -> Mapping[Digest, tuple[str, ...]]:
    said = {
        digest: paths
        for weights in (lock.weights if lock else ())
        if not _over_system(weights.destination)
        for digest, paths in _by_layer(weights)
    }
    found: dict[Digest, tuple[str, ...]] = {}
    for layer in layers:
        expected = said.get(layer.digest)
        if expected and layer.media_type == TAR and _holds_only(source, layer, expected):
            found[layer.digest] = expected
    return found


def _by_layer(weights: WeightsLock) -> Iterable[tuple[Digest, tuple[str, ...]]]:
    place = weights.destination.rstrip("/")
    small = tuple(f"{place}/{file.path}" for file in weights.files if not is_own_layer(file))
    if weights.bundle is not None:
        yield weights.bundle, small
    for file in weights.files:
        if file.layer is not None and is_own_layer(file):
            yield file.layer, (f"{place}/{file.path}",)


def _over_system(destination: str) -> bool:
    place = f"{destination.rstrip('/')}/"
    return any(
        place.startswith(f"{folder}/") or f"{folder}/".startswith(place)
        for folder in SYSTEM_FOLDERS
    )


def _holds_only(source: Source, layer: Descriptor, expected: Sequence[str]) -> bool:
    """Tell whether the tar `layer` has no files but `expected`; its headers are read, no more."""
    try:
        with source.open_blob(layer) as stream:
            names = members(stream, at=layer.digest)
    except ModelpackError:
        return False
    return {f"/{name}" for name in names} <= set(expected)

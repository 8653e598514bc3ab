"""Read of an image what an inspection needs: manifest, configuration, meta layer, no weights."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from typing import Final, Protocol

from modelpack.digest import of as digest_of
from modelpack.errors import InputError, ModelpackError
from modelpack.inputs.decompression import decompress
from modelpack.inputs.model_artifact import artifact as model_artifact
from modelpack.inputs.model_artifact.media_types import LayerType
from modelpack.inputs.quoting import quoted
from modelpack.inspection import configuration
from modelpack.inspection.configuration import Configuration
from modelpack.inspection.documents import Documents, MetaLayer
from modelpack.inspection.value import PlatformImage
from modelpack.interface import KINDS
from modelpack.metadata import NAMEPLATE, PLACE
from modelpack.oci import attestations
from modelpack.oci.layer import TAR, Descriptor
from modelpack.oci.manifest import INDEXES, MANIFEST_LIMIT, MANIFESTS, Manifest
from modelpack.oci.manifest import parse as parse_manifest
from modelpack.oci.tar_index import members
from modelpack.run_configuration import NAMESPACE

CONFIG_LIMIT: Final = 8 << 20
"bytes"
META_LIMIT: Final = 256 << 20
"bytes of the meta layer, uncompressed"
META_FILES: Final = (
    "spec.json", "lock.json", "source.json", "weights.json", "guard.py", "probe.py",
    "signature.py", *(f"interface/{kind}.json" for kind in KINDS),
)  # fmt: skip
CREATED_BY: Final = "modelpack "
"how the history of our layers begins; the kind of the step follows"
_INDEX_DEPTH = 3
_SUFFIXES = {b"\x1f\x8b": "gz", b"\x28\xb5\x2f\xfd": "zst"}


class Readable(Protocol):
    """The part of a layout or archive that an inspection uses."""

    def read(self, what: Descriptor, *, limit: int = MANIFEST_LIMIT) -> bytes:
        """Return a blob of up to `limit` bytes, its digest and size checked."""


def read(store: Readable, root: Descriptor, *, platform: str = "", host: str = "") -> Documents:
    """Return the documents of the image that `root`, a manifest or an index, leads to.

    `platform` (`linux/arm64`) must be there; `host` is taken where it is, else the first image.
    Raises InputError when manifest or configuration cannot be read.
    """
    index: Descriptor | None = None
    index_bytes = b""
    platforms: tuple[PlatformImage, ...] = ()
    descriptor = root
    for _ in range(_INDEX_DEPTH):
        data = store.read(descriptor)
        manifest = parse_manifest(data, at=descriptor.digest)
        if manifest.config is not None:
            break
        if index is None:
            index, index_bytes = descriptor, data
            platforms = tuple(_platform_image(child) for child in _images(manifest))
        descriptor = _chosen(manifest, platform, host, at=descriptor.digest)
    else:
        raise InputError("an index in an index in an index", at=root.digest)
    config = manifest.config
    documents = Documents(
        descriptor=descriptor,
        manifest=manifest,
        manifest_bytes=data,
        config_bytes=store.read(config, limit=CONFIG_LIMIT),
        index=index,
        index_bytes=index_bytes,
        platforms=platforms,
    )
    if model_artifact.is_artifact(manifest):
        return _with_artifact(store, documents)
    settings = configuration.parse(documents.config_bytes, config.media_type)
    _expect_platform(settings, platform, index, at=descriptor.digest)
    if _step(settings, -1) == f"{CREATED_BY}nameplate" and manifest.layers:
        return _with_nameplates(store, documents)
    return replace(documents, meta=_meta_layer(store, manifest, settings))


def read_image(
    store: Readable, root: Descriptor, *, platform: str = "", host: str = ""
) -> Documents:
    """Return what `read` does; raise InputError where it is a model artifact and no image."""
    documents = read(store, root, platform=platform, host=host)
    if documents.artifact is None:
        return documents
    made_from = [quoted(one) for one in model_artifact.images(documents.manifest)]
    hint = f"it was made from the image {' '.join(made_from)}" if made_from else ""
    raise InputError(
        "a model artifact, not a container image", at=documents.descriptor.digest, hint=hint
    )


def _images(index: Manifest) -> Iterator[Descriptor]:
    for child in index.manifests:
        if child.media_type in MANIFESTS | INDEXES and attestations.is_image(child):
            yield child


def _platform_image(child: Descriptor) -> PlatformImage:
    return PlatformImage(platform=str(child.platform or ""), digest=child.digest, size=child.size)


def _chosen(index: Manifest, platform: str, host: str, *, at: str) -> Descriptor:
    images = list(_images(index))
    if not images:
        raise InputError("the index names no image", at=at)
    if platform:
        for child in images:
            if str(child.platform or "") == platform:
                return child
        known = dict.fromkeys(quoted(str(child.platform or "unknown")) for child in images)
        raise InputError(
            f"there is no image for `{platform}`", at=at, hint=f"there are {', '.join(known)}"
        )
    preferred = [child for child in images if str(child.platform or "") == host]
    return [*preferred, *images][0]


def _expect_platform(
    settings: Configuration, platform: str, index: Descriptor | None, *, at: str
) -> None:
    stated = settings.platform
    if platform and index is None and stated and not configuration.is_for(stated, platform):
        raise InputError(f"the image is for {quoted(stated)}, not `{platform}`", at=at)


def _meta_layer(store: Readable, manifest: Manifest, settings: Configuration) -> MetaLayer | None:
    position = _meta_position(manifest.layers, settings)
    if position is None:
        return None
    return _read_meta(store, manifest.layers[position], position)


def _read_meta(store: Readable, layer: Descriptor, position: int) -> MetaLayer:
    try:
        data = _unpacked(store.read(layer, limit=META_LIMIT), at=layer.digest)
        files = _files(data)
    except ModelpackError as error:
        return MetaLayer(position=position, diff_id="", trouble=error.findings[0].message)
    diff_id = digest_of(data)
    return MetaLayer(position=position, diff_id=diff_id, files=files)


def _with_artifact(store: Readable, documents: Documents) -> Documents:
    """Return the documents of a model artifact; of one of ours, with what the image says too."""
    found = model_artifact.parse(
        documents.manifest, documents.config_bytes, at=documents.descriptor.digest
    )
    described = [
        number for number, layer in enumerate(found.layers)
        if layer.path == PLACE.strip("/") and layer.type == LayerType(kind="doc", form="tar")
    ]  # fmt: skip
    meta = None
    if described:
        position = described[0]
        meta = _read_meta(store, documents.manifest.layers[position], position)
    return replace(documents, artifact=found, meta=meta)


def _with_nameplates(store: Readable, documents: Documents) -> Documents:
    """Return the documents of a weights image with what its last layer says of the weights."""
    layer = documents.manifest.layers[-1]
    try:
        data = _unpacked(store.read(layer, limit=META_LIMIT), at=layer.digest)
        found = members(BytesIO(data), at=NAMEPLATE)
    except ModelpackError as error:
        return replace(documents, trouble=error.findings[0].message)
    return replace(documents, nameplates={
        path: data[member.offset : member.offset + member.size]
        for path, member in found.items()
        if path.rpartition("/")[2] == NAMEPLATE
    })  # fmt: skip


def _step(settings: Configuration, position: int) -> str:
    """Return what the history says of a layer; nothing where it does not."""
    steps = [step.created_by for step in settings.history if not step.empty_layer]
    return steps[position] if steps else ""


def _meta_position(layers: Sequence[Descriptor], settings: Configuration) -> int | None:
    """Return which layer describes the image: by the history, else the last one if it may be."""
    steps = [step.created_by for step in settings.history if not step.empty_layer]
    if len(steps) == len(layers):
        named = [n for n, step in enumerate(steps) if step == f"{CREATED_BY}meta"]
        if named:
            return named[-1]
    ours = any(key.startswith(NAMESPACE) for key in settings.labels)
    weights = bool(steps) and steps[-1].startswith(f"{CREATED_BY}weights")
    if not ours or weights or not layers:
        return None
    last = layers[-1]
    return len(layers) - 1 if last.media_type == TAR and last.size <= META_LIMIT else None


def _unpacked(data: bytes, *, at: str) -> bytes:
    """Return the plain tar; engines that pass an image on may have compressed it."""
    for magic, suffix in _SUFFIXES.items():
        if data.startswith(magic):
            return decompress(data, suffix, limit=META_LIMIT, at=at)
    return data


def _files(data: bytes) -> dict[str, bytes]:
    folder = PLACE.strip("/")
    found = members(BytesIO(data), at=PLACE)
    wanted = {name: found.get(f"{folder}/{name}") for name in META_FILES}
    return {
        name: data[member.offset : member.offset + member.size]
        for name, member in wanted.items()
        if member is not None
    }

"""An image's weights, code and description as a CNCF ModelPack artifact: pure, the same blobs.

Source: CNCF ModelPack, model-spec 0.0.7: spec.md, config.md, annotations.md. The layers of an
image are tars, as the specification wants them, so that only a manifest and a configuration are
new: both follow from the image alone.
"""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from modelpack import canonical_json
from modelpack.canonical_json import rfc3339
from modelpack.digest import Digest
from modelpack.errors import InputError
from modelpack.inputs.model_artifact.media_types import (
    ARTIFACT,
    CONFIG,
    FILE_METADATA,
    FILEPATH,
    IMAGE,
    Compression,
    Kind,
    LayerType,
    kind_of,
)
from modelpack.lock import Lock, WeightFile, WeightsLock, tensors
from modelpack.metadata import PLACE
from modelpack.oci.layer import (
    DOCKER_TAR,
    MANIFEST,
    TAR,
    TAR_GZIP,
    TAR_ZSTD,
    Blob,
    Descriptor,
    blob_of,
)
from modelpack.plan import is_own_layer
from modelpack.source import Source
from modelpack.spec import Spec

_COMPRESSION: Final[Mapping[str, Compression]] = {
    TAR: "", TAR_GZIP: "gzip", TAR_ZSTD: "zstd", DOCKER_TAR: "", f"{DOCKER_TAR}.gzip": "gzip",
}  # fmt: skip
_MODE: Final = 0o644
"of every weight file in a layer"
_REGULAR: Final = ord("0")
"a tar's type flag of a regular file: the specification leaves open which one it means"
_SCALES: Final = ((10**15, "q"), (10**12, "t"), (10**9, "b"), (10**6, "m"), (10**3, "k"))
_PRECISIONS: Final[Mapping[str, str]] = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3", "F8_E5M2": "float8_e5m2", "C64": "complex64", "BOOL": "bool",
    "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64",
    "U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64",
}  # fmt: skip
"words of the specification by dtype of safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLayer:
    """A layer of an image of ours."""

    descriptor: Descriptor
    diff_id: Digest
    kind: str
    "`weights`, `code`, `meta`, …: what the history calls it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an image says of itself."""

    spec: Spec
    lock: Lock
    source: Source
    layers: tuple[ImageLayer, ...]
    "its own, and those of the image of its mounted weights"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelArtifact:
    """The artifact: what is new in it, over layers that the image has."""

    manifest: Blob
    config: Blob
    left_out: tuple[str, ...]
    "why a layer that could be in it is not"


def of_image(told: Told, images: Sequence[Digest]) -> ModelArtifact:
    """Return the artifact of what `images`, one for each platform, say of themselves."""
    weights = dict(_weight_layers(told.lock.weights))
    links = [file.path for file in told.source.files if file.link]
    entries = []
    for layer in told.layers:
        found = weights.get(layer.diff_id) or _other(layer.kind, told.spec, links=bool(links))
        if found is not None:
            kind, annotations = found
            entries.append((layer, _entry(layer.descriptor, kind, annotations)))
    config = blob_of(canonical_json.dumps(_config(told, [one for one, _ in entries])), CONFIG)
    value = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": ARTIFACT,
        "config": config.descriptor.as_json(),
        "layers": [entry.as_json() for _, entry in entries],
        "annotations": {IMAGE: ",".join(images)},
    }
    return ModelArtifact(
        manifest=blob_of(canonical_json.dumps(value), MANIFEST), config=config,
        left_out=tuple(
            f"the code has links, such as {link}, which readers of ModelPack refuse"
            for link in links[:1]
        ),
    )  # fmt: skip


def missing(told: Told) -> tuple[str, ...]:
    """Return the weight layers that the image says it has, and has not."""
    here = {layer.diff_id for layer in told.layers}
    return tuple(digest for digest, _ in _weight_layers(told.lock.weights) if digest not in here)


def _weight_layers(
    sets: Sequence[WeightsLock],
) -> Iterator[tuple[Digest, tuple[Kind, Mapping[str, str]]]]:
    """Yield the layers of weights by diff_id, each with its kind and its annotations."""
    for weights in sets:
        place = weights.destination.strip("/")
        for file in weights.files:
            if file.layer is not None and is_own_layer(file):
                yield file.layer, (kind_of(file.path), _single(place, file))
        small = [file.path for file in weights.files if not is_own_layer(file)]
        if weights.bundle is not None and small:
            yield weights.bundle, (_kind_of_all(small), {FILEPATH: place})


def _single(place: str, file: WeightFile) -> Mapping[str, str]:
    said = {
        "name": posixpath.basename(file.path), "mode": _MODE, "uid": 0, "gid": 0,
        "size": file.size, "mtime": rfc3339(0), "typeflag": _REGULAR,
    }  # fmt: skip
    return {
        FILEPATH: f"{place}/{file.path}",
        FILE_METADATA: canonical_json.dumps(said).decode(),
    }


def _kind_of_all(paths: Sequence[str]) -> Kind:
    """Return the kind of a layer of several files: that of the most important one."""
    kinds = {kind_of(path) for path in paths}
    order: tuple[Kind, ...] = ("weight", "weight.config", "doc")
    return next(kind for kind in order if kind in kinds)


def _other(kind: str, spec: Spec, *, links: bool) -> tuple[Kind, Mapping[str, str]] | None:
    """Return what a layer without weights is in the artifact; None: it has no place there."""
    if kind == "code" and not links:
        return "code", {FILEPATH: spec.code.workdir.strip("/")}
    if kind == "meta":
        return "doc", {FILEPATH: PLACE.strip("/")}
    return None


def _entry(layer: Descriptor, kind: Kind, annotations: Mapping[str, str]) -> Descriptor:
    compression = _COMPRESSION.get(layer.media_type)
    if compression is None:
        raise InputError(f"not a tar: `{layer.media_type}`", at=layer.digest)
    form = LayerType(kind=kind, form="tar", compression=compression)
    return replace(layer, media_type=str(form), annotations=annotations)


def _config(told: Told, layers: Sequence[ImageLayer]) -> dict[str, Any]:
    return {
        "descriptor": _descriptor(told.spec, told.source),
        "config": _technical(told.spec, told.lock),
        "modelfs": {"type": "layers", "diffIds": [layer.diff_id for layer in layers]},
    }


def _descriptor(spec: Spec, source: Source) -> dict[str, Any]:
    """Return what the author says, in the words of the specification; nothing is made up."""
    model = spec.model
    said: dict[str, Any] = {
        "name": model.name,
        "version": model.version,
        "family": model.architecture,
        "description": model.description,
        "licenses": [model.license] if model.license else [],
        "sourceURL": spec.training.source,
        "datasetsURL": [data.uri for data in spec.training.data if data.uri],
        "revision": "" if source.dirty else source.revision,
        "createdAt": rfc3339(source.created),
    }
    return {key: value for key, value in said.items() if value}


def _technical(spec: Spec, lock: Lock) -> dict[str, str]:
    files = [file for weights in lock.weights for file in weights.files]
    dtypes = tensors.total(files)
    formats = {
        file.path.lower().rpartition(".")[2] for file in files if kind_of(file.path) == "weight"
    }
    said = {
        "architecture": spec.model.architecture,
        "format": ",".join(sorted(formats)),
        "paramSize": param_size(sum(dtypes.values())),
        "precision": ",".join(precision(dtypes)),
    }
    return {key: value for key, value in said.items() if value}


def param_size(count: int) -> str:
    """Return a number of parameters as the specification writes it: `6.7b`; nothing for none."""
    if count <= 0:
        return ""
    for unit, letter in _SCALES:
        tenths = (count * 10 + unit // 2) // unit
        if tenths >= 10 or unit == 10**3:  # noqa: PLR2004  tenths of one
            whole, rest = divmod(max(tenths, 1), 10)
            return f"{whole}{f'.{rest}' if rest else ''}{letter}"
    raise ValueError(count)


def precision(dtypes: Mapping[str, int]) -> tuple[str, ...]:
    """Return the specification's words for dtypes, what most parameters have first."""
    ordered = sorted(dtypes, key=lambda dtype: (-dtypes[dtype], dtype))
    return tuple(_PRECISIONS.get(dtype, dtype.lower()) for dtype in ordered)

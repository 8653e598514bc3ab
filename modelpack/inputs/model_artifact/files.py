"""The files of a model artifact and what they hold, read by range: never the weights themselves.

What is read is not checked against the digests of layers, which would take all of them: claims.
"""

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from modelpack.digest import hex_of
from modelpack.errors import InputError, ModelpackError
from modelpack.inputs import safetensors
from modelpack.inputs.model_artifact.artifact import ArtifactLayer, ModelArtifact
from modelpack.inputs.model_artifact.media_types import Kind
from modelpack.inputs.quoting import quoted
from modelpack.oci.layer import Blob, Descriptor
from modelpack.oci.ranges import Leaping, part
from modelpack.oci.tar_reading import passing
from modelpack.oci.tree import check_path

FILE_LIMIT: Final = 10_000
_HEADER_LIMIT = 16 << 20
"bytes of one safetensors header"
_HEADERS_LIMIT = 128 << 20
"bytes of all of them"
_FIRST = 64 << 10
"bytes that are read at once: most headers are smaller"
_WORD = 8
MODELS: Final = frozenset(("weight", "weight.config"))
"kinds of layers whose files belong to the model"


class Shelf(Protocol):
    """A place whose blobs can be read by range."""

    def blob(self, descriptor: Descriptor) -> Blob:
        """Return a blob; nobody has checked it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactFile:
    """A file of the model in an artifact."""

    path: str
    "where it is unpacked to, below the folder"
    size: int
    sha256: str
    "hexadecimal digits; empty where only all of its layer has a digest"
    kind: Kind
    layer: Descriptor
    entry: str
    "the member of the tar that the layer is; empty: the layer is the file itself"
    offset: int
    "in the uncompressed layer"
    dtypes: Mapping[str, int] | None = None
    "parameters by dtype of safetensors"
    tensors: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The files of an artifact's model, and what could not be found out."""

    files: tuple[ArtifactFile, ...]
    unknown: tuple[str, ...] = field(default=())
    "sentences"


def contents(shelf: Shelf, artifact: ModelArtifact) -> Contents:
    """Return the files of the model's layers; what cannot be read is said."""
    files, unknown, left = list[ArtifactFile](), list[str](), _HEADERS_LIMIT
    for layer in artifact.layers:
        if layer.type is None or layer.type.kind not in MODELS:
            continue
        try:
            found = listed(shelf, layer, limit=FILE_LIMIT - len(files))
        except ModelpackError as error:
            unknown.append(_unread(layer, error.findings[0].message))
            continue
        for file in found:
            read, used, trouble = _with_tensors(shelf, file, left)
            left -= used
            files.append(read)
            unknown += [trouble] if trouble else []
    return Contents(files=tuple(files), unknown=tuple(unknown))


def listed(shelf: Shelf, layer: ArtifactLayer, *, limit: int) -> tuple[ArtifactFile, ...]:
    """Return the files of one layer; raise InputError where that takes reading all of it."""
    form = layer.type
    if form is None or form.compression:
        raise InputError("it is compressed", at=layer.descriptor.digest)
    if form.form == "raw":
        return (_raw(layer, form.kind),)
    found = tuple(_members(shelf, layer, form.kind, limit))
    if len(found) > limit:
        raise InputError(f"more than {FILE_LIMIT} files", at=layer.descriptor.digest)
    return found


def _raw(layer: ArtifactLayer, kind: Kind) -> ArtifactFile:
    path = cleaned(layer.path, at=layer.descriptor.digest)
    return ArtifactFile(
        path=path, size=layer.descriptor.size, sha256=hex_of(layer.descriptor.digest), kind=kind,
        layer=layer.descriptor, entry="", offset=0,
    )  # fmt: skip


def _members(shelf: Shelf, layer: ArtifactLayer, kind: Kind, limit: int) -> Iterator[ArtifactFile]:
    at = layer.descriptor.digest
    source = Leaping(shelf.blob(layer.descriptor))
    for header in passing(source, at=at, limit=2 * limit + 2):
        if header.is_file:
            path = cleaned(header.name, at=at)
            yield ArtifactFile(
                path=path, size=header.size, sha256="", kind=kind, layer=layer.descriptor,
                entry=path, offset=header.offset,
            )  # fmt: skip
        elif header.flag != b"5":
            raise InputError(f"neither a file nor a folder: {quoted(header.name)}", at=at)


def cleaned(path: str, *, at: str) -> str:
    """Return a path below the folder, normal; raise InputError where it leads elsewhere."""
    if not path or path.startswith("/"):
        raise InputError(f"not a path below a folder: {quoted(path)}", at=at)
    normal = posixpath.normpath(path)
    check_path(normal, at=at)
    return normal


def _with_tensors(
    shelf: Shelf, file: ArtifactFile, left: int
) -> tuple[ArtifactFile, int, str]:  # fmt: skip
    """Return a safetensors file with its tensors, the bytes that took, and what failed."""
    if not file.path.lower().endswith(".safetensors"):
        return file, 0, ""
    try:
        prefix = _header(shelf, file, min(left, _HEADER_LIMIT))
        header = safetensors.parse_header(prefix, file.size, at=file.path)
    except ModelpackError as error:
        said = error.findings[0].message
        return file, 0, f"which tensors {quoted(file.path)} holds: {said}"
    dtypes: dict[str, int] = {}
    for tensor in header.tensors:
        dtypes[tensor.dtype] = dtypes.get(tensor.dtype, 0) + tensor.parameters
    known = replace(file, dtypes=dict(sorted(dtypes.items())), tensors=len(header.tensors))
    return known, len(prefix), ""


def _header(shelf: Shelf, file: ArtifactFile, most: int) -> bytes:
    """Return the first bytes of a safetensors file, its header whole."""
    blob = shelf.blob(file.layer)
    prefix = part(blob, file.offset, min(file.size, _FIRST))
    length = _WORD + safetensors.header_length(prefix, file.size, at=file.path)
    if length > most:
        raise InputError(f"its header has {length} bytes", at=file.path)
    if length > len(prefix):
        prefix += part(blob, file.offset + len(prefix), length - len(prefix))
    return prefix


def _unread(layer: ArtifactLayer, reason: str) -> str:
    held = quoted(layer.path or layer.descriptor.digest)
    return f"which files the layer of {held} holds: {reason}"

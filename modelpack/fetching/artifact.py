"""Which weight files a model artifact of another tool holds: kit's, modctl's, any ModelPack."""

import io
import posixpath
from collections.abc import Iterator
from typing import BinaryIO, Final, cast

from modelpack.errors import InputError
from modelpack.fetching.member import Member, Shelf
from modelpack.inputs.base_image import layer_stream
from modelpack.inputs.model_artifact.artifact import ArtifactLayer
from modelpack.inputs.model_artifact.files import FILE_LIMIT, MODELS, cleaned, listed
from modelpack.inspection import reading
from modelpack.oci.chunks import Chunks
from modelpack.oci.layer import Descriptor
from modelpack.oci.ranges import ranged
from modelpack.oci.tar_reading import passing

_SIZE_LIMIT: Final = 1 << 50


def of_artifact(shelf: Shelf, root: Descriptor, name: str) -> tuple[Member, ...] | None:
    """Return the files of an artifact's weights, below the folder that holds them all.

    Code, documentation and data sets are none. Raises InputError where there are no weights.
    """
    del name  # an artifact has one model
    artifact = reading.read(shelf, root).artifact
    if artifact is None:
        return None
    found: list[Member] = []
    for layer in artifact.layers:
        if layer.type is not None and layer.type.kind in MODELS:
            found += _members(shelf, layer, limit=FILE_LIMIT - len(found))
    if not found:
        raise InputError("the artifact holds no weights", at=root.digest,
                         hint="modelpack inspect shows what it holds")  # fmt: skip
    folder = posixpath.commonpath([posixpath.dirname(member.path) for member in found])
    return tuple(_below(folder, member) for member in found)


def _members(shelf: Shelf, layer: ArtifactLayer, *, limit: int) -> Iterator[Member]:
    form, blob = layer.type, layer.descriptor
    if form is None or not form.compression:
        for file in listed(shelf, layer, limit=limit):
            yield Member(
                path=file.path, size=file.size, sha256=file.sha256, blob=blob, entry=file.entry
            )
    elif form.form == "raw":
        raise InputError("a file that is compressed without an archive around it", at=blob.digest)
    else:
        yield from _unpacked(shelf, blob, limit)


def _unpacked(shelf: Shelf, layer: Descriptor, limit: int) -> Iterator[Member]:
    """Yield the files of a compressed tar, for which all of it must be read."""
    at = layer.digest
    blob = shelf.blob(layer)
    stored = cast("BinaryIO", io.BufferedReader(Chunks(ranged(blob, 0, blob.size))))
    with layer_stream.reading(stored, limit=_SIZE_LIMIT, at=at) as tar:
        for header in passing(tar, at=at, limit=2 * limit + 2):
            if header.is_file:
                path = cleaned(header.name, at=at)
                yield Member(path=path, size=header.size, sha256="", blob=layer, entry=path)


def _below(folder: str, member: Member) -> Member:
    path = posixpath.relpath(member.path, folder) if folder else member.path
    return Member(
        path=path, size=member.size, sha256=member.sha256, blob=member.blob, entry=member.entry
    )

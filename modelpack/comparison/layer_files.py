"""The files in layers, path by path: streamed, hashed, never unpacked; weights are left out."""

import hashlib
import io
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, Protocol, cast, runtime_checkable

from modelpack.comparison.value import FileFact, LayerFact
from modelpack.errors import InputError, Unavailable
from modelpack.inputs.base_image import layer_stream
from modelpack.inputs.base_image.layer_stream import LayerStream, MemberContent
from modelpack.inspection.documents import Documents
from modelpack.oci.chunks import Chunks
from modelpack.oci.layer import Descriptor
from modelpack.oci.tar_reading import Header, passing
from modelpack.progress import Progress

_MEMBER_LIMIT = 1_000_000
_SIZE_LIMIT = 64 << 30
"bytes of a layer, uncompressed; a bomb costs time only"
_CHUNK = 1 << 20
_KINDS = {b"0": "file", b"\0": "file", b"7": "file", b"1": "hardlink", b"2": "symlink",
          b"5": "directory"}  # fmt: skip
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_NOT_READ = frozenset({"weights", "nameplate"})
"kinds of layers of ours: their files are compared by what the lock says of them"

Files = Mapping[str, FileFact]


@runtime_checkable
class _Openable(Protocol):
    def open_blob(self, what: Descriptor) -> BinaryIO:
        """Open a blob; whoever reads it checks its digest."""


@runtime_checkable
class _Far(Protocol):
    def chunks(self, descriptor: Descriptor, start: int, length: int) -> Iterator[bytes]:
        """Yield `length` bytes of a blob from `start` on, unchecked."""


def opened(store: object, descriptor: Descriptor) -> BinaryIO:
    """Open a layer wherever it is, or raise Unavailable where it is not handed out."""
    if isinstance(store, _Openable):
        return store.open_blob(descriptor)
    if isinstance(store, _Far):
        chunks = store.chunks(descriptor, 0, descriptor.size)
        return cast("BinaryIO", io.BufferedReader(Chunks(chunks), _CHUNK))
    raise Unavailable(
        "the layers of an image in an engine cannot be read one by one", at=descriptor.digest,
        hint="docker save IMAGE -o image.tar, then use docker-archive:image.tar",
    )  # fmt: skip


def files(
    store: object, documents: Documents, layers: Sequence[LayerFact], known: dict[str, Files],
    *, progress: Progress,
) -> Files:  # fmt: skip
    """Return every path of all layers but those of weights, as they lie on each other.

    `known` remembers by diff_id, so that what two images share is read once. Raises InputError
    when a layer is damaged or not the one that the configuration names.
    """
    whole: dict[str, FileFact] = {}
    for layer, descriptor in zip(layers, documents.manifest.layers, strict=True):
        if layer.kind in _NOT_READ:
            continue
        if layer.identity not in known:
            with (
                progress.task(f"reading layer {layer.digest[7:19]}", descriptor.size) as advance,
                opened(store, descriptor) as stream,
            ):
                known[layer.identity] = of_layer(stream, diff_id=layer.diff_id, at=layer.digest)
                advance(descriptor.size)
        whole = merged(whole, known[layer.identity])
    return whole


def of_layer(stream: BinaryIO, *, diff_id: str, at: str) -> Files:
    """Return the paths of one layer, whiteouts among them; a path twice: the last one."""
    with layer_stream.reading(stream, limit=_SIZE_LIMIT, at=at) as tar:
        found = {
            posixpath.normpath(f"/{header.name}").lstrip("/") or ".": _fact(header, tar)
            for header in passing(tar, at=at, limit=_MEMBER_LIMIT)
        }
        digest = tar.finish()
    if diff_id and digest != diff_id:
        raise InputError(f"the layer is not {diff_id} as the configuration says", at=at)
    return found


def merged(below: Files, layer: Files) -> dict[str, FileFact]:
    """Return what is there when `layer` lies on `below` (OCI image-spec, layer.md)."""
    gone, emptied = set(), set()
    for path in layer:
        folder, name = posixpath.split(path)
        if name == _OPAQUE:
            emptied.add(folder)
        elif name.startswith(_WHITEOUT):
            gone.add(posixpath.join(folder, name[len(_WHITEOUT) :]))
    # What is no folder any more takes along all that was in it.
    gone |= {
        path for path, fact in layer.items()
        if fact.kind != "directory" and path in below and below[path].kind == "directory"
    }  # fmt: skip
    kept = {path: fact for path, fact in below.items() if not _is_gone(path, gone, emptied)}
    new = {path: f for path, f in layer.items() if not posixpath.basename(path).startswith(".wh.")}
    return {**kept, **new}


def _is_gone(path: str, gone: set[str], emptied: set[str]) -> bool:
    if not (gone or emptied):
        return False
    above = path
    if path in gone:
        return True
    while above:
        above = posixpath.dirname(above)
        if above in emptied or above in gone:
            return True
    return False


def _fact(header: Header, stream: LayerStream) -> FileFact:
    sha256 = _hash(stream.content(header.size)) if header.is_file else ""
    return FileFact(
        kind=_KINDS.get(header.flag, "other"), mode=f"{header.mode:04o}", uid=header.uid,
        gid=header.gid, size=header.size if header.is_file else 0, sha256=sha256,
        target=header.target,
    )  # fmt: skip


def _hash(content: MemberContent) -> str:
    running = hashlib.sha256()
    while chunk := content.read(_CHUNK):
        running.update(chunk)
    return running.hexdigest()

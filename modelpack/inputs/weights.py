"""Weight files: found, measured in one read, and laid out as layers."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelpack import canonical_json, spec
from modelpack.digest import Digest, hex_of
from modelpack.digest import of as digest_of
from modelpack.errors import Finding, InputError, Unavailable
from modelpack.inputs.file_digests import FileDigest, FileDigests
from modelpack.inputs.patterns import select
from modelpack.lock import CHUNK, FORMAT, OWN_LAYER, WeightFile
from modelpack.metadata import NAMEPLATE
from modelpack.oci import parallel
from modelpack.oci.content import changed, identity, pump, total
from modelpack.oci.hashing import RangeSha256, RangesSha256, Sha256, Sink
from modelpack.oci.layer import TAR, Absent, Blob, Descriptor, Layer, Pieces
from modelpack.oci.layout import Layout
from modelpack.oci.tar import Content, FileRange, pieces
from modelpack.oci.tree import Tree
from modelpack.progress import Advance
from modelpack.spec import packing

ALIGN: Final = 4096
"bytes: where the data of a file in a layer starts, so that a layout can share disk blocks"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A weight file of this machine."""

    path: str
    "below the destination, with `/`"
    source: Path
    "where its bytes are: absolute, links resolved"
    status: os.stat_result


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The weight files of one `[weights]`, and what stood in the way of finding them."""

    files: tuple[SourceFile, ...]
    "in byte order of the paths"
    findings: tuple[Finding, ...]


def find(root: Path, weights: spec.Weights) -> Files:
    """Return the files that `weights` selects below its path in the project `root`.

    Raises InputError when the folder is missing.
    """
    folder = root / weights.path
    selection = select(folder, weights.include, weights.exclude)
    include = packing.patterns(weights, selection.paths)
    if include != weights.include:
        selection = select(folder, include, weights.exclude)
    files: list[SourceFile] = []
    findings = list(selection.findings)
    for path in selection.paths:
        if path == NAMEPLATE:  # of a weights image that was copied out: it is no weight
            continue
        try:
            source = Path(os.path.realpath(folder / path, strict=True))
            files.append(SourceFile(path=path, source=source, status=os.lstat(source)))
        except OSError as error:
            findings.append(Finding(message=f"cannot be read: {error.strerror}", at=path))
    if not files and not findings:
        patterns = ", ".join(f"`{pattern}`" for pattern in include)
        findings.append(
            Finding(message=f"no file in `{weights.path}` matches {patterns}",
                    at="weights.include", rule="weights.none")
        )  # fmt: skip
    return Files(files=tuple(files), findings=tuple(findings))


def measure(
    file: SourceFile,
    *,
    destination: str,
    digests: FileDigests,
    into: Layout | None,
    advance: Advance,
) -> WeightFile:
    """Return `file` by content, reading it once at most; write its layer `into` a layout.

    `advance` gets the size of the file. Raises InputError when it changes meanwhile.
    """
    size = file.status.st_size
    own = size >= OWN_LAYER
    known = _known(file, destination, digests, own=own)
    if known is not None and (into is None or _is_in(into, destination, known)):
        advance(size)
        return known
    content = FileRange(path=str(file.source), size=size)
    parts = _single(destination, file.path, content) if own else (content,)
    start = total(parts[:1]) if own else 0
    whole = RangeSha256(start, size)
    chunks = RangeSha256(start, size, chunk=CHUNK) if size > CHUNK else whole
    sinks: list[Sink] = [whole, chunks] if size > CHUNK else [whole]
    layer = None
    if own:
        layer = _layer_digest(parts, sinks, into, advance)
    else:
        pump(parts, sinks, advance)
    if identity(os.lstat(file.source)) != identity(file.status):
        raise changed(str(file.source))
    found = FileDigest(
        sha256=whole.digits[0],
        chunks=chunks.digits,
        layers={layer_key(destination, file.path): layer} if layer else {},
    )
    digests.record(file.status, found)
    return WeightFile(
        path=file.path, size=size, sha256=found.sha256, chunks=found.chunks, layer=layer
    )


def _is_in(layout: Layout, destination: str, file: WeightFile) -> bool:
    return file.layer is None or layout.has(layer_of(destination, file, None).blob.descriptor)


def _layer_digest(
    parts: Sequence[Content], sinks: Sequence[Sink], into: Layout | None, advance: Advance
) -> Digest:
    if into is not None:
        return into.ingest(parts, advance, sinks=sinks)[0]
    layer = Sha256()
    pump(parts, [layer, *sinks], advance)
    return layer.digest


def _known(
    file: SourceFile, destination: str, digests: FileDigests, *, own: bool
) -> WeightFile | None:
    """Return what the cache knows of an unchanged file, if it is all that is needed."""
    known = digests.get(file.status)
    layer = known.layers.get(layer_key(destination, file.path)) if known else None
    if known is None or not known.chunks or (own and not layer):
        return None
    return WeightFile(
        path=file.path,
        size=file.status.st_size,
        sha256=known.sha256,
        chunks=known.chunks,
        layer=layer if own else None,
    )


def layer_key(destination: str, path: str) -> str:
    """Return the key of FileDigest.layers for a file at `path` below `destination`."""
    return f"{FORMAT}:{destination}/{path}"


def layer_of(destination: str, file: WeightFile, source: Path | None) -> Layer:
    """Return the layer that holds just `file` (lock.OWN_LAYER bytes and more).

    Without a `source` its size is known and its bytes are not: the store must have it.
    """
    if file.layer is None:
        raise InputError(
            "the lock names no layer for this file",
            at=file.path,
            hint="modelpack lock --upgrade weights",
        )
    place = "" if source is None else str(source)
    parts = _single(destination, file.path, FileRange(path=place, size=file.size))
    return Layer(
        blob=Blob(
            descriptor=Descriptor(media_type=TAR, digest=file.layer, size=total(parts)),
            origin=Absent(file.path) if source is None else Pieces(parts),
        ),
        diff_id=file.layer,
        created_by=f"modelpack weights {file.path}",
    )


def bundle_layer(
    destination: str,
    files: Sequence[WeightFile],
    sources: Mapping[str, Path],
    *,
    digests: FileDigests | None = None,
    known: Digest | None = None,
) -> Layer:
    """Return the layer of all small `files`; `sources` by WeightFile.path.

    Reads them unless its digest is `known`, or remembered of the same files in the same place.
    Without a source for each of them the store must have the layer. Raises InputError when one
    of them is not what it was when it was measured.
    """
    tree = Tree()
    for file in files:
        content = FileRange(path=str(sources.get(file.path, "")), size=file.size)
        tree.file(f"{destination.strip('/')}/{file.path}", content if file.size else b"")
    parts = tuple(pieces(tree.entries(), align=ALIGN))
    key = digest_of(
        canonical_json.dumps(
            [
                "weights",
                FORMAT,
                destination,
                [[file.path, file.size, file.sha256] for file in files],
            ]
        )
    )
    digest = known or (digests.derived(key) if digests else None)
    here = all(file.path in sources for file in files)
    if digest is None and not here:
        raise Unavailable("weight files are missing, and nobody knows their layer", at=destination)
    if digest is None:
        digest = _hash_bundle(parts, files, sources)
        if digests:
            digests.record_derived(key, digest)
    return Layer(
        blob=Blob(
            descriptor=Descriptor(media_type=TAR, digest=digest, size=total(parts)),
            origin=Pieces(parts) if here else Absent(destination),
        ),
        diff_id=digest,
        created_by="modelpack weights",
    )


def _hash_bundle(
    parts: Sequence[Content], files: Sequence[WeightFile], sources: Mapping[str, Path]
) -> Digest:
    """Hash the layer and, in the same pass, every file in it against what was measured."""
    expected = {str(sources[file.path]): file.sha256 for file in files}
    ranges: list[tuple[int, int]] = []
    paths: list[str] = []
    position = 0
    for part in parts:
        if isinstance(part, FileRange):
            ranges.append((position, part.size))
            paths.append(part.path)
        position += total((part,))
    layer, single = Sha256(), RangesSha256(ranges)
    pump(parts, [layer, single], lambda _: None)
    for path, digits in zip(paths, single.digits, strict=True):
        if digits != expected[path]:
            raise changed(path)
    return layer.digest


def weights_digest(files: Sequence[WeightFile]) -> Digest:
    """Return the digest over path, size and sha256 of every file."""
    ordered = sorted(files, key=lambda file: file.path.encode())
    return digest_of(canonical_json.dumps([[f.path, f.size, f.sha256] for f in ordered]))


def measure_all(
    files: Sequence[SourceFile],
    *,
    destination: str,
    digests: FileDigests,
    into: Layout | None,
    advance: Advance,
) -> tuple[WeightFile, ...]:
    """Return all `files` by content, several at once: see `measure`."""

    def one(file: SourceFile, step: Advance) -> WeightFile:
        return measure(file, destination=destination, digests=digests, into=into, advance=step)

    return parallel.each(one, files, advance)


def sha256_of(path: Path, size: int, advance: Advance) -> str:
    """Return the hexadecimal sha256 of the first `size` bytes of a regular file."""
    whole = Sha256()
    pump((FileRange(path=str(path), size=size),), [whole], advance)
    return hex_of(whole.digest)


def _single(destination: str, path: str, content: FileRange) -> tuple[Content, ...]:
    tree = Tree()
    tree.file(f"{destination.strip('/')}/{path}", content)
    parts = list(pieces(tree.entries(), align=ALIGN))
    return _joined(parts)


def _joined(parts: Sequence[Content]) -> tuple[Content, ...]:
    """Return `parts` with neighbouring bytes joined: head, file, tail."""
    joined: list[Content] = []
    for part in parts:
        if joined and isinstance(part, bytes) and isinstance(joined[-1], bytes):
            joined[-1] += part
        else:
            joined.append(part)
    return tuple(joined)

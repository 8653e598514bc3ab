"""Images in one tar file, for engines and for hands: OCI layout and `docker load` form at once."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

from modelpack import canonical_json, reference
from modelpack.digest import Digest, hex_of
from modelpack.errors import InputError
from modelpack.oci import references
from modelpack.oci.blobs import check_content, content_of, pieces_of
from modelpack.oci.content import BLOCK, blocks, total
from modelpack.oci.file_writing import fill_file, unwritable
from modelpack.oci.hashing import RangesSha256
from modelpack.oci.layer import Blob, Descriptor
from modelpack.oci.locking import exclusive_file
from modelpack.oci.manifest import INDEXES, Manifest, parse
from modelpack.oci.referrers import VOUCHING, Vouching, appended
from modelpack.oci.store import Root
from modelpack.oci.tar import END, Content, Entry, FileRange, directory, header, padding
from modelpack.progress import SILENT, Advance, Progress

Kind = Literal["oci-archive", "docker-archive"]
IMAGE_NAME: Final = "io.containerd.image.name"
"annotation by which containerd, and Docker on top of it, names what it loads: written out in full"
_ALIGN: Final = 4096
_NAME = re.compile(r"(?:[a-z0-9][a-zA-Z0-9._/:-]{0,400}:)?[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def write(
    path: Path,
    manifest: Blob,
    blobs: Sequence[Blob],
    *,
    kind: Kind,
    names: Sequence[str] = (),
    others: Sequence[Root] = (),
    vouching: Sequence[tuple[Descriptor, Sequence[Vouching]]] = (),
    advance: Advance,
    progress: Progress = SILENT,
) -> None:
    """Write the image `manifest` (or index) with `blobs`, everything below it, to `path`.

    `names` are full ones (`minilm:1.2.0`, `ghcr.io/acme/minilm:1.2.0`) or tags alone, and so are
    the tags of the `others`, further images whose blobs are among `blobs`. What is `vouching` for
    any of them goes into an `oci-archive`. The bytes depend on the arguments only. What stood at
    `path` stays until the new file is whole. Raises InputError when a blob is not what its
    descriptor says, Unavailable when the disk fails.
    """
    roots = [Root(manifest=manifest, tags=tuple(names)), *others]
    if vouching and kind == "oci-archive":
        listing, further = _vouching(vouching)
        blobs = (*blobs, *further)
        roots[0] = replace(roots[0], annotations={VOUCHING: listing.digest})
    parts, ranges = _parts(roots, blobs, kind)
    _replace(path, parts, ranges, advance, progress)


def _vouching(
    pairs: Sequence[tuple[Descriptor, Sequence[Vouching]]],
) -> tuple[Blob, tuple[Blob, ...]]:
    """Return the list of all that vouches for something, and all blobs for that, it among them."""
    blobs = [blob for subject, new in pairs for one in new for blob in one.blobs(subject)]
    listing = appended([one.entry(subject) for subject, new in pairs for one in new], [])
    return listing, (*blobs, listing)


class Streamed:
    """The bytes that `write` writes for `docker load`, one after the other and without a file."""

    def __init__(self, manifest: Blob, blobs: Sequence[Blob], *, names: Sequence[str]) -> None:
        root = Root(manifest=manifest, tags=tuple(names))
        self._parts, self._ranges = _parts([root], blobs, "docker-archive")
        self.size = total(self._parts)

    def __iter__(self) -> Iterator[bytes]:
        """Yield blocks; what is wrong is raised before the end, so that nobody takes it for whole.

        Raises like `write`.
        """
        seen = RangesSha256([(start, blob.size) for blob, start in self._ranges])
        position = 0
        for block in blocks(self._parts, BLOCK):
            seen.take(memoryview(block), position)
            position += len(block)
            if position == self.size:
                _check_ranges(self._ranges, seen)
            yield block


def _parts(
    roots: Sequence[Root], blobs: Sequence[Blob], kind: Kind
) -> tuple[list[Content], list[tuple[Blob, int]]]:
    """Return the whole archive in pieces, and where in it each blob starts."""
    for name in (name for root in roots for name in root.tags):
        if not _NAME.fullmatch(name):
            raise InputError(f"not a name with a tag: `{name}`", at=kind)
    parts: list[Content] = []
    ranges: list[tuple[Blob, int]] = []
    position = 0
    for entry, blob in _members(roots, blobs, kind):
        head = header(entry, at=position, align=_ALIGN if blob else 0)
        content = pieces_of(blob) if blob else (entry.content,)
        if blob:
            ranges.append((blob, position + len(head)))
        position += len(head) + entry.size + len(padding(entry.size))
        parts += [head, *content, padding(entry.size)]
    return [*parts, END], ranges


def _check_ranges(ranges: Sequence[tuple[Blob, int]], seen: RangesSha256) -> None:
    for (blob, _), digits in zip(ranges, seen.digits, strict=True):
        check_content(blob, digits, blob.size)


def _replace(
    path: Path,
    parts: Sequence[Content],
    ranges: Sequence[tuple[Blob, int]],
    advance: Advance,
    progress: Progress,
) -> None:
    """Write to a file beside `path` that a killed build leaves to the next one, then rename."""
    temporary = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = exclusive_file(temporary, progress=progress)
    except OSError as error:
        raise unwritable(str(temporary), error) from error
    try:
        seen = RangesSha256([(start, blob.size) for blob, start in ranges])
        fill_file(file, str(temporary), parts, [seen], advance)
        _check_ranges(ranges, seen)
        os.rename(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise unwritable(str(path), error) from error
        raise
    finally:
        os.close(file)


def _members(
    roots: Sequence[Root], blobs: Sequence[Blob], kind: Kind
) -> Iterator[tuple[Entry, Blob | None]]:
    """Yield what the archive holds, documents first: a reader of a stream knows what comes."""
    everything = {blob.digest: blob for blob in (*(root.manifest for root in roots), *blobs)}
    yield Entry(path="oci-layout", content=references.MARKER), None
    yield Entry(path="index.json", content=_index(roots)), None
    images = [_docker_image(root, everything) for root in roots]
    if None not in images:
        yield Entry(path="manifest.json", content=canonical_json.dumps(images)), None
    elif kind == "docker-archive":
        raise InputError(
            "a `docker-archive` holds one platform",
            at=roots[images.index(None)].manifest.digest,
            hint="use `oci-archive:`, or build one platform",
        )
    yield directory("blobs"), None
    yield directory("blobs/sha256"), None
    for digest in sorted(everything):
        blob = everything[digest]
        placeholder = FileRange(path="", size=blob.size)
        yield Entry(path=f"blobs/sha256/{hex_of(digest)}", content=placeholder), blob


def _index(roots: Sequence[Root]) -> bytes:
    entries: list[Descriptor] = []
    for root in roots:
        for name in root.tags or ("",):
            tag = name.rpartition(":")[2]
            full = {IMAGE_NAME: str(reference.registry(name))} if ":" in name else {}
            named = Root(
                manifest=root.manifest,
                tags=(tag,) if tag else (),
                annotations={**full, **root.annotations},
            )
            entries.extend(references.entries_of(named))
    return references.index_of(entries)


def _docker_image(root: Root, blobs: Mapping[Digest, Blob]) -> dict[str, Any] | None:
    """Return an entry of `docker save`'s `manifest.json`; None for several platforms."""
    parsed = _single(root.manifest, blobs)
    if parsed is None or parsed.config is None:
        return None
    return {
        "Config": _path(parsed.config),
        "RepoTags": [name for name in root.tags if ":" in name] or None,
        "Layers": [_path(layer) for layer in parsed.layers],
    }


def _single(manifest: Blob, blobs: Mapping[Digest, Blob]) -> Manifest | None:
    parsed = parse(content_of(manifest), at=manifest.digest)
    if manifest.descriptor.media_type not in INDEXES:
        return parsed
    if len(parsed.manifests) != 1:
        return None
    child = blobs.get(parsed.manifests[0].digest)
    return parse(content_of(child), at=child.digest) if child else None


def _path(descriptor: Descriptor) -> str:
    return f"blobs/sha256/{hex_of(descriptor.digest)}"

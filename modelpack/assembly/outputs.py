"""Where a build puts its image: layouts and archives, each whole or not at all."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from modelpack import project, reference
from modelpack.assembly.evidence import Evidence
from modelpack.assembly.image_names import of_weights
from modelpack.digest import Digest
from modelpack.errors import InputError
from modelpack.inputs.machine import Machine
from modelpack.oci.image import Image, Index
from modelpack.oci.layer import Blob, Descriptor
from modelpack.oci.layout import Layout
from modelpack.oci.referrers import Referrer
from modelpack.oci.store import Root, local_image

Vouched = Mapping[Digest, tuple[Descriptor, tuple[Referrer, ...]]]
"images by their digests, with what vouches for each"


SCAN_COPIES: Final = ("scan*.json",)
CHECK_COPIES: Final = ("checks.json",)
MALWARE_COPIES: Final = ("malware*.json",)
TEST_COPIES: Final = ("test.json",)
_COPIES: Final = (
    "sbom*.cdx.json", "provenance.json", "oms*.json", *SCAN_COPIES, *CHECK_COPIES, *TEST_COPIES,
    *MALWARE_COPIES,
)  # fmt: skip
"names of the copies in `dist/`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One `--output`, with the names that the image gets there."""

    target: reference.Layout | reference.Archive
    tags: tuple[str, ...]
    "of a layout's entry"
    names: tuple[str, ...]
    "full ones, of an archive"

    def expect_one_platform(self) -> None:
        """Raise InputError where images of several platforms cannot stand."""
        if isinstance(self.target, reference.Archive) and self.target.kind == "docker-archive":
            raise InputError(
                "a `docker-archive` holds one platform", at=str(self.target),
                hint="build one, such as `--platform linux/amd64`, or use `oci-archive:`",
            )  # fmt: skip

    @contextmanager
    def open(self, machine: Machine) -> Iterator[Layout | None]:
        """Hold the layout under its lock, for an archive nothing; failing leaves no new folder.

        Raises InputError where something stands that is not to be replaced, such as a device.
        """
        place = Path(self.target.path)
        if isinstance(self.target, reference.Archive) and place.exists() and not place.is_file():
            raise InputError("not a regular file", at=str(place),
                             hint="name another file with `--output`")  # fmt: skip
        new = [folder for folder in place.parents if not folder.exists()]
        try:
            if isinstance(self.target, reference.Layout):
                with Layout(place, known=machine.digests, progress=machine.progress) as layout:
                    yield layout
            else:
                yield None
        except BaseException:
            with suppress(OSError):
                for folder in new:
                    folder.rmdir()
            raise


def parse(text: str, *, tags: tuple[str, ...], names: tuple[str, ...]) -> Output:
    """Return the output that `--output TEXT` names, or raise InputError."""
    target = reference.parse(text, at="--output")
    match target:
        case reference.Layout(digest=None):
            return Output(target=target, tags=(target.tag,) if target.tag else tags, names=names)
        case reference.Archive():
            return Output(target=target, tags=tags, names=names)
        case _:
            raise InputError(
                f"cannot write to `{text}`", at="--output",
                hint="use `oci:FOLDER[:TAG]`, `oci-archive:FILE` or `docker-archive:FILE`",
            )  # fmt: skip


def parse_all(
    texts: Iterable[str], *, tags: tuple[str, ...], names: tuple[str, ...]
) -> tuple[Output, ...]:
    """Return the outputs that all `--output` name, each place once; or raise InputError."""
    found: dict[str, Output] = {}
    for text in texts:
        output = parse(text, tags=tags, names=names)
        place = os.path.realpath(output.target.path)
        other = found.setdefault(place, output)
        if isinstance(other.target, reference.Layout) and isinstance(
            output.target, reference.Layout
        ):
            both = dict.fromkeys((*other.tags, *output.tags))
            found[place] = replace(other, tags=tuple(both))
        elif other.target != output.target:
            raise InputError(
                f"`{other.target}` and `{output.target}` are one place", at="--output",
                hint="name another file for one of them",
            )  # fmt: skip
    return tuple(found.values())


def blobs(whole: Image | Index) -> Iterator[Blob]:
    """Yield everything below the top manifest, contents before what names them."""
    if isinstance(whole, Image):
        yield from whole.blobs
        return
    for image in whole.images:
        yield from image.blobs
        yield image.manifest_blob


def write_unnamed(
    layouts: Iterable[Layout], whole: Image | Index, weights: Image | None, *, machine: Machine
) -> None:
    """Write the image, and that of its `weights`, into `layouts`, by digest only: no tag moves."""
    content = blobs_of(whole, weights)
    roots = [Root(manifest=one.manifest_blob) for one in (whole, weights) if one]
    for layout in layouts:
        size = sum(blob.size for blob in content)
        with machine.progress.task(f"writing {layout.root}", size) as advance:
            layout.write_all(content, advance)
        layout.commit(roots)


def write_content(
    outputs: Sequence[Output],
    layouts: Sequence[Layout | None],
    whole: Image | Index,
    weights: Image | None = None,
    *,
    machine: Machine,
) -> None:
    """Write what the image, and that of its `weights`, is made of into the layouts."""
    below = blobs_of(whole, weights)
    size = sum(blob.size for blob in below)
    for output, layout in zip(outputs, layouts, strict=True):
        if layout is not None:
            with machine.progress.task(f"writing {output.target}", size) as advance:
                layout.write_all(below, advance)


def write_archives(
    outputs: Sequence[Output],
    whole: Image | Index,
    weights: Image | None,
    beside: Vouched,
    *,
    machine: Machine,
) -> None:
    """Write the archives, whole; those that are layouts in a tar with what vouches for images."""
    below = blobs_of(whole, weights)
    size = sum(blob.size for blob in below)
    for output in outputs:
        if isinstance(output.target, reference.Archive):
            from modelpack.oci import archive  # noqa: PLC0415  not for every build

            with machine.progress.task(f"writing {output.target}", size) as advance:
                archive.write(
                    Path(output.target.path), whole.manifest_blob, below,
                    kind=output.target.kind, names=output.names,
                    others=_weights_root(weights, output.names),
                    vouching=tuple(beside.values()), advance=advance,
                )  # fmt: skip


def name_images(
    outputs: Sequence[Output],
    layouts: Sequence[Layout | None],
    whole: Image | Index,
    weights: Image | None,
    beside: Vouched,
) -> None:
    """Make the images visible in every layout, together with what vouches for them."""
    kind = local_image(whole.manifest_blob.descriptor.media_type)
    vouching = dict(beside)
    own = vouching.pop(whole.digest, None)
    of_weights_image = vouching.pop(weights.digest, None) if weights else None
    for output, layout in zip(outputs, layouts, strict=True):
        if layout is not None:
            root = Root(
                manifest=whole.manifest_blob, tags=output.tags, annotations=kind,
                referrers=own[1] if own else (), below=tuple(vouching.values()),
            )  # fmt: skip
            separate = _weights_root(weights, output.tags, of_weights_image)
            layout.commit([root, *separate])


def by_subject(evidence: Sequence[Evidence]) -> Vouched:
    """Return what stands beside each image."""
    found: dict[Digest, tuple[Descriptor, tuple[Referrer, ...]]] = {}
    for item in evidence:
        for subject in item.subjects:
            _, before = found.get(subject.digest, (subject, ()))
            found[subject.digest] = (subject, (*before, item.referrer))
    return found


def blobs_of(whole: Image | Index, weights: Image | None) -> tuple[Blob, ...]:
    """Return everything below the top manifests, each once, contents before what names them."""
    content = (*blobs(whole), *(weights.blobs if weights else ()))
    return tuple({blob.digest: blob for blob in content}.values())


def write_copies(
    folder: Path, evidence: Sequence[Evidence], *, patterns: Sequence[str] = _COPIES
) -> None:
    """Write what people read of the evidence into `folder`.

    What else has one of the names in `patterns` is of an earlier image, and goes.
    """
    for item in evidence:
        project.write(folder / item.file, item.copy)
    current = {item.file for item in evidence}
    for pattern in patterns:
        for path in folder.glob(pattern):
            if path.name not in current:
                path.unlink(missing_ok=True)


def _weights_root(
    weights: Image | None,
    names: Sequence[str],
    vouching: tuple[Descriptor, tuple[Referrer, ...]] | None = None,
) -> tuple[Root, ...]:
    if weights is None:
        return ()
    referrers = vouching[1] if vouching else ()
    return (Root(manifest=weights.manifest_blob, tags=of_weights(names), referrers=referrers),)

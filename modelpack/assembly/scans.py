"""Scans of images that were just made, before they get their names, and what a scan leaves."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

from modelpack.assembly.assemble import Made
from modelpack.assembly.evidence import Evidence
from modelpack.assembly.outputs import write_unnamed
from modelpack.canonical_json import pretty
from modelpack.digest import Digest
from modelpack.errors import joined
from modelpack.evidence.scan import predicate, subject
from modelpack.evidence.scan.database import Wanted
from modelpack.evidence.scan.scanning import Scanned, scan
from modelpack.inputs.machine import Machine
from modelpack.lock import Lock
from modelpack.oci.image import Image, Index
from modelpack.oci.layer import Descriptor
from modelpack.oci.layout import Layout
from modelpack.oci.referrers import Vouching
from modelpack.plan import Plan
from modelpack.spec import Spec
from modelpack.trust.made_here import MadeHere


class Attachable(Protocol):
    """A store that keeps what vouches for an image."""

    def attach(self, subject: Descriptor, referrers: Sequence[Vouching]) -> None:
        """Keep `referrers` with the image `subject`, which is here."""


KIND: Final = "scan"
"of evidence: a later scan takes the place of an earlier one"


def approve(
    spec: Spec,
    lock: Lock,
    images: Iterable[tuple[Plan, Image, tuple[Made, ...]]],
    whole: Image | Index,
    weights: Image | None,
    layouts: Iterable[Layout | None],
    vouch: Callable[[], Iterable[Evidence]],
    *,
    wanted: Wanted,
    machine: Machine,
) -> tuple[Scanned, ...]:
    """Write the images into the layouts without a name, scan them, and keep what is said there.

    Raises what is wrong with any of them, once all are scanned; then what `vouch` returns is kept
    with them as well.
    """
    there = [layout for layout in layouts if layout is not None]
    write_unnamed(there, whole, weights, machine=machine)
    platforms = {one.platform: one for one in lock.platforms}
    scans = tuple(
        scan(
            subject.built(image, platforms[image.platform], _weights(made)),
            rules=spec.scan, wanted=wanted, machine=machine,
        )
        for _, image, made in images
    )  # fmt: skip
    said = evidence(scans, image_name(spec))
    MadeHere(machine.cache).keep(one.digest for one in said)
    for layout in there:
        attach(layout, said)
    if errors := [error for scanned in scans if (error := scanned.error)]:
        rest = tuple(vouch()) if there else ()
        for layout in there:
            attach(layout, rest)
        raise joined(errors)
    return scans


def image_name(spec: Spec) -> str:
    """Return the name under which statements speak of the images of a project."""
    return spec.image.repository or spec.model.name


def evidence(scans: Sequence[Scanned], name: str) -> tuple[Evidence, ...]:
    """Return what `scans`, one for each platform, say of the image `name`."""
    found = []
    for scanned in scans:
        several = f".{scanned.platform.replace('/', '-')}" if len(scans) > 1 else ""
        said = predicate.statement(scanned, name)
        found.append(
            Evidence(
                kind=KIND, file=f"scan{several}.json", copy=pretty(said.as_json()),
                statement=said, subjects=(scanned.manifest,),
            )
        )  # fmt: skip
    return tuple(found)


def attach(store: Attachable, said: Iterable[Evidence]) -> None:
    """Keep the evidence with its images: in a layout whose lock is held, or in a registry."""
    for one in said:
        for manifest in one.subjects:
            store.attach(manifest, [one.referrer])


def _weights(made: Iterable[Made]) -> Mapping[Digest, tuple[str, ...]]:
    """Return the layers that hold nothing but weights, with the files in them."""
    return {
        item.layer.blob.digest: tuple(
            f"{item.step.inputs['destination']}/{path}" for path, _, _ in item.step.inputs["files"]
        )
        for item in made
        if item.step.kind == "weights"
    }

"""Scans of images that were just made, before they get their names."""

from collections.abc import Iterable, Mapping, Sequence

from modelpack.assembly.assemble import Made
from modelpack.digest import Digest
from modelpack.errors import joined
from modelpack.evidence.scan import predicate, subject
from modelpack.evidence.scan.database import Wanted
from modelpack.evidence.scan.scanning import Scanned, scan
from modelpack.inputs.machine import Machine
from modelpack.lock import Lock
from modelpack.oci.image import Image
from modelpack.oci.layout import Layout
from modelpack.plan import Plan
from modelpack.spec import Spec
from modelpack.trust.statement import referrer


def scan_all(
    spec: Spec,
    lock: Lock,
    images: Iterable[tuple[Plan, Image, tuple[Made, ...]]],
    layouts: Sequence[Layout],
    *,
    wanted: Wanted,
    machine: Machine,
) -> tuple[Scanned, ...]:
    """Scan every image; keep what is said of it with it in `layouts`, which have it already.

    Raises what is wrong with any of them, once all are scanned.
    """
    name = spec.image.repository or spec.model.name
    platforms = {one.platform: one for one in lock.platforms}
    scans = []
    for _, image, made in images:
        built = subject.built(image, platforms[image.platform], _weights(made))
        scanned = scan(built, rules=spec.scan, wanted=wanted, machine=machine)
        said = referrer(predicate.statement(scanned, name), kind=predicate.KIND)
        for layout in layouts:
            layout.attach(image.manifest_blob.descriptor, [said])
        scans.append(scanned)
    if errors := [error for scanned in scans if (error := scanned.error)]:
        raise joined(errors)
    return tuple(scans)


def _weights(made: Iterable[Made]) -> Mapping[Digest, tuple[str, ...]]:
    """Return the layers that hold nothing but weights, with the files in them."""
    return {
        item.layer.blob.digest: tuple(
            f"{item.step.inputs['destination']}/{path}" for path, _, _ in item.step.inputs["files"]
        )
        for item in made
        if item.step.kind == "weights"
    }

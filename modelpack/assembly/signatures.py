"""Signatures on what a build made, before any of it gets its name."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from modelpack.assembly.evidence import Evidence
from modelpack.assembly.outputs import Vouched
from modelpack.assembly.scans import image_name
from modelpack.inputs.machine import Machine
from modelpack.oci.image import Image, Index
from modelpack.oci.layer import Descriptor
from modelpack.signing import requirements
from modelpack.signing.signing import Signing
from modelpack.signing.signing import sign as signed_statements
from modelpack.signing.value import Signed, Wanted, signature
from modelpack.spec import Spec

if TYPE_CHECKING:
    from modelpack.digest import Digest
    from modelpack.oci.referrers import Referrer


def sign(
    spec: Spec,
    whole: Image | Index,
    weights: Image | None,
    said: Sequence[Evidence],
    *,
    signing: Signing,
    machine: Machine,
) -> tuple[Signed, ...]:
    """Return the bundles of all images of a build, and of what it said of them.

    Raises Refused when what must have passed has not, or when a bundle does not verify.
    """
    images = whole.images if isinstance(whole, Index) else (whole,)
    requirements.require(
        spec.sign.require, [image.digest for image in images],
        {
            image.digest: [(item.kind, item.statement) for item in said] for image in images
        },
    )  # fmt: skip
    name = image_name(spec)
    everything = (whole, *images, *((weights,) if weights else ()))
    subjects = {one.digest: one.manifest_blob.descriptor for one in everything}
    wanted = [
        item for subject in subjects.values() for item in _wanted(subject, said, name)
    ]  # fmt: skip
    signer = signing.signer(f"{name}@{whole.digest}")
    return signed_statements(wanted, signer, signing.prove(signer), progress=machine.progress)


def _wanted(subject: Descriptor, said: Sequence[Evidence], name: str) -> Iterable[Wanted]:
    yield signature(subject, name)
    for item in said:
        # A publisher's signature stays what it is.
        if item.signed is None and subject.digest in {one.digest for one in item.subjects}:
            yield Wanted(subject=subject, kind=item.kind, statement=item.statement)


def together(vouching: Vouched, signed: Iterable[Signed]) -> Vouched:
    """Return what stands beside each image, with the bundles of what is `signed`."""
    found: dict[Digest, tuple[Descriptor, tuple[Referrer, ...]]] = dict(vouching)
    for one in signed:
        subject = one.wanted.subject
        _, before = found.get(subject.digest, (subject, ()))
        found[subject.digest] = (subject, (*before, one.referrer))
    return found

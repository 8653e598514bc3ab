"""An image by its name, signed where it is: in a layout, or in a repository of a registry."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelpack import reference
from modelpack.digest import Digest
from modelpack.errors import Finding, InputError, ModelpackError, Unavailable
from modelpack.inputs.machine import Machine
from modelpack.oci.copying import Source
from modelpack.oci.layer import Descriptor
from modelpack.oci.registry.unfinished import FOLDER
from modelpack.reference import Reference
from modelpack.signing.image import SignedImage, sign_image
from modelpack.signing.signing import Signing
from modelpack.stores import opening
from modelpack.trust.made_here import MadeHere

if TYPE_CHECKING:
    from modelpack.oci.registry.writing import WritableRepository


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be signed, and on which conditions."""

    image: Reference
    called: str
    "the name in statements; empty: as those about the image call it"
    gates: tuple[str, ...]
    "what must have passed"
    made: MadeHere
    signing: Signing
    legacy: bool = False
    "also as cosign 2 does"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What is signed now."""

    image: SignedImage
    legacy: tuple[tuple[Digest, Digest], ...] = ()
    "images, and the manifests that have new signatures of the older form"
    findings: tuple[Finding, ...] = ()


def carry_out(order: Order, machine: Machine) -> Done:
    """Sign the image and everything said of it here, and attach what is new, or nothing at all."""
    match order.image:
        case reference.Registry():
            return _in_registry(order, order.image, machine)
        case reference.Project() | reference.Layout():
            if order.legacy:
                raise InputError("cosign 2 signs in registries only", at="--legacy")
            return _in_layout(order, order.image, machine)
        case _:
            raise InputError(
                f"nothing can be attached in `{order.image}`", at="IMAGE",
                hint="push it, and sign it there; or copy it to a layout, oci:FOLDER",
            )  # fmt: skip


def _signed(order: Order, store: Source, root: Descriptor,
            machine: Machine) -> SignedImage:  # fmt: skip
    machine.progress.say(f"{order.image} is {root.digest}")
    return sign_image(
        store, root, name=order.called, made=order.made, gates=order.gates,
        signing=order.signing, progress=machine.progress,
    )  # fmt: skip


def _in_layout(order: Order, name: reference.Project | reference.Layout, machine: Machine) -> Done:
    from modelpack.oci.layout import Layout  # noqa: PLC0415

    place = opening.built(name) if isinstance(name, reference.Project) else Path(name.path)
    with opening.on_disk(name) as (store, root):
        image = _signed(order, store, root, machine)
    if image.new:
        with Layout(place, known=machine.digests, progress=machine.progress) as layout:
            for subject in image.subjects:
                new = image.new_for(subject.descriptor.digest)
                layout.attach(subject.descriptor, [one.referrer for one in new])
    return Done(image=image, findings=image.findings)


def _in_registry(order: Order, name: reference.Registry, machine: Machine) -> Done:
    from modelpack.oci.registry.writing import WritableRepository  # noqa: PLC0415  the network

    store = WritableRepository(name, machine.registries, uploads=machine.cache / FOLDER)
    root = opening.found(store, name)
    image = _signed(order, store, root, machine)
    old = _older(order, store, image) if order.legacy else ()
    for subject in image.subjects:
        new = image.new_for(subject.descriptor.digest)
        store.attach(subject.descriptor, [one.referrer for one in new])
        _expect_listed(store, subject.descriptor, {one.manifest for one in new})
    kept = [entry.digest for _, entry in image.superseded if not _removed(store, entry.digest)]
    return Done(image=image, legacy=old, findings=(*image.findings, *_kept(kept)))


def _older(
    order: Order, store: "WritableRepository", image: SignedImage
) -> tuple[tuple[Digest, Digest], ...]:
    from modelpack.signing import legacy  # noqa: PLC0415  not for everybody

    prove = order.signing.prove(image.signer)
    found = [
        (subject.descriptor.digest, legacy.sign(store, subject.descriptor, image.signer, prove))
        for subject in image.subjects
    ]
    return tuple((subject, manifest) for subject, manifest in found if manifest)


def _expect_listed(store: "WritableRepository", subject: Descriptor, new: set[Digest]) -> None:
    """Raise Unavailable unless what was attached is found by those who look for it."""
    if new and not new <= {entry.digest for entry in store.referrers(subject.digest)}:
        raise Unavailable(
            "the registry took what was attached, and does not list it", at=subject.digest,
            hint="sign again",
        )  # fmt: skip


def _removed(store: "WritableRepository", manifest: Digest) -> bool:
    """Remove a manifest if that is allowed; tell whether it is gone."""
    try:
        store.delete_manifest(manifest)
    except ModelpackError:
        return False
    return True


def _kept(digests: Iterable[Digest]) -> Iterable[Finding]:
    for digest in digests:
        yield Finding(
            message="the registry keeps what a new bundle supersedes; verifiers take the newest",
            at=digest, rule="sign.superseded", severity="warning",
        )  # fmt: skip

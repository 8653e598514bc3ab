"""An image in a store, signed: everything that is not signed yet, or nothing at all."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from modelpack.digest import Digest
from modelpack.errors import Finding
from modelpack.oci.copying import Source
from modelpack.oci.layer import Descriptor
from modelpack.oci.referrers import KIND
from modelpack.progress import Progress
from modelpack.signing import beside, requirements, subjects
from modelpack.signing.beside import Beside, statement_in
from modelpack.signing.signing import Prove, Signing, sign
from modelpack.signing.subjects import Subject
from modelpack.signing.value import Signed, Wanted, kind_of, signature
from modelpack.trust.identity import Identity
from modelpack.trust.made_here import MadeHere
from modelpack.trust.signer import Signer


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedImage:
    """An image, and all that belong to it, with what is signed of them now."""

    root: Descriptor
    subjects: tuple[Subject, ...]
    signer: Signer
    signed: tuple[Signed, ...]
    "those that were there as well"
    superseded: tuple[tuple[Descriptor, Descriptor], ...]
    "subjects, and the manifests of bundles whose place new ones take"
    others: int
    "unsigned statements that were not made here"
    findings: tuple[Finding, ...]

    @property
    def new(self) -> tuple[Signed, ...]:
        """What is to be attached."""
        return tuple(one for one in self.signed if one.referrer_digest is None)

    def new_for(self, subject: Digest) -> tuple[Signed, ...]:
        """Return what is to be attached to one image."""
        return tuple(one for one in self.new if one.wanted.subject.digest == subject)


def sign_image(
    store: Source,
    root: Descriptor,
    *,
    name: str,
    made: MadeHere,
    gates: Iterable[str],
    signing: Signing,
    progress: Progress,
) -> SignedImage:
    """Return the bundles of the image `root` and of all that belong to it; nothing is attached.

    `name` is what statements call it; empty: as those about it do. Raises Refused when one of the
    `gates` has not passed for it, or when a bundle does not verify.
    """
    images, findings = subjects.of(store, root)
    found = {
        image.descriptor.digest: beside.read(store, image.descriptor, made) for image in images
    }
    _check_gates(gates, images, found)
    called = name or _called(found.values())
    wanted = _wanted(images, found, called)
    signer = signing.signer(f"{called}@{root.digest}")
    prove = signing.prove(signer)
    there = tuple(
        one
        for item in wanted
        if (one := _known(item, found[item.subject.digest], signer.identity, prove))
    )
    known = {(one.wanted.subject.digest, one.wanted.kind) for one in there}
    missing = [item for item in wanted if (item.subject.digest, item.kind) not in known]
    new = sign(missing, signer, prove, progress=progress) if missing else ()
    return SignedImage(
        root=root, subjects=images, signer=signer, signed=(*there, *new), findings=findings,
        superseded=tuple(_superseded(new, found)), others=sum(one.others for one in found.values()),
    )  # fmt: skip


def _check_gates(
    gates: Iterable[str], images: Sequence[Subject], found: dict[Digest, Beside]
) -> None:  # fmt: skip
    requirements.require(
        gates,
        [image.descriptor.digest for image in images if image.role == "serve"],
        {
            digest: [(item.kind, item.statement) for item in one.own]
            for digest, one in found.items()
        },
    )


def _called(found: Iterable[Beside]) -> str:
    """Return the name by which statements made here call the image."""
    names = (
        subject.name
        for one in found
        for item in one.own
        for subject in item.statement.subjects
        if subject.name
    )
    return next(names, "image")


def _wanted(
    images: Sequence[Subject], found: dict[Digest, Beside], called: str
) -> list[Wanted]:  # fmt: skip
    return [
        item
        for image in images
        for item in (
            signature(image.descriptor, called), *found[image.descriptor.digest].own
        )
    ]  # fmt: skip


def _known(item: Wanted, found: Beside, identity: Identity, prove: Prove) -> Signed | None:
    """Return the bundle by which this signer has said the same already, proved like a new one."""
    for entry, bundle in found.bundles:
        if not identity.may_be(bundle.material):
            continue
        statement = statement_in(bundle)
        if statement is None or not item.is_said_by(statement):
            continue
        if not prove(bundle, subject=item.about, predicate_type=item.statement.predicate_type):
            return Signed(
                wanted=item, bundle=bundle, identity=identity, referrer_digest=entry.digest
            )
    return None


def _superseded(
    new: Iterable[Signed], found: dict[Digest, Beside]
) -> Iterable[tuple[Descriptor, Descriptor]]:
    """Yield the earlier bundles of the same signer and kind as `new` ones."""
    for one in new:
        kind = kind_of(one.wanted.kind, one.identity)
        for entry, _ in found[one.wanted.subject.digest].bundles:
            if entry.annotations.get(KIND) == kind:
                yield one.wanted.subject, entry

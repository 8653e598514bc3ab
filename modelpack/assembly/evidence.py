"""What vouches for the images of one build: SBOM, provenance, and the digests of the weights."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelpack import canonical_json
from modelpack.assembly.assemble import Made
from modelpack.assembly.bill import components
from modelpack.assembly.layer_reading import made_layers
from modelpack.assembly.weights_at_hand import AtHand
from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.errors import Finding
from modelpack.evidence import cyclonedx, provenance
from modelpack.evidence.named_image import NamedImage, of_spec
from modelpack.evidence.provenance import BuiltImage, Byproduct, Invocation, Parameters, Record
from modelpack.inputs.evaluation import EvaluationReport
from modelpack.inputs.machine import Machine
from modelpack.lock import Lock, PlatformLock, WeightsLock
from modelpack.metadata import mounted
from modelpack.oci.image import Image, Index
from modelpack.oci.layer import Descriptor
from modelpack.oci.layout import Layout
from modelpack.oci.referrers import Referrer
from modelpack.plan import Plan
from modelpack.source import Source
from modelpack.spec import Spec
from modelpack.trust import media_types, model_signature, predicate_types
from modelpack.trust import statement as statements
from modelpack.trust.statement import Statement, about

if TYPE_CHECKING:
    from modelpack.trust.bundle import Bundle
    from modelpack.trust.model_verification import Signed

Planned = tuple[Plan, Image, tuple[Made, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One statement, the images that it stands beside, and its copy for people."""

    kind: str
    "`sbom`, `provenance`, `oms`, `evaluation`"
    file: str
    "name of the copy in dist/"
    copy: bytes
    statement: Statement
    subjects: tuple[Descriptor, ...]
    signed: "Bundle | None" = None
    "a publisher's signature of the model, which stands beside the images in the statement's place"

    @property
    def digest(self) -> Digest:
        """The digest of the statement's text: what a signature is about."""
        return digest_of(self.statement.as_bytes())

    @property
    def referrer(self) -> Referrer:
        """What a store keeps beside each of its images."""
        if self.signed is not None:
            return model_signature.referrer(self.signed, kind=self.kind)
        return statements.referrer(self.statement, kind=self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An image of the build, with all that is known of its layers."""

    plan: Plan
    image: Image
    made: tuple[Made, ...]
    platform: PlatformLock | None
    "None: the image of mounted weights, which is for all platforms"

    @property
    def descriptor(self) -> Descriptor:
        """The image's manifest."""
        return self.image.manifest_blob.descriptor


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a build knows when its content is written."""

    spec: Spec
    lock: Lock
    source: Source
    evaluation: EvaluationReport | None
    "the author's, which reaches what is asked of it"
    parameters: Parameters
    whole: Image | Index
    subjects: tuple[Subject, ...]
    at_hand: AtHand
    signed: tuple["Signed", ...] = ()
    "weights whose publisher's signature was verified"


def subjects(
    platforms: Sequence[PlatformLock], images: Sequence[Planned], weights: Planned | None
) -> tuple[Subject, ...]:
    """Return the images of the `platforms`, then that of the mounted weights."""
    return (
        *(
            Subject(plan=plan, image=image, made=made, platform=platform)
            for platform, (plan, image, made) in zip(platforms, images, strict=True)
        ),
        *(
            Subject(plan=plan, image=image, made=made, platform=None)
            for plan, image, made in ([weights] if weights else [])
        ),
    )


def make(
    facts: Facts, invocation: Invocation, *, machine: Machine, store: Layout | None
) -> tuple[Evidence, ...]:
    """Return what can be said about all images of a build that is about to end."""
    boms = tuple(_sbom(subject, facts, machine, store) for subject in facts.subjects)
    return (
        *boms, _provenance(facts, boms, invocation), *_model_signatures(facts),
        *_published(facts), *_evaluation(facts),
    )  # fmt: skip


def doubts(said: Sequence[Evidence]) -> tuple[Finding, ...]:
    """Return a warning for each database of packages that an SBOM does not list."""
    paths = dict.fromkeys(
        str(item["value"])
        for one in said
        if one.kind == "sbom"
        for item in one.statement.predicate["metadata"]["component"]["properties"]
        if item["name"] == cyclonedx.UNREAD
    )
    return tuple(unread(path) for path in paths)


def unread(path: str) -> Finding:
    """Return the warning that the packages in the database at `path` are not listed."""
    return Finding(
        message="the SBOM does not list what this database of RPM packages holds, and says so",
        at=path, rule="sbom.unread", severity="warning",
        hint="for the whole list: trivy image --format cyclonedx",
    )  # fmt: skip


def _sbom(subject: Subject, facts: Facts, machine: Machine, store: Layout | None) -> Evidence:
    body = components(
        facts.spec, facts.lock, subject.platform,
        made_layers(subject.made, store) if subject.platform else (),
        metrics=facts.evaluation.metrics if facts.evaluation else {}, machine=machine,
    )  # fmt: skip
    named = _named(subject, facts)
    document = cyclonedx.document(body, named)
    return Evidence(
        kind="sbom",
        file=f"sbom{_infix(subject, facts)}.cdx.json",
        copy=canonical_json.pretty(document),
        statement=Statement(
            subjects=about(named.repository, named.digest),
            predicate_type=predicate_types.CYCLONEDX,
            predicate=document,
        ),
        subjects=(subject.descriptor,),
    )


def _named(subject: Subject, facts: Facts) -> NamedImage:
    return of_spec(
        facts.spec, subject.image.digest, plan=subject.plan,
        source=facts.source if subject.platform else None,
    )  # fmt: skip


def _infix(subject: Subject, facts: Facts) -> str:
    """Return what tells the documents of several images apart."""
    if subject.platform is None:
        return ".weights"
    if isinstance(facts.whole, Image):
        return ""
    return f".{str(subject.platform.platform).replace('/', '-')}"


def _provenance(
    facts: Facts, boms: tuple[Evidence, ...], invocation: Invocation
) -> Evidence:  # fmt: skip
    """Return one statement about everything that the build made; it stands beside each of it."""
    record = Record(
        spec=facts.spec, lock=facts.lock, source=facts.source, parameters=facts.parameters,
        proofs=facts.at_hand.proofs,
        signers={signed.weights: signed.signer for signed in facts.signed},
        platforms=[item.platform for item in facts.subjects if item.platform],
        images=[
            BuiltImage(role="serve" if item.platform else "weights", plan=item.plan,
                       digest=item.image.digest)
            for item in facts.subjects
        ],
        byproducts=[
            Byproduct(name=bom.file, digest=digest_of(bom.copy), media_type=media_types.CYCLONEDX)
            for bom in boms
        ],
    )  # fmt: skip
    beside = _all(facts)
    name = _named(facts.subjects[0], facts).repository
    statement = Statement(
        subjects=about(name, *beside),
        predicate_type=predicate_types.PROVENANCE,
        predicate=provenance.predicate(record, invocation, finished=invocation.clock()),
    )
    return Evidence(
        kind="provenance",
        file="provenance.json",
        copy=canonical_json.pretty(statement.as_json()),
        statement=statement,
        subjects=tuple(beside.values()),
    )


def _all(facts: Facts) -> Mapping[Digest, Descriptor]:
    """Return everything that the build made, by digest: the index, its images, the weights."""
    top = facts.whole.manifest_blob.descriptor
    return {item.digest: item for item in (top, *(s.descriptor for s in facts.subjects))}


def _evaluation(facts: Facts) -> Iterator[Evidence]:
    """Yield what the author's evaluation found, where it says that it is of these weights."""
    if facts.evaluation is None or facts.evaluation.weights is None:
        return
    from modelpack.evidence import evaluation  # noqa: PLC0415  only where there is one

    beside = _all(facts)
    statement = evaluation.statement(
        facts.spec, facts.evaluation, facts.evaluation.weights,
        _named(facts.subjects[0], facts).repository, *beside,
    )  # fmt: skip
    yield Evidence(
        kind="evaluation",
        file="evaluation.json",
        copy=canonical_json.pretty(statement.as_json()),
        statement=statement,
        subjects=tuple(beside.values()),
    )


def _model_signatures(facts: Facts) -> Iterator[Evidence]:
    """Yield a statement for each set of weights of which somebody has proved every digest.

    It stands beside the images that hold the weights, or that need them mounted.
    """
    proofs, sets = facts.at_hand.proofs, facts.lock.weights
    separate = mounted(facts.spec, facts.lock)
    for weights in sets:
        if any(proofs[weights.name, file.path] == "lock" for file in weights.files):
            continue
        statement = model_signature.statement(weights, mounted=weights in separate)
        several = f".{weights.name}" if len(sets) > 1 else ""
        yield Evidence(
            kind=f"oms{several}",
            file=f"oms{several}.json",
            copy=canonical_json.pretty(statement.as_json()),
            statement=statement,
            subjects=_holding(weights, facts),
        )


def _published(facts: Facts) -> Iterator[Evidence]:
    """Yield the publishers' signatures, as they are, beside the same images."""
    sets = {weights.name: weights for weights in facts.lock.weights}
    for signed in facts.signed:
        if signed.proof.statement is None:
            continue
        several = f".{signed.weights}" if len(sets) > 1 else ""
        yield Evidence(
            kind=f"oms-signature{several}",
            file=f"oms-signature{several}.json",
            copy=signed.bundle.as_bytes(),
            statement=signed.proof.statement,
            subjects=_holding(sets[signed.weights], facts),
            signed=signed.bundle,
        )


def _holding(weights: WeightsLock, facts: Facts) -> tuple[Descriptor, ...]:
    """Return the images that hold the weights, or that need them mounted."""
    separate = weights in mounted(facts.spec, facts.lock)
    return tuple(item.descriptor for item in facts.subjects if item.platform or separate)

"""The whole tool on one page: Spec, Lock and Source to a Plan, an Image, and where it goes."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from modelpack import plan
from modelpack.assembly import evidence, pushing
from modelpack.assembly.assemble import Inputs, Made, image
from modelpack.assembly.evaluations import evaluate
from modelpack.assembly.evidence import Evidence
from modelpack.assembly.image_names import expect_room
from modelpack.assembly.libraries import require_libraries
from modelpack.assembly.outputs import (
    Output,
    Vouched,
    by_subject,
    name_images,
    write_archives,
    write_content,
)
from modelpack.assembly.source_reading import CodeAndSource, read_source
from modelpack.assembly.weights_at_hand import AtHand, weights_at_hand
from modelpack.builders.choice import open_builder
from modelpack.digest import Digest
from modelpack.errors import Finding, InputError, ModelpackError, Refused, joined
from modelpack.evidence.provenance import Invocation, Parameters
from modelpack.inputs import weights_image
from modelpack.inputs.base_image import allowed
from modelpack.inputs.machine import Machine
from modelpack.lock import Lock, PlatformLock
from modelpack.oci.image import Image, Index
from modelpack.oci.layer_cache import LayerCache
from modelpack.oci.layout import Layout
from modelpack.plan import Plan
from modelpack.platform import Platform
from modelpack.project import Project
from modelpack.project_lock import judge_lock, make_lock, moved, require_fresh
from modelpack.resolve.bases import base_findings
from modelpack.resolve.dependencies import check_lockfile
from modelpack.resolve.development import development_wheels
from modelpack.resolve.gpu import gate_gpu
from modelpack.resolve.libraries import gate_libraries
from modelpack.resolve.signatures import require_signatures
from modelpack.resolve.weights import gate as gate_weights
from modelpack.spec import Spec
from modelpack.trust.made_here import MadeHere

if TYPE_CHECKING:
    from modelpack import dockerfile
    from modelpack.assembly.rendering import Rendered
    from modelpack.evidence.scan.database import Wanted
    from modelpack.evidence.scan.scanning import Scanned
    from modelpack.signing.signing import Signing
    from modelpack.signing.value import Signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a build made."""

    digest: Digest
    "of the image, or of the index of several"
    images: tuple[tuple[Plan, Image, tuple[Made, ...]], ...]
    "those that serve, one for each platform"
    weights: tuple[Plan, Image, tuple[Made, ...]] | None
    "the image of the mounted weights; None where all are baked"
    lock: Lock
    source: CodeAndSource
    at_hand: AtHand
    builder: str
    evidence: tuple[Evidence, ...]
    findings: tuple[Finding, ...]
    new_lock: bool
    scans: tuple["Scanned", ...] = ()
    "of each platform, where a scan was asked for"
    pushed: tuple[str, ...] = ()
    "full names in registries"
    signed: tuple["Signed", ...] = ()
    "bundles that stand beside the images"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to build; none of it changes what is built, but for the revision."""

    revision: str | None = None
    "replaces git's; `none`: no revision"
    epoch: int | None = None
    "seconds: SOURCE_DATE_EPOCH"
    platforms: frozenset[Platform] = frozenset()
    "which of the locked ones are built; none: all, under one index"
    locked: bool = False
    use_cache: bool = True
    builder: str = "embedded"
    "or `docker`, or the name of a buildx builder"
    scan: "Wanted | None" = None
    "scan before the image gets its names, with this database"
    invocation: Invocation = field(default_factory=Invocation)
    "who builds and since when: stands in the provenance and nowhere in the image"
    pushes: tuple[pushing.Push, ...] = ()
    "registries that get the image when all outputs have it"
    replace: bool = False
    "version tags may move there"
    signing: "Signing | None" = None
    "sign the image, and what is said of it, before it gets its names"


def make_plans(
    this: Project, lock: Lock, read: CodeAndSource, *, only: frozenset[Platform] = frozenset()
) -> tuple[tuple[PlatformLock, Plan], ...]:
    """Return the plan of each locked platform; `plan.make_weights` has that of mounted weights.

    With `only`, of these platforms, whose plans are the same as among all.
    """
    locked = {platform.platform: platform for platform in lock.platforms}
    if unknown := sorted(only - {*locked}):
        raise InputError(
            f"`{unknown[0]}` is not locked", at="--platform",
            hint=f"this project has {', '.join(f'`{name}`' for name in sorted(locked))}",
        )  # fmt: skip
    weights = weights_image.digest(this.spec, lock)
    return tuple(
        (platform, plan.make(this.spec, lock, read.source, platform, weights_image=weights))
        for name, platform in locked.items()
        if not only or name in only
    )


def read_code(this: Project, *, machine: Machine, epoch: int, options: Options) -> CodeAndSource:
    """Read and gate the code, and find out which commit it is."""
    return read_source(
        this.root, this.spec, committed=(this.file, this.lock_path), epoch=epoch,
        revision=options.revision, source_date_epoch=options.epoch, machine=machine,
    )  # fmt: skip


def build(this: Project, *, machine: Machine, outputs: Sequence[Output], options: Options) -> Built:
    """Build the project's image into every output; nothing is visible before all is whole.

    Raises with everything that is wrong at once, and leaves the outputs as they were.
    """
    _check_outputs(this, outputs, options)
    _check_tools(options, machine)
    new_lock = this.lock is None and not options.locked
    findings: tuple[Finding, ...] = check(this, machine=machine) if new_lock else ()
    with ExitStack() as stack:
        # 1. The outputs' locks: a second build of this project waits here.
        layouts = [stack.enter_context(output.open(machine)) for output in outputs]
        into = next((layout for layout in layouts if isinstance(layout, Layout)), None)
        registries = pushing.opened(options.pushes, machine, replace=options.replace)
        try:
            # 2. The lock: made where there is none, never changed where there is one.
            findings = (*findings, *secrets_in_spec(this))
            allowed.require(this.spec.runtime.base, machine.bases)
            if new_lock:
                resolution = make_lock(this, machine=machine, into=into)
                lock, findings = resolution.lock, (*findings, *resolution.findings)
            else:
                lock = require_fresh(this)
                findings = (*findings, *gate_gpu(this.spec, lock))
            # 3. The source: code and commit, read once.
            read = read_code(this, machine=machine, epoch=lock.epoch, options=options)
            # 4. The weights on this machine are the locked ones, or are not needed.
            at_hand = weights_at_hand(
                this.spec, lock, this.root, machine=machine,
                targets=(*layouts, *registries.stores),
            )  # fmt: skip
            signed = require_signatures(this.spec, lock, this.root, machine=machine)
            evaluated = evaluate(this.spec, lock, this.root)
            plans = make_plans(this, lock, read, only=options.platforms)
        except (InputError, Refused) as error:
            raise _with_all_else(error, this, machine) from error
        # 5. Layers and images.
        layers = LayerCache(machine.cache, known=machine.digests, use=options.use_cache)
        inputs = Inputs(
            spec=this.spec, lock=lock, source=read.source, code=read.code,
            weights=at_hand.sources, digests=machine.digests, threads=machine.threads,
            interface=read.interface,
        )  # fmt: skip
        images = []
        for platform, planned in plans:
            with open_builder(
                options.builder, platform, planned, lock, user=this.spec.runtime.user,
                machine=machine, layers=layers, use_cache=options.use_cache,
                stores=[layout for layout in layouts if layout is not None],
            ) as builder:  # fmt: skip
                made_image, made = image(planned, inputs, builder=builder, layers=layers)
            require_libraries(this.spec, platform, planned, made, read.code, machine=machine)
            images.append((planned, made_image, made))
        separate = plan.make_weights(this.spec, lock)
        weights = (separate, *image(separate, inputs, builder=None, layers=layers)) if (
            separate
        ) else None  # fmt: skip
        # 6. Out: blobs first, then what vouches for them, then names, in one step for each output.
        whole = _whole([item for _, item, _ in images])
        mounted_weights = weights[1] if weights else None
        registries.check_free(whole, mounted_weights)
        facts = evidence.Facts(
            spec=this.spec, lock=lock, source=read.source, whole=whole,
            evaluation=evaluated.report,
            at_hand=at_hand, signed=signed, parameters=_parameters(options),
            subjects=evidence.subjects([of for of, _ in plans], images, weights),
        )  # fmt: skip
        vouch = partial(_vouched, facts, options, machine, into)
        scans, vetted = _scanned(
            this.spec, lock, images, (whole, mounted_weights), layouts, options, machine, vouch
        )
        write_content(outputs, layouts, whole, mounted_weights, machine=machine)
        too_large = registries.write_content(whole, mounted_weights, lock=lock, machine=machine)
        said = vouch()
        bundles, beside = _signed(
            this.spec, whole, mounted_weights, (*said, *vetted), options, machine
        )  # fmt: skip
        write_archives(outputs, whole, mounted_weights, beside, machine=machine)
        name_images(outputs, layouts, whole, mounted_weights, beside)
        registries.name_images(whole, mounted_weights, beside)
        at_hand.remember(machine.digests)
    return Built(
        digest=whole.digest, images=tuple(images), weights=weights, lock=lock, source=read,
        at_hand=at_hand, builder=options.builder, evidence=(*said, *vetted),
        findings=tuple(dict.fromkeys(
            (*findings, *read.findings, *evaluated.findings, *evidence.doubts(said), *too_large)
        )),
        new_lock=new_lock, scans=scans, pushed=registries.names, signed=bundles,
    )  # fmt: skip


def _whole(images: Sequence[Image]) -> Image | Index:
    """Return what has the names: the image, or the index of several platforms."""
    return images[0] if len(images) == 1 else Index(images=tuple(images))


def _vouched(
    facts: evidence.Facts, options: Options, machine: Machine, store: Layout | None
) -> tuple[Evidence, ...]:
    """Return what is said of the images, and note that it was said here: so it may be signed."""
    said = evidence.make(facts, options.invocation, machine=machine, store=store)
    MadeHere(machine.cache).keep(one.digest for one in said if one.signed is None)
    return said


def _scanned(
    spec: Spec,
    lock: Lock,
    images: Sequence[evidence.Planned],
    written: tuple[Image | Index, Image | None],
    layouts: Sequence[Layout | None],
    options: Options,
    machine: Machine,
    vouch: Callable[[], tuple[Evidence, ...]],
) -> tuple[tuple["Scanned", ...], tuple[Evidence, ...]]:
    """Scan what was made, where that is asked for; raise unless it may have its names.

    What `vouch` returns stays with an image that may not, so that people can look.
    """
    if options.scan is None:
        return (), ()
    from modelpack.assembly import scans  # noqa: PLC0415  not for every build

    found = scans.approve(
        spec, lock, images, *written, layouts, vouch, wanted=options.scan, machine=machine
    )
    return found, scans.evidence(found, scans.image_name(spec))


def _signed(
    spec: Spec,
    whole: Image | Index,
    weights: Image | None,
    said: Sequence[Evidence],
    options: Options,
    machine: Machine,
) -> tuple[tuple["Signed", ...], Vouched]:
    """Sign what was made, where that is asked for; return also all that stands beside it."""
    beside = by_subject(said)
    if options.signing is None:
        return (), beside
    from modelpack.assembly import signatures  # noqa: PLC0415  not for every build

    signed = signatures.sign(
        spec, whole, weights, said, signing=options.signing, machine=machine
    )  # fmt: skip
    return signed, signatures.together(beside, signed)


def _parameters(options: Options) -> Parameters:
    return Parameters(
        builder=options.builder, revision=options.revision, source_date_epoch=options.epoch,
        platforms=tuple(sorted(str(platform) for platform in options.platforms)),
    )  # fmt: skip


def render(
    this: Project,
    place: Path,
    *,
    machine: Machine,
    platforms: Sequence[Platform],
    options: Options,
    how: "dockerfile.Options",
) -> "Rendered":
    """Write a Dockerfile for each of `platforms` (none: all), and their context, to `place`.

    Raises as `build` does, and leaves `place` as it was.
    """
    from modelpack.assembly import rendering  # noqa: PLC0415  not for a build

    try:
        findings = secrets_in_spec(this)
        lock = require_fresh(this)
        findings = (*findings, *gate_gpu(this.spec, lock))
        read = read_code(this, machine=machine, epoch=lock.epoch, options=options)
        planned = make_plans(this, lock, read, only=frozenset(platforms))
        weights = rendering.baked_weights(this.spec, lock, this.root, machine=machine)
        development = {
            platform.platform: development_wheels(this.spec, this.root, platform, machine=machine)
            for platform, _ in planned
            if this.spec.checks
        }
    except (InputError, Refused) as error:
        raise _with_all_else(error, this, machine) from error
    inputs = Inputs(
        spec=this.spec, lock=lock, source=read.source, code=read.code, weights=weights,
        digests=machine.digests, threads=machine.threads, interface=read.interface,
    )  # fmt: skip
    return rendering.write_all(
        planned, inputs, place, machine=machine, options=how, development=development,
        findings=(*findings, *read.findings),
    )  # fmt: skip


def _check_outputs(this: Project, outputs: Sequence[Output], options: Options) -> None:
    """Raise InputError for what an output cannot hold."""
    count = len(options.platforms or this.spec.image.platforms)
    for output in outputs:
        if count > 1:
            output.expect_one_platform()
        if any(weights.mode == "mount" for weights in this.spec.weights):
            expect_room(output.tags, at=str(output.target))
            expect_room(output.names, at=str(output.target))
    if any(weights.mode == "mount" for weights in this.spec.weights):
        pushing.check_room(options.pushes)


def _check_tools(options: Options, machine: Machine) -> None:
    """Raise what is missing rather now than when all is built."""
    if options.scan is not None:
        from modelpack.evidence.scan import trivy  # noqa: PLC0415

        trivy.find(machine.environment)


def _with_all_else(error: ModelpackError, this: Project, machine: Machine) -> ModelpackError:
    """Return `error` with what every other gate finds, so that all can be mended at once."""
    try:
        check(this, machine=machine)
    except ModelpackError as others:
        return joined([error, others])
    return error


def secrets_in_spec(this: Project) -> tuple[Finding, ...]:
    """Refuse secrets in the spec, all of which the image carries."""
    from modelpack.checks import spec_secrets  # noqa: PLC0415

    findings = spec_secrets.findings(this.spec)
    if any(finding.severity == "error" for finding in findings):
        raise Refused(*findings)
    return findings


def _gate_signatures(this: Project, *, machine: Machine) -> None:
    """Raise unless publishers' signatures hold for the locked weights."""
    lock = _locked_weights(this)
    if lock is not None:
        require_signatures(this.spec, lock, this.root, machine=machine)


def _locked_weights(this: Project) -> Lock | None:
    """Return the lock where what it says of the weights is of this spec."""
    return this.lock if this.lock is not None and "weights" not in moved(this) else None


def golden_fits(this: Project) -> tuple[Finding, ...]:
    """Refuse golden requests and answers that are not what the interface says."""
    from modelpack.inputs import interface as documents  # noqa: PLC0415

    if not documents.paths(this.spec) or not this.spec.test.golden:
        return ()
    from modelpack.checks import interface  # noqa: PLC0415  only where there is one

    stated = interface.gate(documents.read(this.root, this.spec))
    files = documents.golden(this.root, this.spec)
    if found := interface.golden_findings(stated, files):
        raise Refused(*found)
    return ()


Gate = Callable[[], Iterable[Finding] | None]


def check(this: Project, *, machine: Machine, further: Sequence[Gate] = ()) -> tuple[Finding, ...]:
    """Run every gate that needs no build, and `further` ones.

    Return warnings, raise with all that is wrong.
    """
    gates: tuple[Gate, ...] = (
        lambda: secrets_in_spec(this),
        lambda: allowed.require(this.spec.runtime.base, machine.bases),
        lambda: judge_lock(this, machine=machine) if this.lock else None,
        lambda: base_findings(this.lock, machine=machine) if this.lock else None,
        lambda: check_lockfile(this.spec, this.root, this.lock),
        lambda: gate_gpu(this.spec, this.lock) if this.lock else None,
        lambda: gate_libraries(this.spec, this.lock, this.root) if this.lock else None,
        lambda: _gate_signatures(this, machine=machine) if this.lock else None,
        lambda: read_code(this, machine=machine, epoch=0, options=Options()).findings,
        lambda: evaluate(this.spec, _locked_weights(this), this.root).findings,
        lambda: golden_fits(this),
        lambda: gate_weights(this.spec, this.root, required=this.lock is None),
        *further,
    )
    findings, errors = list[Finding](), list[ModelpackError]()
    for gate in gates:
        try:
            findings += gate() or ()
        except ModelpackError as error:
            errors.append(error)
    if errors:
        raise joined(errors, *findings)
    return tuple(findings)

"""A build: from a project to images that have their names, all or none."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from modelpack import plan
from modelpack.assembly import evidence
from modelpack.assembly.assemble import image
from modelpack.assembly.evidence import Evidence
from modelpack.assembly.libraries import require_libraries
from modelpack.assembly.outputs import Output, Vouched, by_subject
from modelpack.builders.choice import open_builder
from modelpack.errors import InputError, Refused
from modelpack.evidence.provenance import Parameters
from modelpack.inputs.machine import Machine
from modelpack.oci.image import Index
from modelpack.oci.layer_cache import LayerCache
from modelpack.pipeline import approval
from modelpack.pipeline.gates import check, with_all_else
from modelpack.pipeline.intake import Intake, take_in
from modelpack.pipeline.places import Places, expect_fit, opened
from modelpack.pipeline.value import Built, Images, Options
from modelpack.project import Project
from modelpack.trust.made_here import MadeHere

if TYPE_CHECKING:
    from modelpack.signing.value import Signed


def build(this: Project, *, machine: Machine, outputs: Sequence[Output], options: Options) -> Built:
    """Build the project's image into every output; nothing is visible before all is whole.

    Raises with everything that is wrong at once, and leaves the outputs as they were.
    """
    expect_fit(this, outputs, options)
    approval.expect_tools(options, machine)
    new_lock = this.lock is None and not options.locked
    warnings = check(this, machine=machine) if new_lock else ()
    # 1. The outputs' locks: a second build of this project waits here.
    with opened(outputs, options, machine) as places:
        # 2. What goes in: lock, source, weights, plans.
        try:
            given = take_in(this, places, machine=machine, options=options, new_lock=new_lock)
        except (InputError, Refused) as error:
            raise with_all_else(error, this, machine) from error
        # 3. Layers and images.
        images = _make(this, given, places, machine=machine, options=options)
        places.registries.check_free(images.whole, images.mounted)
        # 4. What else must pass before there is a name: it sees the image by its digest only.
        vouch = partial(_vouch, this, given, images, places, machine=machine, options=options)
        approved = approval.approve(
            this, given.lock, images, places, vouch, machine=machine, options=options
        )
        # 5. Blobs first, then what vouches for them, then names, in one step for each output.
        too_large = places.write_content(images.whole, images.mounted, lock=given.lock)
        said = vouch()
        everything = (*said, *approved.evidence)
        signed, beside = _sign(this, images, everything, machine=machine, options=options)
        places.name_images(images.whole, images.mounted, beside)
        given.at_hand.remember(machine.digests)
    warnings = (*warnings, *given.findings, *evidence.doubts(said), *too_large)
    return Built(
        digest=images.whole.digest, images=images.serving, weights=images.weights,
        lock=given.lock, source=given.read, at_hand=given.at_hand, builder=options.builder,
        evidence=everything, findings=tuple(dict.fromkeys(warnings)), new_lock=new_lock,
        scans=approved.scans, tested=approved.tested, pushed=places.registries.names, signed=signed,
    )  # fmt: skip


def _make(
    this: Project, given: Intake, places: Places, *, machine: Machine, options: Options
) -> Images:
    """Make every layer that no earlier build has made, and the images of them."""
    layers = LayerCache(machine.cache, known=machine.digests, use=options.use_cache)
    inputs = given.inputs(this, machine)
    serving = []
    for platform, planned in given.plans:
        with open_builder(
            options.builder, platform, planned, given.lock, user=this.spec.runtime.user,
            machine=machine, layers=layers, use_cache=options.use_cache, stores=places.held,
        ) as builder:  # fmt: skip
            made_image, made = image(planned, inputs, builder=builder, layers=layers)
        require_libraries(this.spec, platform, planned, made, given.read.code, machine=machine)
        serving.append((planned, made_image, made))
    separate = plan.make_weights(this.spec, given.lock)
    weights = (separate, *image(separate, inputs, builder=None, layers=layers)) if (
        separate
    ) else None  # fmt: skip
    all_of = [one for _, one, _ in serving]
    whole = all_of[0] if len(all_of) == 1 else Index(images=tuple(all_of))
    return Images(serving=tuple(serving), weights=weights, whole=whole)


def _vouch(
    this: Project,
    given: Intake,
    images: Images,
    places: Places,
    *,
    machine: Machine,
    options: Options,
) -> tuple[Evidence, ...]:
    """Return what is said of the images, and note that it was said here: so it may be signed."""
    facts = evidence.Facts(
        spec=this.spec, lock=given.lock, source=given.read.source, whole=images.whole,
        evaluation=given.evaluated.report, at_hand=given.at_hand, signed=given.signed,
        parameters=_parameters(options),
        subjects=evidence.subjects([of for of, _ in given.plans], images.serving, images.weights),
    )  # fmt: skip
    said = evidence.make(facts, options.invocation, machine=machine, store=places.into)
    MadeHere(machine.cache).keep(one.digest for one in said if one.signed is None)
    return said


def _parameters(options: Options) -> Parameters:
    return Parameters(
        builder=options.builder, revision=options.revision, source_date_epoch=options.epoch,
        platforms=tuple(sorted(str(platform) for platform in options.platforms)),
    )  # fmt: skip


def _sign(
    this: Project,
    images: Images,
    said: Sequence[Evidence],
    *,
    machine: Machine,
    options: Options,
) -> tuple[tuple["Signed", ...], Vouched]:
    """Sign what was made, where that is asked for; return also all that stands beside it."""
    beside = by_subject(said)
    if options.signing is None:
        return (), beside
    from modelpack.assembly import signatures  # noqa: PLC0415  not for every build

    signed = signatures.sign(
        this.spec, images.whole, images.mounted, said, signing=options.signing, machine=machine
    )
    return signed, signatures.together(beside, signed)

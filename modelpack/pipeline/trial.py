"""The functional gate of an image that was just made: out of a layout, by its digest alone."""

from collections.abc import Callable, Sequence

from modelpack.assembly import outputs, scans
from modelpack.assembly.evidence import Evidence
from modelpack.errors import Finding, ModelpackError, Refused, Unavailable
from modelpack.functional import gate, preparing
from modelpack.functional.gate import Wanted
from modelpack.functional.value import Tested
from modelpack.inputs.machine import Machine
from modelpack.oci.layout import Layout
from modelpack.pipeline.value import Images
from modelpack.project import Project
from modelpack.running.preparing import of_store
from modelpack.trust.made_here import MadeHere


def approve(
    this: Project,
    images: Images,
    layouts: Sequence[Layout],
    vouch: Callable[[], tuple[Evidence, ...]],
    *,
    wanted: Wanted,
    machine: Machine,
) -> tuple[Tested, Evidence]:
    """Test the image of the engine's platform; raise unless it passes.

    What was found out stays with it either way, and where it does not pass what `vouch` returns.
    """
    outputs.write_unnamed(layouts, images.whole, images.mounted, machine=machine)
    root = images.whole.manifest_blob.descriptor
    found = of_store(layouts[0], root, host=str(wanted.engine.about.platform))
    folders = {one.name: this.root / one.path for one in this.spec.weights if one.path}
    new = found.held(wanted.engine) is None
    try:
        tested = gate.test(wanted, found, folders=folders, progress=machine.progress)
    finally:
        if new and not wanted.keeps and (held := found.held(wanted.engine)):
            wanted.engine.forget(held)
    said = preparing.evidence(tested, found.manifest or root, scans.image_name(this.spec))
    MadeHere(machine.cache).keep([said.digest])
    for layout in layouts:
        scans.attach(layout, [said])
    if error := refusal(tested):
        rest = vouch()
        for layout in layouts:
            scans.attach(layout, rest)
        raise error
    return tested, said


def refusal(tested: Tested) -> ModelpackError | None:
    """Return what to raise where only a yes will do."""
    findings = [
        Finding(message=one.found.replace("\n", "; "), at=f"test: {one.name}", hint=one.hint)
        for one in tested.checks
        if one.outcome in ("failed", "unknown")
    ]
    match tested.outcome:
        case "failed":
            return Refused(*findings)
        case "unknown":
            return Unavailable(*findings)
        case _:
            return None

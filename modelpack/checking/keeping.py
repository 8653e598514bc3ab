"""What the author's checks said, kept with the image last built, if they are about that one."""

from collections.abc import Iterator

from modelpack import reference
from modelpack.assembly import outputs, scans
from modelpack.assembly.evidence import Evidence
from modelpack.canonical_json import pretty
from modelpack.checking import result
from modelpack.checking.result import Checked
from modelpack.errors import InputError
from modelpack.inputs.machine import Machine
from modelpack.inputs.model_artifact.artifact import is_artifact
from modelpack.oci.layer import Descriptor
from modelpack.oci.layout import Layout
from modelpack.oci.manifest import INDEXES, parse_object
from modelpack.project import Project
from modelpack.run_configuration import PLAN_LABEL
from modelpack.stores import opening
from modelpack.trust.made_here import MadeHere


def keep(this: Project, checked: Checked, *, machine: Machine) -> tuple[Evidence, ...]:
    """Keep the statement beside the image, and note that it is made here; none: no such image.

    An image made by another builder has other bytes and the same plan: its label says which.
    """
    try:
        place = opening.built(reference.Project(path=str(this.root)))
    except InputError:
        return ()
    layout = Layout(place)
    with layout:
        subject = next(iter(_subjects(layout, checked)), None)
        if subject is None:
            return ()
        name = scans.image_name(this.spec)
        said = result.statement(checked, name, subject.digest)
        evidence = Evidence(
            kind=result.KIND, file="checks.json", copy=pretty(said.as_json()), statement=said,
            subjects=(subject,),
        )  # fmt: skip
        MadeHere(machine.cache).keep([evidence.digest])
        scans.attach(layout, [evidence])
    outputs.write_copies(this.output, [evidence], patterns=outputs.CHECK_COPIES)
    return (evidence,)


def _subjects(layout: Layout, checked: Checked) -> Iterator[Descriptor]:
    """Yield the images last built whose plan was checked: an older one is no match."""
    latest = next(
        (one for one in layout.manifests() if not is_artifact(layout.image(one.digest))), None
    )
    if latest is None:
        return
    whole = layout.image(latest.digest)
    for one in whole.manifests if latest.media_type in INDEXES else (latest,):
        if one.digest == checked.image or _plan_of(layout, one) == checked.plan:
            yield one


def _plan_of(layout: Layout, manifest: Descriptor) -> object:
    config = layout.image(manifest.digest).config
    if config is None:
        return None
    value = parse_object(layout.read(config), at=config.digest)
    run = value.get("config")
    labels = run.get("Labels") if isinstance(run, dict) else None
    return labels.get(PLAN_LABEL) if isinstance(labels, dict) else None

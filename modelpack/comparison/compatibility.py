"""Whether a project may take the place of an image: its interface, and the model's version."""

from dataclasses import replace

from modelpack.checks import interface as checks
from modelpack.errors import Finding, InputError, Refused
from modelpack.inputs import interface as inputs
from modelpack.inputs.quoting import quoted
from modelpack.inspection import description, interfaces
from modelpack.inspection.documents import Documents
from modelpack.interface.compatibility import breaking, major
from modelpack.interface.reading import parse
from modelpack.project import Project

_AT = "--compatible-with"


def gate(this: Project, documents: Documents) -> tuple[Finding, ...]:
    """Refuse a breaking change of the interface, unless the major version rises; else warn of it.

    Source: Semantic Versioning 2.0.0, rule 8. Raises InputError where the image has no interface.
    """
    files = documents.meta.files if documents.meta else {}
    earlier = interfaces.documents(files)
    if not earlier:
        raise InputError("the image states no interface", at=_AT,
                         hint="compare with an image whose project has [interface]")  # fmt: skip
    new = checks.gate(inputs.read(this.root, this.spec))
    found = breaking(parse(earlier), new)
    if not found:
        return ()
    told = description.parse(files).spec
    before = told.model.version if told else ""
    now = this.spec.model.version
    was, is_now = major(before), major(now)
    if was is not None and is_now is not None and is_now > was:
        return tuple(replace(one, severity="warning") for one in found)
    hint = f"the image is version {quoted(before)}, this is {quoted(now)}: raise the major version"
    raise Refused(*(replace(one, hint=hint) for one in found))

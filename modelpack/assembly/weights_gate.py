"""The gates of weights before a build, not asked again of what passed them on this machine."""

from collections.abc import Sequence

from modelpack import spec as specs
from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.errors import Finding, Refused
from modelpack.inputs.machine import Machine
from modelpack.inputs.weights import SourceFile
from modelpack.lock import PlatformLock, WeightsLock
from modelpack.resolve import libraries
from modelpack.resolve.weights import Gated, check, check_each, located, look
from modelpack.spec import Spec

CHECK_VERSION = 5
"of the weight gates: counts up when they refuse more, so that old verdicts do not stand"


def gate(
    spec: Spec,
    written: specs.Weights,
    weights: WeightsLock,
    files: tuple[SourceFile, ...],
    platforms: Sequence[PlatformLock],
    machine: Machine,
) -> tuple[Digest | None, tuple[Finding, ...]]:
    """Run the weight gates over these contents, unless they passed before on this machine.

    Returns the key to remember that by, if it is to be, and the warnings; raises Refused with all
    findings.
    """
    if not files:
        return None, ()
    whole = len(files) == len(weights.files)
    key = digest_of(
        f"checked:{CHECK_VERSION}:{weights.digest}:{sorted(written.allow_unsafe)}:"
        f"{sorted(written.allow_imports)}:{_second_opinion(written)}:"
        f"{sorted(written.require)}:{libraries.relevant(platforms)}:"
        f"{written.path or written.source}:{spec.dependencies.lockfile}".encode()
    )
    known = machine.digests.verdict(key)
    if known is not None:
        return None, known
    # Where the targets have the others, only single files can be looked at.
    findings = _judge(spec, written, files, platforms) if whole else located(
        written, check_each(written, files)
    )  # fmt: skip
    if any(finding.severity == "error" for finding in findings):
        raise Refused(*findings)
    return key if whole else None, findings


def _judge(
    spec: Spec,
    written: specs.Weights,
    files: tuple[SourceFile, ...],
    platforms: Sequence[PlatformLock],
) -> tuple[Finding, ...]:
    """Return what the gates say of all files, and of the wheels that are to read them."""
    looked = look(files)
    group = Gated(weights=written, files=files, findings=(), looked=looked)
    return (
        *located(written, check(written, files, looked)),
        *libraries.of_files(spec, group, platforms),
    )


def _second_opinion(written: specs.Weights) -> str:
    """Return who judges what is excepted here: it is judged anew by another."""
    if not written.allow_unsafe:
        return ""
    from modelpack.checks.formats import second_opinion  # noqa: PLC0415  seldom needed

    return second_opinion.available()

"""Gates that need no build: all are asked, and all that is wrong is said at once."""

from collections.abc import Callable, Iterable, Sequence

from modelpack.assembly.evaluations import evaluate
from modelpack.errors import Finding, ModelpackError, Refused, joined
from modelpack.inputs.base_image import allowed
from modelpack.inputs.machine import Machine
from modelpack.lock import Lock
from modelpack.pipeline.planning import read_code
from modelpack.pipeline.project_lock import judge_lock, moved
from modelpack.pipeline.value import Options
from modelpack.project import Project
from modelpack.resolve.gpu import gate_gpu
from modelpack.resolve.signatures import require_signatures

Gate = Callable[[], Iterable[Finding] | None]
"returns warnings, raises what is wrong"


def check(this: Project, *, machine: Machine, further: Sequence[Gate] = ()) -> tuple[Finding, ...]:
    """Run every gate that needs no build, and `further` ones.

    Return warnings, raise with all that is wrong.
    """
    from modelpack.resolve.bases import base_findings  # noqa: PLC0415  not for a code-only build
    from modelpack.resolve.dependencies import check_lockfile  # noqa: PLC0415
    from modelpack.resolve.libraries import gate_libraries  # noqa: PLC0415
    from modelpack.resolve.weights import gate as gate_weights  # noqa: PLC0415

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
        lambda: golden_reads(this),
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


def with_all_else(error: ModelpackError, this: Project, machine: Machine) -> ModelpackError:
    """Return `error` with what every other gate finds, so that all can be mended at once."""
    try:
        check(this, machine=machine)
    except ModelpackError as others:
        return joined([error, others])
    return error


def secrets_in_spec(this: Project) -> tuple[Finding, ...]:
    """Refuse secrets in the spec, all of which the image carries."""
    from modelpack.checks.secrets import spec as spec_secrets  # noqa: PLC0415

    findings = spec_secrets.findings(this.spec)
    if any(finding.severity == "error" for finding in findings):
        raise Refused(*findings)
    return findings


def golden_reads(this: Project) -> None:
    """Refuse golden files that `modelpack test` could not read; none there is a matter of then."""
    from modelpack.functional import golden_files  # noqa: PLC0415  only where there are some

    if golden_files.paths(this.root, this.spec.test.golden):
        golden_files.read(this.root, this.spec.test.golden)


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


def _gate_signatures(this: Project, *, machine: Machine) -> None:
    """Raise unless publishers' signatures hold for the locked weights."""
    lock = _locked_weights(this)
    if lock is not None:
        require_signatures(this.spec, lock, this.root, machine=machine)


def _locked_weights(this: Project) -> Lock | None:
    """Return the lock where what it says of the weights is of this spec."""
    return this.lock if this.lock is not None and "weights" not in moved(this) else None

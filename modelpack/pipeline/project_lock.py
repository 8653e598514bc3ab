"""The lock of a project: made where there is none, renewed on request, judged everywhere else."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelpack import project
from modelpack.assembly.weights_at_hand import differences
from modelpack.errors import Finding, InputError, StaleLock, joined
from modelpack.inputs.machine import Machine
from modelpack.lock import Lock, Part, staleness
from modelpack.lock import encoding as lock_encoding
from modelpack.oci.layout import Layout
from modelpack.project import Project
from modelpack.resolve.dependencies import Upgrade, requirement_digests
from modelpack.resolve.runtime import runtime_lock

if TYPE_CHECKING:
    from modelpack.resolve.resolving import Resolution


def make_lock(
    this: Project,
    *,
    machine: Machine,
    renew: frozenset[Part] | None = None,
    upgrade: Upgrade | None = None,
    into: Layout | None = None,
) -> "Resolution":
    """Resolve the parts of the lock that are missing, stale or in `renew`, and write it."""
    from modelpack.resolve.resolving import resolve  # noqa: PLC0415  not where a lock is fresh

    stale = moved(this)
    parts = frozenset(stale) | (renew or frozenset())
    if "weights" not in parts and other_weights(this, machine=machine):
        parts |= {"weights"}
    if upgrade is None and "content of dependencies.source" in stale.get("dependencies", ()):
        upgrade = Upgrade()
    resolution = resolve(
        this.spec, this.root, machine=machine, previous=this.lock,
        renew=parts, into=into, compile_with=upgrade,
    )  # fmt: skip
    data = lock_encoding.dump(resolution.lock)
    if this.lock is None or this.lock != resolution.lock:
        project.write(this.lock_path, data)
    return resolution


def moved(this: Project) -> Mapping[Part, tuple[str, ...]]:
    """Return what changed since the lock was made, by part; nothing where there is no lock."""
    if this.lock is None:
        return {}
    now = staleness.fingerprints(this.spec, requirements=requirement_digests(this.spec, this.root))
    return staleness.moved(this.lock, now, runtime_lock(this.spec))


def require_fresh(this: Project) -> Lock:
    """Return the lock, or raise StaleLock with what moved and the command to type."""
    if this.lock is None:
        raise InputError(
            f"there is no `{this.lock_path.name}`", at=str(this.root), hint="modelpack lock"
        )
    findings = staleness.findings(moved(this), filename=this.lock_path.name)
    if findings:
        raise StaleLock(*findings)
    return this.lock


def other_weights(this: Project, *, machine: Machine) -> tuple[Finding, ...]:
    """Return how the weight files of this machine differ from the lock; nothing without either.

    Reads every file whose digest is not remembered.
    """
    if this.lock is None or "weights" in moved(this):
        return ()
    return differences(this.spec, this.lock, this.root, machine=machine)


def judge_lock(this: Project, *, machine: Machine) -> None:
    """Raise StaleLock unless the lock belongs to the spec and to the weights of this machine."""
    other = other_weights(this, machine=machine)
    try:
        require_fresh(this)
    except StaleLock as stale:
        raise joined([stale], *other) from stale
    if other:
        raise StaleLock(*other)


def moved_sources(this: Project, *, machine: Machine) -> tuple[Finding, ...]:
    """Ask the sources of weights whether they moved on since they were locked.

    Returns warnings where what was locked can still be had; raises StaleLock where it is gone.
    """
    if this.lock is None or not any(weights.source for weights in this.spec.weights):
        return ()
    from modelpack.fetching import weights as sources  # noqa: PLC0415  the network

    written = {weights.name: weights for weights in this.spec.weights}
    findings = [
        finding
        for weights in this.lock.weights
        for finding in sources.moved(written[weights.name], weights, this.root, machine=machine)
    ]
    if any(finding.severity == "error" for finding in findings):
        raise StaleLock(*findings)
    return tuple(findings)

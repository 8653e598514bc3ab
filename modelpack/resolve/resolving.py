"""A Lock for a Spec, or the parts of one anew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modelpack.errors import Finding, InputError, ModelpackError, Refused, joined
from modelpack.inputs.base_image import allowed
from modelpack.inputs.machine import Machine
from modelpack.lock import (
    PARTS,
    Compressor,
    Lock,
    Part,
    PlatformLock,
    Wheel,
)
from modelpack.lock.staleness import fingerprints
from modelpack.oci.layout import Layout
from modelpack.platform import Platform
from modelpack.resolve.bases import Base, look_up
from modelpack.resolve.bytecode import settle
from modelpack.resolve.dependencies import (
    Upgrade,
    check_lockfile,
    compile_requirements,
    locked_platform,
    requirement_digests,
    resolve_wheels,
)
from modelpack.resolve.gpu import gpu_findings, memory_of, memory_of_files
from modelpack.resolve.libraries import library_findings, on_this_machine
from modelpack.resolve.runtime import runtime_lock
from modelpack.resolve.signatures import gate_start, verify_signatures
from modelpack.resolve.weights import Gated, fetched, gated, in_order, lock_weights
from modelpack.spec import Spec

_EVERYTHING = frozenset(PARTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """A Lock, and what is worth telling about how it came to be."""

    lock: Lock
    findings: tuple[Finding, ...]
    "warnings only: an error refuses"


def resolve(
    spec: Spec,
    root: Path,
    *,
    machine: Machine,
    previous: Lock | None = None,
    renew: frozenset[Part] = _EVERYTHING,
    into: Layout | None = None,
    compile_with: Upgrade | None = None,
) -> Resolution:
    """Return the Lock of `spec`, whose files lie below `root`.

    Parts that are not in `renew` are taken from `previous` as they are. With `into`, weights that
    are read go into that layout in the same pass. With `compile_with`, `dependencies.source` is
    compiled anew; a missing lockfile always is. Raises Refused with all findings of all checks.
    """
    if previous is None:
        renew = _EVERYTHING
    elif "base" in renew:
        # Wheels were chosen for an interpreter and a glibc: another base may want others.
        renew = renew | {"dependencies"}
    passed = _gate(spec, root, previous, renew, compile_with, machine)
    known = previous.weights if previous and "weights" not in renew else None
    bases = look_up(spec, previous if "base" not in renew else None, machine)
    if "dependencies" in renew and spec.dependencies.source:
        # Once for all: under an interpreter that runs here, where there is one.
        wanted = machine.host if machine.host in bases else next(iter(bases))
        _compile(spec, root, wanted, bases[wanted], machine, compile_with)
    wheels, found = _all_wheels(spec, root, bases, previous, renew, machine)
    locked, more = _locked(spec, bases, wheels, machine)
    if known is None and any(weights.source for weights in spec.weights):
        # Before hours of fetching: a refusal is fast.
        _refuse((*found, *more, *gpu_findings(spec, locked, None)))
        passed = in_order(spec, (*passed, *fetched(spec, root, machine=machine)))
    memory = memory_of_files(spec, passed) if known is None else memory_of(spec, known)
    files = passed if known is None else on_this_machine(spec, root)
    findings = [
        *found, *more, *gpu_findings(spec, locked, memory),
        *library_findings(spec, files, locked),
    ]  # fmt: skip
    _refuse(findings)  # before the weights are hashed
    weights = known
    if weights is None:
        weights, more = lock_weights(passed, machine=machine, into=into)
        findings += more
    verify_signatures(spec, weights, root, machine=machine)
    lock = Lock(
        fingerprints=fingerprints(spec, requirements=requirement_digests(spec, root)),
        epoch=max(base.epoch for base in bases.values()),
        compressor=_compressor(spec, previous, renew),
        runtime=runtime_lock(spec),
        platforms=locked,
        weights=weights,
    )
    gate_start(spec, lock)
    return Resolution(lock=lock, findings=tuple(findings))


def _refuse(findings: Sequence[Finding]) -> None:
    """Raise Refused with all of `findings` where one of them is an error."""
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        raise Refused(*errors, *[f for f in findings if f.severity == "warning"])


def _locked(
    spec: Spec,
    bases: Mapping[Platform, Base],
    wheels: Mapping[Platform, tuple[Wheel, ...]],
    machine: Machine,
) -> tuple[tuple[PlatformLock, ...], tuple[Finding, ...]]:
    """Return what is locked of each platform, its bytecode settled once all are known."""
    locked = [
        PlatformLock(
            platform=wanted, base=base.base, interpreter=base.interpreter, wheels=wheels[wanted],
            bytecode=base.bytecode or "none",
        )
        for wanted, base in bases.items()
    ]  # fmt: skip
    findings: list[Finding] = []
    for position, one in enumerate(locked):
        if bases[one.platform].bytecode is None:
            bytecode, more = settle(spec, one, locked, machine.host)
            locked[position] = replace(one, bytecode=bytecode)
            findings += more
    return tuple(locked), tuple(findings)


def _gate(
    spec: Spec,
    root: Path,
    previous: Lock | None,
    renew: frozenset[Part],
    compile_with: Upgrade | None,
    machine: Machine,
) -> tuple[Gated, ...]:
    """Refuse, before anything is asked of the network, all that can be seen to be wrong.

    Returns the weights that passed; none where they are not renewed.
    """
    passed: tuple[Gated, ...] = ()
    errors: list[ModelpackError] = []
    try:
        allowed.require(spec.runtime.base, machine.bases)
    except ModelpackError as error:
        errors.append(error)
    try:
        if "dependencies" in renew and compile_with is None:
            check_lockfile(spec, root, previous)
    except ModelpackError as error:
        errors.append(error)
    try:
        if "weights" in renew:
            passed = gated(spec, root)
    except ModelpackError as error:
        errors.append(error)
    if errors:
        raise joined(errors)
    return passed


def _compressor(spec: Spec, previous: Lock | None, renew: frozenset[Part]) -> Compressor:
    if previous is not None and "runtime" not in renew:
        return previous.compressor
    from modelpack.oci import compression  # noqa: PLC0415  heavy

    return compression.current(spec.image.compression)


def _compile(
    spec: Spec, root: Path, wanted: Platform, base: Base, machine: Machine, upgrade: Upgrade | None
) -> None:
    """Compile the lockfile where it is missing or asked for."""
    if upgrade is None and (root / spec.dependencies.lockfile).exists():
        return
    compile_requirements(
        spec, root, platform=wanted, interpreter=base.interpreter, base=base.base,
        machine=machine, upgrade=upgrade or Upgrade(),
    )  # fmt: skip


def _all_wheels(
    spec: Spec,
    root: Path,
    bases: Mapping[Platform, Base],
    previous: Lock | None,
    renew: frozenset[Part],
    machine: Machine,
) -> tuple[Mapping[Platform, tuple[Wheel, ...]], tuple[Finding, ...]]:
    """Return the wheels of each platform, and all findings; raise with what any of them lacks."""
    wheels: dict[Platform, tuple[Wheel, ...]] = {}
    findings: dict[Platform, tuple[Finding, ...]] = {}
    errors: dict[Platform, tuple[Finding, ...]] = {}
    for wanted, base in bases.items():
        try:
            wheels[wanted], more = _wheels(spec, root, wanted, base, previous, renew, machine)
            findings[wanted] = (*base.findings, *more)
        except InputError as error:
            errors[wanted] = error.findings
    if errors:
        raise InputError(*_together({**errors, **findings}, of=len(bases)))
    return wheels, _together(findings, of=len(bases))


def _together(found: Mapping[Platform, Sequence[Finding]], *, of: int) -> tuple[Finding, ...]:
    """Return each finding once, and say for which platform unless it is for all `of` them."""
    where: dict[Finding, list[Platform]] = {}
    for platform, findings in found.items():
        for finding in dict.fromkeys(findings):
            where.setdefault(finding, []).append(platform)
    return tuple(
        finding if len(places) == of or any(str(place) in finding.message for place in places)
        else replace(finding, message=f"{finding.message} (for {', '.join(map(str, places))})")
        for finding, places in where.items()
    )  # fmt: skip


def _wheels(
    spec: Spec,
    root: Path,
    wanted: Platform,
    base: Base,
    previous: Lock | None,
    renew: frozenset[Part],
    machine: Machine,
) -> tuple[tuple[Wheel, ...], tuple[Finding, ...]]:
    known = locked_platform(previous, wanted) if previous else None
    if known is not None and "dependencies" not in renew:
        return known.wheels, ()
    return resolve_wheels(
        spec, root, platform=wanted, interpreter=base.interpreter, machine=machine
    )

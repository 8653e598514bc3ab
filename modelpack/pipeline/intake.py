"""What goes into a build: the lock, the source, the weights and the plans, read and judged."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelpack.assembly.assemble import Inputs
from modelpack.assembly.evaluations import Evaluated, evaluate
from modelpack.assembly.source_reading import CodeAndSource
from modelpack.assembly.weights_at_hand import AtHand, weights_at_hand
from modelpack.errors import Finding
from modelpack.inputs.base_image import allowed
from modelpack.inputs.machine import Machine
from modelpack.lock import Lock, PlatformLock
from modelpack.oci.layout import Layout
from modelpack.pipeline.gates import secrets_in_spec
from modelpack.pipeline.places import Places
from modelpack.pipeline.planning import make_plans, read_code
from modelpack.pipeline.project_lock import make_lock, require_fresh
from modelpack.pipeline.value import Options
from modelpack.plan import Plan
from modelpack.project import Project
from modelpack.resolve.gpu import gate_gpu
from modelpack.resolve.signatures import require_signatures

if TYPE_CHECKING:
    from modelpack.trust.model_verification import Signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """All that a build needs to know before it makes a layer."""

    lock: Lock
    new_lock: bool
    read: CodeAndSource
    at_hand: AtHand
    signed: tuple["Signed", ...]
    "weights whose publisher's signature was verified"
    evaluated: Evaluated
    plans: tuple[tuple[PlatformLock, Plan], ...]
    findings: tuple[Finding, ...]
    "warnings of the gates"

    def inputs(self, this: Project, machine: Machine) -> Inputs:
        """Return what the layers are made from."""
        return Inputs(
            spec=this.spec, lock=self.lock, source=self.read.source, code=self.read.code,
            weights=self.at_hand.sources, digests=machine.digests, threads=machine.threads,
            interface=self.read.interface,
        )  # fmt: skip


def take_in(
    this: Project, places: Places, *, machine: Machine, options: Options, new_lock: bool
) -> Intake:
    """Read all that goes in, in the order in which one depends on another."""
    # The lock: made where there is none, never changed where there is one.
    findings = secrets_in_spec(this)
    allowed.require(this.spec.runtime.base, machine.bases)
    lock, of_lock = _locked(this, places.into, machine=machine, new=new_lock)
    # The source: code and commit, read once.
    read = read_code(this, machine=machine, epoch=lock.epoch, options=options)
    # The weights on this machine are the locked ones, or are not needed.
    at_hand = weights_at_hand(
        this.spec, lock, this.root, machine=machine,
        targets=(*places.layouts, *places.registries.stores),
    )  # fmt: skip
    signed = require_signatures(this.spec, lock, this.root, machine=machine)
    evaluated = evaluate(this.spec, lock, this.root)
    return Intake(
        lock=lock, new_lock=new_lock, read=read, at_hand=at_hand, signed=signed,
        evaluated=evaluated, plans=make_plans(this, lock, read, only=options.platforms),
        findings=(
            *findings, *of_lock, *at_hand.findings, *read.findings, *evaluated.findings,
        ),
    )  # fmt: skip


def _locked(
    this: Project, into: Layout | None, *, machine: Machine, new: bool
) -> tuple[Lock, tuple[Finding, ...]]:
    if new:
        resolution = make_lock(this, machine=machine, into=into)
        return resolution.lock, resolution.findings
    lock = require_fresh(this)
    return lock, gate_gpu(this.spec, lock)

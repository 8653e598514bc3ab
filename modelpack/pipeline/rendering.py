"""A project as a Dockerfile for each platform, and the context that they share."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelpack.assembly.assemble import Inputs
from modelpack.assembly.evaluations import evaluate
from modelpack.errors import InputError, Refused
from modelpack.inputs.base_image import allowed
from modelpack.inputs.machine import Machine
from modelpack.pipeline.gates import secrets_in_spec, with_all_else
from modelpack.pipeline.planning import make_plans, read_code
from modelpack.pipeline.project_lock import require_fresh
from modelpack.pipeline.value import Options
from modelpack.platform import Platform
from modelpack.project import Project
from modelpack.resolve.development import development_wheels
from modelpack.resolve.gpu import gate_gpu
from modelpack.resolve.signatures import require_signatures

if TYPE_CHECKING:
    from modelpack import dockerfile
    from modelpack.assembly.rendering import Rendered


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
        allowed.require(this.spec.runtime.base, machine.bases)
        lock = require_fresh(this)
        findings = (*findings, *gate_gpu(this.spec, lock))
        read = read_code(this, machine=machine, epoch=lock.epoch, options=options)
        planned = make_plans(this, lock, read, only=frozenset(platforms))
        weights, of_weights = rendering.baked_weights(this.spec, lock, this.root, machine=machine)
        require_signatures(this.spec, lock, this.root, machine=machine)
        evaluated = evaluate(this.spec, lock, this.root)
        development = {
            platform.platform: development_wheels(this.spec, this.root, platform, machine=machine)
            for platform, _ in planned
            if this.spec.checks
        }
    except (InputError, Refused) as error:
        raise with_all_else(error, this, machine) from error
    inputs = Inputs(
        spec=this.spec, lock=lock, source=read.source, code=read.code, weights=weights,
        digests=machine.digests, threads=machine.threads, interface=read.interface,
    )  # fmt: skip
    return rendering.write_all(
        planned, inputs, place, machine=machine, options=how, development=development,
        findings=(*findings, *of_weights, *read.findings, *evaluated.findings),
    )  # fmt: skip

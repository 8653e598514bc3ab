"""Plans to Dockerfiles and the build context that they share."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modelpack import dockerfile, templates
from modelpack.assembly import build_context
from modelpack.assembly.assemble import Inputs
from modelpack.assembly.build_context import Written
from modelpack.assembly.weights_at_hand import differences, weights_at_hand
from modelpack.builders.embedded import Embedded
from modelpack.dockerfile import Dockerfile
from modelpack.errors import Finding, StaleLock
from modelpack.inputs.machine import Machine
from modelpack.inputs.python import pip_wheel
from modelpack.inputs.scratch import scratch_folder
from modelpack.lock import Lock, PlatformLock, Wheel
from modelpack.lock.bytecode import compiler
from modelpack.metadata import mounted
from modelpack.oci.layer_cache import LayerCache
from modelpack.oci.plain_layers import write_plain
from modelpack.plan import Plan
from modelpack.platform import Platform
from modelpack.spec import Spec

Planned = tuple[PlatformLock, Plan]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The Dockerfiles, with their plans, and the context that they lie in."""

    dockerfiles: tuple[tuple[Plan, Dockerfile], ...]
    context: Written
    findings: tuple[Finding, ...]
    "warnings of the gates"


def write_all(
    planned: Sequence[Planned],
    inputs: Inputs,
    place: Path,
    *,
    machine: Machine,
    options: dockerfile.Options,
    development: Mapping[Platform, tuple[Wheel, ...]],
    findings: tuple[Finding, ...] = (),
) -> Rendered:
    """Render each plan and write everything that the Dockerfiles need to `place`."""
    build_context.refuse_strangers(place)
    template = templates.text(dockerfile.TEMPLATE)
    rendered = []
    for number, (platform, plan) in enumerate(planned):
        suffix = f".{platform.platform.architecture}" if number else ""
        rendered.append(
            dockerfile.render(
                plan, inputs.spec, inputs.lock, platform, template=template, pip=pip_wheel.PIP,
                development=development.get(platform.platform, ()),
                name=f"{dockerfile.NAME}{suffix}", options=options,
            )
        )  # fmt: skip
    with scratch_folder(machine.cache) as scratch:
        files: dict[str, Path] = {}
        for one, (platform, plan) in zip(rendered, planned, strict=True):
            files |= _wheels(one, machine)
            if one.archive:
                files[one.archive] = _archive(platform, plan, inputs, machine, scratch)
        context = build_context.tree(rendered, inputs, files)
        written = build_context.write(place, context, progress=machine.progress)
    pairs = ((plan, one) for one, (_, plan) in zip(rendered, planned, strict=True))
    return Rendered(dockerfiles=tuple(pairs), context=written, findings=findings)


def _wheels(one: Dockerfile, machine: Machine) -> Mapping[str, Path]:
    """Return pip and the wheels that lie in the context, by their path in it."""
    if not one.requirements:
        return {}
    from modelpack.inputs.python import locked_wheels  # noqa: PLC0415  a build loads no packaging

    pip = f"{dockerfile.INSTALL}/{pip_wheel.PIP.filename}"
    found = locked_wheels.fetch(
        tuple(one.wheels.values()), downloads=machine.downloads, indexes=machine.indexes,
        environment=machine.environment, offline=machine.offline, progress=machine.progress,
    )  # fmt: skip
    inside = {path: found[wheel.sha256] for path, wheel in one.wheels.items()}
    return {pip: pip_wheel.fetch(machine), **inside}


def _archive(
    platform: PlatformLock, plan: Plan, inputs: Inputs, machine: Machine, scratch: Path
) -> Path:
    """Write the assembled base as a tar into `scratch`."""
    layers = LayerCache(machine.cache, known=machine.digests)
    (step,) = (step for step in plan.steps if step.kind == "base")
    with Embedded(
        platform, compiler=compiler(platform, inputs.lock.platforms, machine.host),
        user=inputs.spec.runtime.user, compressor=inputs.lock.compressor,
        machine=machine, layers=layers,
    ) as builder:  # fmt: skip
        layer = layers.find(builder.key(step)) or builder.layer(step)
    place = Path(tempfile.mkdtemp(dir=scratch)) / "base.tar"
    write_plain(layer, place)
    return place


def baked_weights(
    spec: Spec, lock: Lock, root: Path, *, machine: Machine
) -> tuple[Mapping[str, Mapping[str, Path]], tuple[Finding, ...]]:
    """Return the source of each weight file that a context holds, and warnings of all weights.

    Reads what is not remembered. Raises StaleLock when a file is not the locked one, Refused when
    a gate refuses it, be it mounted or not.
    """
    separate = mounted(spec, lock)
    baked = replace(lock, weights=tuple(w for w in lock.weights if w not in separate))
    if findings := differences(spec, baked, root, machine=machine):
        raise StaleLock(*findings)
    at_hand = weights_at_hand(spec, baked, root, machine=machine, targets=(None,))
    at_hand.remember(machine.digests)
    here = {weights.name for weights in spec.weights if weights.path}
    only = replace(lock, weights=tuple(w for w in separate if w.name in here))
    elsewhere = weights_at_hand(spec, only, root, machine=machine, targets=(None,))
    return at_hand.sources, (*at_hand.findings, *elsewhere.findings)

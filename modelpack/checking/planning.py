"""The image that would be built, made but for a store: what the checks are about."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelpack import pipeline
from modelpack.assembly.assemble import Inputs, Made, image
from modelpack.assembly.weights_at_hand import weights_at_hand
from modelpack.builders.choice import EMBEDDED, open_builder
from modelpack.checking.root import weight_files
from modelpack.inputs.machine import Machine
from modelpack.lock import Lock, PlatformLock
from modelpack.metadata import mounted
from modelpack.oci.image import Image
from modelpack.oci.layer_cache import LayerCache
from modelpack.plan import Plan
from modelpack.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """The image that would be built."""

    platform: PlatformLock
    plan: Plan
    lock: Lock
    image: Image
    made: tuple[Made, ...]
    weights: Mapping[str, Path]
    "where each file of weights lies, by its path in the image"
    mounted: Mapping[str, Path]
    "those of them that the image does not hold"


def make(
    this: Project, lock: Lock, platform: PlatformLock, *, machine: Machine, how: pipeline.Options
) -> Planned:
    """Make the layers, as a build does; what is remembered is not made."""
    read = pipeline.read_code(this, machine=machine, epoch=lock.epoch, options=how)
    at_hand = weights_at_hand(this.spec, lock, this.root, machine=machine, targets=(None,))
    at_hand.remember(machine.digests)
    ((_, plan),) = pipeline.make_plans(this, lock, read, only=frozenset({platform.platform}))
    layers = LayerCache(machine.cache, known=machine.digests)
    inputs = Inputs(
        spec=this.spec, lock=lock, source=read.source, code=read.code, weights=at_hand.sources,
        digests=machine.digests, threads=machine.threads, interface=read.interface,
    )  # fmt: skip
    with open_builder(
        EMBEDDED, platform, plan, lock, user=this.spec.runtime.user, machine=machine,
        layers=layers, stores=(), use_cache=True,
    ) as builder:  # fmt: skip
        made_image, made = image(plan, inputs, builder=builder, layers=layers)
    weights = weight_files(lock, at_hand.sources)
    folders = tuple(f"{one.destination}/" for one in mounted(this.spec, lock))
    return Planned(
        platform=platform, plan=plan, lock=lock, image=made_image, made=made, weights=weights,
        mounted={path: file for path, file in weights.items() if path.startswith(folders)},
    )  # fmt: skip

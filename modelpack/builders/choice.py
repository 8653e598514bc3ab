"""Which builder makes base and dependency layers, by the name that `--builder` gives."""

from typing import TYPE_CHECKING

from modelpack.builders.embedded import Embedded
from modelpack.inputs.machine import Machine
from modelpack.lock import Compressor, PlatformLock
from modelpack.oci.layer_cache import LayerCache
from modelpack.plan import Plan

if TYPE_CHECKING:
    from modelpack.builders.docker import Docker

EMBEDDED = Embedded.name


def open_builder(
    name: str,
    platform: PlatformLock,
    plan: Plan,
    *,
    user: int,
    compressor: Compressor,
    machine: Machine,
    layers: LayerCache,
    use_cache: bool,
) -> "Embedded | Docker":
    """Return the builder `name` for the layers of `plan`, to be used within `with`.

    All names but `embedded` are Docker's: `docker` itself, or a builder that buildx knows.
    """
    if name == EMBEDDED:
        return Embedded(
            platform, user=user, compressor=compressor, machine=machine, layers=layers
        )  # fmt: skip
    from modelpack.builders.docker import Docker  # noqa: PLC0415  only when asked for

    base = tuple(step for step in plan.steps if step.kind == "base")
    return Docker(
        name, platform, user=user, compressor=compressor, machine=machine, layers=layers,
        base=base, use_cache=use_cache,
    )  # fmt: skip

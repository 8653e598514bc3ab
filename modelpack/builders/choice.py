"""Which builder makes base and dependency layers, by the name that `--builder` gives."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelpack.builders.embedded import Embedded
from modelpack.digest import Digest
from modelpack.inputs.machine import Machine
from modelpack.lock import Lock, PlatformLock
from modelpack.lock.bytecode import compiler
from modelpack.oci.layer_cache import LayerCache
from modelpack.oci.layout import Layout
from modelpack.plan import Plan, Step

if TYPE_CHECKING:
    from modelpack.builders.docker import Docker

EMBEDDED = Embedded.name


def key(name: str, step: Step) -> Digest:
    """Return the key under which the layer that builder `name` makes of `step` is remembered."""
    if name == EMBEDDED:
        return step.digest
    from modelpack.builders import docker  # noqa: PLC0415  only when asked for

    return docker.key(step)


def open_builder(
    name: str,
    platform: PlatformLock,
    plan: Plan,
    lock: Lock,
    *,
    user: int,
    machine: Machine,
    layers: LayerCache,
    stores: Sequence[Layout],
    use_cache: bool,
) -> "Embedded | Docker":
    """Return the builder `name` for the layers of `plan`, to be used within `with`.

    `lock` holds `platform`, and perhaps another one whose interpreter compiles for it here.
    `stores` may have layers of a base from a registry already.
    All names but `embedded` are Docker's: `docker` itself, or a builder that buildx knows.
    """
    embedded = Embedded(
        platform, compiler=compiler(platform, lock.platforms, machine.host), user=user,
        compressor=lock.compressor, machine=machine, layers=layers, stores=stores,
    )  # fmt: skip
    if name == EMBEDDED:
        return embedded
    from modelpack.builders.docker import Docker  # noqa: PLC0415  only when asked for

    return Docker(
        name, platform, embedded=embedded, compressor=lock.compressor, machine=machine,
        layers=layers, steps=plan.steps, use_cache=use_cache,
    )  # fmt: skip

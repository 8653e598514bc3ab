"""Dependency layers from BuildKit: pip runs in the base that the image will have, wherever that is.

BuildKit makes files, modelpack makes layers (ADR 0010): what comes back is a tar that is taken for
hostile, held against the wheels, and written with our own tar and the locked compressor. So it is
the same layer from every BuildKit, Docker 20.10 included, and as the embedded builder makes it.
"""

from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from modelpack import canonical_json
from modelpack.builders import recipe
from modelpack.builders.embedded import Embedded
from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.inputs.machine import Machine
from modelpack.lock import Compressor, PlatformLock
from modelpack.oci.layer import Layer
from modelpack.oci.layer_cache import LayerCache
from modelpack.plan import Step

if TYPE_CHECKING:
    from modelpack.builders.buildkit import Client

KIND: Final = "docker"


def key(step: Step) -> Digest:
    """Return the key of the finished layer of `step`, whichever BuildKit made it."""
    if step.kind != "dependencies":
        return step.digest
    parts = {"step": step.digest, "builder": KIND, "recipe": recipe.digest()}
    return digest_of(canonical_json.dumps(parts))


class Docker:
    """Makes the layers that Steps describe, within `with`, which owns the scratch folder.

    No program is started before a layer must be made.
    """

    reproducible = True

    def __init__(
        self,
        name: str,
        platform: PlatformLock,
        *,
        embedded: Embedded,
        compressor: Compressor,
        machine: Machine,
        layers: LayerCache,
        steps: tuple[Step, ...],
        use_cache: bool,
    ) -> None:
        """`steps` are those of the plan; layers of the base are the `embedded` builder's."""
        self.name = name
        self._platform = platform
        self._compressor = compressor
        self._machine = machine
        self._layers = layers
        self._base = tuple(step for step in steps if step.kind == "base")
        self._run = tuple(step for step in steps if step.kind == "dependencies")
        self._client: Client | None = None
        self._use_cache = use_cache
        self._made: dict[Digest, Layer] = {}
        self._stack = ExitStack()
        self._embedded = self._stack.enter_context(embedded)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def key(self, step: Step) -> Digest:
        """Return the key of the finished layer of `step`."""
        return key(step)

    def layer(self, step: Step) -> Layer:
        """Return the finished layer of a base or dependencies `step`."""
        if step.kind == "base":
            if any(self._layers.find(self.key(other)) is None for other in self._run):
                self._connected()  # who has no builder should not wait for the base first
            self._made[step.digest] = self._embedded.layer(step)
            return self._made[step.digest]
        from modelpack.builders import in_buildkit  # noqa: PLC0415  only when a layer is made
        from modelpack.inputs import layer_contents  # noqa: PLC0415
        from modelpack.inputs.layer_memory import LayerMemory  # noqa: PLC0415
        from modelpack.inputs.scratch import scratch_folder  # noqa: PLC0415

        tree = in_buildkit.environment(
            self._connected(), self._platform, base=self._base_layers(), machine=self._machine,
            scratch=self._stack.enter_context(scratch_folder(self._machine.cache)),
            use_cache=self._use_cache,
        )  # fmt: skip
        self._machine.progress.say(f"writing the {step.kind} layer")
        entries = tree.entries()
        layer = self._layers.make(
            self.key(step), entries, self._compressor,
            created_by=f"modelpack {step.kind}", threads=self._machine.threads,
        )  # fmt: skip
        LayerMemory(self._machine.cache).keep(layer.diff_id, layer_contents.of_entries(entries))
        return layer

    def _connected(self) -> "Client":
        """Return what speaks to the builder, which can run programs of the platform."""
        from modelpack.builders import buildkit  # noqa: PLC0415  only when a layer is made

        if self._client is None:
            self._client = buildkit.connect(self.name, self._machine.environment)
            self._client.require(self._platform.platform)
        return self._client

    def _base_layers(self) -> tuple[Layer, ...]:
        """Return the layers of the base, all of which are on this machine."""
        return tuple(
            self._made.get(step.digest) or self._layers.find(step.digest) or self.layer(step)
            for step in self._base
        )

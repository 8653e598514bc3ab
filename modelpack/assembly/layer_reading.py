"""The packages in the layers of an image: remembered, or read from wherever the layer is."""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

from modelpack.assembly.assemble import Made
from modelpack.digest import Digest
from modelpack.errors import InputError
from modelpack.inputs.machine import Machine
from modelpack.oci.blobs import pieces_of
from modelpack.oci.content import blocks
from modelpack.oci.layer import Absent, Descriptor, Layer, StoredFile
from modelpack.plan import Step

if TYPE_CHECKING:
    from modelpack.inputs.layer_contents import LayerContents

_BLOCK = 1 << 20


class Openable(Protocol):
    """The part of a layout or archive from which a layer is read."""

    def open_blob(self, what: Descriptor) -> BinaryIO:
        """Open a blob; whoever reads it checks its digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLayer:
    """A layer that may hold packages, and where it can be read."""

    diff_id: Digest
    open: Callable[[], BinaryIO | None]
    "None: nobody here has it"


def holds_packages(step: Step) -> bool:
    """Tell whether the layer of `step` brings packages: weights and the author's code do not."""
    return step.kind in ("base", "dependencies")


def made_layers(made: Iterable[Made], store: Openable | None) -> tuple[StoredLayer, ...]:
    """Return the layers with packages of an image that was just made."""
    return tuple(
        StoredLayer(diff_id=item.layer.diff_id, open=_opener(item.layer, store))
        for item in made
        if holds_packages(item.step)
    )


def contents_of(
    layers: Sequence[StoredLayer], machine: Machine
) -> "tuple[LayerContents | None, ...]":
    """Return what each layer holds; None where nobody here has it.

    Raises InputError when a layer is damaged.
    """
    from modelpack.inputs.layer_memory import LayerMemory  # noqa: PLC0415  not for a code-only build

    memory = LayerMemory(machine.cache)
    found = []
    for layer in layers:
        contents = memory.get(layer.diff_id)
        if contents is None and (stream := layer.open()):
            machine.progress.say("listing the packages of a layer")
            with stream:
                contents = memory.read(layer.diff_id, stream)
        found.append(contents)
    return tuple(found)


def _opener(layer: Layer, store: Openable | None) -> Callable[[], BinaryIO | None]:
    def opened() -> BinaryIO | None:
        origin = layer.blob.origin
        if isinstance(origin, StoredFile):
            return open(origin.path, "rb")
        if isinstance(origin, Absent):
            return stored(layer.blob.descriptor, store)
        return io.BytesIO(b"".join(blocks(pieces_of(layer.blob), _BLOCK)))

    return opened


def stored(descriptor: Descriptor, store: Openable | None) -> BinaryIO | None:
    """Open a blob of `store`; None where it is not there."""
    try:
        return store.open_blob(descriptor) if store else None
    except InputError:
        return None

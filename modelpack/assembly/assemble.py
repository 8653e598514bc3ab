"""Plan to Image: layers in order, each taken from where it is already or made once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from modelpack.digest import Digest
from modelpack.inputs import runtime_files, weights_image
from modelpack.inputs.code import ReadCode
from modelpack.inputs.file_digests import FileDigests
from modelpack.lock import ImageBase, Lock
from modelpack.metadata import GUARD, INTERFACE, PLACE, PROBE, SIGNATURE, documents, mounted
from modelpack.oci.image import Image
from modelpack.oci.layer import TAR, Layer, blob_of
from modelpack.oci.layer_cache import LayerCache
from modelpack.oci.tar import directory, pieces
from modelpack.oci.tree import Tree
from modelpack.plan import Plan, Step
from modelpack.run_configuration import HOME
from modelpack.source import Source
from modelpack.spec import Spec


class Builder(Protocol):
    """Makes the layers for which something must be unpacked or run."""

    name: str
    reproducible: bool
    "whether a step gives one and the same layer, wherever and however often it is made"

    def key(self, step: Step) -> Digest:
        """Return the key under which the layer of `step` is remembered."""

    def layer(self, step: Step) -> Layer:
        """Return the finished layer of a base or dependencies `step`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A layer and the step that it carries out."""

    step: Step
    layer: Layer
    reused: bool
    "made by an earlier build"
    reproducible: bool = True
    "made anew it would be the same bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the layers are made from, read at the doors."""

    spec: Spec
    lock: Lock
    source: Source
    code: ReadCode
    weights: Mapping[str, Mapping[str, Path]]
    "by name of the weights: source of each file by its path; a file may be missing here"
    digests: FileDigests
    threads: int
    interface: Mapping[str, bytes] = field(default_factory=dict)
    "documents of `[interface]`, by their kind"


def image(
    plan: Plan, inputs: Inputs, *, builder: Builder | None, layers: LayerCache
) -> tuple[Image, tuple[Made, ...]]:
    """Return the image of `plan` and how each of its layers came to be.

    The weights image needs no `builder`.
    """
    made = tuple(_make(step, inputs, builder, layers) for step in plan.steps)
    return (
        Image(
            platform=plan.platform,
            layers=tuple(item.layer for item in made),
            config=plan.config,
            created=plan.created,
        ),
        made,
    )


def _make(step: Step, inputs: Inputs, builder: Builder | None, layers: LayerCache) -> Made:
    match step.kind:
        case "weights":
            layer = weights_image.weights_layer(
                step, inputs.lock, inputs.weights, digests=inputs.digests
            )
        case "nameplate":
            layer = weights_image.nameplate_layer(inputs.spec, inputs.lock)
        case "meta":
            layer = _meta_layer(inputs)
        case "code":
            known = layers.find(step.digest)
            layer = known or _code_layer(step, inputs, layers)
            return Made(step=step, layer=layer, reused=known is not None)
        case "base" | "dependencies":
            if builder is None:
                raise ValueError("this plan needs a builder")
            known = layers.find(builder.key(step))
            layer = known or builder.layer(step)
            return Made(
                step=step, layer=layer, reused=known is not None,
                reproducible=builder.reproducible,
            )  # fmt: skip
    return Made(step=step, layer=layer, reused=False)


def _code_layer(step: Step, inputs: Inputs, layers: LayerCache) -> Layer:
    tree = inputs.code.tree(inputs.spec.code.workdir)
    return layers.make(
        step.digest, tree.entries(), inputs.lock.compressor, created_by="modelpack code",
        threads=inputs.threads,
    )  # fmt: skip


def meta_files(inputs: Inputs) -> Mapping[str, bytes]:
    """Return the files of the last layer, by their path in the image."""
    described = documents(inputs.spec, inputs.lock, inputs.source)
    return {
        **{f"{PLACE}/{name}": data for name, data in described.items()},
        GUARD: runtime_files.guard(),
        PROBE: runtime_files.probe(),
        **{f"{INTERFACE}/{kind}.json": data for kind, data in inputs.interface.items()},
        **({SIGNATURE: runtime_files.signature()} if inputs.lock.runtime.signature else {}),
    }


def _meta_layer(inputs: Inputs) -> Layer:
    tree = Tree()
    for path, data in meta_files(inputs).items():
        tree.file(path.strip("/"), data)
    for weights in mounted(inputs.spec, inputs.lock):
        tree.add(directory(weights.destination.strip("/")))  # where they will be mounted
    if any(isinstance(platform.base, ImageBase) for platform in inputs.lock.platforms):
        # An image from a registry has no home for our user; /etc/passwd stays as it is.
        tree.add(directory(HOME.strip("/"), mode=0o775, uid=inputs.spec.runtime.user))
    data = b"".join(piece for piece in pieces(tree.entries()) if isinstance(piece, bytes))
    blob = blob_of(data, TAR)
    return Layer(blob=blob, diff_id=blob.digest, created_by="modelpack meta")

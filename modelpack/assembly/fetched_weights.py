"""Locked weights of a source: those the cache has, and of the others those that a target lacks."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from modelpack import spec as specs
from modelpack.inputs.machine import Machine
from modelpack.inputs.weights import SourceFile, bundle_layer, layer_of
from modelpack.lock import WeightFile, WeightsLock
from modelpack.oci.layer import Descriptor
from modelpack.oci.store import Store
from modelpack.reference import Registry
from modelpack.spec import weight_source
from modelpack.spec.weight_source import Stored, WeightSource

Targets = Sequence[Store | None]
"where an image goes; None: a place that has nothing yet, such as an archive"


@runtime_checkable
class _Mounting(Protocol):
    """A repository that takes contents over from others of its registry."""

    def mount(self, descriptor: Descriptor, source: Registry) -> bool:
        """Take a content over; False where that cannot be."""


def at_hand(
    written: specs.Weights,
    weights: WeightsLock,
    root: Path,
    *,
    machine: Machine,
    targets: Targets,
) -> tuple[SourceFile, ...]:
    """Return the locked files that are on this machine, having fetched those that are needed.

    A file whose layer all `targets` have is not needed. Raises Unavailable when a needed one
    cannot be fetched, Refused when the source sends another content.
    """
    from modelpack.fetching import weights as sources  # noqa: PLC0415  not for weights of a folder

    here = dict(sources.kept(weights, machine=machine))
    missing = [file for file in weights.files if file.path not in here]
    source = weight_source.parse(written.source)
    needed = list(_needed(weights, missing, targets, source))
    if needed:
        here |= sources.fetch_locked(written, weights, needed, root, machine=machine)
    return sources.source_files(here)


def _needed(
    weights: WeightsLock, missing: Sequence[WeightFile], targets: Targets, source: WeightSource
) -> Iterator[WeightFile]:
    small = [file for file in missing if file.layer is None]
    if small and (weights.bundle is None or _lacks(targets, _bundle(weights), source)):
        yield from small
    for file in missing:
        if file.layer is not None:
            layer = layer_of(weights.destination, file, None)
            if _lacks(targets, layer.blob.descriptor, source):
                yield file


def _bundle(weights: WeightsLock) -> Descriptor:
    """Return the layer of all small files, for which none of them is read."""
    small = [file for file in weights.files if file.layer is None]
    layer = bundle_layer(weights.destination, small, {}, known=weights.bundle)
    return layer.blob.descriptor


def _lacks(targets: Targets, layer: Descriptor, source: WeightSource) -> bool:
    return any(
        target is None or not (target.has(layer) or _mounts(target, layer, source))
        for target in targets
    )


def _mounts(target: Store, layer: Descriptor, source: WeightSource) -> bool:
    """Tell whether the target's registry takes the very layer over from the source's image.

    It is the same one where the image has the weights at the same place.
    """
    if not (isinstance(source, Stored) and isinstance(source.name, Registry)):
        return False
    return isinstance(target, _Mounting) and target.mount(layer, source.name)

"""Locked weights of a source: those the cache has, and of the others those that a target lacks."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from modelpack import spec as specs
from modelpack.inputs.machine import Machine
from modelpack.inputs.weights import SourceFile, bundle_layer, layer_of
from modelpack.lock import WeightFile, WeightsLock
from modelpack.oci.layer import Descriptor
from modelpack.oci.store import Store

Targets = Sequence[Store | None]
"where an image goes; None: a place that has nothing yet, such as an archive"


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
    needed = list(_needed(weights, missing, targets))
    if needed:
        here |= sources.fetch_locked(written, weights, needed, root, machine=machine)
    return sources.source_files(here)


def _needed(
    weights: WeightsLock, missing: Sequence[WeightFile], targets: Targets
) -> Iterator[WeightFile]:
    small = [file for file in missing if file.layer is None]
    if small and (weights.bundle is None or _lacks(targets, _bundle(weights))):
        yield from small
    for file in missing:
        if file.layer is not None:
            layer = layer_of(weights.destination, file, None)
            if _lacks(targets, layer.blob.descriptor):
                yield file


def _bundle(weights: WeightsLock) -> Descriptor:
    """Return the layer of all small files, for which none of them is read."""
    small = [file for file in weights.files if file.layer is None]
    layer = bundle_layer(weights.destination, small, {}, known=weights.bundle)
    return layer.blob.descriptor


def _lacks(targets: Targets, layer: Descriptor) -> bool:
    return any(target is None or not target.has(layer) for target in targets)

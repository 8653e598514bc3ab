"""The layers of a locked base as files of this machine, every byte checked against the lock."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelpack import reference
from modelpack.digest import Digest, hex_of
from modelpack.errors import Finding, Unavailable
from modelpack.inputs.machine import Machine
from modelpack.lock import BaseLayer, ImageBase
from modelpack.oci import parallel
from modelpack.oci.layer import Descriptor
from modelpack.progress import Advance

_THREADS = 3
"layers at once, as engines have it: registries count connections"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseFiles:
    """What a locked base is made of, at hand."""

    config: bytes
    "its own image configuration, as the registry has it"
    layers: Mapping[Digest, Path]
    "the layers as they are, compressed or not, by digest"


def fetch(base: ImageBase, *, machine: Machine) -> BaseFiles:
    """Return all of `base`: from the cache, else from its registry.

    Raises Unavailable with all that cannot be had, Refused where the registry sends something
    else.
    """
    from modelpack.inputs.base_image.documents import Documents  # noqa: PLC0415  the network

    documents = Documents(reference.registry(base.reference), machine=machine)
    config = documents.configuration(base.config)
    return BaseFiles(config=config, layers=layers(base, machine=machine))


def layers(
    base: ImageBase, *, machine: Machine, wanted: Collection[Digest] | None = None
) -> Mapping[Digest, Path]:
    """Return the files of the layers of `base`, or of the `wanted` ones; raises as `fetch` does."""
    chosen = {
        layer.digest: layer for layer in base.layers if wanted is None or layer.digest in wanted
    }
    known = {digest: machine.downloads.path(hex_of(digest)) for digest in chosen}
    missing = [layer for digest, layer in chosen.items() if known[digest] is None]
    if missing:
        known |= _download(base, missing, machine)
    return {digest: path for digest, path in known.items() if path is not None}


def _download(base: ImageBase, missing: list[BaseLayer], machine: Machine) -> Mapping[Digest, Path]:
    if machine.offline:
        raise Unavailable(
            *(
                Finding(
                    message=f"the layer {layer.digest} is not in the cache", at=base.reference,
                    hint="run once without `--offline`",
                )
                for layer in missing
            )
        )  # fmt: skip
    from modelpack.oci.registry.repository import Repository  # noqa: PLC0415  the network

    repository = Repository(reference.registry(base.reference), machine.registries)

    def get(layer: BaseLayer, advance: Advance) -> Path:
        descriptor = Descriptor(media_type=layer.media_type, digest=layer.digest, size=layer.size)
        return machine.downloads.resume(
            hex_of(layer.digest), layer.size,
            lambda into: repository.fill(into, descriptor, advance), progress=machine.progress,
        )  # fmt: skip

    total = sum(layer.size for layer in missing)
    with machine.progress.task(f"layers of {base.reference}", total) as advance:
        paths = parallel.each(get, missing, advance, threads=_THREADS)
    return {layer.digest: path for layer, path in zip(missing, paths, strict=True)}

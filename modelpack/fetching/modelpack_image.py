"""Which weight files an image that modelpack made holds, baked or in its weights image."""

from modelpack import digest as digests
from modelpack.errors import InputError
from modelpack.fetching.member import Member, Shelf
from modelpack.inspection import configuration, description, reading
from modelpack.inspection.description import Description
from modelpack.inspection.documents import Documents
from modelpack.lock import WeightFile, WeightsLock
from modelpack.oci.layer import TAR, Descriptor
from modelpack.run_configuration import WEIGHTS_IMAGE_LABEL


def of_modelpack(shelf: Shelf, root: Descriptor, name: str) -> tuple[Member, ...] | None:
    """Return the weight files of an image that modelpack made: baked, or its weights image."""
    documents = reading.read(shelf, root)
    told = _told(documents)
    if not told.weight_sets:
        return None
    weights = _chosen(told.weight_sets, name, at=root.digest)
    holder = _holder(shelf, documents, weights, at=root.digest)
    layers = _by_diff_id(holder)
    return tuple(_member(file, weights, layers, at=root.digest) for file in weights.files)


def _told(documents: Documents) -> Description:
    if documents.nameplates:
        return description.parse_nameplates(documents.nameplates, documents.trouble)
    if documents.meta is None or documents.meta.trouble:
        return Description()
    return description.parse(documents.meta.files)


def _chosen(sets: tuple[WeightsLock, ...], name: str, *, at: str) -> WeightsLock:
    if len(sets) == 1:
        return sets[0]
    for weights in sets:
        if weights.name == name:
            return weights
    names = ", ".join(f"`{weights.name}`" for weights in sets)
    raise InputError(
        f"the image holds several weights, and none is called `{name}`", at=at,
        hint=f"give `name` one of {names}",
    )  # fmt: skip


def _holder(shelf: Shelf, documents: Documents, weights: WeightsLock, *, at: str) -> Documents:
    """Return the image whose layers hold the weights: this one, or that of its mounted weights."""
    settings = _settings(documents)
    elsewhere = settings.labels.get(WEIGHTS_IMAGE_LABEL, "")
    baked = {layer.digest for layer in documents.manifest.layers} | set(settings.diff_ids)
    layers = {file.layer for file in weights.files if file.layer} | {weights.bundle}
    if not elsewhere or documents.nameplates or not layers.isdisjoint(baked):
        return documents
    try:
        return reading.read(shelf, shelf.resolve(digests.parse(elsewhere, at=at)))
    except InputError as error:
        raise InputError(
            "the image's weights are in an image of their own, which is not there", at=elsewhere,
            hint="copy it along: modelpack copy",
        ) from error  # fmt: skip


def _settings(documents: Documents) -> configuration.Configuration:
    config = documents.manifest.config
    return configuration.parse(documents.config_bytes, config.media_type if config else "")


def _by_diff_id(documents: Documents) -> dict[str, Descriptor]:
    """Return the layers by what they are uncompressed; engines may have compressed them."""
    layers = documents.manifest.layers
    if documents.artifact:
        return {layer.diff_id: layer.descriptor for layer in documents.artifact.layers}
    found: dict[str, Descriptor] = {}
    diff_ids = _settings(documents).diff_ids
    if len(diff_ids) == len(layers):
        found = dict(zip(diff_ids, layers, strict=True))
    return found | {layer.digest: layer for layer in layers if layer.media_type == TAR}


def _member(
    file: WeightFile, weights: WeightsLock, layers: dict[str, Descriptor], *, at: str
) -> Member:
    layer = layers.get(str(file.layer or weights.bundle))
    if layer is None:
        raise InputError(f"the image has no layer with `{file.path}`", at=at)
    return Member(
        path=file.path, size=file.size, sha256=file.sha256, blob=layer,
        entry=f"{weights.destination.strip('/')}/{file.path}",
    )  # fmt: skip

"""The image of mounted weights: from Spec and Lock alone, the same wherever the bytes are."""

from collections.abc import Mapping
from pathlib import Path

from modelpack import plan
from modelpack.digest import Digest
from modelpack.inputs import weights as weight_inputs
from modelpack.inputs.file_digests import FileDigests
from modelpack.lock import Lock
from modelpack.metadata import NAMEPLATE, mounted, nameplate
from modelpack.oci.image import Image
from modelpack.oci.layer import TAR, Layer, blob_of
from modelpack.oci.tar import pieces
from modelpack.oci.tree import Tree
from modelpack.plan import Plan, Step, is_own_layer
from modelpack.spec import Spec

_NO_SOURCES: Mapping[str, Path] = {}


def digest(spec: Spec, lock: Lock) -> Digest | None:
    """Return the digest of the weights image, for which no weight is read; None without one."""
    planned = plan.make_weights(spec, lock)
    return image(planned, spec, lock).digest if planned else None


def image(planned: Plan, spec: Spec, lock: Lock) -> Image:
    """Return the weights image, without the places that its weights come from."""
    return Image(
        platform=planned.platform,
        layers=tuple(
            nameplate_layer(spec, lock) if step.kind == "nameplate" else weights_layer(step, lock)
            for step in planned.steps
        ),
        config=planned.config,
        created=planned.created,
    )


def weights_layer(
    step: Step,
    lock: Lock,
    sources: Mapping[str, Mapping[str, Path]] = {},
    *,
    digests: FileDigests | None = None,
) -> Layer:
    """Return the layer of a weights `step`, in whichever image; a file may have no source here."""
    wanted = [path for path, _, _ in step.inputs["files"]]
    weights = next(item for item in lock.weights if item.destination == step.inputs["destination"])
    files = {file.path: file for file in weights.files}
    here = sources.get(weights.name, _NO_SOURCES)
    if is_own_layer(files[wanted[0]]):
        return weight_inputs.layer_of(weights.destination, files[wanted[0]], here.get(wanted[0]))
    return weight_inputs.bundle_layer(
        weights.destination, [files[path] for path in wanted], here,
        digests=digests, known=step.known,
    )  # fmt: skip


def nameplate_layer(spec: Spec, lock: Lock) -> Layer:
    """Return the small layer that says, beside the weights, which ones they claim to be."""
    tree = Tree()
    for weights in mounted(spec, lock):
        tree.file(f"{weights.destination.strip('/')}/{NAMEPLATE}", nameplate(spec, weights))
    data = b"".join(piece for piece in pieces(tree.entries()) if isinstance(piece, bytes))
    blob = blob_of(data, TAR)
    return Layer(blob=blob, diff_id=blob.digest, created_by="modelpack nameplate")

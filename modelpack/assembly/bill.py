"""The components of an image's bill of materials: remembered, or written from what is in it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from modelpack import __version__, canonical_json
from modelpack.assembly.layer_reading import StoredLayer, contents_of
from modelpack.digest import of as digest_of
from modelpack.inputs.machine import Machine
from modelpack.inputs.remembered import CONTENTS_VERSION, Remembered
from modelpack.lock import Lock, PlatformLock
from modelpack.lock import encoding as lock_encoding
from modelpack.metadata import mounted
from modelpack.spec import Spec

if TYPE_CHECKING:
    from modelpack.evidence.inventory import Inventory

FOLDER: Final = "components"
"of the cache"
_VERSION: Final = 4
"counts up when other components are written for equal contents"


def components(
    spec: Spec,
    lock: Lock,
    platform: PlatformLock | None,
    layers: Sequence[StoredLayer],
    *,
    metrics: Mapping[str, str],
    machine: Machine,
) -> Mapping[str, Any]:
    """Return the CycloneDX components of the image for `platform`, with its `layers`.

    Without a platform: of the image of mounted weights. The writer is imported, and layers are
    looked at, only where nothing is remembered for these inputs.
    """
    remembered = Remembered(machine.cache / FOLDER)
    key = digest_of(
        canonical_json.dumps(
            {
                "versions": [__version__, _VERSION, CONTENTS_VERSION],
                "spec": canonical_json.plain(
                    [spec.model, spec.training, spec.card, spec.evaluation, spec.weights]
                ),
                "lock": lock_encoding.digest(lock),
                "platform": str(platform.platform) if platform else "",
                "layers": [layer.diff_id for layer in layers],
                "metrics": dict(metrics),
            }
        )
    )
    known = remembered.get(key)
    if isinstance(known, dict):
        return known
    from modelpack.evidence import components as writer  # noqa: PLC0415  slow to import

    found = inventory(spec, lock, platform, layers, metrics=metrics, machine=machine)
    body = writer.body(found)
    if found.complete:
        remembered.keep(key, body)
    return body


def inventory(
    spec: Spec,
    lock: Lock,
    platform: PlatformLock | None,
    layers: Sequence[StoredLayer],
    *,
    metrics: Mapping[str, str],
    machine: Machine,
) -> "Inventory":
    """Return what is in the image for `platform`, or in that of the mounted weights."""
    from modelpack.evidence import inventory as inventories  # noqa: PLC0415  markers and tags

    separate = mounted(spec, lock)
    models = [
        inventories.Model(weights=weights, mounted=weights in separate)
        for weights in (lock.weights if platform else separate)
    ]
    if platform is None:
        return inventories.of_weights(spec, models, metrics)
    contents = contents_of(layers, machine)
    return inventories.of_image(spec, platform, contents, models=models, metrics=metrics)

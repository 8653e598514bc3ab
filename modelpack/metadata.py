"""What an image says about itself in its last layer, so that nobody has to read the weights.

`spec.json` (what the author wrote), `lock.json` and `source.json` are the values that it was built
from; a rebuild starts from them. `weights.json` is what the guard checks; `guard.py` and
`probe.py` stand beside it, and `signature.py` where a start needs a signature.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from modelpack import canonical_json
from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.lock import CHUNK, Lock, WeightsLock
from modelpack.lock.encoding import dump as dump_lock
from modelpack.source import Source
from modelpack.source import written as written_source
from modelpack.spec import Spec, Weights, packing
from modelpack.spec.writing import written

PLACE = "/usr/share/modelpack"
GUARD = f"{PLACE}/guard.py"
PROBE = f"{PLACE}/probe.py"
SIGNATURE = f"{PLACE}/signature.py"
TRUST = "/run/modelpack/trust"
"where it is mounted who must have signed the weights (see `modelpack.runtime.signature`)"
INTERFACE = f"{PLACE}/interface"
"where the documents of the interface are"
NAMEPLATE = ".modelpack.json"
"in the folder of mounted weights: which ones they claim to be"


def weights_digest(lock: Lock) -> Digest:
    """Return the one digest that names all weights of an image."""
    return digest_over(lock.weights)


def digest_over(weights: Sequence[WeightsLock]) -> Digest:
    """Return the one digest that names these weights together."""
    if len(weights) == 1:
        return weights[0].digest
    return digest_of(canonical_json.dumps([[w.name, w.digest] for w in weights]))


def interface_digest(source: Source) -> Digest | None:
    """Return the one digest that names all documents of an interface; None where there is none."""
    if not source.interface:
        return None
    return digest_of(canonical_json.dumps(dict(source.interface)))


def mounted(spec: Spec, lock: Lock) -> tuple[WeightsLock, ...]:
    """Return the weights that stand in an image of their own and are mounted at start."""
    names = {weights.name for weights in spec.weights if weights.mode == "mount"}
    return tuple(weights for weights in lock.weights if weights.name in names)


def nameplate(spec: Spec, weights: WeightsLock) -> bytes:
    """Return the file beside mounted weights that says which ones they are: a claim, no proof.

    It depends on the weights and on the model's name and version only.
    """
    return canonical_json.pretty(
        {
            "schema": 1,
            "name": weights.name,
            "model": {"name": spec.model.name, "version": spec.model.version},
            "digest": weights.digest,
            "bundle": weights.bundle,
            "files": [
                {"path": f.path, "size": f.size, "sha256": f.sha256, "layer": f.layer}
                for f in weights.files
            ],
        }
    )


def documents(spec: Spec, lock: Lock, source: Source) -> Mapping[str, bytes]:
    """Return the files of the last layer but for the runtime's programs, by name."""
    return {
        "lock.json": dump_lock(lock),
        "source.json": canonical_json.pretty(written_source(source)),
        "spec.json": canonical_json.pretty(written(spec)),
        "weights.json": canonical_json.pretty(weights_manifest(spec, lock)),
    }


def weights_manifest(spec: Spec, lock: Lock) -> dict[str, Any]:
    """Return what the guard checks before the command starts (see `modelpack.runtime.guard`)."""
    locked = {weights.name: weights for weights in lock.weights}
    return {
        "schema": 1,
        "model": {"name": spec.model.name, "version": spec.model.version},
        "verify": spec.runtime.verify,
        "override": spec.runtime.verify_override,
        "mounts": spec.runtime.verify_mounts,
        "chunk": CHUNK,
        "digest": weights_digest(lock),
        # In the order of the spec: MODELPACK_WEIGHTS is where its first weights are.
        "weights": [_guarded(written, locked[written.name]) for written in spec.weights],
    }


def _guarded(written: Weights, weights: WeightsLock) -> dict[str, Any]:
    return {
        "name": weights.name,
        "path": weights.destination,
        "mounted": written.mode == "mount",
        "include": list(packing.locked(written, (f.path for f in weights.files))),
        "exclude": list(written.exclude),
        "digest": weights.digest,
        "files": [
            {
                "path": f.path,
                "size": f.size,
                "sha256": f.sha256,
                "chunks": list(f.chunks) if f.size else [],
            }
            for f in weights.files
        ],
    }

"""A small image of ours in which everything agrees, and a store that shows what is read of it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from modelpack import canonical_json, metadata, plan
from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.errors import InputError
from modelpack.inputs import weights_image
from modelpack.inputs.weights import weights_digest
from modelpack.lock import OWN_LAYER, Lock, RuntimeLock, WeightFile
from modelpack.oci.image import Image
from modelpack.oci.layer import TAR, Absent, Blob, Descriptor, Layer
from modelpack.oci.manifest import MANIFEST_LIMIT
from modelpack.plan import Plan
from modelpack.source import Source
from modelpack.spec import Spec
from tests import values
from tests.images import layer

GUARD, PROBE = b"print('guard')\n", b"print('probe')\n"
LARGE = digest_of(b"the layer of the large file, which nobody has")
BUNDLE = digest_of(b"the layer of the small files, which nobody has")
WEIGHTS = (
    values.weight_file("config.json", size=40, tensors=(), sha256=values.sha("b")),
    values.weight_file(
        "model-00001-of-00002.safetensors",
        size=OWN_LAYER,
        layer=LARGE,
        tensors=("BF16 [1000,20] model.embed", "F32 [] scale", "BF16 [7] bias"),
    ),
    values.weight_file("model-00002-of-00002.safetensors", tensors=("I64 [2,3] ids",)),
)


@dataclass(frozen=True, kw_only=True)
class Described:
    """What an image is made from."""

    spec: Spec = field(default_factory=values.spec)
    lock: Lock
    source: Source
    weights: tuple[Layer, ...]

    @property
    def plan(self) -> Plan:
        """The plan of the lock's first platform."""
        return plan.make(
            self.spec, self.lock, self.source, self.lock.platforms[0],
            weights_image=weights_image.digest(self.spec, self.lock),
        )  # fmt: skip

    @property
    def files(self) -> dict[str, bytes]:
        """The files of the meta layer by name."""
        written = metadata.documents(self.spec, self.lock, self.source)
        return {**written, "guard.py": GUARD, "probe.py": PROBE}

    @property
    def weights_image(self) -> Image:
        """The image of the mounted weights, whose large layers are nowhere."""
        planned = plan.make_weights(self.spec, self.lock)
        assert planned is not None, "nothing is mounted"
        return weights_image.image(planned, self.spec, self.lock)

    def image(self, *, files: Mapping[str, bytes] | None = None) -> Image:
        """Return the image; `files` replaces those of the meta layer."""
        made = self.plan
        mounted = metadata.mounted(self.spec, self.lock)
        return Image(
            platform=made.platform,
            created=made.created,
            config=made.config,
            layers=(
                said(layer(("etc/os-release", b"Debian")), "base"),
                said(layer(("opt/venv/pyvenv.cfg", b"")), "dependencies"),
                *(() if mounted else self.weights),
                said(layer(("app/service/__main__.py", b"1\n\n")), "code"),
                meta(self.files if files is None else files),
            ),
        )


def described(*weights: WeightFile, **changes: object) -> Described:
    """Return the parts of an image in which all digests are what they should be.

    The layers of its weights are nowhere.
    """
    layers = (
        absent(LARGE, "weights model-00001-of-00002.safetensors"),
        absent(BUNDLE, "weights"),
    )
    return _described(weights or WEIGHTS, layers, changes)


def complete(**changes: object) -> Described:
    """Return the parts of an image whose layers all exist, with one small weight file."""
    content = bytes(100)
    file = values.weight_file(sha256=hashlib.sha256(content).hexdigest())
    weights = said(layer(("models/digits/model.safetensors", content)), "weights")
    return _described((file,), (weights,), changes)


def _described(
    files: tuple[WeightFile, ...], layers: tuple[Layer, ...], changes: Mapping[str, object]
) -> Described:
    locked = replace(
        values.weights_lock(*files), digest=weights_digest(files), bundle=layers[-1].diff_id
    )
    lock = values.lock(
        weights=(locked,), runtime=RuntimeLock(guard=digest_of(GUARD), probe=digest_of(PROBE))
    )
    source = values.source()
    code = digest_of(canonical_json.dumps(canonical_json.plain(source.files)))
    parts: dict[str, object] = {"lock": lock, "source": replace(source, digest=code), **changes}
    return Described(weights=layers, **parts)  # type: ignore[arg-type]


def meta(files: Mapping[str, bytes]) -> Layer:
    """Return the last layer with `files`."""
    folder = metadata.PLACE.strip("/")
    return said(layer(*((f"{folder}/{name}", data) for name, data in files.items())), "meta")


def said(of: Layer, what: str) -> Layer:
    """Return a layer with our words in the history."""
    return replace(of, created_by=f"modelpack {what}")


def absent(digest: Digest, what: str) -> Layer:
    """Return a layer whose content is nowhere."""
    descriptor = Descriptor(media_type=TAR, digest=digest, size=OWN_LAYER)
    return said(
        Layer(blob=Blob(descriptor=descriptor, origin=Absent()), diff_id=digest, created_by=""),
        what,
    )


class Shelf:
    """Blobs that may be read; asking for any other one fails, and what was read is noted."""

    def __init__(self, *blobs: bytes) -> None:
        self.blobs = {digest_of(blob): blob for blob in blobs}
        self.was_read: list[Digest] = []

    def read(self, what: Descriptor, *, limit: int = MANIFEST_LIMIT) -> bytes:
        if what.digest not in self.blobs:
            raise InputError("nobody has this blob", at=what.digest)
        data = self.blobs[what.digest]
        if len(data) > limit:
            raise InputError(f"the blob is larger than {limit} bytes", at=what.digest)
        self.was_read.append(what.digest)
        return data


def shelf_of(image: Image) -> Shelf:
    """Return manifest, configuration and last layer of `image`, and nothing else."""
    last = image.layers[-1].blob.origin
    content = b"" if isinstance(last, Absent) else b"".join(last.pieces)  # type: ignore[union-attr,arg-type]
    return Shelf(
        image.manifest_blob.origin.pieces[0],  # type: ignore[union-attr,arg-type]
        image.config_blob.origin.pieces[0],  # type: ignore[union-attr,arg-type]
        content,
    )

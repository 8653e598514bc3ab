"""What `docker save` writes beside layers: `manifest.json`, in which no digest stands."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from modelpack import canonical_json
from modelpack import digest as digests
from modelpack.digest import Digest
from modelpack.errors import InputError
from modelpack.oci.layer import CONFIG, MANIFEST, TAR, Descriptor
from modelpack.oci.manifest import parse_object, printable

_LIMIT = 4096
"images of one archive, layers of one image"


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerImage:
    """One image, by the names of its members in the archive."""

    config: str
    layers: tuple[str, ...]
    names: tuple[str, ...]
    "of the image itself: `minilm:1.2.0`"


def docker_images(data: bytes, *, at: str) -> Iterator[DockerImage]:
    """Yield the images that a `manifest.json` lists, or raise InputError."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError("not valid JSON", at=at) from error
    if not isinstance(value, list) or len(value) > _LIMIT:
        raise InputError("not a list of images", at=at)
    for image in value:
        if not isinstance(image, dict):
            raise InputError("not an image", at=at)
        config, layers = image.get("Config"), image.get("Layers")
        if not isinstance(config, str) or not isinstance(layers, list):
            raise InputError("an image without `Config` and `Layers`", at=at)
        if not all(isinstance(layer, str) for layer in layers):
            raise InputError("a layer's name is not a text", at=at)
        names = image.get("RepoTags") or []
        yield DockerImage(
            config=config, layers=tuple(layers),
            names=tuple(n for n in names if isinstance(n, str) and n)
            if isinstance(names, list) else (),
        )  # fmt: skip


def docker_manifest(
    config: bytes, sizes: Sequence[int], *, at: str
) -> tuple[bytes, tuple[Digest, ...]]:
    """Make the manifest that an image has not, and return it with its layers: they are by diff_id.

    `sizes` are those of the layers. Raises InputError when they do not fit `config`.
    """
    at = printable(at)
    rootfs = parse_object(config, at=at).get("rootfs")
    found = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(found, list) or not len(found) == len(sizes) <= _LIMIT:
        raise InputError("`rootfs` and `Layers` do not fit together", at=at)
    diff_ids = tuple(digests.parse(diff_id, at=at) for diff_id in found)
    described = Descriptor(media_type=CONFIG, digest=digests.of(config), size=len(config))
    value = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described.as_json(),
        "layers": [
            Descriptor(media_type=TAR, digest=digest, size=size).as_json()
            for digest, size in zip(diff_ids, sizes, strict=True)
        ],
    }
    return canonical_json.dumps(value), diff_ids

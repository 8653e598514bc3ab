"""Images changed by somebody who knows how they are made: every digest is right again."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelpack.digest import of as digest_of
from modelpack.oci.layer import TAR_GZIP
from modelpack.oci.layout import Layout


def put(layout: Path, data: bytes) -> dict[str, Any]:
    """Put a blob into a layout; return how a manifest names it."""
    digest = digest_of(data)
    (layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).write_bytes(data)
    return {"digest": digest, "size": len(data)}


def tamper(layout: Path, kind: str, change: Callable[[bytes], bytes]) -> str:
    """Let `change` edit the tar of the layer of `kind`; return the digest of the new image.

    The layout names no other image afterwards.
    """
    store = Layout(layout)
    entry = store.manifests()[0]
    manifest = json.loads(store.read(entry))
    config = json.loads(store.read(store.image(entry.digest).config))  # type: ignore[arg-type]
    steps = [step["created_by"] for step in config["history"]]
    index = next(n for n, step in enumerate(steps) if step.startswith(f"modelpack {kind}"))
    stored = store.path_of(manifest["layers"][index]["digest"]).read_bytes()
    packed = stored.startswith(b"\x1f\x8b")
    tar = change(gzip.decompress(stored) if packed else stored)
    config["rootfs"]["diff_ids"][index] = digest_of(tar)
    new = put(layout, gzip.compress(tar, mtime=0) if packed else tar)
    kind_of_layer = TAR_GZIP if packed else manifest["layers"][index]["mediaType"]
    manifest["layers"][index] = {"mediaType": kind_of_layer, **new}
    manifest["config"] |= put(layout, _dumps(config))
    named = {"mediaType": manifest["mediaType"], **put(layout, _dumps(manifest))}
    (layout / "index.json").write_bytes(_dumps({"schemaVersion": 2, "manifests": [named]}))
    return str(named["digest"])


def _dumps(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()

"""Whatever a model artifact says and holds, an inspection shows it or refuses it, printably.

An input is rows `=== NAME`, each followed by content: `config` (ModelPack) or `kitfile` (KitOps),
then layers, `raw` or `tar`, whose first line is the path that their annotation names.
"""

import json
import re

from modelpack import canonical_json
from modelpack.cli import display
from modelpack.cli.display.inspect_report import report
from modelpack.errors import InputError, ModelpackError
from modelpack.fetching.artifact import of_artifact
from modelpack.inspection.artifacts import with_contents
from modelpack.inspection.describing import describe
from modelpack.inspection.reading import read
from modelpack.oci.layer import MANIFEST, blob_of
from tests.far_artifacts import CNCF, KIT, FarShelf, entry

_HEAD = re.compile(rb"^=== (config|kitfile|raw|tar)\n", re.MULTILINE)


def TARGET(data: bytes) -> None:  # noqa: N802  the name that the runner looks for
    """Inspect the artifact that `data` writes, and list its weights."""
    parts = _HEAD.split(data)
    shelf, config, kit, layers = FarShelf(), b"{}", False, []
    for name, content in zip(parts[1::2], parts[2::2], strict=True):
        if name in (b"config", b"kitfile"):
            config, kit = content, name == b"kitfile"
            continue
        path, _, inner = content.partition(b"\n")
        kind = f"{KIT}model" if kit else f"{CNCF}weight"
        layer = shelf.add(inner, f"{kind}.v1.{name.decode()}")
        layers.append(entry(layer, path.decode(errors="replace")))
    value = {
        "schemaVersion": 2, "mediaType": MANIFEST, "layers": layers,
        "config": shelf.add(config, f"{KIT if kit else CNCF}config.v1+json"),
    }  # fmt: skip
    blob = blob_of(canonical_json.dumps(value), MANIFEST)
    shelf.blobs[blob.digest] = blob
    try:
        inspection = describe(with_contents(shelf, read(shelf, blob.descriptor)))
    except InputError as error:
        _check([display.finding(finding) for finding in error.findings])
        return
    _check([report(inspection, verbose=True)])
    json.loads(display.to_json(display.plain(inspection)))
    try:
        found = of_artifact(shelf, blob.descriptor, "")
    except ModelpackError as error:
        _check([display.finding(finding) for finding in error.findings])
        return
    for member in found or ():
        if member.path.startswith("/") or ".." in member.path.split("/"):
            raise AssertionError(f"leads out of the folder: {member.path!a}")


def _check(texts: list[str]) -> None:
    for text in texts:
        if text != display.escape_lines(text):
            raise AssertionError(f"unprintable: {text!a}")

"""Whatever an image says of itself, an inspection shows it or refuses it, and prints safely.

An input is rows `=== NAME`, each followed by the content of that document: `config`, `manifest`,
`layer` (the last one, a tar), `nameplate` (of a weights image), or a file of the meta layer such as
`lock.json`. The lock is sealed anew, so that what is damaged in it is reached.
"""

import json
import re

from modelpack import canonical_json
from modelpack.cli import display
from modelpack.cli.display.inspect_report import report
from modelpack.cli.display.page import html as page
from modelpack.digest import of as digest_of
from modelpack.errors import InputError
from modelpack.inspection import reading, tensors
from modelpack.inspection.describing import describe
from modelpack.metadata import NAMEPLATE
from modelpack.oci.layer import CONFIG, MANIFEST, blob_of
from tests import images
from tests.described_image import Shelf, meta

reading.META_LIMIT = 1 << 20
_HEAD = re.compile(rb"^=== ([a-z.]{1,20})\n", re.MULTILINE)


def TARGET(data: bytes) -> None:  # noqa: N802  the name that the runner looks for
    """Inspect the image that `data` writes."""
    parts = _HEAD.split(data)
    documents = {
        name.decode(): content for name, content in zip(parts[1::2], parts[2::2], strict=True)
    }
    config = documents.pop("config", b"{}")
    manifest = documents.pop("manifest", b"")
    plate = documents.pop("nameplate", b"")
    layer = documents.pop("layer", b"")
    if "lock.json" in documents:
        documents["lock.json"] = _sealed(documents["lock.json"])
    last = meta(documents).blob
    if plate:
        last = images.layer((f"models/digits/{NAMEPLATE}", plate)).blob
    content = layer or b"".join(last.origin.pieces)  # type: ignore[union-attr,arg-type]
    written = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blob_of(config, CONFIG).descriptor.as_json(),
        "layers": [blob_of(content, last.descriptor.media_type).descriptor.as_json()],
    }
    root = blob_of(manifest or canonical_json.dumps(written), MANIFEST)
    shelf = Shelf(b"".join(root.origin.pieces), config, content)  # type: ignore[union-attr,arg-type]
    try:
        read = reading.read(shelf, root.descriptor, platform="")
        inspection = describe(read)
    except InputError as error:
        _check([display.finding(finding) for finding in error.findings])
        return
    found = tensors.of(read)
    _check([report(inspection, verbose=True, tensors=found)])
    page.values(inspection, None, found)
    json.loads(display.to_json(display.plain(inspection)))


def _sealed(data: bytes) -> bytes:
    """Return the lock `data` with the digest that it must have, if it is JSON."""
    try:
        value = json.loads(data)
        value.pop("integrity", None)
        value["integrity"] = digest_of(canonical_json.dumps(value))
        return canonical_json.dumps(value)
    except (ValueError, AttributeError, TypeError, RecursionError):
        return data


def _check(texts: list[str]) -> None:
    for text in texts:
        if text != display.escape_lines(text):
            raise AssertionError(f"unprintable: {text!a}")

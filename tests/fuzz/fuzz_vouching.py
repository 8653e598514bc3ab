"""Whatever stands beside an image, an inspection shows it or says why not, and prints safely.

An input is a line with the media type of the content, then lines `key: value` with annotations of
its layer, an empty line, and the content.
"""

import json

from modelpack.cli import display
from modelpack.cli.display import inspect_evidence
from modelpack.cli.display.page import evidence as page_evidence
from modelpack.digest import Digest
from modelpack.errors import ModelpackError
from modelpack.inspection import claiming, contents
from modelpack.inspection.referrer_document import ReferrerDocument
from modelpack.oci.layer import MANIFEST, Descriptor

_IMAGE = Digest("sha256:" + "a" * 64)


def TARGET(data: bytes) -> None:  # noqa: N802  the name that the runner looks for
    """Show the content that `data` writes."""
    head, _, content = data.partition(b"\n\n")
    media_type, *lines = head.decode(errors="replace").split("\n")
    pairs = (line.partition(": ") for line in lines)
    annotations = {key: value for key, _, value in pairs}
    layer = Descriptor(
        media_type=media_type, digest=_IMAGE, size=len(content), annotations=annotations
    )
    document = ReferrerDocument(
        subject=_IMAGE, descriptor=Descriptor(media_type=MANIFEST, digest=_IMAGE, size=1),
        layer=layer, stored=content,
    )  # fmt: skip
    try:
        parsed = contents.parse(content, layer)
    except ModelpackError as error:
        _check("\n".join(display.finding(finding) for finding in error.findings))
        return
    document = ReferrerDocument(
        subject=_IMAGE, descriptor=document.descriptor, layer=layer, stored=content, content=parsed
    )
    claim = claiming.claim(document)
    _check(inspect_evidence.report([claim], verbose=True))
    page_evidence.cards([claim])
    _check(display.escape_lines("\n".join(claiming.findings([document]))))
    json.loads(display.to_json(display.plain(claim)))


def _check(text: str) -> None:
    if text != display.escape_lines(text):
        raise AssertionError(f"unprintable: {text!a}")

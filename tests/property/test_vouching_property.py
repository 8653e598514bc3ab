"""Whatever others attach to an image is summed up or refused with a sentence, never a crash."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from modelpack.cli import display
from modelpack.cli.display import inspect_evidence
from modelpack.digest import Digest
from modelpack.errors import ModelpackError
from modelpack.inspection import claiming, contents
from modelpack.inspection.referrer_document import ReferrerDocument
from modelpack.oci.layer import MANIFEST, Descriptor, blob_of
from modelpack.trust import statement as statements
from modelpack.trust.predicate_types import CYCLONEDX, OMS, REBUILD, SPDX, SUMMARY, TEST, VEX, VULN
from tests.bundles import bundles
from tests.foreign_evidence import DSSE, SIMPLE, Signer, attestation_layer, said, signature_layer

DIGEST = Digest("sha256:" + "a" * 64)
SIGNER = Signer()
WORDS = st.sampled_from([
    "buildDefinition", "runDetails", "resolvedDependencies", "uri", "digest", "metadata", "tools",
    "components", "licenses", "license", "scanner", "result", "Results", "Vulnerabilities",
    "Severity", "severity", "statements", "status", "packages", "spdxVersion", "Data", "verdict",
    "annotations", "role", "invocation", "configSource", "materials", "compositions", "aggregate",
])  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=12,
)
TYPES = st.sampled_from([
    OMS, REBUILD, VULN, TEST, SUMMARY,
    CYCLONEDX, SPDX, VEX, "https://slsa.dev/provenance/v1",
    "https://slsa.dev/provenance/v0.2", "https://in-toto.io/attestation/vulns/v0.2",
])  # fmt: skip
MEDIA_TYPES = st.sampled_from([
    statements.MEDIA_TYPE, DSSE, SIMPLE, "application/vnd.dev.sigstore.bundle.v0.3+json",
    "application/vnd.cyclonedx+json", "application/spdx+json",
])  # fmt: skip


def shown(data: bytes, layer: Descriptor) -> None:
    """Parse and render a content as an inspection does."""
    try:
        content = contents.parse(data, layer)
    except ModelpackError:
        return
    document = ReferrerDocument(
        subject=DIGEST, descriptor=Descriptor(media_type=MANIFEST, digest=DIGEST, size=1),
        layer=layer, stored=data, content=content,
    )  # fmt: skip
    claim = claiming.claim(document)
    list(claiming.findings([document]))
    text = inspect_evidence.report([claim], verbose=True)
    assert text == display.escape_lines(text)
    assert json.loads(display.to_json(display.plain(claim)))


@given(TYPES, st.dictionaries(WORDS, VALUES, max_size=8))
def test_any_predicate_is_summed_up(kind: str, predicate: dict[str, Any]) -> None:
    data = said(kind, predicate, DIGEST).as_bytes()
    shown(data, blob_of(data, statements.MEDIA_TYPE).descriptor)


@given(MEDIA_TYPES, st.binary(max_size=300) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_content_is_shown_or_refused(media_type: str, data: bytes) -> None:
    shown(data, blob_of(data, media_type).descriptor)


@given(bundles)
def test_any_bundle_is_shown_or_refused(bundle: Any) -> None:
    data = bundle.as_bytes()
    shown(data, blob_of(data, bundle.media_type).descriptor)


SIGNED_LAYERS = (
    signature_layer(SIGNER, DIGEST),
    attestation_layer(SIGNER, said("https://slsa.dev/provenance/v1", {}, DIGEST)),
)
"made once: each signature is another one, and not as long"


@given(st.data())
def test_any_change_of_a_signed_layer_is_shown_or_refused(data: st.DataObject) -> None:
    layer = data.draw(st.sampled_from(SIGNED_LAYERS))
    content = bytearray(b"".join(layer.origin.pieces))  # type: ignore[union-attr,arg-type]
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(0, 255))
    annotations = {
        key: data.draw(st.just(value) | st.text(max_size=20)
                       | VALUES.map(json.dumps) | st.just(value[: len(value) // 2]))
        for key, value in layer.descriptor.annotations.items()
    }  # fmt: skip
    changed = Descriptor(
        media_type=layer.descriptor.media_type, digest=DIGEST, size=1, annotations=annotations
    )
    shown(bytes(content), changed)

"""Any change of any value in an image's documents is shown or said to be unknown, never a crash."""

import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from modelpack import canonical_json, metadata
from modelpack.cli import display
from modelpack.cli.display.inspect_report import report
from modelpack.digest import of as digest_of
from modelpack.inspection.describing import describe
from modelpack.inspection.reading import read
from modelpack.oci.layer import CONFIG, MANIFEST, TAR, blob_of
from modelpack.spec import Weights
from tests import values
from tests.described_image import Shelf, described, meta, said, shelf_of
from tests.images import layer

MADE = described()
MOUNTED = described(
    spec=values.spec(
        weights=(Weights(name="digits", path="w", destination="/models/digits", mode="mount"),)
    )
)
IMAGE = MADE.image()
CONFIGURATION = json.loads(shelf_of(IMAGE).blobs[IMAGE.config_blob.digest])
FILES = MADE.files
LAYERS = [layer.blob.descriptor.as_json() for layer in IMAGE.layers[:-1]]

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


def places(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all members and elements below `value`."""
    keys = list(value) if isinstance(value, dict) else []
    keys += range(len(value)) if isinstance(value, list) else []
    found = [(*above, key) for key in keys]
    return found + [place for key in keys for place in places(value[key], (*above, key))]


@st.composite
def changed(draw: st.DrawFn, document: Any) -> Any:
    """Return `document` with up to three members replaced or left out."""
    value = json.loads(canonical_json.dumps(document))
    for _ in range(draw(st.integers(1, 3))):
        here = places(value)
        if not here:
            break
        *above, key = draw(st.sampled_from(here))
        parent = value
        for step in above:
            parent = parent[step]
        if draw(st.booleans()):
            parent[key] = draw(JSON)
        else:
            parent.pop(key)
    return value


def inspected(config: Any, files: dict[str, bytes]) -> tuple[str, dict[str, Any]]:
    """Return the text and the JSON of the inspection of these documents."""
    data = canonical_json.dumps(config)
    last = meta(files).blob
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blob_of(data, CONFIG).descriptor.as_json(),
        "layers": [*LAYERS, last.descriptor.as_json()],
    }
    content = b"".join(last.origin.pieces)  # type: ignore[union-attr,arg-type]
    root = canonical_json.dumps(manifest)
    shelf = Shelf(root, data, content)
    inspection = describe(read(shelf, blob_of(root, MANIFEST).descriptor))
    document = json.loads(display.to_json(display.plain(inspection)))
    return report(inspection, verbose=True), document


@given(changed(CONFIGURATION))
def test_any_configuration_is_shown_safely(config: Any) -> None:
    text, document = inspected(config, FILES)

    assert text == display.escape_lines(text)
    changed_run = config.get("config") != CONFIGURATION["config"]
    doubted = document["findings"] or document["unknown"]
    assert doubted or not changed_run or says_nothing(config)


def says_nothing(config: Any) -> bool:
    """Tell whether the only changes of the start are members that say nothing."""
    before = {k: v for k, v in CONFIGURATION["config"].items() if v}
    after = {k: v for k, v in (config.get("config") or {}).items() if v}
    return before == after


@given(st.sampled_from(["spec.json", "lock.json", "source.json", "weights.json"]), st.data())
def test_any_document_of_the_meta_layer_is_shown_safely(name: str, data: st.DataObject) -> None:
    original = json.loads(FILES[name])
    value = data.draw(changed(original))
    if name == "lock.json" and isinstance(value, dict):
        value.pop("integrity", None)
        value["integrity"] = digest_of(canonical_json.dumps(value))

    text, document = inspected(CONFIGURATION, {**FILES, name: canonical_json.dumps(value)})

    assert text == display.escape_lines(text)
    if value != original:
        assert document["findings"] or document["unknown"]


@given(changed(json.loads(metadata.nameplate(MOUNTED.spec, MOUNTED.lock.weights[0]))))
def test_any_nameplate_is_shown_safely(value: Any) -> None:
    image = MOUNTED.weights_image
    file = ("models/digits/.modelpack.json", canonical_json.dumps(value))
    image = replace(image, layers=(*image.layers[:-1], said(layer(file), "nameplate")))

    inspection = describe(read(shelf_of(image), image.manifest_blob.descriptor))

    text = report(inspection, verbose=True)
    assert text == display.escape_lines(text)
    told = value.get("digest") if isinstance(value, dict) else None
    assert inspection.findings or inspection.unknown or told == MOUNTED.lock.weights[0].digest


@given(st.binary(max_size=2000))
def test_any_bytes_as_meta_layer_are_shown_safely(content: bytes) -> None:
    manifest = {
        "schemaVersion": 2,
        "config": blob_of(canonical_json.dumps(CONFIGURATION), CONFIG).descriptor.as_json(),
        "layers": [*LAYERS, blob_of(content, TAR).descriptor.as_json()],
    }
    root = canonical_json.dumps(manifest)
    shelf = Shelf(root, canonical_json.dumps(CONFIGURATION), content)

    inspection = describe(read(shelf, blob_of(root, MANIFEST).descriptor))

    assert inspection.unknown
    assert inspection.weights == ()

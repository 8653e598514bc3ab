"""A comparison finds nothing between equals, everything between others, and has no direction."""

import json
from dataclasses import fields, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from modelpack import canonical_json
from modelpack.cli import display
from modelpack.cli.display.diff_report import report
from modelpack.comparison.comparing import compare
from modelpack.comparison.facts import facts
from modelpack.comparison.value import Content, Difference, Facts, FileFact, LayerFact, Package
from modelpack.inspection.reading import read
from modelpack.oci.layer import CONFIG, MANIFEST, blob_of
from tests.described_image import Shelf, meta
from tests.property.test_inspection_property import CONFIGURATION, changed
from tests.property.test_inspection_property import FILES as SAID
from tests.property.test_inspection_property import LAYERS as ABOVE

NAMES = st.sampled_from("abcd")
TEXTS = st.dictionaries(NAMES, NAMES, max_size=3)
FILES = st.dictionaries(
    NAMES,
    st.builds(
        FileFact, kind=st.sampled_from(["file", "symlink"]), mode=NAMES, uid=st.integers(0, 2),
        gid=st.just(0), size=st.just(1), sha256=NAMES, target=NAMES,
    ),
    max_size=3,
)  # fmt: skip
CONTENT = st.dictionaries(
    NAMES, st.builds(Content, size=st.integers(0, 3), sha256=NAMES), max_size=3
)
LAYERS = st.lists(
    st.builds(
        LayerFact, kind=st.just("code"), content=NAMES, digest=NAMES,
        diff_id=NAMES | st.just(""), size=st.integers(0, 9),
    ),
    max_size=4,
).map(tuple)  # fmt: skip
FACTS = st.builds(
    Facts,
    digest=NAMES, config_digest=NAMES, config_size=st.integers(0, 9), platform=NAMES,
    platforms=TEXTS, configuration=TEXTS, history=TEXTS, settings=TEXTS, build=TEXTS,
    packages=st.dictionaries(NAMES, st.builds(Package, version=NAMES, sha256=NAMES), max_size=3),
    weights=CONTENT, tensors=TEXTS, parameters=st.integers(0, 3), code=CONTENT, layers=LAYERS,
)  # fmt: skip
CHANGES = ("platforms", "configuration", "settings", "build", "packages", "weights", "tensors",
           "code", "files")  # fmt: skip


@given(FACTS, FILES)
def test_nothing_differs_from_itself(facts: Facts, files: dict[str, FileFact]) -> None:
    found = compare(facts, facts, files=(files, files))
    assert found.is_empty
    assert found.pull == 0
    assert "different" not in report(found)


@given(FACTS, FACTS, FILES, FILES)
def test_a_comparison_is_symmetric(
    one: Facts, other: Facts, files: dict[str, FileFact], more: dict[str, FileFact]
) -> None:
    there = compare(one, other, files=(files, more))
    back = compare(other, one, files=(more, files))
    for name in CHANGES:
        assert _turned(there, name) == getattr(back, name)
    assert there.is_empty == back.is_empty
    assert _moved(there, "added") == _moved(back, "removed")
    assert _moved(there, "removed") == _moved(back, "added")
    assert report(there)


@given(FACTS, FACTS)
def test_what_differs_is_said(one: Facts, other: Facts) -> None:
    if one.config_digest != other.config_digest:
        assert not compare(one, other).is_empty
    for name in ("settings", "build", "packages", "weights", "tensors", "code", "parameters"):
        if getattr(one, name) != getattr(other, name):
            assert not compare(one, other).is_empty


def test_every_table_of_a_difference_decides() -> None:
    tables = {f.name for f in fields(Difference)}
    assert tables >= set(CHANGES)


def _turned(difference: Difference, name: str) -> tuple[object, ...]:
    return tuple(
        replace(change, before=change.after, after=change.before)
        for change in getattr(difference, name)
    )


def _moved(difference: Difference, state: str) -> set[str]:
    return {row.layer.identity for row in difference.layers if row.state == state}


def facts_of(config: Any, files: dict[str, bytes]) -> Facts:
    """Return the facts of the image with these documents."""
    data = canonical_json.dumps(config)
    last = meta(files).blob
    root = canonical_json.dumps({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blob_of(data, CONFIG).descriptor.as_json(),
        "layers": [*ABOVE, last.descriptor.as_json()],
    })  # fmt: skip
    shelf = Shelf(root, data, b"".join(last.origin.pieces))  # type: ignore[union-attr,arg-type]
    return facts(read(shelf, blob_of(root, MANIFEST).descriptor))


UNCHANGED = facts_of(CONFIGURATION, SAID)


@given(changed(CONFIGURATION))
def test_any_change_of_a_configuration_is_a_difference_and_shown_safely(config: Any) -> None:
    other = facts_of(config, SAID)
    found = compare(UNCHANGED, other)
    assert found.is_empty == (other.config_digest == UNCHANGED.config_digest)
    text = report(found)
    assert display.escape_lines(text) == text
    assert compare(other, other).is_empty
    assert display.to_json(display.plain(found))


@given(st.sampled_from(["spec.json", "lock.json", "source.json"]), st.data())
def test_any_change_of_what_an_image_says_is_a_difference(name: str, data: st.DataObject) -> None:
    original = json.loads(SAID[name])
    value = data.draw(changed(original))
    other = facts_of(CONFIGURATION, {**SAID, name: canonical_json.dumps(value)})
    found = compare(UNCHANGED, other)
    assert found.is_empty <= (value == original)
    text = report(found)
    assert display.escape_lines(text) == text

"""How two images differ, from what they say of themselves."""

import io
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from modelpack import canonical_json
from modelpack.comparison import layer_files
from modelpack.comparison.comparing import compare
from modelpack.comparison.facts import facts, flat
from modelpack.comparison.value import Change, Difference, Facts, FileFact, LayerFact
from modelpack.digest import of as digest_of
from modelpack.errors import InputError, Unavailable
from modelpack.inspection.reading import read
from modelpack.oci.image import Image
from modelpack.oci.layer import Descriptor
from modelpack.oci.tar import Entry, directory, pieces, symlink
from modelpack.spec import Image as ImageSpec
from modelpack.spec import Model
from tests import values
from tests.described_image import WEIGHTS, described, shelf_of
from tests.images import image


def facts_of(made: Image) -> Facts:
    return facts(read(shelf_of(made), made.manifest_blob.descriptor))


def difference(before: Image, after: Image) -> Difference:
    return compare(facts_of(before), facts_of(after))


def keys(changes: Iterable[Change[Any]]) -> list[tuple[str, str]]:
    return [(change.kind, change.key) for change in changes]


def test_an_image_does_not_differ_from_itself() -> None:
    found = difference(described().image(), described().image())
    assert found.is_empty
    assert found.pull == 0
    assert {row.state for row in found.layers} == {"shared"}
    assert not found.unknown


def test_a_label_is_named_with_the_setting_that_made_it() -> None:
    spec = values.spec(image=ImageSpec(labels={"team": "vision"}))
    found = difference(described().image(), described(spec=spec).image())
    assert ("added", "Labels.team") in keys(found.configuration)
    assert any(change.key.startswith("image.labels") for change in found.settings)
    assert (found.packages, found.weights, found.code, found.tensors) == ((), (), (), ())
    assert [row.layer.kind for row in found.layers if row.state == "added"] == ["meta"]


def test_a_tensor_that_changed_is_named_with_both_shapes() -> None:
    other = replace(
        WEIGHTS[1], sha256=values.sha("c"),
        tensors=("BF16 [1000,40] model.embed", "F32 [] scale", "F32 [7] bias"),
    )  # fmt: skip
    found = difference(described().image(), described(WEIGHTS[0], other, WEIGHTS[2]).image())
    tensors = {change.key.partition(": ")[2]: change for change in found.tensors}
    assert (tensors["model.embed"].before, tensors["model.embed"].after) == (
        "BF16 [1000,20]", "BF16 [1000,40]",
    )  # fmt: skip
    assert (tensors["bias"].before, tensors["bias"].after) == ("BF16 [7]", "F32 [7]")
    assert "scale" not in tensors
    assert found.parameters is not None
    assert (found.parameters.after or 0) - (found.parameters.before or 0) == 20_000
    assert [change.key.rpartition("/")[2] for change in found.weights] == [
        "model-00001-of-00002.safetensors"
    ]


def test_a_tensor_in_another_shard_is_the_same_tensor() -> None:
    first, second = WEIGHTS[1], WEIGHTS[2]
    moved = (
        replace(first, tensors=first.tensors[:2]),
        replace(second, tensors=(*second.tensors, first.tensors[2])),
    )
    found = difference(described().image(), described(WEIGHTS[0], *moved).image())
    assert not found.tensors
    assert found.parameters is None


def test_a_wheel_of_the_same_version_can_be_another_file() -> None:
    locked = described().lock
    platform = locked.platforms[0]
    wheel = replace(platform.wheels[0], sha256=values.sha("other"))
    lock = replace(locked, platforms=(replace(platform, wheels=(wheel, *platform.wheels[1:])),))
    found = difference(described().image(), described(lock=lock).image())
    (change,) = found.packages
    assert change.key == f"wheel {wheel.name}"
    assert change.before is not None
    assert change.after is not None
    assert change.before.version == change.after.version
    assert change.before.sha256 != change.after.sha256


def test_a_code_file_is_compared_by_content() -> None:
    source = described().source
    files = (replace(source.files[0], sha256=values.sha("z")), *source.files[1:])
    other = replace(
        source, files=files, digest=digest_of(canonical_json.dumps(canonical_json.plain(files)))
    )
    found = difference(described().image(), described(source=other).image())
    assert keys(found.code) == [("changed", source.files[0].path)]


def test_what_must_be_pulled_is_each_missing_blob_once() -> None:
    before = Facts(digest="a", config_digest="c1", layers=(_layer("x", 10),))
    after = Facts(
        digest="b", config_digest="c2", config_size=7,
        layers=(_layer("x", 10), _layer("y", 100), _layer("y", 100)),
    )  # fmt: skip
    assert compare(before, after).pull == 107
    assert compare(after, before).pull == 0


def test_a_layer_compressed_otherwise_is_pulled_but_no_difference() -> None:
    before = Facts(digest="a", config_digest="c", layers=(_layer("x", 10),))
    after = replace(before, digest="b", layers=(replace(_layer("x", 12), digest="packed"),))
    found = compare(before, after)
    assert [row.state for row in found.layers] == ["stored-otherwise"]
    assert found.is_empty
    assert found.pull == 12


def test_another_order_of_layers_is_a_difference() -> None:
    before = Facts(digest="a", config_digest="c", layers=(_layer("x", 1), _layer("y", 1)))
    after = replace(before, digest="b", config_digest="d", layers=before.layers[::-1])
    assert keys(compare(before, after).configuration) == [("changed", "configuration")]


def test_images_of_others_are_compared_by_layers_and_configuration() -> None:
    found = difference(image("one", "two"), image("one", "three"))
    assert not found.is_empty
    assert [row.state for row in found.layers] == ["shared", "added", "removed"]
    assert len(found.unknown) == 2
    spec = values.spec(model=Model(name="other", version="1"))
    assert not difference(image("one"), described(spec=spec).image()).is_empty


def test_other_platforms_of_two_indexes_count() -> None:
    platforms = {"linux/amd64": "1", "linux/arm64": "2"}
    before = Facts(digest="1", config_digest="c", platform="linux/amd64", platforms=platforms)
    after = replace(before, platforms={"linux/amd64": "1", "linux/arm64": "3"})
    assert keys(compare(before, after).platforms) == [("changed", "linux/arm64")]
    assert compare(before, replace(before, platforms={})).is_empty


def test_settings_are_told_apart_by_path_and_name() -> None:
    value = {"a": {"b": 1, "c": ["x", "y"]}, "weights": [{"name": "m", "path": "w"}, {"path": "v"}]}
    assert flat(value) == {
        "a.b": "1", "a.c": '["x","y"]', "weights[m].name": "m", "weights[m].path": "w",
        "weights[1].path": "v",
    }  # fmt: skip


def test_files_of_a_layer_by_mode_owner_and_content() -> None:
    entries = [
        directory("app"),
        Entry(path="app/run", mode=0o4755, uid=3_000_000, gid=7, content=b"hello"),
        symlink("app/link", "run"),
    ]
    data = _tar(*entries)
    found = layer_files.of_layer(io.BytesIO(data), diff_id=digest_of(data), at="layer")
    assert list(found) == ["app", "app/run", "app/link"]
    run = found["app/run"]
    assert (run.kind, run.mode, run.uid, run.gid, run.size) == ("file", "4755", 3_000_000, 7, 5)
    assert run.sha256 == digest_of(b"hello").removeprefix("sha256:")
    assert found["app/link"].target == "run"


def test_a_layer_that_is_not_the_named_one_is_refused() -> None:
    with pytest.raises(InputError, match="as the configuration says"):
        layer_files.of_layer(io.BytesIO(_tar()), diff_id=digest_of(b"other"), at="layer")


def test_layers_of_an_engine_cannot_be_read() -> None:
    with pytest.raises(Unavailable, match="engine"):
        layer_files.opened(object(), Descriptor(media_type="", digest=digest_of(b""), size=0))


def test_layers_lie_on_each_other() -> None:
    below = {path: _fact() for path in ("a/x", "a/y", "b/x", "c", "d/x")}
    below["d"] = _fact(kind="directory")
    layer = {path: _fact() for path in ("a/.wh.x", "b/.wh..wh..opq", "b/new", "d")}
    assert sorted(layer_files.merged(below, layer)) == ["a/y", "b/new", "c", "d"]


def _fact(kind: str = "file") -> FileFact:
    return FileFact(kind=kind, mode="0644", uid=0, gid=0, size=0, sha256="", target="")


def _layer(name: str, size: int) -> LayerFact:
    return LayerFact(kind="", content="", digest=name, diff_id=f"diff {name}", size=size)


def _tar(*entries: Entry) -> bytes:
    return b"".join(piece for piece in pieces(entries) if isinstance(piece, bytes))

"""Sources of weights as they are written, and the URIs that name what was locked."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelpack import spec
from modelpack.errors import InputError, Refused
from modelpack.fetching import choosing
from modelpack.fetching.place import Listing, RemoteFile
from modelpack.lock import FileVersion, WeightsSource, sources
from modelpack.reference import Archive, Layout, Registry
from modelpack.spec import weight_source
from modelpack.spec.weight_source import Bucket, Hub, Stored, Website, parse
from tests import values

COMMIT = "0123456789abcdef0123456789abcdef01234567"
DIGEST = values.digest("7")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"hf://acme/tiny@{COMMIT}", Hub("acme/tiny", COMMIT)),
        ("hf://acme/tiny@refs/pr/7", Hub("acme/tiny", "refs/pr/7")),
        ("hf://gpt2", Hub("gpt2", "main")),
        ("s3://models/a/b", Bucket("models", "a/b")),
        ("s3://models", Bucket("models", "")),
        ("https://h.example:8443/a/m.safetensors",
         Website("https://h.example:8443/a/m.safetensors")),
        ("oci:dist/image:1.0", Stored(Layout("dist/image", "1.0"))),
        ("oci-archive:image.tar", Stored(Archive("oci-archive", "image.tar"))),
        ("ghcr.io/acme/tiny:1.0", Stored(Registry("ghcr.io", "acme/tiny", "1.0"))),
        ("docker://acme/tiny", Stored(Registry("docker.io", "acme/tiny"))),
        ("localhost/tiny:1", Stored(Registry("localhost", "tiny", "1"))),
    ],
)  # fmt: skip
def test_a_source_says_what_it_is(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    ["weights", "acme/tiny", "./weights", "/weights", "docker-daemon:x", "http://h.example/f",
     "https://u:p@h.example/f", "https://h.example/f?t=1", "https://h.example/f#x",
     "https://h.example", "https:///f", "hf://a b@main", "hf://acme/tiny@", "hf://acme/tiny@a..b",
     "hf://@main", "hf://acme/tiny@/x", "s3://x", "s3:///key", "s3://b/a key", "ftp://h/f",
     "ghcr.io/UPPER/x:1", "oci:", "x" * 3000],
)  # fmt: skip
def test_what_is_no_source_is_refused(text):
    with pytest.raises(InputError) as refused:
        parse(text, at="weights.source")
    assert refused.value.findings[0].at == "weights.source"


@given(st.text(max_size=60))
def test_whatever_is_written_is_a_source_or_refused(text):
    for start in ("", "hf://", "s3://", "https://", "oci:", "docker://"):
        try:
            found = parse(start + text)
        except InputError:
            continue
        assert parse(str(found)) == found


@pytest.mark.parametrize(
    ("uri", "revision", "single", "version", "expected"),
    [
        ("hf://acme/tiny@main", COMMIT, False, "", f"hf://acme/tiny@{COMMIT}/a/b.json"),
        ("s3://models/tiny", "", False, "v1", "s3://models/tiny/a/b.json?versionId=v1"),
        ("s3://models/tiny/", "", False, "", "s3://models/tiny/a/b.json"),
        ("s3://models", "", False, "", "s3://models/a/b.json"),
        ("s3://models/x/b.json", "", True, "", "s3://models/x/b.json"),
        ("https://h.example/t/", "", False, "", "https://h.example/t/a/b.json"),
        ("https://h.example/t/b.json", "", True, "", "https://h.example/t/b.json"),
        ("ghcr.io/acme/tiny:1", DIGEST, False, "", f"ghcr.io/acme/tiny@{DIGEST}#a/b.json"),
        ("oci:up/image:1", DIGEST, False, "", f"oci:up/image@{DIGEST}#a/b.json"),
    ],
)
def test_a_locked_file_has_a_uri_of_its_own(uri, revision, single, version, expected):
    file = values.weight_file("a/b.json", 3)
    weights = values.weights_lock(file)
    source = WeightsSource(
        uri=uri, revision=revision, single=single,
        versions=(FileVersion(path=file.path, version=version),),
    )  # fmt: skip
    weights = replace(weights, source=source)
    assert sources.uris(weights) == {"a/b.json": expected}
    assert weight_source.pinned(uri, revision) == sources.pinned(weights)


def test_what_an_image_calls_its_source_is_shown_as_it_stands():
    weights = replace(
        values.weights_lock(values.weight_file("a", 3)), source=WeightsSource(uri="\x1b[31m?")
    )
    assert sources.pinned(weights) == "\x1b[31m?"


def listing(*paths: str) -> Listing:
    return Listing(files=tuple(RemoteFile(path=path, size=1) for path in paths))


def test_include_and_exclude_choose_as_they_do_in_a_folder():
    weights = spec.Weights(name="tiny", include=("*.json", "a/**"), exclude=("a/no*",))
    wanted = choosing.wanted(weights)
    assert [p for p in ("x.json", "b/x.json", "a/yes", "a/no", "x.bin", ".modelpack.json")
            if wanted(p)] == ["x.json", "b/x.json", "a/yes"]  # fmt: skip


@pytest.mark.parametrize(
    "path",
    ["..", "../x", "a/../x", "/x", "a//x", "./x", "a/.", "", "a\\x", "a\nx", "\u202ex", "C:x",
     "x" * 256, "a/" * 600 + "x", "\udc80"],
)  # fmt: skip
def test_a_name_that_no_folder_may_have_is_refused(path):
    with pytest.raises(Refused) as refused:
        choosing.check(listing("good.json", path), spec.Weights(name="tiny"))
    (finding,) = refused.value.findings
    assert finding.at == "weights.tiny.source"
    assert finding.message.isprintable()


@pytest.mark.parametrize("paths", [("a.json", "A.json"), ("a", "a"), ("a", "a/b")])
def test_names_that_would_be_one_are_refused(paths):
    with pytest.raises(Refused):
        choosing.check(listing(*paths), spec.Weights(name="tiny"))


def test_nothing_and_too_much_are_refused():
    with pytest.raises(Refused, match="matches"):
        choosing.check(listing(), spec.Weights(name="tiny"))
    many = (f"{number}.json" for number in range(choosing.FILE_LIMIT + 1))
    with pytest.raises(Refused, match="more than"):
        choosing.check(listing(*many), spec.Weights(name="tiny"))

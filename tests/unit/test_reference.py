"""Names of images: each transport, Docker Hub's short names, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelpack.errors import InputError
from modelpack.reference import (
    Archive,
    ContainersStorage,
    Daemon,
    Layout,
    Project,
    Registry,
    parse,
    registry,
)

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", Project(".")),
        (".", Project(".")),
        ("./a:b", Project("./a:b")),
        ("../x", Project("../x")),
        ("/srv/model", Project("/srv/model")),
        ("oci:dist/image", Layout("dist/image")),
        ("oci:/a/b:1.2.0", Layout("/a/b", "1.2.0")),
        (f"oci:a@{DIGEST}", Layout("a", "", DIGEST)),
        ("oci:a:b/c", Layout("a:b/c")),
        ("oci-archive:a.tar", Archive("oci-archive", "a.tar")),
        ("docker-archive:/x/a:b.tar", Archive("docker-archive", "/x/a:b.tar")),
        ("docker-daemon:a:1", Daemon(Registry("docker.io", "library/a", "1"))),
        ("containers-storage:localhost/a", ContainersStorage(Registry("localhost", "a"))),
        ("docker://a/b", Registry("docker.io", "a/b")),
        ("alpine", Registry("docker.io", "library/alpine")),
        ("alpine:3", Registry("docker.io", "library/alpine", "3")),
        ("acme/x", Registry("docker.io", "acme/x")),
        ("index.docker.io/x", Registry("docker.io", "library/x")),
        ("docker.io/x:1", Registry("docker.io", "library/x", "1")),
        ("localhost/x", Registry("localhost", "x")),
        ("localhost:5000/a/b:t", Registry("localhost:5000", "a/b", "t")),
        ("[::1]:5000/a", Registry("[::1]:5000", "a")),
        ("ghcr.io/a/b-c__d.e", Registry("ghcr.io", "a/b-c__d.e")),
        (f"ghcr.io/a/b:t@{DIGEST}", Registry("ghcr.io", "a/b", "t", DIGEST)),
        ("oci/x", Registry("docker.io", "oci/x")),
        ("oci-archive/x:1", Registry("docker.io", "oci-archive/x", "1")),
    ],
)
def test_names_parse_as_they_are_documented(text, value):
    assert parse(text) == value
    assert parse(str(value)) == value


@pytest.mark.parametrize(
    "text",
    ["oci:", "oci::tag", "oci:a:", "oci:a:b c", f"oci:a:t@{DIGEST}", "oci-archive:", "docker://",
     "docker-daemon:", "containers-storage:", "UPPER", "a b", "a//b", "ghcr.io/", "ghcr.io/A",
     "a:", "a@sha256:12", "a@sha512:" + "0" * 128, "a@", "https://ghcr.io/a", "hf://o/r",
     "-x", "a..b", "a_-b", "ghcr.io:port/a", "ho_st.io/a", "a\x00b", "./a\nb", "oci:\x1b", "~/x",
     "a/" * 200 + "b", "x" * 5000, "ghcr.io:123456/a", "docker.io//x"],
)  # fmt: skip
def test_what_names_no_image_is_refused(text):
    with pytest.raises(InputError) as caught:
        parse(text, at="IMAGE")
    assert {finding.at for finding in caught.value.findings} == {"IMAGE"}


def test_a_url_is_answered_with_the_name_to_write():
    with pytest.raises(InputError) as caught:
        parse("https://ghcr.io/acme/x")
    assert caught.value.findings[0].hint == "write `ghcr.io/acme/x`"


def test_a_repository_name_has_its_host():
    assert registry("acme/x:1").name == "docker.io/acme/x"


ALPHABET = st.sampled_from([*"aA0._-:/@[]~ ", "oci:", "docker://", f"@{DIGEST}", "docker.io/"])


@given(st.lists(ALPHABET, max_size=12).map("".join) | st.text(max_size=30))
def test_whatever_parses_is_written_and_parsed_back(text):
    try:
        value = parse(text)
    except InputError:
        return
    assert parse(str(value)) == value
    assert str(parse(str(value))) == str(value)

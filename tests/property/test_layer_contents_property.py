"""Records in layers are somebody's text: whatever it is, reading ends, and is remembered whole."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from modelpack.digest import of as digest_of
from modelpack.inputs import layer_contents
from modelpack.inputs.debian import copyright as debian_copyright
from modelpack.inputs.layer_memory import LayerMemory
from modelpack.inputs.python import core_metadata
from modelpack.oci.tar import Entry, symlink

PATHS = st.sampled_from([
    "var/lib/dpkg/status", "var/lib/dpkg/status.d/x", "usr/share/doc/x/copyright",
    "opt/venv/lib/python3.13/site-packages/x-1.dist-info/METADATA", "x.egg-info",
    "etc/os-release", "a/.wh.b", ".wh..wh..opq", "usr/share/doc/x", "elsewhere",
])  # fmt: skip
LINES = st.sampled_from([
    "Package: a", "Version: 1:2-3", "Source: b (4)", "Depends: c | d (>= 1), e:any", "Files: *",
    "License: GPL-2+ or Artistic, and Expat with font exception", " .", "", "Name: A.b",
    "Requires-Dist: x[y] (>1); extra == 'z'", "License-Expression: MIT OR (ISC", "ID='debian",
    "Classifier: License :: OSI Approved :: MIT License", "Status: install ok half-installed",
    "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/", ":", "\t", "#",
])  # fmt: skip
CONTENT = st.one_of(
    st.binary(max_size=60),
    st.lists(st.one_of(LINES, st.text(max_size=12)), max_size=9).map(
        lambda lines: "\n".join(lines).encode(errors="replace")
    ),
)
ENTRIES = st.lists(
    st.one_of(
        st.builds(lambda path, content: Entry(path=path, content=content), PATHS, CONTENT),
        st.builds(symlink, PATHS, st.text(max_size=20)),
    ),
    max_size=6,
)


@given(ENTRIES)
@settings(max_examples=300)
def test_reading_ends_and_is_remembered_whole(entries: list[Entry]) -> None:
    found = layer_contents.of_entries(entries)
    with tempfile.TemporaryDirectory() as folder:
        memory, key = LayerMemory(Path(folder)), digest_of(b"layer")
        memory.keep(key, found)
        assert memory.get(key) == found
    assert layer_contents.merged([found, found]).packages.keys() <= found.packages.keys()


@given(CONTENT)
@settings(max_examples=300)
def test_any_copyright_and_metadata_file_has_an_answer(content: bytes) -> None:
    licenses = debian_copyright.licenses(content)
    assert not (licenses.expression and licenses.names)
    known = core_metadata.parse(content)
    assert known is None or (known.name and known.version)

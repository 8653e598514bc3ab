"""Layers are put on one another as engines do it, and whatever is in them stays in them."""

import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from base_images import Member, elf, file, folder, layer, libc, link, packed
from hypothesis import given
from hypothesis import strategies as st

from modelpack.digest import of as digest_of
from modelpack.errors import InputError, Refused
from modelpack.inputs.base_image import layer_stream, looking
from modelpack.inputs.base_image.content_notes import Noted, note
from modelpack.inputs.base_image.contents import Contents, dump, parse
from modelpack.inputs.base_image.merged_tree import MergedTree
from modelpack.lock import BaseLayer
from modelpack.oci.layer import TAR
from modelpack.oci.tar_reading import passing

SEARCH = ("/usr/local/bin", "/usr/bin", "/bin")


def merged(*layers: Sequence[Member]) -> MergedTree:
    tree = MergedTree()
    for number, members in enumerate(layers):
        stream = layer_stream.LayerStream(io.BytesIO(layer(*members)), limit=1 << 30, at="layer")
        for header in passing(stream, at="layer"):
            tree.add(header, number, at="layer")
    return tree


def paths(tree: MergedTree) -> list[str]:
    return sorted(path for path, node in tree.below() if node.kind != "directory")


def look(tmp_path: Path, *layers: bytes, search: Sequence[str] = SEARCH) -> Contents:
    locked, files = [], {}
    for number, data in enumerate(layers):
        stored = packed(data)
        files[digest_of(stored)] = tmp_path / str(number)
        files[digest_of(stored)].write_bytes(stored)
        locked.append(
            BaseLayer(
                digest=digest_of(stored), diff_id=digest_of(data), size=len(stored), media_type=TAR
            )
        )
    return looking.look(locked, files, search=search, name="base")


def read_whole(path: Path) -> str:
    with layer_stream.opened(path, limit=1 << 20, at="x") as stream:
        list(passing(stream, at="x"))
        return stream.finish()


def test_a_later_layer_replaces_and_adds() -> None:
    tree = merged([file("a", b"1"), file("b")], [file("a", b"22"), file("c/d")])
    assert paths(tree) == ["/a", "/b", "/c/d"]
    found = tree.file("/a")
    assert found is not None
    assert found[1].size == 2


def test_a_whiteout_takes_away_a_file_and_a_tree() -> None:
    tree = merged([file("a"), file("b/c/d"), file("b2")], [file(".wh.a"), file(".wh.b")])
    assert paths(tree) == ["/b2"]
    assert tree.find("/b") is None


def test_a_whiteout_hides_lower_layers_only_wherever_it_stands() -> None:
    for members in ([file(".wh.a"), file("a/new")], [file("a/new"), file(".wh.a")]):
        tree = merged([file("a/old"), file("a/deep/old")], members)
        assert paths(tree) == ["/a/new"]


def test_an_opaque_folder_hides_what_is_below_and_keeps_what_is_new() -> None:
    for members in (
        [folder("a"), file("a/.wh..wh..opq"), file("a/new")],
        [folder("a"), file("a/new"), file("a/.wh..wh..opq")],
    ):
        tree = merged([file("a/old"), file("a/deep/old"), file("b")], members)
        assert paths(tree) == ["/a/new", "/b"]


def test_a_whiteout_of_nothing_is_nothing() -> None:
    assert paths(merged([file("a")], [file(".wh.b"), file("x/.wh..wh..opq")])) == ["/a"]


def test_a_file_in_the_place_of_a_folder_takes_its_tree_along() -> None:
    assert paths(merged([file("a/b"), file("a/c")], [file("a")])) == ["/a"]
    assert paths(merged([file("a")], [file("a/b")])) == ["/a/b"]


def test_links_are_followed_within_the_image() -> None:
    tree = merged([
        file("usr/bin/python3.13"), link("usr/bin/python3", "python3.13"), link("bin", "usr/bin"),
        link("absolute", "/bin/python3"), link("up", "../../../usr/bin/python3"),
        link("loop", "loop"), link("dead", "nowhere"), link("here", "."),
    ])  # fmt: skip
    for name in ("/bin/python3", "/absolute", "/up", "/here/here/bin/python3.13",
                 "/usr/../bin/./python3"):  # fmt: skip
        found = tree.file(name)
        assert found is not None, name
        assert found[0] == "/usr/bin/python3.13"
    for name in ("/loop", "/dead", "/usr/bin", "/usr/bin/python3/x", "/nothing"):
        assert tree.file(name) is None


def test_what_is_written_through_a_link_lands_where_it_leads() -> None:
    tree = merged([folder("usr/lib"), link("lib", "usr/lib")], [file("lib/libc.so.6")])
    assert "/usr/lib/libc.so.6" in paths(tree)
    assert paths(merged([link("lib", "/nowhere")], [file("lib/x")])) == ["/lib/x"]


def test_a_hard_link_is_what_it_links_to() -> None:
    tree = merged([file("a", b"123", mode=0o4755), link("b", "a", hard=True)])
    found = tree.file("/b")
    assert found is not None
    assert (found[1].size, found[1].mode) == (3, 0o4755)
    with pytest.raises(InputError, match="hard link to what is not there"):
        merged([link("b", "a", hard=True)])


@pytest.mark.parametrize("name", ["../a", "a/../../b", "x/" * 300 + "y", "a" * 5000])
def test_a_path_that_leads_out_or_is_absurd_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="unsafe path"):
        merged([file(name)])


@pytest.mark.parametrize("name", ["./a", "/a", "a/", "././a"])
def test_a_path_is_normal_however_it_is_written(name: str) -> None:
    assert merged([file(name, b"")]).find("/a") is not None


names = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map("/".join)
members = st.lists(
    st.one_of(
        st.builds(file, names), st.builds(folder, names),
        st.builds(link, names, st.sampled_from(["a", "/b", "../c", "a/b", ".", "/"])),
        st.builds(lambda path: file(f".wh.{path}"), st.sampled_from("abc")),
        st.builds(lambda path: file(f"{path}/.wh..wh..opq"), names),
    ),
    max_size=12,
)  # fmt: skip


@given(st.lists(members, max_size=4))
def test_no_order_of_layers_and_links_breaks_it(layers: list[list[Member]]) -> None:
    tree = merged(*layers)
    for path, node in tree.below():
        assert ".wh." not in path
        found = tree.find(path)
        assert node.kind == "symlink" or (found is not None and found[1] is node)


@given(members)
def test_a_last_opaque_root_leaves_nothing(lower: list[Member]) -> None:
    assert paths(merged(lower, [file(".wh..wh..opq")])) == []


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        ("usr/bin/python3.13", elf(b"3.13.5"), Noted(version="3.13.5", machine="x86_64")),
        ("./opt/x/bin/python3.9", elf(b"3.9.18"), Noted(version="3.9.18", machine="x86_64")),
        ("usr/bin/python3.14", elf(b"3.14.0rc2+"), Noted(version="3.14.0rc2+", machine="x86_64")),
        ("usr/bin/python3.13", elf(b"3.12.1"), Noted(machine="x86_64")),
        ("usr/bin/python3.13", elf(b"see 3.13.5"), Noted(machine="x86_64")),
        ("usr/bin/python3.13", elf(b"3.13.5", "arm64"), Noted(version="3.13.5", machine="aarch64")),
        ("usr/bin/python3.13", b"#!/bin/sh\n\x003.13.5\0", Noted()),
        ("usr/bin/python3.13", b"", Noted()),
        ("usr/lib/libpython3.13.so.1.0", elf(b"3.13.5"),
         Noted(version="3.13.5", machine="x86_64")),
        ("lib/x86_64-linux-gnu/libc.so.6", libc("2.36"), Noted(version="2.36", machine="x86_64")),
        ("lib/libc-2.31.so", libc("2.31"), Noted(version="2.31", machine="x86_64")),
        ("usr/include/python3.13/patchlevel.h", b'x\n#define PY_VERSION   "3.13.5+"\n',
         Noted(version="3.13.5+")),
        ("usr/bin/python3", elf(b"3.13.5"), None),
        ("usr/bin/python3.13-config", elf(b"3.13.5"), None),
        ("usr/share/python3.13", elf(b"3.13.5"), None),
    ],
)  # fmt: skip
def test_files_tell_their_versions(path: str, content: bytes, expected: Noted | None) -> None:
    assert note(path, io.BytesIO(content)) == expected


@pytest.mark.parametrize("gap", [0, 250 << 10, (256 << 10) - 121, (256 << 10) - 118, 3 << 20])
def test_a_version_is_found_across_blocks(gap: int) -> None:
    content = elf() + bytes(gap) + b"\x003.13.5\0" + bytes(1000)
    assert note("bin/python3.13", io.BytesIO(content)) == Noted(version="3.13.5", machine="x86_64")


def test_an_image_is_looked_into_once_for_all(tmp_path: Path) -> None:
    first = layer(
        folder("usr/bin"), link("bin", "usr/bin"),
        file("usr/local/bin/python3.13", elf(), mode=0o755),
        link("usr/local/bin/python3", "python3.13"),
        file("usr/local/lib/libpython3.13.so.1.0", elf(b"3.13.5")),
        file("usr/local/lib/python3.13/os.py"),
        file("usr/bin/python3.11", elf(b"3.11.2"), mode=0o755),
        link("usr/bin/python3", "python3.11"),
        file("usr/lib/python3.11/os.py"),
        file("usr/bin/python3.9", elf(b"3.9.2")),
        file("lib/x86_64-linux-gnu/libc.so.6", libc()),
        file("usr/bin/bash"), link("usr/bin/sh", "bash"), file("usr/bin/x86_64-linux-gnu-gcc-14"),
        file("usr/local/bin/pip3.13"), file("usr/share/bash"),
        file("usr/bin/su", mode=0o4755), file("usr/bin/chage", mode=0o2755),
        folder("var/open", mode=0o777), folder("tmp", mode=0o1777),
        folder("theirs", mode=0o777, uid=5), file("etc/open", mode=0o666),
        file("etc/ssl/certs/ca-certificates.crt"), file("etc/pki/tls/certs/ca-bundle.crt", b""),
        file("opt/tool/bin/run"), link("srv", "opt"), folder("app"),
    )  # fmt: skip
    found = look(tmp_path, first, layer(file("usr/bin/.wh.su")))
    assert [(p.path, p.version, p.proof) for p in found.pythons] == [
        ("/usr/local/bin/python3.13", "3.13.5", "/usr/local/lib/libpython3.13.so.1.0"),
        ("/usr/bin/python3.11", "3.11.2", "/usr/bin/python3.11"),
    ]
    assert [p.minor for p in found.pythons] == ["3.13", "3.11"]
    assert found.default == "/usr/local/bin/python3.13"
    assert found.without_library == ("/usr/bin/python3.9",)
    assert (found.glibc, found.musl) == ("2.41", False)
    assert found.certificates == ("/etc/ssl/certs/ca-certificates.crt",)
    assert found.shells.paths == ("/usr/bin/bash", "/usr/bin/sh")
    assert found.compilers.paths == ("/usr/bin/x86_64-linux-gnu-gcc-14",)
    assert found.package_managers.paths == ("/usr/local/bin/pip3.13",)
    assert found.setuid.paths == ("/usr/bin/chage",)
    assert set(found.writable.paths) == {"/var/open", "/etc/open"}
    assert found.folders == ("/opt/tool/bin",)
    assert found.links == ("/srv",)
    assert parse(dump(found)) == found


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"version": 0}', b'{"version": 1}', b"null"])
def test_a_damaged_memory_is_no_memory(data: bytes) -> None:
    assert parse(data) is None


def test_many_finds_are_counted(tmp_path: Path) -> None:
    found = look(tmp_path, layer(*(file(f"x/{n}", mode=0o4755) for n in range(50))))
    assert found.setuid.count == 50
    assert len(found.setuid.paths) == 20


def test_names_that_a_terminal_would_obey_are_escaped(tmp_path: Path) -> None:
    found = look(tmp_path, layer(file("x/\x1b[2J", mode=0o4755), file("opt/\x1b]0;x/y")))
    assert found.setuid.paths == ("/x/\\x1b[2J",)
    assert all(path.isprintable() for path in found.folders)


def test_musl_is_told_from_glibc(tmp_path: Path) -> None:
    found = look(tmp_path, layer(file("lib/ld-musl-x86_64.so.1"), file("lib/libc.so.6", b"")))
    assert (found.musl, found.glibc) == (True, "")


@pytest.mark.parametrize("suffix", ["plain", "gzip", "members", "zstd"])
def test_layers_are_read_however_they_are_compressed(tmp_path: Path, suffix: str) -> None:
    data = layer(file("a", bytes(3 << 20)), file("b"))
    half = len(data) // 2
    stored = {
        "plain": data, "gzip": packed(data), "members": packed(data[:half]) + packed(data[half:]),
    }.get(suffix)  # fmt: skip
    if stored is None:
        zstandard = pytest.importorskip("zstandard")
        stored = zstandard.compress(data[:half]) + zstandard.compress(data[half:])
    path = tmp_path / "layer"
    path.write_bytes(stored)
    with layer_stream.opened(path, limit=1 << 30, at="layer") as stream:
        assert [header.name for header in passing(stream, at="layer")] == ["a", "b"]
        assert stream.finish() == digest_of(data)


@pytest.mark.parametrize(
    "stored",
    [packed(b"x" * 9000)[:-9], packed(b"x" * 9000)[:-4] + b"????", b"\x1f\x8bnot gzip",
     b"\x28\xb5\x2f\xfdnot zstd", b"", b"not a tar", packed(b"not a tar" * 99)],
)  # fmt: skip
def test_a_damaged_layer_is_refused(tmp_path: Path, stored: bytes) -> None:
    path = tmp_path / "layer"
    path.write_bytes(stored)
    with pytest.raises(InputError):
        read_whole(path)


def test_an_empty_layer_is_one(tmp_path: Path) -> None:
    path = tmp_path / "layer"
    path.write_bytes(packed(bytes(1024)))  # as Docker writes for what changes nothing
    assert read_whole(path) == digest_of(bytes(1024))


def test_a_bomb_goes_off_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "layer"
    path.write_bytes(packed(layer(file("a", bytes(8 << 20)))))
    with (
        pytest.raises(InputError, match="more than 4194304 bytes"),
        layer_stream.opened(path, limit=4 << 20, at="x") as stream,
    ):
        list(passing(stream, at="x"))


def test_a_layer_that_is_not_the_one_of_the_configuration_is_refused(tmp_path: Path) -> None:
    data = layer(file("a"))
    path = tmp_path / "layer"
    path.write_bytes(data)
    locked = BaseLayer(
        digest=digest_of(data), diff_id=digest_of(b"other"), size=len(data), media_type=TAR
    )
    with pytest.raises(Refused, match="the configuration says"):
        looking.look([locked], {locked.digest: path}, search=SEARCH, name="base")

"""A `.deb` is hostile until it is parsed."""

import importlib.util
import io
import lzma
import struct
import tarfile
import zlib
from pathlib import Path

import pytest
from debian_archive import COMPRESS, ar, deb, file, folder, special, symlink, tar

from modelpack.errors import InputError
from modelpack.inputs.debian import package as debian_package
from modelpack.inputs.debian.package import DebFile
from modelpack.oci.tar import Entry

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus" / "deb"
CONTROL = ("control.tar", tar(file("./control", b"Package: hello\n")))
BINARY = ("debian-binary", b"2.0\n")


def entries(content: bytes) -> list[Entry]:
    return list(DebFile(content, name="hello").entries())


def with_data(data: bytes, suffix: str = "") -> bytes:
    return ar(BINARY, CONTROL, (f"data.tar{suffix}", data))


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_entries_come_in_order_with_their_modes_owners_and_content(suffix: str) -> None:
    content = deb(
        "hello", folder("./usr/", mode=0o2775), file("./usr/a", b"abc", mode=0o4755, owner=(5, 6)),
        symlink("./usr/b", "a"), special("./usr/c", tarfile.LNKTYPE, target="./usr/a"),
        suffix=suffix,
    )  # fmt: skip
    assert entries(content) == [
        Entry(path="usr", kind="directory", mode=0o2775),
        Entry(path="usr/a", mode=0o4755, uid=5, gid=6, content=b"abc"),
        Entry(path="usr/b", kind="symlink", mode=0o777, target="a"),
        Entry(path="usr/c", kind="hardlink", mode=0o755, target="usr/a"),
    ]


def test_control_files_and_scripts_are_told() -> None:
    package = DebFile(
        deb(control={"postinst": b"#!/bin/sh\n", "prerm": b"", "md5sums": b"0  a\n"}), name="hello"
    )
    assert package.installation_scripts() == ("postinst",)
    assert package.control()["md5sums"] == b"0  a\n"
    assert package.control()["control"].startswith(b"Package: hello\n")


def test_long_and_unicode_paths_are_read() -> None:
    path = "usr/share/" + "ä" * 100 + "/" + "b" * 200
    assert entries(deb("hello", file("./" + path, b"x")))[0].path == path


@pytest.mark.parametrize(
    "member",
    [
        file("../etc/passwd", b"x"),
        file("./usr/../../etc/passwd", b"x"),
        file("/etc/passwd", b"x"),
        file("./usr//x", b"x"),
        file("./usr/./x", b"x"),
        file("./usr/a\nb", b"x"),
        file("./usr/\x1b[2Jb", b"x"),
        file("./" + "a" * 300, b"x"),
        file("./" + "a/" * 3000 + "b", b"x"),
        symlink("./usr/x", "../../etc"),
        symlink("./usr/x", "a/../../.."),
        symlink("./usr/x", "/../etc"),
        symlink("./usr/x", ""),
        symlink("./usr/x", "a\nb"),
        symlink("./usr/x", "a" * 5000),
        special("./usr/x", tarfile.LNKTYPE, target="../etc/passwd"),
        special("./usr/x", tarfile.LNKTYPE, target="/etc/passwd"),
        special("./usr/x", tarfile.LNKTYPE, target=""),
        special("./dev/sda", tarfile.BLKTYPE),
        special("./dev/tty", tarfile.CHRTYPE),
        special("./run/fifo", tarfile.FIFOTYPE),
        file("./usr/x", owner=(1 << 30, 0)),
        file("./usr/x", owner=(0, -5)),
    ],
)
def test_a_member_that_no_package_has_is_refused(member: tarfile.TarInfo) -> None:
    with pytest.raises(InputError) as caught:
        entries(deb("hello", member))
    assert caught.value.findings[0].at.startswith("hello")
    assert str(caught.value).isprintable()


def test_a_sparse_file_is_refused() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("./usr/x")
        info.size = 512
        info.pax_headers = {"GNU.sparse.size": str(1 << 40), "GNU.sparse.numblocks": "1",
                            "GNU.sparse.map": "0,512", "GNU.sparse.major": "0"}  # fmt: skip
        archive.addfile(info, io.BytesIO(bytes(512)))
    with pytest.raises(InputError, match="sparse"):
        entries(with_data(out.getvalue()))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an ar archive"),
        (b"!<arch>\n", "no `control.tar`"),
        (b"PK\3\4", "not an ar archive"),
        (ar(BINARY), "no `control.tar`"),
        (ar(BINARY, CONTROL), "no `data.tar`"),
        (ar(CONTROL, ("data.tar", b"")), "not a Debian package of format 2"),
        (ar(("debian-binary", b"3.0\n"), CONTROL), "not a Debian package of format 2"),
        (ar(BINARY, CONTROL, CONTROL), "`control.tar` twice"),
        (ar(BINARY, *(("x", b""),) * 20), "too many members"),
        (ar(BINARY, ("control.tar", tar()), ("data.tar", tar())), "no `control` in it"),
        (deb()[:-1], "it was cut"),
        (deb()[:200], "it was cut"),
        (deb()[:100], "not an ar header"),
        (deb() + b"garbage", "not an ar header"),
        (deb().replace(b"`\n", b"``", 1), "not an ar header"),
        (ar(BINARY).replace(b"4         `", b"-4        `"), "not an ar header"),
        (ar(BINARY).replace(b"4         `", b"4x        `"), "not an ar header"),
        (ar(BINARY).replace(b"4         `", b"          `"), "not an ar header"),
        (ar(BINARY).replace(b"4         `", b"9999999999`"), "it was cut"),
    ],
)
def test_a_damaged_archive_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        DebFile(content, name="hello").control()
    assert caught.value.findings[0].at.startswith("hello")


@pytest.mark.parametrize(
    ("suffix", "data"),
    [
        (".xz", b"not xz"),
        (".gz", b"not gzip"),
        (".xz", lzma.compress(tar(file("x", b"abc")))[:-30]),
        (".gz", COMPRESS[".gz"](tar(file("x", b"abc")))[:-9]),
        (".xz", b""),
        ("", b"x" * 2000),
        ("", tar(file("./x", bytes(2000)))[:1000]),
        ("", tar(file("./x", b"abc")).replace(b"ustar", b"\xff\xfe\xfd\xfc\xfb")),
    ],
)
def test_damaged_data_are_refused(suffix: str, data: bytes) -> None:
    with pytest.raises(InputError):
        entries(with_data(data, suffix))


@pytest.mark.parametrize("suffix", [".xz", ".gz"])
def test_a_bomb_is_refused_before_it_fills_the_memory(
    monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(debian_package, "MAX_CONTENT", 1 << 20)
    bomb = with_data(COMPRESS[suffix](bytes(8 << 20)), suffix)
    with pytest.raises(InputError, match="more than 1048576 bytes"):
        entries(bomb)


def test_millions_of_empty_streams_are_refused() -> None:
    with pytest.raises(InputError, match="streams"):
        entries(with_data(COMPRESS[".gz"](b"") * 100_000, ".gz"))


def test_an_xz_header_that_wants_gigabytes_of_memory_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 4096}]
    data = bytearray(lzma.compress(tar(file("x", b"abc")), filters=filters))
    # The byte that stands for the size of the dictionary is the last of the block's filter flags.
    at = data.index(b"\x21\x01", 12) + 2
    data[at] = 40
    end = 12 + (data[12] + 1) * 4 - 4
    data[end : end + 4] = struct.pack("<I", zlib.crc32(bytes(data[12:end])))
    with pytest.raises(InputError, match="xz"):
        entries(with_data(bytes(data), ".xz"))


def test_too_many_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian_package, "_MAX_ENTRIES", 10)
    with pytest.raises(InputError, match="more than 10 files"):
        entries(deb("hello", *(file(f"./{n}") for n in range(11))))


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_no_damage_ends_in_another_error(damage: str) -> None:
    members = folder("./usr/"), file("./usr/a", b"abc"), symlink("./usr/b", "a")
    whole = deb("hello", *members, suffix="")
    refused = []
    for at in range(0, len(whole), 7):
        package = whole[:at] if damage == "cut" else flip(whole, at)
        try:
            DebFile(package, name="hello").control()
            entries(package)
        except InputError as error:
            refused.append(str(error))
    assert refused
    assert all(message.isprintable() for message in refused)


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_what_the_fuzzer_found_stays_mended(path: Path) -> None:
    spec = importlib.util.spec_from_file_location("fuzz_deb", CORPUS.parents[1] / "fuzz_deb.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    limit = debian_package.MAX_CONTENT
    try:
        spec.loader.exec_module(module)
        module.TARGET(path.read_bytes())
    finally:
        debian_package.MAX_CONTENT = limit

"""The packages in a layer: read while it is made, read from its tar, remembered; all the same."""

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.errors import InputError
from modelpack.inputs import layer_contents
from modelpack.inputs.base_image.layer_stream import LayerStream
from modelpack.inputs.layer_contents import InstalledPackage, LayerContents, license_of, merged
from modelpack.inputs.layer_memory import LayerMemory
from modelpack.inputs.licenses import UNKNOWN, Licenses
from modelpack.inputs.python import core_metadata
from modelpack.inputs.python.core_metadata import Distribution
from modelpack.oci.tar import Entry, pieces, symlink

COPYRIGHT = (
    b"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"
    b"Files: *\nLicense: Expat\n"
)
CONTROL = (
    b"Package: libssl3t64\nSource: openssl (3.5.1-1)\nVersion: 3.5.1-1+b1\nArchitecture: amd64\n"
    b"Pre-Depends: libc6 (>= 2.38)\nDepends: zlib1g:any | libz1, debconf (>= 0.5) | debconf-2.0\n"
    b"Description: x\n y\n"
)
METADATA = (
    b"Metadata-Version: 2.4\nName: Foo.Bar\nVersion: 1.0\nLicense-Expression: mit\n"
    b"Requires-Dist: numpy>=2\nRequires-Dist: x; extra == 'y'\n\nLicense: not this one\n"
)
SITE = "opt/venv/lib/python3.13/site-packages"
FILES: Mapping[str, bytes] = {
    "etc/os-release": b'ID=debian\nVERSION_ID="13"\nPRETTY_NAME="Debian GNU/Linux 13"\nHOME=x\n',
    f"{SITE}/foo_bar-1.0.dist-info/METADATA": METADATA,
    f"{SITE}/foo_bar-1.0.dist-info/RECORD": b"x",
    f"{SITE}/old.egg-info": b"Name: old\nVersion: 2\nLicense: BSD\n",
    "usr/share/doc/libssl3t64/copyright": COPYRIGHT,
    "usr/share/doc/prose/copyright": b"as you like",
    "var/lib/dpkg/status.d/libssl3t64": CONTROL,
    "var/lib/dpkg/status.d/libssl3t64.md5sums": b"0  usr/lib/x\n",
    "usr/lib/x": b"no record",
}
ENTRIES = (
    *(Entry(path=path, content=content) for path, content in FILES.items()),
    symlink("usr/share/doc/libssl-other", "libssl3t64"),
    symlink("usr/share/doc/outside", "../../../../../etc"),
)
EXPECTED = LayerContents(
    packages={
        "var/lib/dpkg/status.d/libssl3t64": (
            InstalledPackage(
                name="libssl3t64", version="3.5.1-1+b1", architecture="amd64", source="openssl",
                source_version="3.5.1-1",
                depends=("libc6", "zlib1g", "libz1", "debconf", "debconf-2.0"),
            ),
        )
    },
    licenses={"libssl3t64": Licenses(expression="MIT")},
    links={"libssl-other": "libssl3t64"},
    distributions={
        f"{SITE}/foo_bar-1.0.dist-info/METADATA": Distribution(
            name="foo-bar", version="1.0", licenses=Licenses(expression="MIT"),
            requires=("numpy>=2", "x; extra == 'y'"),
        ),
        f"{SITE}/old.egg-info": Distribution(
            name="old", version="2", licenses=Licenses(names=("BSD",))
        ),
    },
    system={"ID": "debian", "PRETTY_NAME": "Debian GNU/Linux 13", "VERSION_ID": "13"},
)  # fmt: skip


def tar(*entries: Entry) -> bytes:
    """Return the layer that holds `entries`."""
    return b"".join(piece for piece in pieces(entries) if isinstance(piece, bytes))


def stream(data: bytes) -> LayerStream:
    """Return a layer's tar as it is read."""
    return LayerStream(io.BytesIO(data), limit=1 << 30, at="layer")


def test_of_a_layer_that_is_being_made() -> None:
    assert layer_contents.of_entries(ENTRIES) == EXPECTED


def test_of_a_finished_layer() -> None:
    assert layer_contents.of_tar(stream(tar(*ENTRIES)), at="layer") == EXPECTED


def test_of_a_layer_of_another_tool() -> None:
    """Names with `./`, folders, hard links: as `docker build` writes them."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in FILES.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("./usr/share/doc/libssl-other/copyright")
        link.type, link.linkname = tarfile.SYMTYPE, "../libssl3t64/copyright"
        archive.addfile(link)
    assert layer_contents.of_tar(stream(out.getvalue()), at="layer") == EXPECTED


def test_names_that_cannot_be_written_are_left_out() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in ("a\udcff/x.egg-info", "b\x1b[2J/x.egg-info", "c/x.egg-info"):
            member = tarfile.TarInfo(name)
            member.size = 20
            archive.addfile(member, io.BytesIO(b"Name: x\nVersion: 1\n\n"))
        link = tarfile.TarInfo("usr/share/doc/a")
        link.type, link.linkname = tarfile.SYMTYPE, "b\udcff"
        archive.addfile(link)
    found = layer_contents.of_tar(stream(out.getvalue()), at="layer")
    assert list(found.distributions) == ["c/x.egg-info"]
    assert found.links == {}


def test_the_documents_of_a_package_may_be_those_of_another() -> None:
    assert license_of(EXPECTED, "libssl-other") == Licenses(expression="MIT")
    assert license_of(EXPECTED, "prose") == UNKNOWN


def status(*names: str) -> Entry:
    """Return a dpkg database in one file."""
    texts = [
        f"Package: {name}\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n"
        for name in names
    ]
    texts.append("Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n")
    return Entry(path="var/lib/dpkg/status", content="\n".join(texts).encode())


def names(contents: LayerContents) -> list[str]:
    """Return the names of all packages, Debian's first."""
    debian = [record.name for records in contents.packages.values() for record in records]
    return [*debian, *(one.name for one in contents.distributions.values())]


def test_the_upper_layer_wins_and_takes_away() -> None:
    lower = layer_contents.of_entries([*ENTRIES, status("a", "b")])
    upper = layer_contents.of_entries([
        status("b", "c"),
        Entry(path=f"{SITE}/.wh.foo_bar-1.0.dist-info"),
        Entry(path="var/lib/dpkg/.wh.status.d"),
    ])  # fmt: skip
    assert names(merged([lower, upper])) == ["b", "c", "old"]
    assert merged([lower, upper]).system == EXPECTED.system


def test_an_opaque_folder_hides_what_was_below_it() -> None:
    upper = layer_contents.of_entries([
        Entry(path="opt/.wh..wh..opq"),
        Entry(path=f"{SITE}/new-1.dist-info/METADATA", content=b"Name: new\nVersion: 1\n"),
    ])  # fmt: skip
    assert names(merged([EXPECTED, upper])) == ["libssl3t64", "new"]
    everything = layer_contents.of_entries([Entry(path=".wh..wh..opq")])
    assert names(merged([EXPECTED, everything])) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"Name: x\n",
        b"Version: 1\n",
        b"Name: x y\nVersion: 1\n",
        b"Name: x\nVersion: 1\x1b[2J\n",
        b"Name: " + b"x" * 400 + b"\nVersion: 1\n",
        b"\xff\xfe" * 40,
        b"\n\n\n",
    ],
)
def test_a_distribution_without_a_proper_name_and_version_is_none(content: bytes) -> None:
    assert core_metadata.parse(content) is None


def test_what_a_record_says_wrong_is_left_out() -> None:
    text = (
        b"Package: ../x\nVersion: 1\n\nPackage: y\nVersion: 1 2\n\nPackage: z\nVersion: 1\n"
        b"Source: A B\nDepends: ,, |, (, B, ok (>= 1)\n"
    )
    found = layer_contents.of_entries([Entry(path="var/lib/dpkg/status", content=text)])
    (record,) = found.packages["var/lib/dpkg/status"]
    assert (record.name, record.source, record.depends) == ("z", "z", ("ok",))


class TestMemory:
    """LayerMemory."""

    def test_what_was_read_is_remembered(self, tmp_path: Path) -> None:
        stored = tar(*ENTRIES)
        diff_id = digest_of(stored)
        memory = LayerMemory(tmp_path)
        assert memory.get(diff_id) is None
        assert memory.read(diff_id, io.BytesIO(gzip.compress(stored))) == EXPECTED
        assert LayerMemory(tmp_path).get(diff_id) == EXPECTED

    def test_another_layer_is_refused_and_not_remembered(self, tmp_path: Path) -> None:
        memory, wrong = LayerMemory(tmp_path), Digest("sha256:" + "0" * 64)
        with pytest.raises(InputError, match="another digest"):
            memory.read(wrong, io.BytesIO(tar(*ENTRIES)))
        assert memory.get(wrong) is None

    @pytest.mark.parametrize("damage", [b"", b"[]", b"{}", b'{"packages": 1}', b"null", b"{"])
    def test_a_damaged_entry_is_none(self, tmp_path: Path, damage: bytes) -> None:
        memory, diff_id = LayerMemory(tmp_path), Digest("sha256:" + "0" * 64)
        memory.keep(diff_id, EXPECTED)
        (entry,) = (tmp_path / "contents").iterdir()
        entry.write_bytes(damage)
        assert memory.get(diff_id) is None

    def test_a_cache_that_cannot_be_written_costs_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "contents").write_bytes(b"a file")
        memory, diff_id = LayerMemory(tmp_path), Digest("sha256:" + "0" * 64)
        assert memory.keep(diff_id, EXPECTED) == EXPECTED
        assert memory.get(diff_id) is None

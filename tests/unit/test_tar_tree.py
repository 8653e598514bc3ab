"""A tar from outside as a Tree: plain things are read, everything else is refused."""

import io
import tarfile
from pathlib import Path

import pytest

from modelpack.errors import InputError
from modelpack.oci import tar_tree
from modelpack.oci.tar import FileRange, bytes_of


def member(name: str, kind: bytes = tarfile.REGTYPE, **values: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in values.items():
        setattr(info, key, value)
    return info


def write(path: Path, *members: tarfile.TarInfo, data: bytes = b"") -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for info in members:
            info.size = len(data) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(data))
    return path


def test_files_folders_and_links_are_read_where_they_lie(tmp_path: Path) -> None:
    long = "opt/" + "x" * 150
    path = write(
        tmp_path / "out.tar",
        member("./"), member("./opt/", tarfile.DIRTYPE, mode=0o750),
        member("./opt/run", mode=0o755), member(long),
        member("opt/python", tarfile.SYMTYPE, linkname="/usr/bin/python3"),
        data=b"hello",
    )  # fmt: skip
    found = tar_tree.read(path, at="out")
    assert list(found) == ["opt", "opt/python", "opt/run", long]
    assert (found["opt"].kind, found["opt"].mode) == ("directory", 0o750)
    assert found["opt/python"].target == "/usr/bin/python3"
    assert found["opt/run"].mode == 0o755
    assert isinstance(found["opt/run"].content, FileRange)
    assert bytes_of(found[long].content) == b"hello"


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (member("/etc/passwd"), "unsafe path"),
        (member("a/../../etc/passwd"), "unsafe path"),
        (member("a/\x07"), "control character"),
        (member("a/.wh.b"), "whiteout"),
        (member("a/.wh..wh..opq"), "whiteout"),
        (member("a", tarfile.LNKTYPE, linkname="b"), "hard link"),
        (member("a", tarfile.CHRTYPE), "device"),
        (member("a", tarfile.BLKTYPE), "device"),
        (member("a", tarfile.FIFOTYPE), "FIFO"),
        (member("a", mode=0o4755), "set-id"),
        (member("a", mode=0o2755), "set-id"),
        (member("a", tarfile.DIRTYPE, mode=0o1777), "sticky"),
        (member("a", tarfile.SYMTYPE, linkname="b\nc"), "strange place"),
        (member("a", tarfile.SYMTYPE, linkname="b" * 5000), "strange place"),
        (member("a", pax_headers={"SCHILY.xattr.security.capability": "x"}), "attribute"),
        (member("a", pax_headers={"GNU.sparse.major": "1"}), "attribute"),
        (member("a", b"S"), "sparse"),
        (member("a", b"V"), "unknown kind"),
    ],
)
def test_what_is_not_plain_is_refused(bad: tarfile.TarInfo, said: str, tmp_path: Path) -> None:
    path = write(tmp_path / "out.tar", member("opt", tarfile.DIRTYPE), bad)
    with pytest.raises(InputError, match=said):
        tar_tree.read(path, at="out")


@pytest.mark.parametrize(
    "members",
    [
        (member("a"), member("a")),
        (member("a", tarfile.SYMTYPE, linkname="/etc"), member("a/passwd")),
        (member("a/b"), member("a", tarfile.SYMTYPE, linkname="/etc")),
    ],
)
def test_what_would_land_elsewhere_is_refused(
    members: tuple[tarfile.TarInfo, ...], tmp_path: Path
) -> None:
    path = write(tmp_path / "out.tar", *members, data=b"x")
    with pytest.raises(InputError):
        tar_tree.read(path, at="out")


@pytest.mark.parametrize("length", [0, 100, 700, 1500])
def test_a_tar_that_is_cut_or_none_is_refused(length: int, tmp_path: Path) -> None:
    whole = write(tmp_path / "out.tar", member("a"), data=b"x" * 1200).read_bytes()
    path = tmp_path / "cut.tar"
    path.write_bytes(whole[:length])
    with pytest.raises(InputError, match=r"cut off|not a tar"):
        tar_tree.read(path, at="out")

"""For any tree: every reader sees it back, alignment holds, our own index finds every byte."""

import io
import tarfile

from hypothesis import example, given
from hypothesis import strategies as st

from modelpack.errors import InputError
from modelpack.oci.tar import Content, Entry, FileRange, directory, pieces, symlink
from modelpack.oci.tar_index import members

NAMES = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/\x7f"),
    min_size=1,
    max_size=40,
).filter(lambda name: name not in (".", "..") and len(name.encode()) <= 255)
PATHS = st.lists(NAMES, min_size=1, max_size=6).map("/".join)
FILES = st.dictionaries(PATHS, st.binary(max_size=2000), max_size=8)


def joined(parts: list[Content]) -> bytes:
    return b"".join(part for part in parts if isinstance(part, bytes))


@given(FILES, st.sampled_from([0, 512, 4096]), st.sampled_from([0o644, 0o755]))
def test_every_file_is_read_back(files: dict[str, bytes], align: int, mode: int) -> None:
    entries = [Entry(path=path, content=data, mode=mode) for path, data in files.items()]
    data = joined(list(pieces(entries, align=align)))
    assert len(data) % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(data), format=tarfile.PAX_FORMAT) as tar:
        read = {m.name: (tar.extractfile(m).read(), m.mode) for m in tar.getmembers()}  # type: ignore[union-attr]
        offsets = [m.offset_data for m in tar.getmembers()]
    assert read == {path: (data, mode) for path, data in files.items()}
    if align:
        assert all(offset % align == 0 for offset in offsets)


@given(PATHS, PATHS, PATHS)
def test_directories_and_links_are_read_back(folder: str, link: str, target: str) -> None:
    data = joined(list(pieces([directory(folder), symlink(link, target)])))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        one, two = tar.getmembers()
    assert one.isdir()
    assert one.name == folder
    assert two.issym()
    assert (two.name, two.linkname) == (link, target)


@given(FILES, st.sampled_from([0, 4096]))
def test_our_index_agrees_with_the_writer(files: dict[str, bytes], align: int) -> None:
    entries = [Entry(path=path, content=data) for path, data in files.items()]
    data = joined(list(pieces(entries, align=align)))
    found = members(io.BytesIO(data), at="x") if files else {}
    assert {p: data[m.offset : m.offset + m.size] for p, m in found.items()} == files


@given(FILES, st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
def test_our_index_agrees_with_pythons_tarfile(files: dict[str, bytes], form: int) -> None:
    out = io.BytesIO()
    kept = {}
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for path, data in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            try:
                tar.addfile(info, io.BytesIO(data))
            except (ValueError, UnicodeEncodeError):
                continue
            kept[path] = data
    data = out.getvalue()
    found = members(io.BytesIO(data), at="x") if kept else {}
    assert {p: data[m.offset : m.offset + m.size] for p, m in found.items()} == kept


@given(st.binary(max_size=3000))
@example(b"\0" * 512)
def test_arbitrary_bytes_are_indexed_or_refused(data: bytes) -> None:
    message = ""
    try:
        members(io.BytesIO(data), at="x")
    except InputError as error:
        message = str(error)
    assert message.isprintable()


@given(st.integers(min_value=1, max_value=1 << 45), st.integers(0, 3000), PATHS)
def test_alignment_holds_for_any_size(size: int, before: int, path: str) -> None:
    entries = [
        Entry(path="first", content=bytes(before)),
        Entry(path=path, content=FileRange(path="w", size=size)),
    ]
    position = 0
    for piece in pieces(entries, align=4096):
        if isinstance(piece, FileRange):
            assert position % 4096 == 0
            position += piece.size
        else:
            position += len(piece)
    assert position % 512 == 0

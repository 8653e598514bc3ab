"""Weights out of a foreign artifact: which files they are, and that every one of them is proved."""

from dataclasses import dataclass
from typing import Any

import pytest

from modelpack.errors import InputError, ModelpackError, Refused
from modelpack.fetching.image import ImagePlace
from modelpack.fetching.place import Listing
from modelpack.oci.layer import Descriptor
from modelpack.oci.tar import Entry, directory
from tests.far_artifacts import CNCF, KIT, FarShelf, cncf, entry, made, tar

FILES = {"config.json": b"{}", "sub/model.bin": bytes(range(256)) * 400}


@dataclass
class Bytes:
    """What came of a file."""

    data: bytes = b""

    @property
    def size(self) -> int:
        return len(self.data)

    def write(self, data: bytes) -> None:
        self.data += data

    def restart(self) -> None:
        self.data = b""


def archive(*names: str) -> bytes:
    chosen = names or tuple(FILES)
    return tar(directory("w"), *(Entry(path=f"w/{name}", content=FILES[name]) for name in chosen))


def place(shelf: FarShelf, root: Descriptor) -> ImagePlace:
    return ImagePlace(shelf, root, name="tiny", at="source")


def opened(shelf: FarShelf, *layers: dict[str, Any]) -> tuple[ImagePlace, Listing]:
    found = place(shelf, made(shelf, layers, cncf(*layers)))
    return found, found.listing(lambda _: True)


def fetched(of: ImagePlace, listing: Listing) -> dict[str, bytes]:
    got = {}
    for file in listing.files:
        into = Bytes()
        of.fill(into, file, lambda _: None)
        got[file.path] = into.data
    return got


def test_files_lie_below_the_folder_that_holds_them_all() -> None:
    shelf = FarShelf()
    weight = entry(shelf.add(archive(), f"{CNCF}weight.v1.tar"), "w")
    code = entry(shelf.add(tar(Entry(path="x.py", content=b"1")), f"{CNCF}code.v1.tar"), "x.py")
    of, listing = opened(shelf, weight, code)
    assert {file.path: file.size for file in listing.files} == {
        name: len(data) for name, data in FILES.items()
    }
    assert {file.sha256 for file in listing.files} == {""}
    assert fetched(of, listing) == FILES


def test_a_raw_layer_is_named_by_its_digest() -> None:
    shelf = FarShelf()
    raw = entry(shelf.add(FILES["sub/model.bin"], f"{CNCF}weight.v1.raw"), "deep/down/model.bin")
    of, listing = opened(shelf, raw)
    (file,) = listing.files
    assert (file.path, f"sha256:{file.sha256}") == ("model.bin", raw["digest"])
    assert fetched(of, listing) == {"model.bin": FILES["sub/model.bin"]}


@pytest.mark.parametrize("names", [("sub/model.bin",), ("config.json", "sub/model.bin")])
def test_bytes_that_are_not_those_of_the_layer_are_refused(names: tuple[str, ...]) -> None:
    shelf = FarShelf()
    of, listing = opened(shelf, entry(shelf.add(archive(*names), f"{CNCF}weight.v1.tar"), "w"))
    marker = FILES["sub/model.bin"][:64]
    shelf.spoil = lambda data: data.replace(marker, bytes(64))
    with pytest.raises(Refused, match="instead of"):
        fetched(of, listing)


def test_other_bytes_than_in_the_pass_that_proved_them_are_refused() -> None:
    shelf = FarShelf()
    of, listing = opened(shelf, entry(shelf.add(archive(), f"{CNCF}weight.v1.tar"), "w"))
    fetched(of, listing)
    marker = FILES["sub/model.bin"][:64]
    shelf.spoil = lambda data: data.replace(marker, bytes(64))
    with pytest.raises(Refused, match="another file than before"):
        fetched(of, listing)


def test_a_beginning_that_nobody_can_prove_is_thrown_away() -> None:
    shelf = FarShelf()
    of, listing = opened(shelf, entry(shelf.add(archive(), f"{CNCF}weight.v1.tar"), "w"))
    file = next(file for file in listing.files if file.path == "sub/model.bin")
    into = Bytes(data=b"somebody else's")
    of.fill(into, file, lambda _: None)
    assert into.data == FILES["sub/model.bin"]


def test_what_cannot_be_a_source_is_said() -> None:
    shelf = FarShelf()
    code = entry(shelf.add(tar(Entry(path="x.py", content=b"1")), f"{CNCF}code.v1.tar"), "x.py")
    with pytest.raises(InputError, match="holds no weights"):
        opened(shelf, code)
    odd = entry(shelf.add(b"x", f"{KIT}model.v1.raw+gzip"), "w.bin")
    with pytest.raises(InputError, match="compressed without an archive"):
        opened(shelf, odd)
    up = entry(shelf.add(tar(Entry(path="../../etc/x", content=b"1")), f"{CNCF}weight.v1.tar"), "w")
    with pytest.raises(ModelpackError):
        opened(shelf, up)

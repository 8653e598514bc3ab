"""Fuzz the reader of programs and libraries: `python tests/fuzz/fuzz_elf.py tests/fuzz/corpus/elf`.

Whatever a file begins with, reading it forwards tells what reading it whole tells, following its
libraries ends, and what is said of it can be printed.
"""

import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

from modelpack.checks.elf.gate import Settings, closure
from modelpack.checks.elf.objects import LayerFile, objects
from modelpack.inputs import elf_stream
from modelpack.inputs.debian import elf
from modelpack.inputs.elf_stream import Behind, Known
from modelpack.oci.tar import Entry, bytes_of, pieces
from modelpack.platform import Platform

_PASSES = 6
_PLACE = "opt/x.so"


def TARGET(data: bytes) -> None:  # noqa: N802  the name that the runner looks for
    """Read `data` as a library, alone and in an image."""
    whole = elf.read(lambda offset, size: data[offset : offset + size])
    # Little is kept, so that small files stand for large ones.
    with patch.multiple(elf_stream, _START=256, _AHEAD=32):
        if (found := forwards(data)) != whole:
            raise AssertionError(f"forwards another: {found} and not {whole}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer"
        entries = [
            Entry(path="opt", kind="directory", mode=0o755),
            Entry(path=_PLACE, content=data),
        ]
        path.write_bytes(b"".join(bytes_of(piece) for piece in pieces(entries)))
        image = objects([LayerFile(path=path, kind="dependencies", name="layer")])
    settings = Settings(
        platform=Platform("linux", "amd64"), interpreter="/usr/bin/python3", judge_base=True
    )
    for finding in closure(image, settings).findings:
        if not (finding.message + finding.hint + finding.at).isprintable():
            raise AssertionError(f"unprintable: {finding}")


def forwards(data: bytes) -> elf.ElfFile | None:
    """Return what passes over `data` tell, none of which goes back."""
    known = Known()
    for _ in range(_PASSES):
        try:
            return elf_stream.read(_Source(data), len(data), known)
        except Behind:
            continue
    raise AssertionError("no end of passes")


class _Source:
    def __init__(self, data: bytes) -> None:
        self._data, self.position = data, 0

    def read(self, count: int) -> bytes:
        piece = self._data[self.position : self.position + count]
        self.position += len(piece)
        return piece

    def move(self, position: int) -> bool:
        if position < self.position:
            raise AssertionError("backwards")
        self.position = min(position, len(self._data))
        return self.position == position


if __name__ == "__main__":
    from run import fuzz

    fuzz("elf", sys.argv[1:])

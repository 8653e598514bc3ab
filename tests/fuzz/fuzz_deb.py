"""Fuzz the reader of packages: `python tests/fuzz/fuzz_deb.py tests/fuzz/corpus/deb`.

Whatever a `.deb` holds, it is read or refused: another error or a hang is a defect. What is no ar
archive is taken for the tar in one, with its checksums set right, to get behind them.
"""

import sys

from modelpack.errors import InputError, Unavailable
from modelpack.inputs.debian import package as debian_package
from modelpack.inputs.debian.package import DebFile
from modelpack.oci.tar import Entry, pieces
from modelpack.oci.tree import Tree

debian_package.MAX_CONTENT = 1 << 20
BLOCK = 512


def TARGET(data: bytes) -> None:  # noqa: N802  the name that the runner looks for
    """Read `data` as a package and write what it would install."""
    tree = Tree()
    try:
        package = DebFile(data if data.startswith(b"!<arch>") else packed(data), name="fuzzed.deb")
        package.installation_scripts()
        for entry in package.entries():
            tree.add(entry, owner="fuzzed.deb")
        for _ in pieces(tree.entries()):
            pass
    except (InputError, Unavailable) as error:
        if not str(error).isprintable():
            raise AssertionError(f"unprintable message: {error!a}") from error


def packed(data: bytes) -> bytes:
    """Return a package with `data` as its data archive."""
    blocks = (data[at : at + BLOCK].ljust(BLOCK, b"\0") for at in range(0, len(data), BLOCK))
    control = b"".join(pieces([Entry(path="control", content=b"Package: fuzzed\n")]))
    members = (
        (b"debian-binary", b"2.0\n"),
        (b"control.tar", control),
        (b"data.tar", b"".join(map(summed, blocks))),
    )
    return b"!<arch>\n" + b"".join(
        b"%-48s%-10d`\n%s" % (name, len(content), content) for name, content in members
    )


def summed(block: bytes) -> bytes:
    """Return `block` with the checksum of a tar header, unless it is all zeros."""
    if not any(block):
        return block
    bare = block[:148] + b" " * 8 + block[156:]
    return block[:148] + b"%06o\0 " % sum(bare) + block[156:]


def main() -> None:
    """Fuzz until a defect is found or the options of libFuzzer say stop."""
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, TARGET)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

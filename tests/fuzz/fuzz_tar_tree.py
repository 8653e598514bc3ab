"""Whatever a builder returns, it is a tree of plain things or refused, and nothing is made up."""

import sys
import tempfile
from pathlib import Path

from modelpack.errors import InputError
from modelpack.oci import tar_tree
from modelpack.oci.tar import FileRange


def TARGET(data: bytes) -> None:  # noqa: N802  the name that the runner looks for
    """Read `data` as the tar of a builder."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "built.tar"
        path.write_bytes(data)
        try:
            tree = tar_tree.read(path, at="built.tar")
        except InputError as error:
            if not str(error).isprintable():
                raise AssertionError(f"unprintable message: {error!a}") from error
            return
        for name, entry in tree.items():
            if name.startswith("/") or ".." in name.split("/"):
                raise AssertionError(f"a way out: {name!a}")
            if entry.mode & 0o7000 or entry.kind not in ("file", "directory", "symlink"):
                raise AssertionError(f"not plain: {entry}")
            content = entry.content
            if isinstance(content, FileRange) and content.offset + content.size > len(data):
                raise AssertionError(f"more than there is: {entry}")


if __name__ == "__main__":
    from run import fuzz

    fuzz("tar_tree", sys.argv[1:])

"""A base made from `.deb` files, distroless-style: no maintainer script runs, no shell is in it."""

from collections.abc import Mapping
from pathlib import Path

from modelpack.inputs.downloads import Downloads
from modelpack.inputs.mirrors import Mirrors
from modelpack.lock import AssembledBase
from modelpack.oci.tree import Tree
from modelpack.platform import Platform
from modelpack.progress import SILENT, Progress


def fetch(
    base: AssembledBase,
    *,
    mirrors: Mirrors,
    downloads: Downloads,
    environment: Mapping[str, str],
    offline: bool = False,
    progress: Progress = SILENT,
) -> Mapping[str, Path]:
    """Return the `.deb` of every package of `base` by name."""
    raise NotImplementedError


def tree(
    base: AssembledBase, debs: Mapping[str, Path], *, platform: Platform, user: int
) -> Tree:
    """Return the root file system that the packages of `base` make."""
    raise NotImplementedError

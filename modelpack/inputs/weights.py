"""Weight files: found, measured in one read, and laid out as layers."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelpack import spec
from modelpack.digest import Digest
from modelpack.errors import Finding
from modelpack.inputs.file_digests import FileDigests
from modelpack.lock import WeightFile
from modelpack.oci.layer import Layer
from modelpack.oci.layout import Layout
from modelpack.progress import Advance


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A weight file of this machine."""

    path: str
    "below the destination, with `/`"
    source: Path
    "where its bytes are: absolute, links resolved"
    status: os.stat_result


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The weight files of one `[weights]`, and what stood in the way of finding them."""

    files: tuple[SourceFile, ...]
    "in byte order of the paths"
    findings: tuple[Finding, ...]


def find(root: Path, weights: spec.Weights) -> Files:
    """Return the files that `weights` selects below its path in the project `root`."""
    raise NotImplementedError


def measure(
    file: SourceFile, *, destination: str, digests: FileDigests, into: Layout | None,
    advance: Advance,
) -> WeightFile:
    """Return `file` by content, reading it once at most; write its layer `into` a layout."""
    raise NotImplementedError


def layer_of(destination: str, file: WeightFile, source: Path | None) -> Layer:
    """Return the layer that holds just `file` (lock.OWN_LAYER bytes and more)."""
    raise NotImplementedError


def bundle_layer(
    destination: str, files: Sequence[WeightFile], sources: Mapping[str, Path],
    *, digests: FileDigests,
) -> Layer:
    """Return the layer of all small `files`; `sources` by WeightFile.path."""
    raise NotImplementedError


def weights_digest(files: Sequence[WeightFile]) -> Digest:
    """Return the digest over path, size and sha256 of every file."""
    raise NotImplementedError

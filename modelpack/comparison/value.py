"""What two images are compared by, and how they differ: values, without a verdict on either."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Generic, Literal, TypeVar

T = TypeVar("T")

_NO_TEXTS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Generic[T]):
    """One thing that only one image has, or that differs."""

    key: str
    before: T | None
    "in the first image; None: not there"
    after: T | None
    "in the second image; None: not there"

    @property
    def kind(self) -> Literal["added", "removed", "changed"]:
        """In which direction it differs."""
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A Debian package or wheel in one image."""

    version: str
    sha256: str
    "of the file that it was installed from"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A file of weights or code in one image."""

    size: int
    sha256: str
    executable: bool = False
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFact:
    """What a layer says of one path."""

    kind: str
    "`file`, `directory`, `symlink`, `hardlink`, `other`"
    mode: str
    "four octal digits"
    uid: int
    gid: int
    size: int
    sha256: str
    "of a file's content; empty for all else"
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFact:
    """One layer of one image."""

    kind: str
    content: str
    "for people"
    digest: str
    diff_id: str
    size: int
    "bytes as stored"

    @property
    def identity(self) -> str:
        """What tells its content apart: the diff_id, where the configuration has it."""
        return self.diff_id or self.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One image as tables."""

    digest: str
    config_digest: str
    config_size: int = 0
    platform: str = ""
    platforms: Mapping[str, str] = field(default_factory=lambda: _NO_TEXTS)
    "digests of the images of the index that it was chosen from"
    configuration: Mapping[str, str] = field(default_factory=lambda: _NO_TEXTS)
    history: Mapping[str, str] = field(default_factory=lambda: _NO_TEXTS)
    settings: Mapping[str, str] = field(default_factory=lambda: _NO_TEXTS)
    "of the Spec that it was built from, by dotted path"
    build: Mapping[str, str] = field(default_factory=lambda: _NO_TEXTS)
    "base, interpreter, compressor, guard, revision: what the build was done with"
    packages: Mapping[str, Package] = field(default_factory=dict)
    weights: Mapping[str, Content] = field(default_factory=dict)
    tensors: Mapping[str, str] = field(default_factory=lambda: _NO_TEXTS)
    "dtype and shape by name of the weights and of the tensor"
    parameters: int = 0
    code: Mapping[str, Content] = field(default_factory=dict)
    layers: tuple[LayerFact, ...] = ()
    unknown: tuple[str, ...] = ()
    "why some of the tables are empty"


LayerState = Literal["shared", "stored-otherwise", "added", "removed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRow:
    """A layer of either image, and whether the other one has it."""

    state: LayerState
    "`stored-otherwise`: the same files, compressed in another way"
    layer: LayerFact


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How the second image differs from the first."""

    before: str
    "digest of the first image's manifest"
    after: str
    platforms: tuple[Change[str], ...] = ()
    configuration: tuple[Change[str], ...] = ()
    settings: tuple[Change[str], ...] = ()
    build: tuple[Change[str], ...] = ()
    packages: tuple[Change[Package], ...] = ()
    weights: tuple[Change[Content], ...] = ()
    tensors: tuple[Change[str], ...] = ()
    parameters: Change[int] | None = None
    code: tuple[Change[Content], ...] = ()
    layers: tuple[LayerRow, ...] = ()
    pull: int = 0
    "bytes of the second image that a node which has the first one must fetch"
    files: tuple[Change[FileFact], ...] | None = None
    "None: the layers were not read"
    unknown: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether both have the same content and settings, however they are stored."""
        changes = (
            self.platforms, self.configuration, self.settings, self.build, self.packages,
            self.weights, self.tensors, self.code, self.files,
        )  # fmt: skip
        moved = any(row.state in ("added", "removed") for row in self.layers)
        return not (any(changes) or moved or self.parameters)

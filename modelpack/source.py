"""The author's own files and where they come from: never part of the Lock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from modelpack import canonical_json
from modelpack.digest import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeFile:
    """A file of the code, by content."""

    path: str
    "below code.path, with `/`"
    size: int
    sha256: str
    executable: bool = False
    link: str = ""
    "the target, where it is a symbolic link that stays inside; then size is 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Code, revision and time of one build."""

    files: tuple[CodeFile, ...]
    revision: str
    "the commit, or empty: the code lies in no repository"
    dirty: bool | None
    "whether a packed file is not as the revision has it; None: nobody looked"
    created: int
    "seconds since 1970: of the commit, else the lock's epoch"
    digest: Digest
    "over path, kind and content of every file"
    interface: Mapping[str, Digest] = field(default_factory=lambda: MappingProxyType({}))
    "of each document that `[interface]` names, by its kind: `openapi`"


def written(source: Source) -> dict[str, Any]:
    """Return `source` as JSON values; without an interface it says nothing of one."""
    value: dict[str, Any] = canonical_json.plain(source)
    if not source.interface:
        del value["interface"]
    return value

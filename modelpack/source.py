"""The author's own files and where they come from: never part of the Lock."""

from dataclasses import dataclass

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

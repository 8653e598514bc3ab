"""The author's code, read once: what is hashed here is what is packed."""

import hashlib
import os
import posixpath
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelpack import canonical_json
from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.errors import Finding, Refused
from modelpack.inputs.patterns import matches
from modelpack.inputs.quoting import UNPRINTABLE
from modelpack.oci.tar import Entry, symlink
from modelpack.oci.tree import Tree
from modelpack.source import CodeFile
from modelpack.spec import Code

NEVER = frozenset({
    ".git", ".hg", ".svn", "__pycache__", ".venv", ".tox", ".nox", ".mypy_cache", ".ruff_cache",
    ".pytest_cache", ".hypothesis", ".ipynb_checkpoints", "node_modules", ".DS_Store",
})  # fmt: skip
"names that no image needs, at any depth"
NEVER_BY_DEFAULT = frozenset({
    "dist", "modelpack.toml", "modelpack.lock", ".modelpack.lock.partial", ".gitignore",
})  # fmt: skip
"names at the top that are left out unless include names them"
FILE_LIMIT = 50_000
SIZE_LIMIT = 512 << 20
"bytes of all code together: it is held in memory"
DEPTH_LIMIT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadCode:
    """Code files with their content."""

    files: tuple[CodeFile, ...]
    contents: Mapping[str, bytes]
    "by path; of a symbolic link, its target"

    @property
    def digest(self) -> Digest:
        """The digest over path, kind and content of every file."""
        return digest_of(canonical_json.dumps(canonical_json.plain(self.files)))

    def tree(self, workdir: str) -> Tree:
        """Return the files at `workdir`, modes 0644 and 0755, owned by root."""
        tree = Tree()
        place = workdir.strip("/")
        for file in self.files:
            path = f"{place}/{file.path}"
            if file.link:
                tree.add(symlink(path, file.link), owner="code")
                continue
            mode = 0o755 if file.executable else 0o644
            tree.add(Entry(path=path, mode=mode, content=self.contents[file.path]), owner="code")
        return tree


def read(root: Path, code: Code, *, leave_out: frozenset[Path] = frozenset()) -> ReadCode:
    """Read the files of `code` below `root`, or raise Refused with what `find` finds wrong."""
    found, findings = find(root, code, leave_out=leave_out)
    if findings:
        raise Refused(*findings)
    return found


def find(
    root: Path, code: Code, *, leave_out: frozenset[Path] = frozenset()
) -> tuple[ReadCode, tuple[Finding, ...]]:
    """Read the files of `code` below `root`; `leave_out` are folders such as the weights.

    Returns what can be packed, and a Finding for every link that leaves the folder, special file,
    unreadable file, name that cannot be shown, and for sizes and depths that code does not have.
    """
    findings: list[Finding] = []
    files: list[CodeFile] = []
    contents: dict[str, bytes] = {}
    total = 0
    for path, entry in _walk(root, "", code, leave_out, findings):
        if len(files) >= FILE_LIMIT or total > SIZE_LIMIT:
            findings.append(_too_much(total))
            break
        try:
            read_file = _read_link if entry.is_symlink() else _read_regular
            file, content = read_file(root, path, entry, SIZE_LIMIT - total)
        except _Unfit as unfit:
            findings.append(unfit.finding)
            continue
        files.append(file)
        contents[path] = content
        total += len(content)
    if not files and not findings:
        findings.append(
            Finding(
                message="no file is left after `include` and `exclude`",
                at="code.include",
                rule="code.empty",
                hint='name the code, for example `include = ["service/**/*.py"]`',
            )
        )
    files.sort(key=lambda file: file.path.encode())
    return ReadCode(files=tuple(files), contents=contents), tuple(findings)


class _Unfit(Exception):  # noqa: N818  carries a Finding out of one file
    def __init__(self, message: str, *, at: str, rule: str, hint: str = "") -> None:
        super().__init__(message)
        self.finding = Finding(message=message, at=f"code: {at}", rule=rule, hint=hint)


def _walk(
    root: Path, folder: str, code: Code, leave_out: frozenset[Path], findings: list[Finding]
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    if folder.count("/") >= DEPTH_LIMIT:
        findings.append(Finding(message="folders lie too deep", at=folder, rule="code.depth"))
        return
    try:
        with os.scandir(root / folder) as found:
            entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        findings.append(
            Finding(message=f"cannot read the folder: {error.strerror}",
                    at=f"code: {folder or root}", rule="code.unreadable")
        )  # fmt: skip
        return
    for entry in entries:
        path = f"{folder}/{entry.name}" if folder else entry.name
        if entry.name in NEVER or any(matches(path, p) for p in code.exclude):
            continue
        if entry.is_dir(follow_symlinks=False):
            if not _is_left_out(root / path, path, code, leave_out):
                yield from _walk(root, path, code, leave_out, findings)
        elif _is_included(path, code):
            yield path, entry


def _is_left_out(place: Path, path: str, code: Code, leave_out: frozenset[Path]) -> bool:
    if os.path.isfile(place / "pyvenv.cfg"):  # False where the folder cannot be entered
        return True
    return not code.include and (path in NEVER_BY_DEFAULT or place.resolve() in leave_out)


def _is_included(path: str, code: Code) -> bool:
    if path.endswith((".pyc", ".pyo")):
        return False
    if code.include:
        return any(matches(path, pattern) for pattern in code.include)
    return path not in NEVER_BY_DEFAULT


def _expect_plain(path: str) -> None:
    if UNPRINTABLE.search(path):
        raise _Unfit("the name holds control characters or is not UTF-8", at=path,
                     rule="code.name", hint="rename the file")  # fmt: skip


def _read_link(root: Path, path: str, entry: os.DirEntry[str], room: int) -> tuple[CodeFile, bytes]:
    del room
    target = os.readlink(entry.path)
    _expect_plain(path)
    _expect_plain(target)
    landing = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    if target.startswith("/") or landing == ".." or landing.startswith("../"):
        raise _Unfit(
            "a symbolic link leaves the code folder", at=path, rule="code.symlink",
            hint="copy the file into the folder, or leave the link out with `code.exclude`",
        )  # fmt: skip
    if not (root / landing).exists():
        raise _Unfit("a symbolic link leads nowhere", at=path, rule="code.symlink")
    content = os.fsencode(target)
    sha256 = hashlib.sha256(content).hexdigest()
    return CodeFile(path=path, size=0, sha256=sha256, link=target), content


def _read_regular(
    root: Path, path: str, entry: os.DirEntry[str], room: int
) -> tuple[CodeFile, bytes]:
    del root
    _expect_plain(path)
    try:
        # Never block on a FIFO, never follow a link that was put here since the folder was listed.
        handle = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if not entry.is_file(follow_symlinks=False):
            raise _special(path) from error
        raise _Unfit(
            f"cannot be read: {error.strerror}", at=path, rule="code.unreadable"
        ) from error
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise _special(path)
        if status.st_size > room:
            raise _Unfit("the file is too large for code", at=path, rule="code.size",
                         hint="weights belong to `[weights]`")  # fmt: skip
        content = file.read(status.st_size)
    return CodeFile(
        path=path, size=len(content), sha256=hashlib.sha256(content).hexdigest(),
        executable=bool(status.st_mode & stat.S_IXUSR),
    ), content  # fmt: skip


def _special(path: str) -> _Unfit:
    return _Unfit("not a regular file (FIFO, socket or device)", at=path, rule="code.special-file",
                  hint="leave it out with `code.exclude`")  # fmt: skip


def _too_much(total: int) -> Finding:
    return Finding(
        message=f"more than {FILE_LIMIT} files or {SIZE_LIMIT >> 20} MiB of code ({total} bytes)",
        at="code.include", rule="code.size", hint="name what is needed with `code.include`",
    )  # fmt: skip

"""Which commit the code lies in, and whether the packed files are as that commit has them.

Content is compared, not git's index: a file that is packed counts as clean only if the commit
holds these very bytes with this executable bit.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelpack import process
from modelpack.errors import InputError, Unavailable

_KEPT = ("PATH", "HOME", "SYSTEMROOT", "XDG_CONFIG_HOME")
_SHA1_DIGITS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """HEAD of a repository."""

    revision: str
    time: int
    "seconds since 1970, of the committer"


def head(folder: Path, *, environment: Mapping[str, str]) -> Commit | None:
    """Return the commit that `folder` lies in; None without a repository, a commit or git.

    Raises InputError when git refuses to look (another owner's repository).
    """
    try:
        done = _git(folder, ["log", "-1", "--no-show-signature", "--format=%H %ct"], environment)
    except Unavailable:
        return None
    if done.status != 0:
        if b"dubious ownership" in done.stderr:
            raise InputError(
                "git does not trust this repository: it belongs to another user",
                at=str(folder),
                hint="run `git config --global --add safe.directory <repository>`, or build with "
                "`--revision none`",
            )
        return None
    revision, _, seconds = done.stdout.decode().strip().partition(" ")
    return Commit(revision=revision, time=int(seconds)) if revision else None


def changed(
    folder: Path,
    files: Mapping[str, tuple[bytes, str]],
    *,
    environment: Mapping[str, str],
) -> tuple[str, ...]:
    """Return which of `files` (path below `folder`, content and git mode) HEAD does not hold."""
    done = _git(folder, ["ls-tree", "-r", "-z", "HEAD", "--", "."], environment)
    if done.status != 0:
        raise Unavailable(f"git cannot list the commit: {done.last_lines(1)}", at=str(folder))
    known: dict[str, tuple[str, str]] = {}
    for row in done.stdout.split(b"\0"):
        meta, _, path = row.partition(b"\t")
        if path:
            mode, _, name = meta.decode().split(" ")
            known[path.decode(errors="surrogateescape")] = (name, mode)
    return tuple(
        path
        for path, (content, mode) in sorted(files.items())
        if path not in known or known[path] != (_blob_name(content, known[path][0]), mode)
    )


def _blob_name(content: bytes, like: str) -> str:
    """Return git's name of a blob, in the hash algorithm that the name `like` has."""
    kind = hashlib.sha1 if len(like) == _SHA1_DIGITS else hashlib.sha256
    return kind(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _git(folder: Path, arguments: list[str], environment: Mapping[str, str]) -> process.Completed:
    # A repository's own configuration may name programs: none of them is started.
    argv = [
        "git", "--no-optional-locks", "-c", "core.fsmonitor=false",
        "-c", "core.hooksPath=/dev/null", "-c", "log.showSignature=false",
        "-C", str(folder), *arguments,
    ]  # fmt: skip
    kept = {key: environment[key] for key in _KEPT if key in environment}
    return process.run(argv, environment={**kept, "LC_ALL": "C"}, timeout=60)

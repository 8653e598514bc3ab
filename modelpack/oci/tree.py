"""A file tree in the making: path to Entry, parents included, conflicts refused."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from modelpack.errors import InputError
from modelpack.oci.tar import Content, Entry, directory, symlink

_COMPONENT_LIMIT = 255
_PATH_LIMIT = 4096


class Tree(Mapping[str, Entry]):
    """Entries by path; iteration is in byte order of the paths, parents before children."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._owners: dict[str, str] = {}

    def __getitem__(self, path: str) -> Entry:
        return self._entries[path]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries, key=str.encode))

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self) -> tuple[Entry, ...]:
        """Return all entries in the order in which a layer holds them: hard links last.

        A hard link must follow its target in the archive, and its path may sort before it.
        """
        ordered = [self._entries[path] for path in self]
        links = [entry for entry in ordered if entry.kind == "hardlink"]
        return (*(entry for entry in ordered if entry.kind != "hardlink"), *links)

    def add(self, entry: Entry, *, owner: str = "") -> None:
        """Add `entry` and the directories above it; `owner` names who brings it in messages.

        An equal entry twice is no conflict, nor is a directory twice (the first one's mode stays).
        Raises InputError when the path is unsafe or another entry already stands there.
        """
        check_path(entry.path, at=owner)
        parts = entry.path.split("/")[:-1]
        for depth in range(len(parts), 0, -1):
            parent = "/".join(parts[:depth])
            known = self._entries.get(parent)
            if known is None:
                self._entries[parent] = directory(parent)
                self._owners[parent] = owner
            elif known.kind != "directory":
                raise InputError(
                    f"`{parent}` is not a directory but holds `{entry.path}`", at=owner
                )
        known = self._entries.get(entry.path)
        if known is not None and known != entry and not known.kind == entry.kind == "directory":
            other = self._owners.get(entry.path) or "another input"
            raise InputError(f"`{entry.path}` is also written by {other}", at=owner)
        if known is None:
            self._entries[entry.path] = entry
            self._owners[entry.path] = owner

    def file(self, path: str, content: Content, *, mode: int = 0o644, owner: str = "") -> None:
        """Add a regular file."""
        self.add(Entry(path=path, mode=mode, content=content), owner=owner)

    def link(self, path: str, target: str, *, owner: str = "") -> None:
        """Add a symbolic link."""
        self.add(symlink(path, target), owner=owner)

    def put(self, entry: Entry) -> None:
        """Set `entry`, replacing what stands at its path; the parents must be there."""
        check_path(entry.path)
        self._entries[entry.path] = entry

    def discard(self, path: str) -> None:
        """Take the entry at `path` out, if there is one."""
        self._entries.pop(path, None)
        self._owners.pop(path, None)

    def owner(self, path: str) -> str:
        """Return who brought `path`, or an empty string."""
        return self._owners.get(path, "")

    def under(self, folder: str) -> "Tree":
        """Return a tree of these entries moved below `folder`."""
        moved = Tree()
        for path in self:
            entry = self._entries[path]
            moved.add(replace(entry, path=f"{folder}/{path}"), owner=self.owner(path))
        return moved


def check_path(path: str, *, at: str = "") -> None:
    """Raise InputError unless `path` is a safe relative path: no `..`, no empty or huge part."""
    shown = path.encode("unicode_escape").decode()[:200]
    if not path or len(path.encode(errors="replace")) > _PATH_LIMIT:
        raise InputError("a path is empty or too long", at=at or shown)
    if any("\ud800" <= c <= "\udfff" for c in path):
        raise InputError(f"the path `{shown}` is not valid UTF-8", at=at)
    for part in path.split("/"):
        if part in ("", ".", "..") or len(part.encode(errors="replace")) > _COMPONENT_LIMIT:
            raise InputError(f"unsafe path `{shown}`", at=at)
        if any(ord(c) < 32 or ord(c) == 127 for c in part):  # noqa: PLR2004  control characters
            raise InputError(f"control character in path `{shown}`", at=at)

"""What the dynamic loader would find: every library of a process, followed on paper.

Source: ld.so(8); glibc, elf/dl-load.c. Not followed: `glibc-hwcaps` folders, which only hold
faster twins, and LD_PRELOAD.
"""

import posixpath
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from modelpack.inputs.debian.elf import Dynamic

_CHAIN_LIMIT = 64
"objects, each loaded by the next, whose DT_RPATH counts"


@dataclass(frozen=True, slots=True)
class Missing:
    """A library that nothing in the image has."""

    library: str
    needed_by: str
    "path of the object that names it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What is loaded when one object is, and what is not found."""

    loaded: Mapping[str, str]
    "path by each name that it answers to"
    missing: tuple[Missing, ...]


@dataclass(slots=True)
class _Loaded:
    path: str
    "as it was found, which `$ORIGIN` is about"
    real: str
    loader: "_Loaded | None" = None


@dataclass(frozen=True, kw_only=True)
class Loader:
    """An image's files as its loader sees them; paths are absolute."""

    objects: Mapping[str, Dynamic]
    "by real path"
    real_path: Callable[[str], str | None]
    "of a file, links followed"
    machine: str
    library: str
    "folder below /usr and / that `$LIB` stands for: `lib/x86_64-linux-gnu`"
    folders: tuple[str, ...]
    "searched last"
    library_path: tuple[str, ...] = ()
    "of LD_LIBRARY_PATH"
    cache: Mapping[str, str] = field(default_factory=dict)
    "of /etc/ld.so.cache: path by name"

    def process(self, root: str, *, present: Mapping[str, str] | None = None) -> Process:
        """Return what loading `root` loads into a process where `present` is loaded already."""
        loaded = dict(present or {})
        missing: list[Missing] = []
        seen = {root, *loaded.values()}
        waiting = deque([_Loaded(root, root)])
        self._note(loaded, root, posixpath.basename(root))
        while waiting:
            item = waiting.popleft()
            for name in self.objects[item.real].needed:
                if name in loaded:
                    continue
                found = self._find(name, item)
                if found is None:
                    missing.append(Missing(name, item.real))
                    continue
                path, real = found
                self._note(loaded, real, name)
                if real not in seen:
                    seen.add(real)
                    waiting.append(_Loaded(path, real, item))
        return Process(loaded=loaded, missing=tuple(dict.fromkeys(missing)))

    def roots(self) -> tuple[str, ...]:
        """Return the objects that no other one brings with it, then one of each leftover circle."""
        edges = {
            path: {
                found[1] for name in info.needed if (found := self._find(name, _Loaded(path, path)))
            }
            for path, info in self.objects.items()
        }
        brought = {real for path, found in edges.items() for real in found if real != path}
        roots = [path for path in sorted(self.objects) if path not in brought]
        seen = set[str]()
        for path in (*roots, *sorted(brought)):
            if path in seen:
                continue
            if path in brought:
                roots.append(path)
            todo = [path]
            while todo:
                one = todo.pop()
                if one not in seen:
                    seen.add(one)
                    todo += edges[one]
        return tuple(roots)

    def _brought_by(self, path: str) -> set[str]:
        """Return what an object finds by itself."""
        found = (self._find(name, _Loaded(path, path)) for name in self.objects[path].needed)
        return {item[1] for item in found if item}

    def _note(self, loaded: dict[str, str], real: str, name: str) -> None:
        """Remember a library by the name that was asked for and its own."""
        for known in (name, self.objects[real].soname):
            if known:
                loaded.setdefault(known, real)

    def _find(self, name: str, item: _Loaded) -> tuple[str, str] | None:
        """Return where `name` is found for `item`, and the real path of it."""
        if "/" in name:
            return self._at(name) if name.startswith("/") else None
        for folder in self._folders(item):
            if found := self._at(posixpath.join(folder, name)):
                return found
        if (cached := self.cache.get(name)) and (found := self._at(cached)):
            return found
        for folder in self.folders:
            if found := self._at(posixpath.join(folder, name)):
                return found
        return None

    def _folders(self, item: _Loaded) -> Iterator[str]:
        """Yield the folders of DT_RPATH up the chain, the variable's, then those of DT_RUNPATH."""
        own = self.objects[item.real]
        link: _Loaded | None = item if not own.runpath else None
        for _ in range(_CHAIN_LIMIT):
            if link is None:
                break
            info = self.objects[link.real]
            if not info.runpath:
                yield from self._expanded(info.rpath, link.path)
            link = link.loader
        yield from self.library_path
        yield from self._expanded(own.runpath, item.path)

    def _expanded(self, folders: Collection[str], path: str) -> Iterator[str]:
        here = posixpath.dirname(path)
        for folder in folders:
            text = folder
            for token, value in (("ORIGIN", here), ("LIB", self.library)):
                text = text.replace(f"${{{token}}}", value).replace(f"${token}", value)
            if text.startswith("/"):
                yield posixpath.normpath(text)

    def _at(self, path: str) -> tuple[str, str] | None:
        """Return `path` and its real path where a library for this machine is there."""
        real = self.real_path(path)
        info = self.objects.get(real) if real else None
        if real is None or info is None or info.machine != self.machine:
            return None
        return path, real


def names_of(objects: Mapping[str, Dynamic], paths: Collection[str]) -> frozenset[str]:
    """Return the names under which a loader knows the objects at `paths` once they are loaded."""
    return frozenset(objects[path].soname or posixpath.basename(path) for path in paths)

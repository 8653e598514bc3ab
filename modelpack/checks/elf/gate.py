"""Whether every shared library that an image needs is in it, and made for its machine.

A library counts as there when the loader finds it for the object that names it, when the same
process has it already because the interpreter or another object of that process brought it, or
when a Python package that this object's package requires brings it: its code is imported first,
and a loader takes what is loaded under that name (PyTorch's extensions are made like that).
"""

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from modelpack.checks.elf import table as elf_table
from modelpack.checks.elf.loader import Loader, Missing, names_of
from modelpack.checks.elf.objects import Objects
from modelpack.errors import Finding
from modelpack.inputs.debian import ld_cache
from modelpack.inputs.quoting import quoted
from modelpack.platform import Platform

_SHOWN = 3
"objects named in one message"
_PATH_SHOWN = 200
"characters of a path"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What else decides about libraries."""

    platform: Platform
    interpreter: str
    "path of the image's Python"
    judge_base: bool
    "False for somebody's base: what it does not need itself it may lack"
    library_path: tuple[str, ...] = ()
    capabilities: frozenset[str] = frozenset()
    "of NVIDIA's driver that the container gets; none on the CPU"
    allowed: frozenset[str] = frozenset()
    "what the author says may be missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """What was found out about an image."""

    objects: int
    host: tuple[str, ...]
    "libraries that the host must bring"
    findings: tuple[Finding, ...]


def closure(image: Objects, settings: Settings) -> Closure:
    """Return which libraries are missing, and which the host brings."""
    judge = _Judge(image, settings)
    missing = judge.missing()
    return Closure(
        objects=len(image.found), host=tuple(sorted(judge.host)),
        findings=(*_machines(image, settings), *_findings(image, missing, settings)),
    )  # fmt: skip


def loader_of(image: Objects, *, platform: Platform, library_path: tuple[str, ...] = ()) -> Loader:
    """Return the loader of an image: its cache, and the folders that Debian's and others know."""

    def real_path(path: str) -> str | None:
        found = image.tree.file(path)
        return found[0] if found else None

    folders = (*(f"/{folder}" for folder in ld_cache.folders(platform)), "/usr/lib64", "/lib64")
    return Loader(
        objects={
            path: item.file.dynamic for path, item in image.found.items() if item.file.dynamic
        },
        real_path=real_path,
        machine=platform.machine,
        library=f"lib/{platform.multiarch}",
        folders=folders,
        library_path=library_path,
        cache=ld_cache.parse(image.cache, platform),
    )  # fmt: skip


class _Judge:
    """Follows every process that could start, and sorts what it does not find."""

    def __init__(self, image: Objects, settings: Settings) -> None:
        self._image, self._settings = image, settings
        self.host = set[str]()
        self._loader = loader_of(
            image, platform=settings.platform, library_path=settings.library_path
        )
        self._objects = self._loader.objects
        self._names = {
            name: names_of(self._objects, [p for p, o in image.owners.items() if o == name])
            for name in set(image.owners.values())
        }

    def missing(self) -> set[Missing]:
        """Return what no process finds, without what is allowed to be missing."""
        interpreter = self._loader.real_path(self._settings.interpreter) or ""
        present: Mapping[str, str] = {}
        if interpreter in self._objects:
            present = self._loader.process(interpreter).loaded
        found = set[Missing]()
        for root in self._loader.roots():
            in_python = self._image.found[root].layer != "base" or "/python3" in root
            if not in_python and not self._settings.judge_base:
                continue
            if self._objects[root].machine == self._settings.platform.machine:
                process = self._loader.process(root, present=present if in_python else None)
                found |= {item for item in process.missing if not self._excused(item, root)}
        return found

    def _excused(self, item: Missing, root: str) -> bool:
        if item.library in self._settings.allowed:
            return True
        if elf_table.host_brings(item.library, self._settings.capabilities):
            self.host.add(item.library)
            return True
        owner = self._image.owners.get(item.needed_by, "")
        if elf_table.is_plugin_for(owner, posixpath.basename(item.needed_by), item.library):
            return True
        return any(self._imported_before(item, path) for path in {item.needed_by, root})

    def _imported_before(self, item: Missing, path: str) -> bool:
        """Tell whether a package that must be imported before the one of `path` brings it."""
        owner = self._image.owners.get(path)
        if owner is None:
            # The author's code imports whatever it likes first; a base's files do not.
            everything = self._image.found[path].layer == "code"
            return everything and any(item.library in names for names in self._names.values())
        return any(item.library in self._names.get(name, ()) for name in self._required(owner))

    def _required(self, owner: str) -> set[str]:
        """Return the distribution and all that it requires, at any depth."""
        seen, todo = set[str](), [owner]
        while todo:
            name = todo.pop()
            if name not in seen and name in self._image.distributions:
                seen.add(name)
                todo += self._image.distributions[name].requires
        return seen


def _findings(image: Objects, missing: set[Missing], settings: Settings) -> Iterator[Finding]:
    """Yield a finding for each library that an owner misses."""
    groups: dict[tuple[str, str], list[str]] = {}
    for item in missing:
        groups.setdefault((image.owner(item.needed_by), item.library), []).append(item.needed_by)
    for (owner, library), paths in sorted(groups.items()):
        shown = ", ".join(quoted(path, _PATH_SHOWN) for path in sorted(paths)[:_SHOWN])
        more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        yield Finding(
            message=f"{quoted(library)} is not in the image, and {shown}{more} cannot be loaded "
            "without it",
            at=owner, rule="elf.missing", hint=_hint(library, settings),
        )  # fmt: skip


def _hint(library: str, settings: Settings) -> str:
    if not settings.capabilities and elf_table.host_brings(library, frozenset({"all"})):
        return 'set `device = "cuda"`, or lock a build for the CPU'
    package = elf_table.PACKAGES.get(library)
    source = (
        f'add `packages = ["{package}"]` to `[runtime]`' if package and settings.judge_base
        else "add the package that has it to `runtime.packages`" if settings.judge_base
        else "choose a base that has it"
    )  # fmt: skip
    exception = quoted(f'allow-missing = ["{library}"]', _PATH_SHOWN)
    return (
        f"{source}, lock another build, or, if that file is never loaded, set {exception} "
        "in `[runtime]`"
    )


def _machines(image: Objects, settings: Settings) -> Iterator[Finding]:
    """Yield a finding for whoever brings objects for other machines, and none for this one."""
    wanted = settings.platform.machine
    groups: dict[str, dict[str, list[str]]] = {}
    for path, item in image.found.items():
        if item.layer != "base":
            by_machine = groups.setdefault(image.owner(path), {})
            by_machine.setdefault(item.file.machine, []).append(path)
    for owner, machines in sorted(groups.items()):
        # Who has some for this machine carries the others as data, for another computer.
        if wanted not in machines:
            machine, paths = min(machines.items())
            yield Finding(
                message=f"{quoted(min(paths), _PATH_SHOWN)} is for {machine}, the image is "
                f"{settings.platform}",
                at=owner, rule="elf.machine",
                hint="lock a build for this platform, or leave it out of the code",
            )  # fmt: skip

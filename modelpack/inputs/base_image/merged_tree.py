"""The files of an image as its layers leave them: whiteouts applied, links followed within it.

Source: OCI image-spec, layer.md, "Representing Changes". Built from names that somebody else
wrote; nothing is unpacked, and nothing in it is a path of this machine.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from modelpack.errors import InputError
from modelpack.inputs.base_image.content_notes import Noted
from modelpack.oci.manifest import printable
from modelpack.oci.tar_reading import Header

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_NODE_LIMIT = 1_000_000
"files of an image; the largest that people build on have a third of it"
_NAMES_LIMIT = 128 << 20
"characters of all names together: what a hostile image may cost in memory"
_NAME_LIMIT = 4096
_DEPTH_LIMIT = 256
_LINK_LIMIT = 40
"links followed for one name, as in Linux"

Kind = Literal["file", "directory", "symlink", "other"]
_KINDS: dict[bytes, Kind] = {b"2": "symlink", b"5": "directory"}


@dataclass(slots=True)
class Node:
    """Something in the image's file system."""

    kind: Kind
    mode: int = 0o755
    uid: int = 0
    size: int = 0
    target: str = ""
    "of a symbolic link"
    layer: int = -1
    "number of the layer that it is from"
    noted: Noted | None = None
    "what its content says"
    children: dict[str, "Node"] = field(default_factory=dict)


class MergedTree:
    """A file system in the making, layer by layer."""

    def __init__(self) -> None:
        self._root = Node("directory")
        self._count = self._characters = 0
        self._hidden: set[tuple[int, str]] = set()

    def add(self, header: Header, layer: int, *, at: str) -> Node | None:
        """Put the member `header` of layer number `layer` where it belongs, and return it.

        None for a whiteout, which hides what lower layers have. Raises InputError for a name that
        leads out of the image.
        """
        parts = _parts(header.name, at)
        if not parts:
            return None
        folder = self._folder(parts[:-1], layer)
        self._characters += len(header.name) + len(header.target)
        if self._count > _NODE_LIMIT or self._characters > _NAMES_LIMIT:
            raise InputError(f"the image holds more than {_NODE_LIMIT} files", at=at)
        name = parts[-1]
        if name == _OPAQUE:
            self._hide(folder, layer, "/".join(parts))
            return None
        if name.startswith(_WHITEOUT):
            self._remove(folder, name.removeprefix(_WHITEOUT), layer, "/".join(parts))
            return None
        node = self._made(header, layer, at)
        known = folder.children.get(name)
        if known is not None and known.kind == node.kind == "directory":
            known.mode, known.uid, known.layer = node.mode, node.uid, layer
            return known
        folder.children[name] = node
        return node

    def _made(self, header: Header, layer: int, at: str) -> Node:
        self._count += 1
        if header.flag == b"1":
            found = self._hard(header, at)
            return Node(
                found.kind, found.mode, found.uid, found.size, found.target, layer, found.noted
            )
        kind = _KINDS.get(header.flag, "file" if header.is_file else "other")
        if header.is_file and header.name.endswith("/"):
            kind = "directory"  # as before POSIX
        target = header.target if kind == "symlink" else ""
        return Node(kind, header.mode, header.uid, header.size, target, layer)

    def _hard(self, header: Header, at: str) -> Node:
        """Return what a hard link links to."""
        parts = _parts(header.target, at)
        folder = self.find("/".join(parts[:-1]))
        found = folder[1].children.get(parts[-1]) if folder and parts else None
        if found is None or found.kind == "directory":
            shown = printable(header.name)
            raise InputError(f"`{shown}` is a hard link to what is not there", at=at)
        return found

    def _folder(self, parts: list[str], layer: int) -> Node:
        """Return the folder at `parts`, links followed as an engine does, made where missing."""
        node = self._root
        for depth in range(len(parts)):
            child = node.children.get(parts[depth])
            if child is not None and child.kind == "symlink":
                found = self.find("/".join(parts[: depth + 1]))
                child = found[1] if found else None
            if child is None or child.kind != "directory":
                child = Node("directory", layer=layer)
                self._count += 1
                node.children[parts[depth]] = child
            node = child
        return node

    def _remove(self, folder: Node, name: str, layer: int, path: str) -> None:
        child = folder.children.get(name)
        if child is None:
            return
        self._hide(child, layer, path)
        if child.layer < layer and not child.children:
            del folder.children[name]

    def _hide(self, node: Node, layer: int, path: str) -> None:
        """Take away what is below `node` and from layers below `layer`; what is newer stays."""
        if (layer, path) in self._hidden:
            return  # repeated, it would cost time and change nothing
        self._hidden.add((layer, path))
        todo = [node]
        seen = []
        while todo:
            seen.append(todo.pop())
            todo += [child for child in seen[-1].children.values() if child.children]
        for item in reversed(seen):
            for name, child in list(item.children.items()):
                if child.layer < layer and not child.children:
                    del item.children[name]

    def find(self, path: str) -> tuple[str, Node] | None:
        """Return the real path and the node of `path`, links followed; None where there is none."""
        todo = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        real: list[tuple[str, Node]] = []
        links = 0
        while todo:
            part = todo.pop()
            if part == "..":
                real = real[:-1]
                continue
            node = real[-1][1] if real else self._root
            child = node.children.get(part)
            if child is None:
                return None
            if child.kind != "symlink":
                real.append((part, child))
                continue
            links += 1
            if links > _LINK_LIMIT:
                return None
            if child.target.startswith("/"):
                real = []
            todo += [part for part in reversed(child.target.split("/")) if part not in ("", ".")]
        return "/" + "/".join(name for name, _ in real), real[-1][1] if real else self._root

    def file(self, path: str) -> tuple[str, Node] | None:
        """Return the real path and the node of a regular file; None where there is none."""
        found = self.find(path)
        return found if found and found[1].kind == "file" else None

    def names(self, path: str) -> tuple[str, ...]:
        """Return what a folder has in it; nothing where there is no such folder."""
        found = self.find(path)
        return tuple(found[1].children) if found else ()

    def below(self, path: str = "/") -> Iterator[tuple[str, Node]]:
        """Yield everything below a folder by its path, sorted within each folder."""
        found = self.find(path)
        todo = [(found[0].rstrip("/"), found[1])] if found else []
        while todo:
            where, node = todo.pop()
            for name in sorted(node.children):
                child = node.children[name]
                yield f"{where}/{name}", child
                if child.children:
                    todo.append((f"{where}/{name}", child))


def _parts(name: str, at: str) -> list[str]:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or len(parts) > _DEPTH_LIMIT or len(name) > _NAME_LIMIT:
        raise InputError(f"a layer holds the unsafe path `{printable(name)}`", at=at)
    return parts

"""Tensors of safetensors files that a golden file names instead of listing their numbers.

`{"$tensor": "FILE#NAME"}` stands for one, `{"$tensors": "FILE"}` for an object with all of a file.
"""

import posixpath
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.errors import InputError
from modelpack.inputs import tensors
from modelpack.inputs.array import Array
from modelpack.inputs.opening import open_regular
from modelpack.inputs.quoting import quoted

TENSORS: Final = ("*.safetensors",)
"files that golden ones name, and that are none themselves"
ONE: Final = "$tensor"
ALL: Final = "$tensors"
_ALL_LIMIT: Final = 256 << 20
"bytes of all files that are read for one project"
_ELEMENTS: Final = 4 << 20
"numbers that are written out as JSON"
Find = Callable[[str], Mapping[str, Array]]
"from the path of a file to its tensors"
Wrong = Callable[[str, str], None]
"told where something is wrong, and what"


class TensorFiles:
    """The safetensors files of a project, each read once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._found: dict[str, tuple[bytes, Mapping[str, Array]]] = {}
        self._failed: dict[str, InputError] = {}

    def near(self, file: str) -> "Near":
        """Return those that `file` may name, relative to its folder."""
        return Near(self, posixpath.dirname(file))

    def read(self, path: str) -> tuple[bytes, Mapping[str, Array]]:
        """Return a file and its tensors by its path in the project; raise InputError: it is none.

        A file that is wrong is refused once; who names it again is not told all of it again.
        """
        if path in self._failed:
            raise InputError("cannot be used, see above", at=path)
        if path not in self._found:
            try:
                data = self._bytes(path)
                self._found[path] = (data, tensors.decode(data, at=path))
            except InputError as error:
                self._failed[path] = error
                raise
        return self._found[path]

    def _bytes(self, path: str) -> bytes:
        place = self._root / path
        if not path.isprintable():
            raise InputError("not a path", at=quoted(path))
        inside = not posixpath.isabs(path) and path != ".." and not path.startswith("../")
        if not inside or not place.resolve().is_relative_to(self._root.resolve()):
            raise InputError("does not lie in the project", at=path)
        room = _ALL_LIMIT - sum(len(data) for data, _ in self._found.values())
        limit = min(tensors.LIMIT, room)
        with open_regular(place, at=path) as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise InputError(
                f"larger than {tensors.LIMIT >> 20} MiB" if room >= tensors.LIMIT
                else f"all files of tensors together are larger than {_ALL_LIMIT >> 20} MiB",
                at=path,
            )  # fmt: skip
        return data


class Near:
    """The files that one golden file may name, and which of them it did."""

    def __init__(self, files: TensorFiles, folder: str) -> None:
        self._files, self._folder = files, folder
        self.used: dict[str, Digest] = {}

    def __call__(self, name: str) -> Mapping[str, Array]:
        """Return the tensors of a file."""
        return self.read(name)[1]

    def read(self, name: str) -> tuple[bytes, Mapping[str, Array]]:
        """Return a file and its tensors."""
        path = posixpath.normpath(posixpath.join(self._folder, name))
        data, found = self._files.read(path)
        self.used[path] = digest_of(data)
        return data, found


def expand(value: Any, find: Find, wrong: Wrong, at: str) -> Any:  # noqa: ANN401  any JSON value
    """Return `value` with the tensors that it names; where one cannot be, None stands."""
    if isinstance(value, list):
        return [expand(one, find, wrong, f"{at}[{index}]") for index, one in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if not value.keys() & {ONE, ALL}:
        return {key: expand(one, find, wrong, f"{at}.{key}") for key, one in value.items()}
    ((key, text), *more) = value.items()
    if more or not isinstance(text, str):
        wrong(at, f"`{ONE}` or `{ALL}` stands alone in its object, with a text")
        return None
    try:
        return dict(find(text)) if key == ALL else _one(text, find)
    except InputError as error:
        for finding in error.findings:
            wrong(at, f"{finding.at}: {finding.message}" if finding.at else finding.message)
        return None


def _one(text: str, find: Find) -> Array:
    file, _, name = text.partition("#")
    if not name:
        raise InputError(f"not `FILE#NAME`: {quoted(text)}")
    found = find(file)
    if name not in found:
        known = ", ".join(quoted(one, 40) for one in list(found)[:10])
        raise InputError(f"has no tensor {quoted(name)}, it has {known or 'none'}", at=file)
    return found[name]


def arrays(value: Any, at: str) -> Iterator[tuple[str, Array]]:  # noqa: ANN401
    """Yield the tensors in `value`, each with its place."""
    if isinstance(value, Array):
        yield at, value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from arrays(one, f"{at}.{key}")
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from arrays(one, f"{at}[{index}]")


def plain(value: Any, wrong: Wrong, at: str) -> Any:  # noqa: ANN401
    """Return `value` with the numbers of its tensors as lists, of which there may be too many."""
    held = list(arrays(value, at))
    if sum(array.count for _, array in held) > _ELEMENTS:
        wrong(at, f"more than {_ELEMENTS} numbers of tensors to be written as JSON")
        return None
    return _plain(value)


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, Array):
        return value.nested()
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return {key: _plain(one) for key, one in value.items()} if isinstance(value, dict) else value

"""What is remembered of finished layers: which packages each holds, so that none is read twice."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from modelpack import canonical_json
from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.errors import InputError
from modelpack.inputs import layer_contents
from modelpack.inputs.base_image import layer_stream
from modelpack.inputs.layer_contents import InstalledPackage, LayerContents
from modelpack.inputs.licenses import Licenses
from modelpack.inputs.python.core_metadata import Distribution
from modelpack.inputs.remembered import CONTENTS_VERSION, Remembered

FOLDER = "contents"
_LIMIT = 64 << 30
"bytes of a layer, uncompressed; a bomb costs time only"


class LayerMemory:
    """LayerContents by diff_id, below the root of the cache."""

    def __init__(self, cache: Path) -> None:
        self._remembered = Remembered(cache / FOLDER)

    def get(self, diff_id: Digest) -> LayerContents | None:
        """Return what is known of the layer `diff_id`, or None."""
        value = self._remembered.get(_key(diff_id))
        try:
            return None if value is None else _parse(value)
        except (KeyError, TypeError, AttributeError, ValueError):
            return None

    def keep(self, diff_id: Digest, contents: LayerContents) -> LayerContents:
        """Remember, and return, what the layer `diff_id` holds."""
        self._remembered.keep(_key(diff_id), canonical_json.plain(contents))
        return contents

    def read(self, diff_id: Digest, stream: BinaryIO) -> LayerContents:
        """Return what the layer `diff_id`, stored as `stream`, holds, and remember it.

        Raises InputError when it is damaged or another layer: nothing wrong is remembered.
        """
        with layer_stream.reading(stream, limit=_LIMIT, at=diff_id) as tar:
            found = layer_contents.of_tar(tar, at=diff_id)
            whole = tar.finish()
        if whole != diff_id:
            raise InputError("the layer is damaged: it has another digest", at=diff_id)
        return self.keep(diff_id, found)


def _key(diff_id: Digest) -> Digest:
    return digest_of(f"contents:{CONTENTS_VERSION}:{diff_id}".encode())


def _parse(value: Mapping[str, Any]) -> LayerContents:
    return LayerContents(
        packages={
            path: tuple(_package(item) for item in items)
            for path, items in value["packages"].items()
        },
        licenses={name: _licenses(item) for name, item in value["licenses"].items()},
        links=_texts(value["links"]),
        distributions={
            path: Distribution(
                name=str(item["name"]), version=str(item["version"]),
                licenses=_licenses(item["licenses"]),
                requires=tuple(map(str, item["requires"])),
            )
            for path, item in value["distributions"].items()
        },
        system=_texts(value["system"]),
        unread=tuple(map(str, value["unread"])),
        removed=tuple(map(str, value["removed"])),
    )  # fmt: skip


def _package(item: Mapping[str, Any]) -> InstalledPackage:
    return InstalledPackage(
        name=str(item["name"]), version=str(item["version"]),
        architecture=str(item["architecture"]), source=str(item["source"]),
        source_version=str(item["source-version"]), depends=tuple(map(str, item["depends"])),
        format="apk" if item["format"] == "apk" else "deb",
    )  # fmt: skip


def _licenses(item: Mapping[str, Any]) -> Licenses:
    return Licenses(expression=str(item["expression"]), names=tuple(map(str, item["names"])))


def _texts(value: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): str(item) for key, item in value.items()}

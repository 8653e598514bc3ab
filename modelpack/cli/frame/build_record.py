"""`dist/build.json`: what was built, and the statements about it that were made here."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelpack import project
from modelpack.canonical_json import pretty
from modelpack.cli.display.build_report import rows
from modelpack.errors import ModelpackError
from modelpack.inputs.opening import open_regular
from modelpack.oci.manifest import parse_object

if TYPE_CHECKING:
    from modelpack.assembly.evidence import Evidence

_LIMIT = 64 << 20


def images(path: Path) -> list[dict[str, Any]]:
    """Return the images that a record is about; none where there is no record."""
    try:
        found = _read(path)["images"]
    except (ModelpackError, KeyError):
        return []
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def _read(path: Path) -> dict[str, Any]:
    with open_regular(path) as file:
        return parse_object(file.read(_LIMIT + 1), at=str(path), limit=_LIMIT)


def amend(path: Path, said: Iterable["Evidence"]) -> bool:
    """List statements that were made later in the record of the images that they are about.

    They take the place of earlier ones of their kind. Tell whether all were: not where there is
    no such record, or it is about others.
    """
    new = rows(said)
    try:
        record = _read(path)
        built = {image["digest"] for image in record["images"]}
        kept = [row for row in record["evidence"] if not any(_replaces(one, row) for one in new)]
    except (ModelpackError, KeyError, TypeError):
        return False
    if not new or not all(built.issuperset(row["images"]) for row in new):
        return False
    project.write(path, pretty({**record, "evidence": [*kept, *new]}))
    return True


def _replaces(new: dict[str, Any], old: dict[str, Any]) -> bool:
    return bool(new["kind"] == old["kind"] and {*new["images"]} & {*old["images"]})

"""Which files of a listing are packed, and whether their names are ones that a folder can have.

A name from afar is hostile: it becomes a path of the image, and of nothing on this machine.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from modelpack import spec
from modelpack.errors import Finding, Refused
from modelpack.fetching.place import Listing, Place, Wanted
from modelpack.inputs.patterns import case_collisions, is_clean, matches, shown
from modelpack.metadata import NAMEPLATE
from modelpack.spec import packing, weight_source

FILE_LIMIT = 10_000
_LONGEST = 1024
_SHOWN = 20
_DRIVE = re.compile(r"[A-Za-z]:")


def wanted(weights: spec.Weights) -> Wanted:
    """Return what tells whether `include` and `exclude` select a path."""

    def is_wanted(path: str) -> bool:
        return (
            path != NAMEPLATE
            and any(matches(path, pattern) for pattern in weights.include)
            and not any(matches(path, pattern) for pattern in weights.exclude)
        )

    return is_wanted


def listed(place: Place, weights: spec.Weights) -> Listing:
    """Return the files of a source that are meant.

    Of an image, whose files somebody chose, the default means what it means for a folder. Hubs and
    buckets hold one model in many forms: there it means just what it says.
    """
    listing = place.listing(wanted(weights))
    if not isinstance(weight_source.parse(weights.source), weight_source.Stored):
        return listing
    include = packing.patterns(weights, (file.path for file in listing.files))
    if include == weights.include:
        return listing
    return place.listing(wanted(replace(weights, include=include)))


def check(listing: Listing, weights: spec.Weights) -> None:
    """Raise Refused with every name that cannot be packed, or when nothing is there."""
    paths = [file.path for file in listing.files]
    at = f"weights.{weights.name}.source"
    findings = [
        Finding(message=f"`{shown(path)}`: {complaint}", at=at, rule="files.unusable")
        for path in paths
        if (complaint := _complaint(path))
    ]
    if not findings:
        findings = [
            Finding(message=f"`{found.at}` {found.message}", at=at, rule=found.rule)
            for found in case_collisions(sorted(paths))
        ] + _twice(paths, at)
    if not paths:
        patterns = ", ".join(f"`{pattern}`" for pattern in weights.include)
        findings = [Finding(message=f"no file of the source matches {patterns}",
                            at=f"weights.{weights.name}.include", rule="weights.none",
                            hint="name what is wanted: `*.onnx`, `*-Q4_K_M.gguf`")]  # fmt: skip
    if len(paths) > FILE_LIMIT:
        findings = [Finding(message=f"the source has more than {FILE_LIMIT} files", at=at,
                            hint="say in `include` which ones are meant")]  # fmt: skip
    if findings:
        raise Refused(*findings[:_SHOWN])


def _complaint(path: str) -> str:
    """Return what is wrong with a name; nothing where it can be packed."""
    parts = path.split("/")
    if not is_clean(path):
        return "the name holds control characters or is not UTF-8"
    if path.startswith("/") or _DRIVE.match(path):
        return "an absolute name"
    if "\\" in path:
        return "the name holds a `\\`, which is a folder on some machines"
    if any(part in ("", ".", "..") for part in parts):
        return "the name leads out of its folder, or through it in circles"
    if len(path.encode()) > _LONGEST or any(len(part.encode()) > 255 for part in parts):  # noqa: PLR2004  NAME_MAX
        return "the name is too long for a file"
    return ""


def _twice(paths: Sequence[str], at: str) -> list[Finding]:
    """Find names that stand twice, or that are a file and a folder at once."""
    files, found, seen = set(paths), list[Finding](), set[str]()
    for path in paths:
        if path in seen:
            found.append(Finding(message=f"`{path}` stands there twice", at=at))
        seen.add(path)
        parents = path.split("/")[:-1]
        for count in range(1, len(parents) + 1):
            above = "/".join(parents[:count])
            if above in files:
                found.append(Finding(message=f"`{above}` is a file and a folder", at=at))
    return list(dict.fromkeys(found))

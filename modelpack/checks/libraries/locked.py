"""A model file held against the locked libraries: versions as numbers, and how findings say it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from modelpack.checks.libraries.table import Table, Version
from modelpack.errors import Finding

RULE = "weights.library"
_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?")

Wheels = Mapping[str, str]
"names to versions, of one platform"
_NO_TWINS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The file that is judged, the wheels that read it, and the lockfile to change."""

    at: str
    wheels: Wheels
    lockfile: str
    twins: Mapping[str, str] = field(default_factory=lambda: _NO_TWINS)
    "what a library is locked as, where that is another name"

    def version(self, library: str) -> Version | None:
        """Return the locked version; None where there is none, or none of three numbers."""
        return version(self.wheels.get(library, ""))

    def finding(self, message: str, library: str, *, sure: bool = True, hint: str = "") -> Finding:
        """Return what is wrong with the file, or in doubt unless `sure`."""
        if not hint:
            name = self.twins.get(library, library)
            hint = f"change `{name}` in {self.lockfile}, then `modelpack lock --upgrade deps`"
        return Finding(
            message=message, at=self.at, hint=hint, rule=RULE,
            severity="error" if sure else "warning",
        )  # fmt: skip

    def add(self, names: Iterable[str]) -> str:
        """Return the hint to lock one of `names` as well."""
        either = " or ".join(f"`{name}`" for name in names)
        return f"add {either} to {self.lockfile}, then `modelpack lock --upgrade deps`"

    def known(self, rows: Table, key: str, what: str) -> Iterator[Finding]:
        """Yield a finding where the locked release is older than the first one that reads it."""
        first, locked = rows.first.get(key), self.version(rows.library)
        if first is not None and locked is not None and locked < first:
            yield self.finding(
                f"{what}: {rows.library} reads that from {text(first)} on, "
                f"{self.wheels[rows.library]} is locked", rows.library,
            )  # fmt: skip


def version(words: str) -> Version | None:
    """Return a version as numbers; what follows the third is left out."""
    match = _VERSION.match(words)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def text(numbers: Iterable[int]) -> str:
    """Return numbers as a version."""
    return ".".join(map(str, numbers))

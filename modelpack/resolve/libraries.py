"""The gate for model files against the locked libraries, over what is locked or about to be."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelpack.checks.libraries import names as library_names
from modelpack.errors import Finding, ModelpackError, Refused
from modelpack.lock import Lock, PlatformLock
from modelpack.spec import Spec

if TYPE_CHECKING:
    from modelpack.resolve.weights import Gated


def library_findings(
    spec: Spec, found: "Sequence[Gated]", platforms: Sequence[PlatformLock]
) -> tuple[Finding, ...]:
    """Return what of these weights the wheels of `platforms` cannot load."""
    return tuple(
        finding for group in found
        for finding in of_files(spec, group, platforms)
    )  # fmt: skip


def of_files(spec: Spec, group: "Gated", platforms: Sequence[PlatformLock]) -> tuple[Finding, ...]:
    """Return the same of the files of one `[weights]`."""
    if not group.files or not platforms:
        return ()
    from modelpack.checks.libraries import gate as libraries  # noqa: PLC0415  not for a code-only build
    from modelpack.resolve.weights import located, look  # noqa: PLC0415

    looked = group.looked or look(group.files)
    place = spec.dependencies.lockfile or "dependencies.lockfile"
    return located(group.weights, libraries.findings(looked, platforms, place))


def on_this_machine(spec: Spec, root: Path) -> "tuple[Gated, ...]":
    """Return the weight files that are here, ungated: other gates tell what is wrong with them."""
    from modelpack.resolve.weights import Gated, find  # noqa: PLC0415  not for a code-only build

    found: list[Gated] = []
    for weights in spec.weights:
        if weights.path and (root / weights.path).is_dir():
            try:
                files = find(root, weights)
            except ModelpackError:
                continue
            found.append(Gated(weights=weights, files=files, findings=()))
    return tuple(found)


def gate_libraries(spec: Spec, lock: Lock, root: Path) -> tuple[Finding, ...]:
    """Return the warnings for weights of this machine; raise Refused with everything found."""
    findings = library_findings(spec, on_this_machine(spec, root), lock.platforms)
    if any(finding.severity == "error" for finding in findings):
        raise Refused(*findings)
    return findings


def relevant(platforms: Sequence[PlatformLock]) -> tuple[str, ...]:
    """Return what of the locked wheels a verdict depends on."""
    names = library_names.names()
    return tuple(sorted({
        f"{wheel.name}=={wheel.version}"
        for platform in platforms for wheel in platform.wheels if wheel.name in names
    }))  # fmt: skip

"""`pylock.toml`, the standard lockfile, reduced to what is installed. Source: PEP 751."""

import re

import tomli
from packaging.pylock import Package, Pylock, PylockValidationError

from modelpack.errors import Finding, InputError
from modelpack.inputs.python.pinned import Requirement
from modelpack.inputs.python.target import Target
from modelpack.inputs.quoting import quoted

_SHA256 = re.compile(r"[0-9a-f]{64}")


def requirements(data: bytes, *, at: str, target: Target) -> list[Requirement]:
    """Return the packages that `data` pins for `target`, or raise InputError with every fault."""
    lock = _decoded(data, at=at)
    if lock.requires_python and not lock.requires_python.contains(target.interpreter.version):
        raise InputError(
            f"is for Python `{lock.requires_python}`, the base has {target.interpreter.version}",
            at=at,
            hint="lock it again for that Python",
        )
    if lock.environments and not any(target.applies(one) for one in lock.environments):
        raise InputError(
            f"is not for {target}",
            at=f"{at}: environments",
            hint="lock it again for that environment",
        )
    groups = frozenset(lock.default_groups or ())
    environment: dict[str, str | frozenset[str]] = {
        **target.environment,
        "extras": frozenset(),
        "dependency_groups": groups,
    }
    findings: list[Finding] = []
    found: dict[str, Requirement] = {}
    for index, package in enumerate(lock.packages):
        if package.marker and not package.marker.evaluate(environment, context="lock_file"):
            continue
        where = f"{at}: packages[{index}]"
        one = _requirement(package, at=where, findings=findings)
        if one and one.name in found:
            findings.append(
                Finding(
                    message=f"`{one.name}` is pinned twice for {target}",
                    at=where,
                    rule="dependencies.duplicate",
                )
            )
        elif one:
            found[one.name] = one
    if findings:
        raise InputError(*findings)
    return list(found.values())


def _decoded(data: bytes, *, at: str) -> Pylock:
    try:
        return Pylock.from_dict(tomli.loads(data.decode()))
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8", at=at) from error
    except (tomli.TOMLDecodeError, PylockValidationError, RecursionError) as error:
        raise InputError(f"is not a pylock.toml: {quoted(str(error), 200)}", at=at) from error


def _requirement(package: Package, *, at: str, findings: list[Finding]) -> Requirement | None:
    if package.is_direct or package.version is None:
        findings.append(
            Finding(
                message=f"`{package.name}` does not come from an index as a version",
                at=at,
                hint=f"put a wheel of `{package.name}` on an index and lock again",
                rule="dependencies.unpinned",
            )
        )
        return None
    if not package.wheels:
        findings.append(
            Finding(
                message=f"`{package.name}` {package.version} has no wheel, and source "
                "distributions are not built",
                at=at,
                hint="choose a version with wheels, or build the wheel and put it on an index",
                rule="dependencies.source",
            )
        )
        return None
    hashes = {str(wheel.hashes.get("sha256", "")) for wheel in package.wheels}
    if not all(_SHA256.fullmatch(one) for one in hashes):
        findings.append(
            Finding(
                message=f"a wheel of `{package.name}` has no sha256",
                at=at,
                hint="lock again with a tool that writes them",
                rule="dependencies.unhashed",
            )
        )
        return None
    return Requirement(
        name=package.name, version=str(package.version), hashes=tuple(sorted(hashes))
    )

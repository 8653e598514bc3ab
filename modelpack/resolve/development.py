"""The development lock: wheels for the author's checks, which no image holds.

It stays out of modelpack.lock: its hashes are its lock, and an edit of it makes no image stale.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelpack.errors import Finding, InputError, Refused
from modelpack.inputs.machine import Machine
from modelpack.lock import PlatformLock, Wheel
from modelpack.resolve.dependencies import resolve_wheels
from modelpack.spec import Spec

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "dependencies.development"


def development_wheels(
    spec: Spec, root: Path, platform: PlatformLock, *, machine: Machine
) -> tuple[Wheel, ...]:
    """Return the wheels of the development lock that the image does not hold.

    Chosen for the same platform and Python as the image's own. Raises InputError where the lock
    pins other versions than the image has: checks with those would be about another image.
    """
    name = spec.dependencies.development
    if not name:
        return ()
    if not (root / name).is_file():
        raise InputError(f"`{name}` is not there", at=KEY,
                         hint=f"write {name}, with hashes")  # fmt: skip
    as_lockfile = replace(spec, dependencies=replace(spec.dependencies, lockfile=name, source=""))
    held = {wheel.name: wheel for wheel in platform.wheels}
    wheels, findings = resolve_wheels(
        as_lockfile, root, platform=platform.platform, interpreter=platform.interpreter,
        machine=machine,
    )  # fmt: skip
    # What it needs of the image's own packages is there, and need not be pinned twice.
    del findings
    if others := tuple(_others(wheels, held, name)):
        raise Refused(*others)
    return tuple(wheel for wheel in wheels if wheel.name not in held)


def _others(wheels: Sequence[Wheel], held: dict[str, Wheel], name: str) -> "Iterator[Finding]":
    for wheel in wheels:
        own = held.get(wheel.name)
        if own is not None and own.version != wheel.version:
            yield Finding(
                message=f"`{name}` pins {wheel.name} {wheel.version}, the image has {own.version}",
                at=KEY, rule="checks.version",
                hint=f"compile it with the image's lockfile as a constraint "
                f"(`pip-compile --constraint`), or take {wheel.name} out",
            )  # fmt: skip

"""Locked requirements to wheels by digest, complete for the target."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelpack import platform as platforms
from modelpack.errors import Finding, InputError
from modelpack.inputs.machine import Machine
from modelpack.inputs.quoting import quoted
from modelpack.lock import AssembledBase, ImageBase, Interpreter, Lock, PlatformLock, Wheel
from modelpack.platform import Platform
from modelpack.spec import Spec
from modelpack.spec.problems import similar

if TYPE_CHECKING:
    from modelpack.inputs.python.base_interpreter import BaseInterpreter
    from modelpack.inputs.python.pinned import Requirements
    from modelpack.inputs.python.target import Target


_ANY_GLIBC = "2.36"
"of a base that is not locked yet: markers do not ask for it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """Which requirements may move when the lockfile is compiled; none: only what must."""

    everything: bool = False
    packages: tuple[str, ...] = ()


def requirement_digests(spec: Spec, root: Path) -> Mapping[str, str]:
    """Return the sha256 of the requirement files that the Spec names, by their key."""
    named = {
        "dependencies.lockfile": spec.dependencies.lockfile,
        "dependencies.source": spec.dependencies.source,
    }
    found = {}
    for key, name in named.items():
        path = root / name
        if name and path.is_file():
            found[key] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def resolve_wheels(
    spec: Spec, root: Path, *, platform: Platform, interpreter: Interpreter, machine: Machine
) -> tuple[tuple[Wheel, ...], tuple[Finding, ...]]:
    """Return the wheels of the lockfile for the target, and what is wrong with them."""
    if not spec.dependencies.lockfile:
        return (), ()
    from modelpack.checks import lockfile as check  # noqa: PLC0415  loads packaging
    from modelpack.inputs.python import package_index  # noqa: PLC0415
    from modelpack.inputs.python.target import Target  # noqa: PLC0415

    target = Target.of(interpreter, platform)
    wanted = read_lockfile(spec, root, target=target)
    selected = package_index.select(
        wanted, target=target, indexes=_indexes(spec, machine), environment=machine.environment,
        progress=machine.progress,
    )  # fmt: skip
    found = check.findings(selected, target=target)
    wheels = sorted((item.wheel for item in selected), key=lambda wheel: wheel.name)
    return tuple(wheels), found


def read_lockfile(spec: Spec, root: Path, *, target: "Target") -> "Requirements":
    """Return what `dependencies.lockfile` pins; raise InputError with every fault in it."""
    from modelpack.inputs.python import requirements  # noqa: PLC0415  loads packaging

    name = spec.dependencies.lockfile
    path = root / name
    if not path.exists():
        hint = "modelpack lock" if spec.dependencies.source else f"write {name}, or name another"
        raise InputError(f"`{name}` is not there", at="dependencies.lockfile", hint=hint)
    return requirements.parse(path, target=target)


def check_lockfile(spec: Spec, root: Path, lock: Lock | None) -> None:
    """Read the lockfile for each platform as locked, or as this version knows the base.

    Raises InputError with what needs no index to be seen: lines that are not pinned or have no
    hash, options, the locks of other tools.
    """
    path = root / spec.dependencies.lockfile
    if not spec.dependencies.lockfile or (spec.dependencies.source and not path.exists()):
        return
    from modelpack.inputs.debian import distributions  # noqa: PLC0415
    from modelpack.inputs.python.target import Target  # noqa: PLC0415  loads packaging

    for name in spec.image.platforms:
        wanted = platforms.parse(name, at="image.platforms")
        known = locked_platform(lock, wanted) if lock else None
        python = f"{distributions.expected_python(spec.runtime.base, spec.runtime.python)}.0"
        expected = Interpreter(version=python, path="", glibc=_ANY_GLIBC)
        interpreter = known.interpreter if known else expected
        read_lockfile(spec, root, target=Target.of(interpreter, wanted))


def locked_platform(lock: Lock, wanted: Platform) -> PlatformLock | None:
    """Return what `lock` has for a platform."""
    return next((known for known in lock.platforms if known.platform == wanted), None)


def _indexes(spec: Spec, machine: Machine) -> Mapping[str, str | None]:
    """Return the indexes that the spec names, in its order, with this machine's URLs."""
    unknown = [name for name in spec.dependencies.indexes if name not in machine.indexes]
    if unknown:
        raise InputError(
            f"this machine knows no index `{unknown[0]}`", at="dependencies.indexes",
            hint=f'add `[indexes] {unknown[0]} = "https://…"` to the configuration of modelpack',
        )  # fmt: skip
    return {name: machine.indexes[name] for name in spec.dependencies.indexes}


def compile_requirements(
    spec: Spec,
    root: Path,
    *,
    platform: Platform,
    interpreter: Interpreter,
    base: AssembledBase | ImageBase,
    machine: Machine,
    upgrade: Upgrade,
) -> None:
    """Write the lockfile of `dependencies.source`, by pip-tools under the target's interpreter.

    Raises Unavailable with the command to type where no such interpreter runs on this machine.
    """
    source = root / spec.dependencies.source
    if not source.is_file():
        raise InputError(f"`{spec.dependencies.source}` is not there", at="dependencies.source")
    from modelpack.inputs.python import requirements_compiler  # noqa: PLC0415  loads pip-tools
    from modelpack.inputs.python.target import Target  # noqa: PLC0415
    from modelpack.inputs.scratch import scratch_folder  # noqa: PLC0415

    target = Target.of(interpreter, platform)
    _expect_pinned(upgrade.packages, spec, root, target=target)
    with scratch_folder(machine.cache) as folder:
        runner = None
        # The interpreter of an image from a registry is never run on this machine.
        if machine.host == platform and isinstance(base, AssembledBase):
            runner = _extracted(base, interpreter, platform, machine, folder / "root")
        argv = requirements_compiler.find_interpreter(
            target, base=runner, environment=machine.environment
        )
        requirements_compiler.compile(
            source, root / spec.dependencies.lockfile, interpreter_argv=argv,
            environment=machine.environment, indexes=_indexes(spec, machine),
            upgrade=upgrade.everything, upgrade_packages=upgrade.packages,
            progress=machine.progress,
        )  # fmt: skip


def _expect_pinned(packages: Sequence[str], spec: Spec, root: Path, *, target: "Target") -> None:
    """Raise InputError for a name to upgrade that the lockfile does not have."""
    if not packages or not (root / spec.dependencies.lockfile).exists():
        return
    pinned = {one.name for one in read_lockfile(spec, root, target=target).requirements}
    unknown = [
        name for name in packages if re.sub(r"[-_.]+", "-", name.strip()).lower() not in pinned
    ]
    if unknown:
        raise InputError(
            *(
                Finding(message=f"`{spec.dependencies.lockfile}` pins no {quoted(name)}",
                        at="--upgrade-package", hint=similar(name, sorted(pinned)))
                for name in unknown
            )
        )  # fmt: skip


def _extracted(
    base: AssembledBase, interpreter: Interpreter, platform: Platform, machine: Machine, root: Path
) -> "BaseInterpreter":
    from modelpack.inputs.debian import base as debian_base  # noqa: PLC0415
    from modelpack.inputs.python.base_interpreter import BaseInterpreter  # noqa: PLC0415

    debs = debian_base.fetch(
        base, mirrors=machine.mirrors, downloads=machine.downloads,
        environment=machine.environment, offline=machine.offline, progress=machine.progress,
    )  # fmt: skip
    tree = debian_base.tree(base, debs, platform=platform, user=1, spill=root.with_name("content"))
    return BaseInterpreter.extract(tree, root, interpreter=interpreter, platform=platform)

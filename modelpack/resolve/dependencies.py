"""Locked requirements to wheels by digest, complete for the target."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelpack.errors import Finding, InputError
from modelpack.inputs.machine import Machine
from modelpack.inputs.scratch import scratch_folder
from modelpack.lock import AssembledBase, Interpreter, Wheel
from modelpack.platform import Platform
from modelpack.spec import Spec

if TYPE_CHECKING:
    from modelpack.inputs.python.base_interpreter import BaseInterpreter


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """Which requirements may move when the lockfile is compiled; none: only what must."""

    everything: bool = False
    packages: tuple[str, ...] = ()


DEFAULT_LOCKFILE = "requirements.lock"


def lockfile(spec: Spec) -> str:
    """Return the path of the hash-locked requirements below the project; empty: none."""
    dependencies = spec.dependencies
    return dependencies.lockfile or (DEFAULT_LOCKFILE if dependencies.source else "")


def requirement_digests(spec: Spec, root: Path) -> Mapping[str, str]:
    """Return the sha256 of the requirement files that the Spec names, by their key."""
    named = {
        "dependencies.lockfile": lockfile(spec),
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
    name = lockfile(spec)
    if not name:
        return (), ()
    path = root / name
    if not path.is_file():
        hint = "modelpack lock" if spec.dependencies.source else f"write {name}, or name another"
        raise InputError(f"`{name}` is not there", at="dependencies.lockfile", hint=hint)
    from modelpack.checks import lockfile as check  # noqa: PLC0415  loads packaging
    from modelpack.inputs.python import package_index, requirements  # noqa: PLC0415
    from modelpack.inputs.python.target import Target  # noqa: PLC0415

    target = Target.of(interpreter, platform)
    wanted = requirements.parse(path, target=target)
    selected = package_index.select(
        wanted, target=target, indexes=_indexes(spec, machine), environment=machine.environment,
        progress=machine.progress,
    )  # fmt: skip
    found = check.findings(selected, target=target)
    wheels = sorted((item.wheel for item in selected), key=lambda wheel: wheel.name)
    return tuple(wheels), found


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
    base: AssembledBase,
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

    target = Target.of(interpreter, platform)
    with scratch_folder(machine.cache) as folder:
        runner = None
        if machine.host == platform:
            runner = _extracted(base, interpreter, platform, machine, folder / "root")
        argv = requirements_compiler.find_interpreter(
            target, base=runner, environment=machine.environment
        )
        requirements_compiler.compile(
            source, root / lockfile(spec), interpreter_argv=argv,
            environment=machine.environment, indexes=_indexes(spec, machine), upgrade=upgrade.everything,
            upgrade_packages=upgrade.packages, progress=machine.progress,
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
    tree = debian_base.tree(base, debs, platform=platform, user=1)
    return BaseInterpreter.extract(tree, root, interpreter=interpreter, platform=platform)

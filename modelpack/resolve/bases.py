"""What each platform's image stands on: assembled from packages, or an image in a registry."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from modelpack import platform as platforms
from modelpack.errors import Finding, InputError
from modelpack.inputs.machine import Machine
from modelpack.lock import AssembledBase, ImageBase, Interpreter, Lock
from modelpack.plan import VENV
from modelpack.platform import Platform
from modelpack.resolve.dependencies import locked_platform
from modelpack.spec import Spec
from modelpack.spec.rules import ASSEMBLED_BASES

if TYPE_CHECKING:
    from modelpack.inputs.base_image.resolving import Lookup


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The base of one platform."""

    base: AssembledBase | ImageBase
    interpreter: Interpreter
    epoch: int
    bytecode: Literal["unchecked-hash", "none"] | None = None
    "as it was settled before; None: not yet"
    findings: tuple[Finding, ...] = ()


def look_up(spec: Spec, previous: Lock | None, machine: Machine) -> dict[Platform, Base]:
    """Return the base of each platform: as `previous` has it, else looked up.

    A tag in a registry is asked for once: all platforms are those of one image.
    """
    lookup = None
    if spec.runtime.base not in ASSEMBLED_BASES:
        from modelpack.inputs.base_image.resolving import Lookup  # noqa: PLC0415  the network

        lookup = Lookup(spec.runtime.base, machine=machine)
    return {
        wanted: _known(wanted, previous) or (
            _image(spec, wanted, lookup) if lookup else _assembled(spec, wanted, machine)
        )
        for wanted in [platforms.parse(n, at="image.platforms") for n in spec.image.platforms]
    }  # fmt: skip


def _known(wanted: Platform, previous: Lock | None) -> Base | None:
    known = locked_platform(previous, wanted) if previous else None
    if known is None or previous is None:
        return None
    return Base(
        base=known.base, interpreter=known.interpreter, epoch=previous.epoch,
        bytecode=known.bytecode,
    )  # fmt: skip


def _image(spec: Spec, wanted: Platform, lookup: "Lookup") -> Base:
    # What lay there would get into the image without having been locked.
    places = (VENV, spec.code.workdir, *(weights.destination for weights in spec.weights))
    found = lookup.resolve(wanted, python=spec.runtime.python, places=places)
    return Base(
        base=found.base, interpreter=found.interpreter, epoch=found.epoch, findings=found.findings
    )


def _assembled(spec: Spec, wanted: Platform, machine: Machine) -> Base:
    if machine.offline:
        raise InputError(
            "the base is not locked, and `--offline` forbids asking for it", at="runtime.base",
            hint="modelpack lock",
        )  # fmt: skip
    from modelpack.inputs.debian import index as debian_index  # noqa: PLC0415  heavy

    resolved = debian_index.resolve(
        spec.runtime.base, platform=wanted, packages=spec.runtime.packages,
        mirrors=machine.mirrors, downloads=machine.downloads, environment=machine.environment,
        now=machine.now, progress=machine.progress,
    )  # fmt: skip
    if spec.runtime.python and spec.runtime.python != resolved.interpreter.minor:
        raise InputError(
            f"`{spec.runtime.base}` has Python {resolved.interpreter.minor}, not "
            f"{spec.runtime.python}", at="runtime.python",
            hint=f'set `python = "{resolved.interpreter.minor}"`, or choose another base',
        )  # fmt: skip
    return Base(
        base=resolved.base, interpreter=resolved.interpreter, epoch=resolved.epoch,
        findings=resolved.findings,
    )  # fmt: skip


def base_findings(lock: Lock, *, machine: Machine) -> tuple[Finding, ...]:
    """Return what is in the locked base images that a careful person would not want.

    As it was seen when this machine looked into them; nothing is downloaded for it.
    """
    images = [p.base for p in lock.platforms if isinstance(p.base, ImageBase)]
    if not images:
        return ()
    from modelpack.inputs.base_image import judging, memory  # noqa: PLC0415  only for images

    found: list[Finding] = []
    for base in images:
        contents = memory.find(machine.cache, base.digest)
        found += judging.findings(contents, name=base.reference) if contents else [
            Finding(
                message=f"nobody has looked into `{base.reference}` on this machine",
                at="runtime.base", rule="base.unknown", severity="warning",
                hint="modelpack lock --upgrade base looks into it, and takes the newest",
            )
        ]  # fmt: skip
    return tuple(dict.fromkeys(found))

"""After the build: every shared library that the image needs is in it.

A verdict is remembered by all that it depends on, so that a build after a code edit reads no layer.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelpack import canonical_json
from modelpack.assembly.assemble import Made
from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.errors import Refused, Unavailable
from modelpack.inputs.code import ReadCode
from modelpack.inputs.debian.elf import MAGIC
from modelpack.inputs.machine import Machine
from modelpack.lock import AssembledBase, PlatformLock
from modelpack.oci.layer import Layer, StoredFile
from modelpack.plan import Plan
from modelpack.spec import Spec

if TYPE_CHECKING:
    from modelpack.checks.elf import gate as elf

RULES = 1
"version of the rules in modelpack.checks.elf.gate: another verdict for equal layers counts this up"
_LOOKED_INTO = ("base", "dependencies", "code")
"weights are refused where they are programs, before they are packed"


def require_libraries(
    spec: Spec,
    platform: PlatformLock,
    plan: Plan,
    made: Sequence[Made],
    code: ReadCode,
    *,
    machine: Machine,
) -> None:
    """Refuse an image that lacks a library or has one for another machine."""
    layers = [item for item in made if item.step.kind in _LOOKED_INTO]
    key = _key(spec, platform, plan, layers, code)
    if machine.digests.derived(key) == key:
        return
    from modelpack.checks.elf import gate as elf  # noqa: PLC0415  not where the verdict is remembered
    from modelpack.checks.elf.objects import LayerFile, objects  # noqa: PLC0415

    machine.progress.say("looking for the libraries that the image needs")
    image = objects(
        [
            LayerFile(path=_file_of(item.layer), kind=item.step.kind, name=item.step.name)
            for item in layers
        ]
    )
    found = elf.closure(image, _settings(spec, platform, plan)).findings
    if found:
        raise Refused(*found)
    machine.digests.record_derived(key, key)


def _settings(spec: Spec, platform: PlatformLock, plan: Plan) -> "elf.Settings":
    from modelpack.checks.elf import gate as elf  # noqa: PLC0415

    variables = _variables(plan)
    return elf.Settings(
        platform=platform.platform,
        interpreter=platform.interpreter.path,
        judge_base=isinstance(platform.base, AssembledBase),
        library_path=tuple(
            folder for folder in variables.get("LD_LIBRARY_PATH", "").split(":") if folder
        ),
        capabilities=_capabilities(spec, plan),
        allowed=frozenset(spec.runtime.allow_missing),
    )  # fmt: skip


def _capabilities(spec: Spec, plan: Plan) -> frozenset[str]:
    """Return the parts of NVIDIA's driver that a container of this image is given."""
    if spec.runtime.device != "cuda":
        return frozenset()
    return frozenset(_variables(plan).get("NVIDIA_DRIVER_CAPABILITIES", "").split(","))


def _variables(plan: Plan) -> dict[str, str]:
    return dict(item.split("=", 1) for item in plan.run["Env"])


def _key(
    spec: Spec, platform: PlatformLock, plan: Plan, layers: Sequence[Made], code: ReadCode
) -> Digest:
    """Return the digest of all that decides: of the code, only what the loader could read."""
    programs = [
        [file.path, file.link or file.sha256]
        for file in code.files
        if file.link or code.contents[file.path].startswith(MAGIC)
    ]
    return digest_of(
        canonical_json.dumps(
            {
                "rules": RULES,
                "platform": str(platform.platform),
                "interpreter": platform.interpreter.path,
                "base": platform.base.distribution
                if isinstance(platform.base, AssembledBase)
                else platform.base.digest,
                "layers": [i.layer.diff_id for i in layers if i.step.kind != "code"],
                "workdir": spec.code.workdir,
                "programs": programs,
                "library-path": _variables(plan).get("LD_LIBRARY_PATH", ""),
                "capabilities": sorted(_capabilities(spec, plan)),
                "allowed": sorted(spec.runtime.allow_missing),
            }
        )
    )


def _file_of(layer: Layer) -> Path:
    """Return the file that holds a finished layer."""
    origin = layer.blob.origin
    if not isinstance(origin, StoredFile):
        raise Unavailable("the layer is not in a file of this machine", at=layer.blob.digest)
    return Path(origin.path)

"""What is in an image: system, packages, models; pure, from what was locked and what was read.

The lock says what was put in. The layers say what there is besides, and under which licence; a
layer that nobody here has leaves its part unknown, and that is said.
"""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from modelpack.evidence.python_graph import requirements
from modelpack.inputs import layer_contents
from modelpack.inputs.layer_contents import LayerContents, license_of
from modelpack.inputs.licenses import UNKNOWN, Licenses
from modelpack.inputs.python.core_metadata import Distribution
from modelpack.lock import (
    AssembledBase,
    DebianPackage,
    ImageBase,
    PlatformLock,
    WeightsLock,
    Wheel,
    purls,
)
from modelpack.plan import VENV
from modelpack.spec import Spec

_VENDORS = {"deb": "debian", "apk": "alpine"}
"of packages in a system that does not say its name"
_DEBIAN_PYTHON = ("usr/lib/python3/dist-packages/", "usr/share/python-wheels/")
"where Debian's own packages put distributions: they are in the inventory as Debian packages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package of a distribution, or a Python distribution."""

    kind: Literal["deb", "apk", "pypi"]
    name: str
    version: str
    purl: str
    sha256: str = ""
    "of the file that it came in; empty where it came with a base or inside another package"
    licenses: Licenses = UNKNOWN
    source: str = ""
    source_version: str = ""
    path: str = ""
    "of its record in the image, where it was found and not put"
    needs: tuple[str, ...] = ()
    "references of other packages, sorted"

    @property
    def ref(self) -> str:
        """The one name of this package in a document."""
        return f"{self.purl}#{self.path}" if self.path else self.purl


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One set of weights."""

    weights: WeightsLock
    mounted: bool
    "it stands in an image of its own and is mounted when this one starts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """All that an SBOM lists, but for the image itself."""

    spec: Spec
    models: tuple[Model, ...]
    system: Mapping[str, str] = field(default_factory=dict)
    "fields of os-release that are known"
    packages: tuple[Package, ...] = ()
    base: ImageBase | None = None
    complete: bool = True
    "False: the packages of the base, or of a layer, could not be looked at"
    unread: tuple[str, ...] = ()
    "databases of packages in it that are not read"
    metrics: Mapping[str, str] = field(default_factory=dict)
    "of the author's evaluation: numbers as written, by name"


def of_image(
    spec: Spec,
    platform: PlatformLock,
    contents: Sequence[LayerContents | None],
    *,
    models: Sequence[Model],
    metrics: Mapping[str, str],
) -> Inventory:
    """Return what an image for `platform` holds.

    `contents` are those of its base and dependency layers in order; None where nobody here has
    the layer.
    """
    found = layer_contents.merged([item for item in contents if item is not None])
    base = platform.base
    packages = (*_system(platform, found), *_python(platform, found))
    system = dict(found.system)
    if isinstance(base, AssembledBase):
        name, _, version = base.distribution.partition(":")
        system |= {"ID": name, "VERSION_ID": version}
    return Inventory(
        spec=spec,
        models=tuple(models),
        system=system,
        packages=tuple({package.ref: package for package in packages}.values()),
        base=base if isinstance(base, ImageBase) else None,
        complete=(
            None not in contents
            and not found.unread
            and (isinstance(base, AssembledBase) or bool(found.packages))
        ),
        unread=found.unread,
        metrics=metrics,
    )


def of_weights(spec: Spec, models: Sequence[Model], metrics: Mapping[str, str]) -> Inventory:
    """Return what an image of weights alone holds."""
    return Inventory(spec=spec, models=tuple(models), metrics=metrics)


def _system(platform: PlatformLock, found: LayerContents) -> Iterator[Package]:
    base = platform.base
    records = {record.name: record for items in found.packages.values() for record in items}
    release = found.system.get("VERSION_ID", "")
    if isinstance(base, AssembledBase):
        locked = {package.name: purls.of_package(package, base) for package in base.packages}
    else:
        locked = {
            record.name: purls.installed(
                record.format, record.name, record.version, record.architecture,
                vendor=vendor, distribution=f"{vendor}-{release}".strip("-"),
            )
            for record in records.values()
            for vendor in [found.system.get("ID", _VENDORS[record.format])]
        }  # fmt: skip
    ours = {package.name: package for package in _packages(platform)}
    for name, purl in sorted(locked.items()):
        record, package = records.get(name), ours.get(name)
        version = package.version if package else records[name].version
        source = package.source if package else records[name].source
        yield Package(
            kind=record.format if record else "deb", name=name, version=version, purl=purl,
            sha256=package.sha256 if package else "",
            licenses=license_of(found, name), source=source,
            source_version=record.source_version if record else version,
            needs=tuple(sorted({locked[n] for n in record.depends if n in locked} - {purl}))
            if record else (),
        )  # fmt: skip


def _packages(platform: PlatformLock) -> tuple[DebianPackage, ...]:
    return platform.base.packages if isinstance(platform.base, AssembledBase) else ()


def _python(platform: PlatformLock, found: LayerContents) -> Iterator[Package]:
    """Yield the locked wheels, then what else there is: in the base, or inside other wheels."""
    site = f"{VENV.strip('/')}/lib/python{platform.interpreter.minor}/site-packages"
    installed = {
        one.name: (path, one)
        for path, one in found.distributions.items()
        if posixpath.dirname(posixpath.dirname(path)) == site
    }
    locked = {wheel.name: wheel for wheel in platform.wheels}
    graph = requirements(
        {name: installed[name][1] if name in installed else _unknown(wheel)
         for name, wheel in locked.items()},
        platform.interpreter, platform.platform,
    )  # fmt: skip
    for name, wheel in sorted(locked.items()):
        known = installed[name][1] if name in installed else _unknown(wheel)
        yield Package(
            kind="pypi", name=name, version=wheel.version, purl=purls.of_wheel(wheel),
            sha256=wheel.sha256, licenses=known.licenses,
            needs=tuple(sorted(purls.of_wheel(locked[other]) for other in graph[name])),
        )  # fmt: skip
    named = {installed[name][0] for name in locked if name in installed}
    for path, one in sorted(found.distributions.items()):
        if path not in named and not path.startswith(_DEBIAN_PYTHON):
            yield Package(
                kind="pypi", name=one.name, version=one.version, licenses=one.licenses, path=path,
                purl=purls.package_url("pypi", one.name, one.version),
            )  # fmt: skip


def _unknown(wheel: Wheel) -> Distribution:
    return Distribution(name=wheel.name, version=wheel.version)

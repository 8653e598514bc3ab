"""The Python that an image will run: its marker environment and its wheel tags.

Everything is derived from the locked Interpreter and the Platform; nothing is asked of the Python
that runs this tool. Source: PEP 508 "Environment Markers", PEP 425, PEP 600.
"""

import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cached_property

from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags

from modelpack.errors import InputError
from modelpack.lock import Interpreter
from modelpack.platform import Platform

_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
"names from before PEP 600, by the minor version of glibc 2 that they stand for"
_MANYLINUX = re.compile(r"manylinux_2_(\d+)_(.+)")
_OLDEST_GLIBC = {"x86_64": 5, "aarch64": 17}


@dataclass(frozen=True, kw_only=True)
class Target:
    """A CPython on a GNU/Linux machine, in the terms of the packaging standards."""

    interpreter: Interpreter
    platform: Platform
    environment: Mapping[str, str] = field(repr=False)
    "PEP 508 marker environment; release and version of the kernel are unknown, hence empty"
    platforms: tuple[str, ...] = field(repr=False)
    "platform tags, best first: `manylinux_2_41_x86_64` … `linux_x86_64`"

    @classmethod
    def of(cls, interpreter: Interpreter, platform: Platform) -> "Target":
        """Return the Target of `interpreter` on `platform`, or raise InputError."""
        return cls(
            interpreter=interpreter,
            platform=platform,
            environment=_environment(interpreter, platform),
            platforms=tuple(_platforms(platform.machine, glibc_minor(interpreter.glibc))),
        )

    def __str__(self) -> str:
        return (
            f"Python {self.interpreter.minor} on {self.platform} with glibc "
            f"{self.interpreter.glibc}"
        )

    @property
    def abi(self) -> str:
        """The ABI tag, `cp313`."""
        return "cp" + self.interpreter.minor.replace(".", "")

    @cached_property
    def tags(self) -> tuple[Tag, ...]:
        """Every wheel tag that fits, best first."""
        major, minor = (int(part) for part in self.interpreter.minor.split("."))
        version = (major, minor)
        return (
            *cpython_tags(version, abis=[self.abi], platforms=self.platforms),
            *compatible_tags(version, interpreter=self.abi, platforms=self.platforms),
        )

    def applies(self, marker: Marker | None, *, extra: str = "") -> bool:
        """Tell whether a requirement with `marker` counts here, when `extra` was asked for."""
        return marker is None or marker.evaluate({**self.environment, "extra": extra})

    def misfit(self, tags: AbstractSet[Tag]) -> str:
        """Return in words what keeps a wheel with these `tags` from running here: no tag fits."""
        needed = [
            int(match[1])
            for tag in tags
            if (match := _MANYLINUX.fullmatch(tag.platform)) and match[2] == self.platform.machine
        ]
        if needed and min(needed) > glibc_minor(self.interpreter.glibc):
            return f"needs glibc 2.{min(needed)}, the base has {self.interpreter.glibc}"
        platforms = sorted({tag.platform for tag in tags})
        if set(self.platforms).isdisjoint(platforms) and "any" not in platforms:
            return f"is for `{'`, `'.join(platforms)}`, the image is {self.platform}"
        pythons = sorted({f"{tag.interpreter}-{tag.abi}" for tag in tags})
        return f"is for Python `{'`, `'.join(pythons)}`, the base has {self.interpreter.version}"


def glibc_minor(version: str) -> int:
    """Return 41 for `2.41`; glibc has been at major version 2 since 1997."""
    major, _, minor = version.partition(".")
    if major != "2" or not minor.isascii() or not minor.isdecimal():
        raise InputError(f"unknown version of glibc `{version}`", at="interpreter")
    return int(minor)


def _environment(interpreter: Interpreter, platform: Platform) -> Mapping[str, str]:
    return {
        "implementation_name": "cpython",
        "implementation_version": interpreter.version,
        "os_name": "posix",
        "platform_machine": platform.machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": interpreter.version,
        "python_version": interpreter.minor,
        "sys_platform": "linux",
    }


def _platforms(machine: str, newest: int) -> Iterator[str]:
    for minor in range(newest, _OLDEST_GLIBC[machine] - 1, -1):
        yield f"manylinux_2_{minor}_{machine}"
        if minor in _LEGACY:
            yield f"{_LEGACY[minor]}_{machine}"
    yield f"linux_{machine}"

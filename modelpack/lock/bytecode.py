"""Whose interpreter compiles the bytecode of a platform: it does not depend on the architecture."""

import re
from collections.abc import Sequence

from modelpack.lock import AssembledBase, PlatformLock
from modelpack.platform import Platform

_REBUILD = re.compile(r"\+b[0-9]+$")
"a Debian package that was built again from the same source (Debian Policy, 5.6.12)"


def compiler(
    platform: PlatformLock, platforms: Sequence[PlatformLock], host: Platform | None
) -> PlatformLock | None:
    """Return the platform whose interpreter runs on `host` and compiles for `platform`.

    `platform` itself, or one with the same Python; None: `host` cannot compile for it. Only the
    interpreter of an assembled base is run, whose packages were signed.
    """
    wanted = _python(platform)
    for one in (platform, *platforms):
        if one.platform == host and wanted and _python(one) == wanted:
            return one
    return None


def _python(platform: PlatformLock) -> tuple[str, ...]:
    """Return what makes a Python: its version and those of its packages, nothing for an image."""
    base = platform.base
    if not isinstance(base, AssembledBase):
        return ()
    packages = {
        f"{package.name} {_REBUILD.sub('', package.version)}"
        for package in base.packages
        if "python3" in package.name
    }
    return (platform.interpreter.version, *sorted(packages))

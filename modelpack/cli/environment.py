"""The one place that reads the environment, the clock and the user's configuration file."""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from modelpack.errors import Finding, InputError
from modelpack.progress import SILENT, Progress

if TYPE_CHECKING:
    from modelpack.engine.door import Engine
    from modelpack.inputs.machine import Machine
    from modelpack.platform import Platform
    from modelpack.reference import Reference

CACHE_VARIABLE = "MODELPACK_CACHE"
CONFIGURATION_VARIABLE = "MODELPACK_CONFIG"
DEFAULT_INDEX = "pypi"
"this index without a URL is what pip is configured for"
_TABLES = ("mirrors", "indexes")
_MIRRORS = ("debian", "debian-security", "snapshot")
_LONGEST_EPOCH = 11
"digits: until the year 5138"


def variables() -> Mapping[str, str]:
    """Return the environment as it is now."""
    return dict(os.environ)


def now() -> int:
    """Return seconds since 1970: for freshness and waivers only, never for an artifact."""
    return int(time.time())


def source_date_epoch() -> int | None:
    """Return SOURCE_DATE_EPOCH (reproducible-builds.org); raises InputError when it is no time."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_EPOCH):
        raise InputError(
            f"not a number of seconds since 1970: `{text[:40]}`", at="SOURCE_DATE_EPOCH"
        )
    return int(text)


def cache_folder() -> Path:
    """Return the root of the cache, which need not exist."""
    if chosen := os.environ.get(CACHE_VARIABLE, ""):
        return Path(chosen).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "modelpack"
    return _xdg("XDG_CACHE_HOME", ".cache") / "modelpack"


def configuration_file() -> Path:
    """Return the path of the user's configuration, which need not exist."""
    if chosen := os.environ.get(CONFIGURATION_VARIABLE, ""):
        return Path(chosen).expanduser().absolute()
    return _xdg("XDG_CONFIG_HOME", ".config") / "modelpack" / "config.toml"


def configuration() -> Mapping[str, Mapping[str, object]]:
    """Return the tables `[mirrors]` and `[indexes]` of the user's configuration, or nothing.

    Raises InputError with every problem: mirrors map an archive to one or more URLs, indexes map
    a name that a modelpack.toml uses to a URL.
    """
    path = configuration_file()
    try:
        data = path.read_bytes() if path.is_file() else b""
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror}", at=str(path)) from error
    if not data:
        return {}
    from modelpack.spec.decoding import load  # noqa: PLC0415  most machines have no such file

    document = load(data, filename=str(path))
    if findings := list(_configuration_findings(document, str(path))):
        raise InputError(*findings)
    return document


def machine(*, offline: bool = False, progress: Progress = SILENT) -> "Machine":
    """Return what this machine lends to a build."""
    from modelpack.inputs import cache as kept  # noqa: PLC0415  not for every command
    from modelpack.inputs.debian import mirrors  # noqa: PLC0415
    from modelpack.inputs.downloads import Downloads  # noqa: PLC0415
    from modelpack.inputs.file_digests import FileDigests  # noqa: PLC0415
    from modelpack.inputs.machine import Machine  # noqa: PLC0415

    settings, environment, cache = configuration(), variables(), cache_folder()
    kept.hold(cache)
    own = {name: str(url) for name, url in settings.get("indexes", {}).items()}
    return Machine(
        cache=cache,
        downloads=Downloads(cache),
        digests=FileDigests(cache / "digests"),
        mirrors=mirrors.find(environment, settings),
        indexes={DEFAULT_INDEX: None, **own},
        environment=environment,
        now=now(),
        threads=threads(),
        host=host(),
        offline=offline,
        progress=progress,
    )


def engine_for(name: "Reference") -> "Engine":
    """Return the engine that `name` is about: podman for its own storage, else what is chosen."""
    from modelpack import reference  # noqa: PLC0415
    from modelpack.engine import address, connecting  # noqa: PLC0415

    if isinstance(name, reference.ContainersStorage):
        return connecting.connect(address.podman_addresses(variables()), kind="podman")
    return engine()


def engine() -> "Engine":
    """Return the container engine that DOCKER_HOST, a Docker context or a usual socket names."""
    from modelpack.engine import address, connecting  # noqa: PLC0415

    return connecting.connect(address.addresses(variables()))


def threads() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def host() -> "Platform | None":
    """Return the platform whose programs this machine runs; None: not one that images are for."""
    from modelpack.platform import Platform  # noqa: PLC0415

    names = {"x86_64": "amd64", "aarch64": "arm64"}
    architecture = names.get(os.uname().machine)
    if sys.platform != "linux" or architecture is None:
        return None
    return Platform("linux", architecture)


def _xdg(variable: str, fallback: str) -> Path:
    """Return a base folder; a relative one is ignored (XDG Base Directory Specification)."""
    chosen = os.environ.get(variable, "")
    return Path(chosen) if chosen.startswith("/") else Path.home() / fallback


def _configuration_findings(document: Mapping[str, object], file: str) -> list[Finding]:
    from modelpack.spec.structure import similar  # noqa: PLC0415
    from modelpack.web.urls import is_web  # noqa: PLC0415

    findings: list[Finding] = []

    def add(key: str, message: str, hint: str = "") -> None:
        findings.append(Finding(message=message, at=f"{file}: {key}", hint=hint))

    for table, content in document.items():
        if table not in _TABLES:
            add(table, "unknown table", similar(table, _TABLES) or "known: `mirrors`, `indexes`")
            continue
        if not isinstance(content, Mapping):
            add(table, "expected a table", f"write `[{table}]`")
            continue
        for key, value in content.items():
            if table == "mirrors" and key not in _MIRRORS:
                add(f"{table}.{key}", "unknown archive", similar(key, _MIRRORS))
            urls = value if isinstance(value, list) and table == "mirrors" else [value]
            if not urls or not all(isinstance(url, str) and is_web(url) for url in urls):
                add(f"{table}.{key}", "not a http or https URL")
    return findings

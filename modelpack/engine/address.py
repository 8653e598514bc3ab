"""Where a container engine may answer: what the environment and Docker's contexts say.

Source: docker(1), "Environment variables" and "Docker contexts"; podman-system-service(1).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelpack.errors import InputError

_DOCKER = "/var/run/docker.sock"
_PODMAN = "/run/podman/podman.sock"
_CONTEXT_LIMIT = 1 << 20
"bytes of a context's description"
_SCHEMES = ("unix://", "tcp://", "http://", "https://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Certificates for an engine at a TCP address."""

    folder: Path
    "with `ca.pem`, `cert.pem` and `key.pem`, as far as they are there"
    verify: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One place at which an engine may answer."""

    url: str
    origin: str
    "who says so: `DOCKER_HOST`; empty: it is where engines usually are"
    tls: Tls | None = None

    @property
    def socket(self) -> str:
        """The path of the Unix socket; empty: it is a TCP address."""
        return self.url.removeprefix("unix://") if self.url.startswith("unix://") else ""


def addresses(environment: Mapping[str, str]) -> tuple[Address, ...]:
    """Return where to look for an engine, in order.

    What is said explicitly is the only place. Otherwise Docker's sockets come first, then
    podman's. Raises InputError when what is said cannot be used.
    """
    if host := environment.get("DOCKER_HOST", ""):
        return (_checked(host, "DOCKER_HOST", _tls_of(environment)),)
    if context := _context(environment):
        return (context,)
    if host := environment.get("CONTAINER_HOST", ""):
        return (_checked(host, "CONTAINER_HOST", None),)
    return (*_usual(_docker_sockets(environment)), *_usual(_podman_sockets(environment)))


def podman_addresses(environment: Mapping[str, str]) -> tuple[Address, ...]:
    """Return where to look for podman in particular: its own places, then where Docker would be."""
    if host := environment.get("CONTAINER_HOST", ""):
        return (_checked(host, "CONTAINER_HOST", None),)
    return tuple(
        dict.fromkeys((*_usual(_podman_sockets(environment)), *addresses(environment)))
    )  # fmt: skip


def _usual(paths: tuple[str, ...]) -> tuple[Address, ...]:
    return tuple(Address(url=f"unix://{path}", origin="") for path in paths)


def _docker_sockets(environment: Mapping[str, str]) -> tuple[str, ...]:
    runtime, home = environment.get("XDG_RUNTIME_DIR", ""), environment.get("HOME", "")
    rootless = (f"{runtime}/docker.sock",) if runtime.startswith("/") else ()
    desktop = (f"{home}/.docker/run/docker.sock",) if home.startswith("/") else ()
    return (_DOCKER, *rootless, *desktop)


def _podman_sockets(environment: Mapping[str, str]) -> tuple[str, ...]:
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    rootless = (f"{runtime}/podman/podman.sock",) if runtime.startswith("/") else ()
    return (*rootless, _PODMAN)


def _checked(host: str, origin: str, tls: Tls | None) -> Address:
    if host.startswith("ssh://"):
        raise InputError(
            "an engine behind `ssh://` is not supported", at=origin,
            hint="ssh -nNT -L /tmp/docker.sock:/var/run/docker.sock HOST, then "
            "DOCKER_HOST=unix:///tmp/docker.sock",
        )  # fmt: skip
    if not host.startswith(_SCHEMES):
        raise InputError(f"not the address of an engine: `{host}`", at=origin,
                         hint="unix:///PATH or tcp://HOST:PORT")  # fmt: skip
    return Address(url=host, origin=origin, tls=None if host.startswith("unix://") else tls)


def _tls_of(environment: Mapping[str, str]) -> Tls | None:
    """Return what DOCKER_TLS_VERIFY and DOCKER_CERT_PATH ask for."""
    verify = bool(environment.get("DOCKER_TLS_VERIFY", ""))
    folder = environment.get("DOCKER_CERT_PATH", "")
    if not verify and not folder:
        return None
    return Tls(folder=Path(folder) if folder else _configuration(environment), verify=verify)


def _configuration(environment: Mapping[str, str]) -> Path:
    chosen = environment.get("DOCKER_CONFIG", "")
    return Path(chosen) if chosen else Path(environment.get("HOME", "/")) / ".docker"


def _context(environment: Mapping[str, str]) -> Address | None:
    """Return the engine of the chosen Docker context; None: there is none, or it is the default."""
    folder = _configuration(environment)
    name = environment.get("DOCKER_CONTEXT", "")
    if not name:
        name = str(_document(folder / "config.json").get("currentContext") or "")
    if not name or name == "default":
        return None
    key = hashlib.sha256(name.encode(), usedforsecurity=False).hexdigest()
    endpoints = _document(folder / "contexts" / "meta" / key / "meta.json").get("Endpoints")
    docker = endpoints.get("docker") if isinstance(endpoints, dict) else None
    host = docker.get("Host") if isinstance(docker, dict) else None
    if not isinstance(docker, dict) or not isinstance(host, str) or not host:
        raise InputError(f"there is no Docker context `{name}`", at=str(folder),
                         hint="docker context ls")  # fmt: skip
    certificates = folder / "contexts" / "tls" / key / "docker"
    verify = docker.get("SkipTLSVerify") is not True
    tls = Tls(folder=certificates, verify=verify) if certificates.is_dir() else None
    return _checked(host, f"Docker context `{name}`", tls)


def _document(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file of Docker's; what is not there or not legible is empty."""
    try:
        with path.open("rb") as file:
            value = json.loads(file.read(_CONTEXT_LIMIT))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}

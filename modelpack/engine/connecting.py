"""Find an engine that answers, or say why none does."""

import errno
import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from modelpack.engine.address import Address, Tls
from modelpack.engine.door import Engine
from modelpack.engine.failure import spoken
from modelpack.engine.sdk import SdkEngine
from modelpack.engine.value import Kind
from modelpack.engine.wire import about
from modelpack.errors import Finding, InputError, Unavailable

OLDEST_API = (1, 40)
"Docker 19.03 and podman 3: the first that know requests for devices"
_PATIENCE = 30
"seconds for an answer to a short question"
_KNOCK = 5.0
"seconds until somebody opens"


def connect(addresses: Sequence[Address], *, kind: Kind | None = None) -> Engine:
    """Return the first engine (of a kind) that answers; raise Unavailable with why none does.

    Where no address was chosen by anybody, sockets that are not there are not worth a word.
    """
    problems: list[Finding] = []
    for address in addresses:
        problem = _knock(address) if address.socket else None
        if problem is not None:
            problems.append(problem)
            continue
        try:
            engine = _engine(address)
        except Unavailable as error:
            problems += error.findings
            continue
        if kind in (engine.about.kind, None):
            return engine
        problems.append(Finding(message=f"not {kind}: {engine.about}", at=address.url))
    told = [p for p in problems if p.rule != _ABSENT] or [_none(addresses, kind)]
    if kind == "podman":
        told = [replace(told[0], hint=_PODMAN_HINT), *told[1:]]
    raise Unavailable(*told)


_ABSENT = "engine.absent"
_PODMAN_HINT = (
    "systemctl --user start podman.socket; or podman save --format oci-archive --output FILE "
    "NAME, and oci-archive:FILE"
)


def _none(addresses: Sequence[Address], kind: Kind | None) -> Finding:
    """Return what to say where there is no socket at all."""
    if len(addresses) == 1 and addresses[0].origin:
        return Finding(
            message=f"there is no socket at {addresses[0].url}", at=addresses[0].origin,
            hint="start the engine, or unset the variable",
            rule=_ABSENT,
        )  # fmt: skip
    looked = ", ".join(address.socket for address in addresses)
    return Finding(
        message=f"no {kind or 'container engine'} answers here; looked at {looked}",
        hint="start Docker (sudo systemctl start docker) or podman (systemctl --user start "
        "podman.socket), or set DOCKER_HOST",
        rule=_ABSENT,
    )


def _knock(address: Address) -> Finding | None:
    """Return why nobody answers at a socket, or None: somebody listens."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_KNOCK)
            connection.connect(address.socket)
    except (OSError, ValueError) as error:
        return _problem(address, getattr(error, "errno", None), error)
    return None


def _problem(address: Address, number: int | None, error: Exception) -> Finding:
    """Return why a socket cannot be connected to, and what to do about it."""
    at = address.url
    if number in (errno.ENOENT, errno.ENOTDIR):
        return Finding(message="there is no such socket", at=at, rule=_ABSENT)
    if number == errno.ECONNREFUSED:
        return Finding(message="the engine is not running: nobody listens at its socket", at=at,
                       hint="sudo systemctl start docker")  # fmt: skip
    if number in (errno.EACCES, errno.EPERM):
        return Finding(
            message="no permission to speak with the engine", at=at,
            hint="sudo usermod -aG docker $USER, then log in again; or use rootless podman: "
            "systemctl --user start podman.socket",
        )  # fmt: skip
    reason = getattr(error, "strerror", None) or str(error)
    return Finding(message=f"the engine cannot be reached: {reason}", at=at)


def _engine(address: Address) -> Engine:
    """Speak with the engine for the first time."""
    import docker  # noqa: PLC0415  heavy

    with spoken(address.url, "say its version"):
        options: dict[str, Any] = {"base_url": address.url, "tls": _tls(address.tls)}
        first = docker.APIClient(version=f"{OLDEST_API[0]}.{OLDEST_API[1]}", timeout=_PATIENCE,
                                 **options)  # fmt: skip
        version = first.version(api_version=False)
        api = str(version.get("ApiVersion", ""))
        first.close()
        _check_api(api, address)
        return SdkEngine(
            about(version, api, address.url),
            docker.APIClient(version=api, timeout=_PATIENCE, **options),
            docker.APIClient(version=api, timeout=None, **options),
        )


def _check_api(api: str, address: Address) -> None:
    parts = api.split(".")
    if len(parts) != len(OLDEST_API) or not all(part.isdecimal() for part in parts):
        raise Unavailable("what answers is no container engine", at=address.url)
    if tuple(map(int, parts)) < OLDEST_API:
        raise Unavailable(
            f"the engine is too old: it speaks API {api}, and 1.40 is needed", at=address.url,
            hint="Docker 19.03, podman 3 or newer",
        )  # fmt: skip


def _tls(tls: Tls | None) -> Any:  # noqa: ANN401  the SDK has no types
    if tls is None:
        return False
    from docker.errors import TLSParameterError  # noqa: PLC0415
    from docker.tls import TLSConfig  # noqa: PLC0415

    found = {n: tls.folder / f"{n}.pem" for n in ("ca", "cert", "key")}
    there = {name: str(path) for name, path in found.items() if path.is_file()}
    pair = (there["cert"], there["key"]) if {"cert", "key"} <= there.keys() else None
    try:
        return TLSConfig(client_cert=pair, ca_cert=there.get("ca"), verify=tls.verify)
    except TLSParameterError as error:
        raise InputError(f"the certificates cannot be used: {error}", at=str(tls.folder)) from error

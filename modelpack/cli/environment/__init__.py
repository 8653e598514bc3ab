"""The one place that reads the environment, the clock and the user's configuration file."""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelpack.errors import InputError
from modelpack.progress import SILENT, Progress

if TYPE_CHECKING:
    from modelpack.cli.environment.ci_job import Job
    from modelpack.engine.door import Engine
    from modelpack.evidence.provenance import Invocation
    from modelpack.inputs.machine import Machine
    from modelpack.oci.registry.credentials import Credentials
    from modelpack.oci.registry.settings import Settings
    from modelpack.platform import Platform
    from modelpack.reference import Reference
    from modelpack.trust.keys.key import Secrets

CACHE_VARIABLE = "MODELPACK_CACHE"
CONFIGURATION_VARIABLE = "MODELPACK_CONFIG"
PASSWORD_VARIABLE = "MODELPACK_KEY_PASSWORD"  # noqa: S105  a name
PIN_VARIABLE = "MODELPACK_PIN"
PKCS11_VARIABLE = "MODELPACK_PKCS11_MODULE"
DEFAULT_INDEX = "pypi"
"this index without a URL is what pip is configured for"
_LONGEST_SECRET = 4096
_LONGEST_EPOCH = 11
"digits: until the year 5138"


def variables() -> Mapping[str, str]:
    """Return the environment as it is now."""
    return dict(os.environ)


def now() -> int:
    """Return seconds since 1970: for freshness, waivers and provenance, never for an image."""
    return int(time.time())


def invocation() -> "Invocation":
    """Return who builds, as far as the environment says, and since when: now."""
    from modelpack.cli.environment import ci_job  # noqa: PLC0415
    from modelpack.evidence.provenance import LOCAL_BUILDER, Invocation  # noqa: PLC0415

    return Invocation(
        builder=ci_job.builder(os.environ) or LOCAL_BUILDER,
        id=ci_job.run(os.environ) or os.urandom(16).hex(),
        started=now(),
        clock=now,
    )


def job() -> "Job":
    """Return the CI job that this runs in, as far as it wants to be told anything."""
    from modelpack.cli.environment.ci_job import here  # noqa: PLC0415

    return here(os.environ)


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


def secrets(password_file: Path | None = None) -> "Secrets":
    """Return who knows what opens keys: a file, the environment, else whoever is at the terminal.

    Nothing is read or asked for before it is needed, and nothing of it stands on a command line.
    """
    from modelpack.trust.keys.key import Secrets  # noqa: PLC0415  not for every command

    def password(key: str) -> bytes | None:
        if password_file is not None:
            return _first_line(password_file).encode()
        found = os.environ.get(PASSWORD_VARIABLE) or _asked(f"password of {key}")
        return found.encode() if found else None

    def pin(key: str) -> str | None:
        return os.environ.get(PIN_VARIABLE) or _asked(f"PIN of {key}")

    return Secrets(
        password=password, pin=pin, pkcs11_module=os.environ.get(PKCS11_VARIABLE, "")
    )  # fmt: skip


def _first_line(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as stream:
            return stream.readline(_LONGEST_SECRET).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("the file with the password cannot be read", at=str(path)) from error


def _asked(what: str) -> str | None:
    """Return what the person at the terminal types, unseen; None: there is nobody."""
    if not sys.stdin.isatty():
        return None
    answer: str = click.prompt(what, hide_input=True, err=True)
    return answer


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
    """Return the tables of the user's configuration (see `user_configuration`).

    Raises InputError with every problem.
    """
    path = configuration_file()
    try:
        data = path.read_bytes() if path.is_file() else b""
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror}", at=str(path)) from error
    if not data:
        return {}
    from modelpack.cli.environment.user_configuration import (  # noqa: PLC0415  most have no such file
        parse,
    )

    return parse(data, filename=str(path))


def machine(*, offline: bool = False, progress: Progress = SILENT) -> "Machine":
    """Return what this machine lends to a build."""
    from modelpack.inputs import cache as kept  # noqa: PLC0415  not for every command
    from modelpack.inputs.debian import mirrors  # noqa: PLC0415
    from modelpack.inputs.downloads import Downloads  # noqa: PLC0415
    from modelpack.inputs.file_digests import FileDigests  # noqa: PLC0415
    from modelpack.inputs.machine import Machine  # noqa: PLC0415

    settings, environment, cache = configuration(), variables(), cache_folder()
    if command := click.get_current_context(silent=True):
        command.with_resource(kept.hold(cache))
    own = {name: str(url) for name, url in settings.get("indexes", {}).items()}
    return Machine(
        cache=cache,
        downloads=Downloads(cache),
        digests=FileDigests(cache / "digests"),
        mirrors=mirrors.find(environment, settings),
        registries=registries(settings),
        bases=_allowed_bases(settings),
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
        found = connecting.connect(address.podman_addresses(variables()), kind="podman")
        return _until_the_end(found)
    return engine()


def engine() -> "Engine":
    """Return the container engine that DOCKER_HOST, a Docker context or a usual socket names."""
    from modelpack.engine import address, connecting  # noqa: PLC0415

    return _until_the_end(connecting.connect(address.addresses(variables())))


def _until_the_end(engine: "Engine") -> "Engine":
    """Let the connections of an engine end with the command."""
    if command := click.get_current_context(silent=True):
        command.call_on_close(engine.close)
    return engine


def registries(settings: Mapping[str, Mapping[str, object]] | None = None) -> "Settings":
    """Return how registries are reached: by `settings`, else the user's configuration."""
    from modelpack.oci.registry.settings import Settings  # noqa: PLC0415  not for every command

    table = (configuration() if settings is None else settings).get("registries", {})
    insecure, mirrors = table.get("insecure", ()), table.get("mirrors", {})
    return Settings(
        environment=variables(),
        credential_files=tuple(_credential_files()),
        insecure=frozenset(insecure if isinstance(insecure, list) else ()),
        mirrors=mirrors if isinstance(mirrors, Mapping) else {},
    )


def credentials() -> "Credentials":
    """Return what finds the credentials that docker and podman keep for registries."""
    from modelpack.oci.registry.credentials import Credentials  # noqa: PLC0415

    return Credentials(tuple(_credential_files()), environment=variables())


def _credential_files() -> Iterator[Path]:
    """Yield where docker, and then podman (containers-auth.json(5)), keep credentials."""
    docker = os.environ.get("DOCKER_CONFIG", "")
    yield (Path(docker) if docker else Path.home() / ".docker") / "config.json"
    if chosen := os.environ.get("REGISTRY_AUTH_FILE", ""):
        yield Path(chosen)
    if (running := os.environ.get("XDG_RUNTIME_DIR", "")).startswith("/"):
        yield Path(running) / "containers" / "auth.json"
    yield _xdg("XDG_CONFIG_HOME", ".config") / "containers" / "auth.json"


def _allowed_bases(settings: Mapping[str, Mapping[str, object]]) -> tuple[str, ...] | None:
    allowed = settings.get("bases", {}).get("allow")
    return tuple(allowed) if isinstance(allowed, list) else None


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

"""How this machine reaches registries: the machine's business, never the Spec's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from modelpack.reference import DOCKER_HUB, Registry
from modelpack.web.urls import is_loopback

_NOTHING: Mapping[str, str] = MappingProxyType({})
_DOCKER_HUB_API = "registry-1.docker.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment and the user's configuration say of registries."""

    environment: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    "of this process: proxies and certificates, and what credential programs are started with"
    credential_files: tuple[Path, ...] = ()
    "of docker and podman, the first one asked first; they need not exist"
    insecure: frozenset[str] = frozenset()
    "hosts, with their ports, that may be spoken to without TLS"
    mirrors: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    "host as in references, and where its repositories are: `host[:port][/prefix]`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where one repository is to be had."""

    host: str
    "with its port"
    repository: str
    may_be_plain: bool
    "http is allowed"
    is_here: bool
    "on this machine: nobody is in between"

    @classmethod
    def of(cls, name: Registry, settings: Settings) -> "Endpoint":
        """Return where the repository `name` is, mirrors and Docker Hub's two names considered."""
        host, _, prefix = settings.mirrors.get(name.host, name.host).partition("/")
        repository = f"{prefix.strip('/')}/{name.repository}" if prefix else name.repository
        is_here = is_loopback(_without_port(host))
        return cls(
            host=_DOCKER_HUB_API if host == DOCKER_HUB else host,
            repository=repository,
            may_be_plain=is_here or host in settings.insecure,
            is_here=is_here,
        )


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]

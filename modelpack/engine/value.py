"""What is said to an engine and heard from it, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from modelpack.oci.layer import Descriptor
from modelpack.platform import Platform

NOTHING: Mapping[str, Any] = MappingProxyType({})
TMPFS_OPTIONS = "rw,noexec,nosuid,nodev"
SCRATCH_OPTIONS = "rw,exec,nosuid,nodev,mode=1777"
Network = Literal["bridge", "none"]
Kind = Literal["docker", "podman"]


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Which engine answers, and where."""

    kind: Kind
    version: str
    api: str
    "version of the Docker Engine API that is spoken with it"
    platform: Platform
    address: str
    "`unix:///var/run/docker.sock`"

    def __str__(self) -> str:
        name = {"docker": "Docker", "podman": "podman"}[self.kind]
        return f"{name} {self.version} at {self.address}"

    @property
    def reads_zstd(self) -> bool:
        """Whether it can load zstd layers: Docker from 23 on, every podman of today."""
        major = self.version.partition(".")[0]
        return self.kind == "podman" or not major.isdecimal() or int(major) >= _ZSTD


_ZSTD = 23
"the first Docker engine that reads zstd; before, it fails, or keeps what it had and says nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldImage:
    """An image that an engine has."""

    id: str
    "digest of the configuration; with Docker's containerd store that of the manifest"
    names: tuple[str, ...]
    platform: Platform
    config: Mapping[str, Any]
    "how it starts, as the engine tells: User, Env, Labels, ExposedPorts …"
    diff_ids: tuple[str, ...] = ()
    size: int = 0
    "bytes of its layers, unpacked, as the engine counts them"
    manifest: Descriptor | None = None
    "which engines with containerd's store know; others keep no manifests"


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A port of the container that this machine can be asked at."""

    container: int
    host: int
    "0: the engine chooses a free one"
    address: str = "127.0.0.1"

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.host or ''}:{self.container}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A folder of this machine that the container may read."""

    source: str
    "absolute"
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One environment variable of the container."""

    name: str
    value: str = field(repr=False)
    secret: bool = False
    "taken from the environment: its value is shown nowhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpus:
    """GPUs as `docker run --gpus` means them."""

    count: int = 0
    "-1: all"
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container to start: read-only, without capabilities, unable to gain any; /tmp is memory."""

    image: str
    "its id, or a name that the engine has"
    name: str = ""
    "empty: the engine makes one up"
    entrypoint: str = ""
    "the program that is started instead of the image's own; empty: the image's own"
    command: tuple[str, ...] = ()
    "empty: the image's own"
    user: str = ""
    "empty: the image's own"
    variables: tuple[Variable, ...] = ()
    ports: tuple[Port, ...] = ()
    network: Network = "bridge"
    memory: int = 0
    "bytes, swap included; 0: no limit"
    cpus: float = 0.0
    "0: no limit"
    gpus: Gpus | None = None
    mounts: tuple[Mount, ...] = ()
    scratch: tuple[str, ...] = ()
    "folders in memory where everybody may write, and start what lies there; /tmp may be one"
    init: bool = False
    "a small program is process 1, and passes signals on to the command"
    remove: bool = False
    "let the engine remove it when it ends"

    @property
    def tmpfs(self) -> Mapping[str, str]:
        """Folders in memory, each with its options."""
        return {"/tmp": TMPFS_OPTIONS, **dict.fromkeys(self.scratch, SCRATCH_OPTIONS)}  # noqa: S108


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How a container is now."""

    running: bool
    status: int | None
    "exit status; None while it runs, or where it never did"
    out_of_memory: bool
    error: str
    "what the engine says went wrong"
    name: str
    ports: tuple[Port, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanged:
    """What came of a command that was told something in a container."""

    status: int
    stdout: bytes
    stderr: bytes

"""Between our values and the JSON of the Docker Engine API, which the SDK passes through."""

from collections.abc import Iterator, Mapping
from typing import Any

from modelpack import digest as digests
from modelpack.engine.value import (
    About,
    Container,
    Gpus,
    HeldImage,
    Port,
    State,
)
from modelpack.errors import InputError
from modelpack.oci.layer import Descriptor
from modelpack.oci.manifest import MANIFESTS
from modelpack.oci.registry.credentials import Credential
from modelpack.platform import Platform

_PROTOCOL = "/tcp"


def about(version: Mapping[str, Any], api: str, address: str) -> About:
    """Return which engine answered GET /version with `version`."""
    parts = version.get("Components") or []
    names = [str(part.get("Name")) for part in parts if isinstance(part, dict)]
    return About(
        kind="podman" if any(name.startswith("Podman") for name in names) else "docker",
        version=str(version.get("Version", "")),
        api=api,
        platform=Platform(str(version.get("Os", "linux")), str(version.get("Arch", ""))),
        address=address,
    )


def held(found: Mapping[str, Any]) -> HeldImage:
    return HeldImage(
        id=str(found["Id"]),
        names=tuple(str(name) for name in found.get("RepoTags") or ()),
        platform=Platform(str(found.get("Os", "")), str(found.get("Architecture", ""))),
        config=found.get("Config") or {},
        diff_ids=tuple((found.get("RootFS") or {}).get("Layers") or ()),
        size=int(found.get("Size") or 0),
        manifest=_manifest(found.get("Descriptor")),
    )


def _manifest(found: object) -> Descriptor | None:
    """Return the manifest that an engine of API 1.48 and later names, where it is no index."""
    if not isinstance(found, dict) or found.get("mediaType") not in MANIFESTS:
        return None
    digest, size = found.get("digest"), found.get("size")
    if not isinstance(digest, str) or type(size) is not int:
        return None
    try:
        parsed = digests.parse(digest, at="Descriptor")
    except InputError:
        return None
    return Descriptor(media_type=str(found["mediaType"]), digest=parsed, size=size)


def state(found: Mapping[str, Any]) -> State:
    state = found.get("State") or {}
    ended = state.get("Status") in ("exited", "dead", "stopped")
    return State(
        running=bool(state.get("Running")),
        status=int(state.get("ExitCode", 0)) if ended else None,
        out_of_memory=bool(state.get("OOMKilled")),
        error=str(state.get("Error") or ""),
        name=str(found.get("Name", "")).removeprefix("/"),
        ports=tuple(_ports((found.get("NetworkSettings") or {}).get("Ports") or {})),
    )


def _ports(bindings: Mapping[str, Any]) -> Iterator[Port]:
    for name, places in bindings.items():
        if name.endswith(_PROTOCOL):
            for place in places or ():
                yield Port(
                    container=int(name.removesuffix(_PROTOCOL)),
                    host=int(place["HostPort"]),
                    address=place.get("HostIp") or "0.0.0.0",  # noqa: S104  how podman says all
                )


def host_options(container: Container) -> dict[str, Any]:
    """Return what the engine's HostConfig is to say: hardened, whoever asks."""
    from docker import types  # noqa: PLC0415

    return {
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "tmpfs": dict(container.tmpfs),
        "network_mode": {"bridge": "default", "none": "none"}[container.network],
        "port_bindings": {
            port.container: (port.address, port.host or None) for port in container.ports
        },
        "mem_limit": container.memory or None,
        "memswap_limit": container.memory or None,
        "nano_cpus": round(container.cpus * 1_000_000_000) or None,
        "mounts": [
            types.Mount(target=mount.target, source=mount.source, type="bind", read_only=True)
            for mount in container.mounts
        ],
        "device_requests": [_device_request(container.gpus)] if container.gpus else None,
        "init": container.init or None,
        "auto_remove": container.remove,
    }


def _device_request(gpus: Gpus) -> Any:  # noqa: ANN401
    from docker import types  # noqa: PLC0415

    return types.DeviceRequest(
        count=None if gpus.devices else gpus.count,
        device_ids=list(gpus.devices) or None,
        capabilities=[["gpu"]],
    )


def auth(credential: Credential | None) -> dict[str, str]:
    """Return a credential as engines take it; never None, for which the SDK looks for its own."""
    if credential is None:
        return {}
    found = {
        "username": credential.username,
        "password": credential.password,
        "identitytoken": credential.identity_token,
        "registrytoken": credential.registry_token,
    }
    return {key: value for key, value in found.items() if value}


def memory(stats: Mapping[str, Any]) -> int | None:
    """Return what cannot be taken back, as `docker stats` and Kubernetes count; None: not told.

    Files that were read and not used again (`inactive_file`) are given up before anybody is killed.
    """
    found = stats.get("memory_stats") or {}
    usage, details = found.get("usage"), found.get("stats") or {}
    if not isinstance(usage, int) or usage <= 0:
        return None
    cached = details.get("inactive_file", details.get("total_inactive_file", 0))
    return max(usage - cached, 0) if isinstance(cached, int) else usage

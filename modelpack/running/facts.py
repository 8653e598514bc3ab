"""What an image says that matters for starting it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from modelpack.engine.door import Engine
from modelpack.engine.value import HeldImage
from modelpack.errors import InputError
from modelpack.inspection import configuration, description
from modelpack.inspection.configuration import Configuration
from modelpack.inspection.documents import Documents
from modelpack.metadata import PLACE
from modelpack.oci.layer import CONFIG
from modelpack.run_configuration import (
    NAMESPACE,
    ROLE_LABEL,
    WEIGHTS_IMAGE_LABEL,
    WEIGHTS_ROLE,
)
from modelpack.spec import Spec

_PROTOCOL = "/tcp"
_SPEC_LIMIT = 8 << 20
"bytes of a spec.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """Weights that are not in the image: somebody mounts them."""

    name: str
    destination: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What an image says about how it runs."""

    ours: bool
    "it was packed by modelpack: a guard checks its weights"
    ports: tuple[int, ...]
    health: tuple[str, ...]
    "command of its health check; empty: it has none"
    mounted: tuple[Mounted, ...]
    cuda: bool
    names: tuple[str, ...] = ()
    "under which its author wants it to be known"


def of_documents(documents: Documents) -> Facts:
    """Return what the image says of which `documents` were read; raise InputError: it runs not."""
    media_type = documents.manifest.config.media_type if documents.manifest.config else ""
    settings = configuration.parse(documents.config_bytes, media_type)
    meta = documents.meta
    return _facts(settings, _spec(meta.files if meta is not None else {}))


def of_held(engine: Engine, held: HeldImage) -> Facts:
    """Return what an image says that the engine holds; only mounted weights need a look inside."""
    value = {
        "os": held.platform.os, "architecture": held.platform.architecture,
        "config": dict(held.config),
    }  # fmt: skip
    settings = configuration.parse(json.dumps(value).encode(), CONFIG)
    spec = None
    if WEIGHTS_IMAGE_LABEL in settings.labels:
        data = engine.file(held.id, f"{PLACE}/spec.json", limit=_SPEC_LIMIT)
        spec = _spec({} if data is None else {"spec.json": data})
    return _facts(settings, spec)


def _spec(files: Mapping[str, bytes]) -> Spec | None:
    return description.parse(files).spec


def _facts(settings: Configuration, spec: Spec | None) -> Facts:
    labels = settings.labels
    if not settings.is_image:
        raise InputError("not a container image: it cannot be run", at="IMAGE")
    if labels.get(ROLE_LABEL) == WEIGHTS_ROLE:
        raise InputError("it holds weights only, and runs nothing", at="IMAGE",
                         hint="run the image that serves; its weights are mounted")  # fmt: skip
    return Facts(
        ours=f"{NAMESPACE}format" in labels,
        ports=tuple(_ports(settings)),
        health=_health(settings.run.healthcheck),
        mounted=_mounted(settings, spec),
        cuda=any(item.startswith("NVIDIA_DRIVER_CAPABILITIES=") for item in settings.run.env),
        names=_names(spec),
    )


def _ports(settings: Configuration) -> list[int]:
    found = [p.removesuffix(_PROTOCOL) for p in settings.run.ports if p.endswith(_PROTOCOL)]
    return [int(port) for port in found if port.isdecimal()]


def _health(test: tuple[str, ...]) -> tuple[str, ...]:
    """Return a health check as a command (Docker Engine API, HealthConfig)."""
    match test:
        case ("CMD", *command):
            return tuple(command)
        case ("CMD-SHELL", line):
            return ("/bin/sh", "-c", line)
        case _:
            return ()


def _mounted(settings: Configuration, spec: Spec | None) -> tuple[Mounted, ...]:
    if spec is not None:
        return tuple(
            Mounted(name=weights.name, destination=weights.destination)
            for weights in spec.weights
            if weights.mode == "mount"
        )
    if WEIGHTS_IMAGE_LABEL in settings.labels:
        raise InputError("its weights are mounted, and it does not say where", at="IMAGE",
                         hint="modelpack inspect IMAGE")  # fmt: skip
    return ()


def _names(spec: Spec | None) -> tuple[str, ...]:
    from modelpack.assembly.image_names import image_names  # noqa: PLC0415

    return image_names(spec, ())[1] if spec else ()

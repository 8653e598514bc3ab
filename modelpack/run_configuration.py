"""How the container starts and what its labels claim: the `config` of the image configuration.

Source: OCI image-spec, config.md and annotations.md; `Healthcheck` is Docker's extension.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from modelpack import canonical_json
from modelpack.canonical_json import rfc3339
from modelpack.digest import Digest
from modelpack.lock import ImageBase, Lock, PlatformLock, WeightsLock
from modelpack.lock import encoding as lock_encoding
from modelpack.metadata import (
    GUARD,
    PROBE,
    SIGNATURE,
    digest_over,
    interface_digest,
    mounted,
    weights_digest,
)
from modelpack.source import Source
from modelpack.spec import Spec

NAMESPACE = "dev.modelpack."
PLAN_LABEL = f"{NAMESPACE}plan.digest"
WEIGHTS_IMAGE_LABEL = f"{NAMESPACE}weights.image"
"digest of the image that holds the mounted weights"
INTERFACE_LABEL = f"{NAMESPACE}interface.digest"
ROLE_LABEL = f"{NAMESPACE}role"
WEIGHTS_ROLE = "weights"
"what a weights image has as its role; an image that serves has none"
HOME = "/home/app"
GROUP = 0
"files belong to group 0, so that a platform may choose any user with it (OpenShift's way)"
_SECOND = 1_000_000_000
_READ_RATE = 150_000_000
"bytes a second that a cold disk surely gives: the guard reads all weights before the service"
_START_FLOOR = 20
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def configuration(
    spec: Spec, lock: Lock, source: Source, platform: PlatformLock, weights_image: Digest | None
) -> Mapping[str, Any]:
    """Return the run configuration, its labels sorted, without the plan's own label."""
    python = [platform.interpreter.path, "-I", "-S"]
    value: dict[str, Any] = {
        "User": f"{spec.runtime.user}:{GROUP}",
        "Env": [f"{key}={item}" for key, item in _environment(spec, source, platform).items()],
        "Entrypoint": [*_signature_first(spec), *python, GUARD],
        "Cmd": list(spec.code.command),
        "WorkingDir": spec.code.workdir,
        "Labels": labels(spec, lock, source, platform, weights_image),
        "StopSignal": "SIGTERM",
    }
    if spec.runtime.port:
        value["ExposedPorts"] = {f"{spec.runtime.port}/tcp": {}}
    path = spec.runtime.health.ready or spec.runtime.health.live
    if path and spec.runtime.port:
        url = f"http://127.0.0.1:{spec.runtime.port}{path}"
        value["Healthcheck"] = {
            "Test": ["CMD", *python, PROBE, url],
            "Interval": 30 * _SECOND,
            "Timeout": 5 * _SECOND,
            "StartPeriod": start_period(lock) * _SECOND,
            "Retries": 3,
        }
    return value


def _signature_first(spec: Spec) -> list[str]:
    """Return what starts the guard where weights must be signed: with the image's own packages."""
    return ["/opt/venv/bin/python", "-I", SIGNATURE] if spec.runtime.require_signature else []


def start_period(lock: Lock) -> int:
    """Return the seconds in which a failing health check does not count yet.

    Reading the weights twice, once to check and once to load, from a slow disk.
    """
    size = sum(file.size for weights in lock.weights for file in weights.files)
    return _START_FLOOR + -(-2 * size // _READ_RATE)


def _environment(spec: Spec, source: Source, platform: PlatformLock) -> dict[str, str]:
    """Return the variables: PATH first, the others sorted.

    Ours win over the base's, the author's over all.
    """
    base = platform.base
    inherited = dict(
        item.split("=", 1) for item in (base.environment if isinstance(base, ImageBase) else ())
    )
    own = {
        "HOME": HOME,
        "LANG": "C.UTF-8",
        "MODELPACK_MODEL_NAME": spec.model.name,
        "MODELPACK_MODEL_VERSION": spec.model.version,
        "MODELPACK_WEIGHTS": spec.weights[0].destination,
        "PATH": f"/opt/venv/bin:{inherited.get('PATH', _PATH)}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "VIRTUAL_ENV": "/opt/venv",
        **_account(platform),
    }
    if source.revision:
        own["MODELPACK_REVISION"] = source.revision
    if spec.runtime.port:
        own["PORT"] = str(spec.runtime.port)
    merged = {**_for_device(spec, platform, inherited), **own, **spec.runtime.environment}
    return {"PATH": merged.pop("PATH"), **dict(sorted(merged.items()))}


def _account(platform: PlatformLock) -> Mapping[str, str]:
    """Return what stands for files that only an assembled base is sure to have.

    Nobody in an image's /etc/passwd has our user: `getpass.getuser` takes LOGNAME then. Where its
    certificates are, if it has some, is among the variables of its lock.
    """
    if isinstance(platform.base, ImageBase):
        return {"LOGNAME": "app"}
    return {"SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"}


def _for_device(
    spec: Spec, platform: PlatformLock, inherited: Mapping[str, str]
) -> Mapping[str, str]:
    """Return the base's variables with what NVIDIA's container runtime reads, or without it.

    An image never chooses GPUs: NVIDIA_VISIBLE_DEVICES would take them past the scheduler. Nor
    does CUDA_VERSION stand alone, which means all GPUs to that runtime. Source:
    nvidia-container-toolkit, `IsLegacy`.
    """
    plain = {
        key: value for key, value in inherited.items()
        if key != "CUDA_VERSION" and not key.startswith("NVIDIA_")
    }  # fmt: skip
    if spec.runtime.device != "cuda":
        return plain
    from modelpack import cuda  # noqa: PLC0415  only for GPUs

    needed = cuda.requirement(platform, spec.runtime.gpu.driver)
    needed = needed or inherited.get("NVIDIA_REQUIRE_CUDA", "")
    return {
        **plain,
        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
        **({"NVIDIA_REQUIRE_CUDA": needed} if needed else {}),
    }


def labels(
    spec: Spec, lock: Lock, source: Source, platform: PlatformLock, weights_image: Digest | None
) -> dict[str, str]:
    """Return all labels but the plan's; empty values are left out, the author's come in too."""
    base = platform.base
    known = {
        **_model_labels(spec, lock.weights),
        "org.opencontainers.image.created": rfc3339(source.created),
        "org.opencontainers.image.revision": source.revision,
        f"{NAMESPACE}weights.digest": weights_digest(lock),
        WEIGHTS_IMAGE_LABEL: weights_image or "",
        f"{NAMESPACE}source.digest": source.digest,
        f"{NAMESPACE}source.dirty": "" if source.dirty is None else str(source.dirty).lower(),
        INTERFACE_LABEL: interface_digest(source) or "",
        f"{NAMESPACE}lock.digest": lock_encoding.digest(lock),
        f"{NAMESPACE}format": str(lock.format),
    }
    if isinstance(base, ImageBase):
        known["org.opencontainers.image.base.name"] = base.reference
        known["org.opencontainers.image.base.digest"] = base.digest
    merged = {**{k: v for k, v in known.items() if v}, **spec.image.labels}
    return dict(sorted(merged.items()))


def weights_labels(spec: Spec, lock: Lock) -> dict[str, str]:
    """Return the labels of the weights image, which know no code, base or dependencies.

    The author's own are left out: they are about the image that serves.
    """
    weights = mounted(spec, lock)
    known = {
        **_model_labels(spec, weights),
        ROLE_LABEL: WEIGHTS_ROLE,
        f"{NAMESPACE}weights.digest": digest_over(weights),
        f"{NAMESPACE}format": str(lock.format),
    }
    return dict(sorted((key, value) for key, value in known.items() if value))


def _model_labels(spec: Spec, weights: Sequence[WeightsLock]) -> dict[str, str]:
    """Return what the author claims of the model; a value may be empty."""
    model = spec.model
    unsafe = [item for one in weights for item in one.unsafe]
    data = [canonical_json.plain(item) for item in spec.training.data]
    return {
        "org.opencontainers.image.title": model.name,
        "org.opencontainers.image.version": model.version,
        "org.opencontainers.image.description": model.description,
        "org.opencontainers.image.licenses": model.license,
        f"{NAMESPACE}model.name": model.name,
        f"{NAMESPACE}model.version": model.version,
        f"{NAMESPACE}model.task": model.task,
        f"{NAMESPACE}model.architecture": model.architecture,
        f"{NAMESPACE}model.framework": model.framework,
        f"{NAMESPACE}model.base": model.base,
        f"{NAMESPACE}weights.unsafe": "; ".join(unsafe),
        f"{NAMESPACE}training.run": spec.training.run,
        f"{NAMESPACE}training.source": spec.training.source,
        f"{NAMESPACE}training.data": canonical_json.dumps(data).decode() if data else "",
    }

"""What a cluster needs to run an image: derived from what its author declared; pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from modelpack import quantity
from modelpack.errors import Finding, InputError
from modelpack.lock import Lock
from modelpack.metadata import weights_digest
from modelpack.run_configuration import NAMESPACE, start_period
from modelpack.spec import Health, Spec

_NAME: Final = re.compile(r"(?=.{1,63}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?")
"RFC 1123 label, in which Kubernetes names resources"
_SUBDOMAIN: Final = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
"RFC 1123 subdomain: secrets, claims, maps"
_LABEL: Final = re.compile(r"(?=.{0,63}$)([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?")
_CPU: Final = re.compile(r"[0-9]{1,6}m|[0-9]{1,4}(\.[0-9]{1,3})?")
_MEMORY: Final = re.compile(r"[1-9][0-9]{0,11}([KMGT]i?|k)?")
_GRACE: Final = 30
"seconds, as Kubernetes itself has it"
_GPU: Final = "nvidia.com/gpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the person who deploys says."""

    name: str = ""
    "of the resources; empty: that of the model"
    namespace: str = ""
    replicas: int | None = 1
    "None: an autoscaler's business"
    cpu: str = ""
    "a quantity of Kubernetes; empty: `test.limits.cpus`"
    memory: str = ""
    "the same; empty: `test.limits.memory`"
    gpus: int | None = None
    "None: one where the image is for GPUs"
    pull_secret: str = ""
    claims: Mapping[str, str] = field(default_factory=dict)
    "volume claims by the name of mounted weights; without: an image volume"
    trust: str = ""
    "config map that says who must have signed the weights"
    isolated: bool = True
    "whether a network policy lets nothing out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """Where one set of mounted weights goes."""

    weights: str
    destination: str
    claim: str
    "empty: it is in the image of the weights"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A Deployment and what stands around it."""

    name: str
    version: str
    image: str
    "by digest"
    weights_image: str
    "by digest; empty: none is mounted from one"
    weights_digest: str
    architecture: str
    "of the nodes; empty: there are images for several"
    port: int
    health: Health
    start: int
    "seconds until it must be ready"
    grace: int
    "seconds that it has to end"
    requests: Mapping[str, str]
    limits: Mapping[str, str]
    volumes: tuple[Volume, ...]
    wishes: Wishes

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels as Kubernetes recommends them."""
        version = {"app.kubernetes.io/version": self.version} if _LABEL.fullmatch(
            self.version
        ) else {}  # fmt: skip
        return {"app.kubernetes.io/name": self.name, **version}

    @property
    def annotations(self) -> Mapping[str, str]:
        """What tells which weights run, without a look into a registry."""
        return {f"{NAMESPACE}weights.digest": self.weights_digest}


def of(
    spec: Spec, lock: Lock, wishes: Wishes, *, repository: str, digest: str, weights_image: str
) -> Workload:
    """Return what runs the image `digest` in `repository`; raises InputError with all problems.

    `weights_image` is the digest of the image of the mounted weights, which stands beside it.
    """
    mounted = [weights for weights in spec.weights if weights.mode == "mount"]
    name = wishes.name or re.sub(r"[._]+", "-", spec.model.name)
    findings = _problems(spec, wishes, name, {weights.name for weights in mounted})
    if findings:
        raise InputError(*findings)
    limits = spec.test.limits
    volumes = tuple(
        Volume(weights=weights.name, destination=weights.destination,
               claim=wishes.claims.get(weights.name, ""))
        for weights in mounted
    )  # fmt: skip
    architectures = {locked.platform.architecture for locked in lock.platforms}
    within = any(not volume.claim for volume in volumes)
    memory = wishes.memory or _bytes(limits.get("memory", ""))
    cpu = wishes.cpu or limits.get("cpus", "")
    gpus = wishes.gpus if wishes.gpus is not None else int(spec.runtime.device == "cuda")
    # More memory than is asked for is memory that a neighbour lost; more processor time is not.
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    most = {
        **({"memory": memory} if memory else {}),
        **({_GPU: str(gpus)} if gpus else {}),
    }
    return Workload(
        name=name, version=spec.model.version, image=f"{repository}@{digest}",
        weights_image=f"{repository}@{weights_image}" if within else "",
        weights_digest=weights_digest(lock),
        architecture="" if len(architectures) > 1 else architectures.pop(),
        port=spec.runtime.port, health=spec.runtime.health,
        start=max(start_period(lock), _seconds(limits.get("cold-start", ""))),
        grace=max(_GRACE, _seconds(limits.get("stop", ""))),
        requests=requests, limits=most, volumes=volumes, wishes=wishes,
    )  # fmt: skip


def _bytes(size: str) -> str:
    """Return a size as a quantity of Kubernetes, exactly."""
    if not size:
        return ""
    count = quantity.size(size)
    return f"{count >> 20}Mi" if count % (1 << 20) == 0 else str(count)


def _seconds(duration: str) -> int:
    return -(-quantity.duration(duration) // 1000) if duration else 0


def _problems(spec: Spec, wishes: Wishes, name: str, mounted: set[str]) -> list[Finding]:
    """Return what neither Kubernetes nor the image would take."""
    word = "lowercase letters, digits and `-`"
    asked = (
        (name, _NAME, "--name", "not a name of a Kubernetes resource", f"--name, in {word}"),
        (wishes.namespace, _NAME, "--namespace", "not a name of a namespace", f"use {word}"),
        (wishes.pull_secret, _SUBDOMAIN, "--pull-secret", "not a name of a secret", f"use {word}"),
        (wishes.trust, _SUBDOMAIN, "--trust", "not a name of a config map", f"use {word}"),
        (wishes.cpu, _CPU, "--cpu", "not a quantity of processors", "such as `2` or `500m`"),
        (wishes.memory, _MEMORY, "--memory", "not a quantity of memory", "such as `4Gi`"),
        *((claim, _SUBDOMAIN, "--weights-claim", "not a name of a claim", f"use {word}")
          for claim in wishes.claims.values()),
    )  # fmt: skip
    findings = [
        Finding(message=f"{message}: `{text[:80]}`", at=at, hint=hint)
        for text, pattern, at, message, hint in asked
        if text and not pattern.fullmatch(text)
    ]
    findings += [
        Finding(message=f"no weights `{other[:80]}` are mounted", at="--weights-claim",
                hint=f"mounted are {', '.join(sorted(mounted))}" if mounted
                else "they are in the image: leave it out")
        for other in sorted({*wishes.claims} - mounted)
    ]  # fmt: skip
    if spec.runtime.require_signature and not wishes.trust:
        findings.append(Finding(
            message="the weights must be signed when it starts, and nobody says by whom",
            at="--trust", hint="--trust NAME of a config map with key.pub, or with signer.json and "
            "trusted_root.json",
        ))  # fmt: skip
    return findings

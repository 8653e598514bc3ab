"""What will be built: a pure function of Spec, Lock and Source.

Everything is decided here and carried out elsewhere. A Step's digest covers all that its layer's
bytes depend on, so it is the key under which a finished layer is remembered.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from modelpack import canonical_json
from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.lock import (
    OWN_LAYER,
    AssembledBase,
    ImageBase,
    Lock,
    PlatformLock,
    WeightFile,
    WeightsLock,
)
from modelpack.lock import encoding as lock_encoding
from modelpack.metadata import NAMEPLATE, PLACE, mounted, nameplate, weights_digest
from modelpack.platform import Platform
from modelpack.quantity import counted
from modelpack.run_configuration import PLAN_LABEL, configuration, weights_labels
from modelpack.source import Source
from modelpack.source import written as written_source
from modelpack.spec import Spec
from modelpack.spec.writing import written

VENV = "/opt/venv"
StepKind = Literal["base", "dependencies", "weights", "code", "meta", "nameplate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A recipe for one layer."""

    kind: StepKind
    name: str
    "for people: `model-00001-of-00004.safetensors`"
    inputs: Mapping[str, Any]
    "JSON values: every locked input of the layer"
    known: Digest | None = None
    "the digest of the layer, where the lock has it already"

    @property
    def digest(self) -> Digest:
        """The key of the finished layer."""
        return digest_of(canonical_json.dumps({"kind": self.kind, "inputs": self.inputs}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Ordered steps and the run configuration of one platform's image."""

    platform: Platform
    steps: tuple[Step, ...]
    run: Mapping[str, Any]
    "the image configuration's `config`, without the label that holds this plan's digest"
    created: int

    @property
    def digest(self) -> Digest:
        """The digest of the plan, taken before its own label is stamped."""
        return digest_of(canonical_json.dumps(self.as_json()))

    def as_json(self) -> dict[str, Any]:
        """Return the plan as canonical JSON values."""
        return {
            "platform": str(self.platform),
            "steps": [{"kind": s.kind, "name": s.name, "digest": s.digest} for s in self.steps],
            "run": self.run,
            "created": self.created,
        }

    @property
    def config(self) -> dict[str, Any]:
        """The run configuration with the plan's digest among its labels."""
        labels = {**self.run["Labels"], PLAN_LABEL: self.digest}
        return {**self.run, "Labels": dict(sorted(labels.items()))}


def make(
    spec: Spec,
    lock: Lock,
    source: Source,
    platform: PlatformLock,
    *,
    weights_image: Digest | None = None,
) -> Plan:
    """Return what to build for one locked platform.

    `weights_image` is the digest of the image that `make_weights` describes: it stands in a label.
    """
    separate = mounted(spec, lock)
    if bool(separate) != (weights_image is not None):
        raise ValueError("the digest of the weights image belongs to mounted weights")
    baked = [weights for weights in lock.weights if weights not in separate]
    steps = (
        *base_steps(spec, lock, platform),
        *dependency_steps(spec, lock, platform),
        *(step for weights in baked for step in weights_steps(weights)),
        code_step(spec, lock, source),
        meta_step(spec, lock, source),
    )
    return Plan(
        platform=platform.platform,
        steps=steps,
        run=configuration(spec, lock, source, platform, weights_image),
        created=source.created,
    )


def make_weights(spec: Spec, lock: Lock) -> Plan | None:
    """Return what to build as the image of all mounted weights; None where all are baked.

    One image for all platforms: its configuration names the first one. It starts nothing, and
    knows nothing of code, dependencies, base and time.
    """
    weights = mounted(spec, lock)
    if not weights:
        return None
    return Plan(
        platform=lock.platforms[0].platform,
        steps=(
            *(step for item in weights for step in weights_steps(item)),
            nameplate_step(spec, lock),
        ),
        run={"Labels": weights_labels(spec, lock)},
        created=0,
    )


def base_steps(spec: Spec, lock: Lock, platform: PlatformLock) -> tuple[Step, ...]:
    """Return the recipe of an assembled base's one layer, or one for each layer of a base image."""
    base = platform.base
    if isinstance(base, AssembledBase):
        inputs = {
            "format": lock.format,
            "compressor": canonical_json.plain(lock.compressor),
            "bytecode": platform.bytecode,
            "platform": str(platform.platform),
            "user": spec.runtime.user,
            "packages": [[p.name, p.version, p.sha256] for p in base.packages],
        }
        return (Step(kind="base", name=base.distribution, inputs=inputs),)
    count = len(base.layers)
    return tuple(
        Step(
            kind="base", name=f"{base.reference} {number}/{count}", known=layer.digest,
            inputs={"image": base.digest, "layer": layer.digest},
        )
        for number, layer in enumerate(base.layers, start=1)
    )  # fmt: skip


def dependency_steps(spec: Spec, lock: Lock, platform: PlatformLock) -> tuple[Step, ...]:
    """Return the recipe of the dependency layer; none without wheels."""
    del spec
    if not platform.wheels:
        return ()
    inputs: dict[str, Any] = {
        "format": lock.format,
        "compressor": canonical_json.plain(lock.compressor),
        "venv": VENV,
        "interpreter": canonical_json.plain(platform.interpreter),
        "wheels": [[w.filename, w.sha256] for w in platform.wheels],
        "bytecode": platform.bytecode,
    }
    if platform.bytecode != "none":
        # Bytecode differs between builds of an interpreter: where it comes from is an input.
        inputs["compiler"] = _origin(platform.base)
    return (Step(kind="dependencies", name=counted(len(platform.wheels), "wheel"), inputs=inputs),)


def _origin(base: AssembledBase | ImageBase) -> Digest | list[list[str]]:
    """Return what the interpreter of `base` comes from."""
    if isinstance(base, ImageBase):
        return base.digest
    return [[p.name, p.version, p.sha256] for p in base.packages if "python3" in p.name]


def weights_steps(weights: WeightsLock) -> tuple[Step, ...]:
    """Return a recipe for each large weight file, then one for all small files together."""
    own = [file for file in weights.files if is_own_layer(file)]
    small = [file for file in weights.files if not is_own_layer(file)]
    steps = [
        Step(
            kind="weights",
            name=file.path,
            known=file.layer,
            inputs={"destination": weights.destination, "files": [_file(file)]},
        )
        for file in own
    ]
    if small:
        steps.append(
            Step(
                kind="weights",
                name=counted(len(small), "small file"),
                known=weights.bundle,
                inputs={"destination": weights.destination, "files": [_file(f) for f in small]},
            )
        )
    return tuple(steps)


def is_own_layer(file: WeightFile) -> bool:
    """Tell whether a weight file is large enough for a layer of its own."""
    return file.size >= OWN_LAYER


def _file(file: WeightFile) -> list[Any]:
    return [file.path, file.size, file.sha256]


def code_step(spec: Spec, lock: Lock, source: Source) -> Step:
    """Return the recipe of the code layer."""
    return Step(
        kind="code",
        name=counted(len(source.files), "file"),
        inputs={
            "format": lock.format,
            "compressor": canonical_json.plain(lock.compressor),
            "workdir": spec.code.workdir,
            "files": [[f.path, f.size, f.sha256, f.executable, f.link] for f in source.files],
        },
    )


def meta_step(spec: Spec, lock: Lock, source: Source) -> Step:
    """Return the recipe of the last layer: what the image says about itself."""
    return Step(
        kind="meta",
        name=PLACE,
        inputs={
            "format": lock.format,
            "spec": digest_of(canonical_json.dumps(written(spec))),
            "lock": lock_encoding.digest(lock),
            "source": digest_of(canonical_json.dumps(written_source(source))),
            "runtime": {
                name: digest
                for name, digest in canonical_json.plain(lock.runtime).items()
                if digest
            },
            "weights": weights_digest(lock),
        },
    )


def nameplate_step(spec: Spec, lock: Lock) -> Step:
    """Return the recipe of the last layer of the weights image: which weights it claims to hold."""
    places = [
        [f"{weights.destination}/{NAMEPLATE}", digest_of(nameplate(spec, weights))]
        for weights in mounted(spec, lock)
    ]
    return Step(
        kind="nameplate", name=NAMEPLATE, inputs={"format": lock.format, "nameplates": places}
    )

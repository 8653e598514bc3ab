"""The example `llm-gpu` without its gigabytes: metadata of its wheels, shapes of its tensors.

`python -m tests.llm_gpu` asks the package index anew and writes `assets/llm-gpu.json`.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from modelpack import project
from modelpack.inputs.python import package_index, requirements
from modelpack.inputs.python.package_index import Selected
from modelpack.inputs.python.target import Target
from modelpack.lock import Lock, WeightFile, WeightsLock, Wheel
from modelpack.lock import encoding as lock_encoding
from modelpack.lock.staleness import fingerprints
from modelpack.platform import Platform
from modelpack.resolve.dependencies import requirement_digests
from modelpack.resolve.runtime import runtime_lock
from tests.values import digest, sha

EXAMPLES = Path(__file__).parents[1] / "examples"
EXAMPLE = EXAMPLES / "llm-gpu"
METADATA = Path(__file__).parent / "assets" / "llm-gpu.json"

_LAYERS, _HIDDEN, _INNER, _KEYS, _WORDS = 28, 3584, 18944, 512, 152064
"of Qwen2.5-7B"


def base_lock() -> Lock:
    """Return the lock of another example: its base is the same."""
    return lock_encoding.parse((EXAMPLES / "cuda-small" / "modelpack.lock").read_bytes())


def target() -> Target:
    """Return what the example runs on."""
    return Target.of(base_lock().platforms[0].interpreter, Platform("linux", "amd64"))


def selected() -> list[Selected]:
    """Return every wheel of the lockfile with its real metadata."""
    rows = json.loads(METADATA.read_text("utf-8"))
    return [
        Selected(
            wheel=Wheel(**row["wheel"]), extras=tuple(row["extras"]),
            requires_dist=tuple(row["requires_dist"]), requires_python=row["requires_python"],
        )
        for row in rows
    ]  # fmt: skip


def pins() -> Mapping[str, tuple[str, tuple[str, ...]]]:
    """Return version and hashes of every requirement of the example's lockfile."""
    found = requirements.parse(EXAMPLE / "requirements.lock", target=target())
    return {one.name: (one.version, one.hashes) for one in found.requirements}


def tensors() -> Iterator[str]:
    """Yield the tensors of Qwen2.5-7B as the lock writes them: 7.6 billion parameters."""
    yield f"BF16 [{_WORDS},{_HIDDEN}] model.embed_tokens.weight"
    yield f"BF16 [{_WORDS},{_HIDDEN}] lm_head.weight"
    yield f"BF16 [{_HIDDEN}] model.norm.weight"
    for number in range(_LAYERS):
        for name, shape in {
            "input_layernorm.weight": f"{_HIDDEN}",
            "post_attention_layernorm.weight": f"{_HIDDEN}",
            "self_attn.q_proj.weight": f"{_HIDDEN},{_HIDDEN}",
            "self_attn.q_proj.bias": f"{_HIDDEN}",
            "self_attn.k_proj.weight": f"{_KEYS},{_HIDDEN}",
            "self_attn.k_proj.bias": f"{_KEYS}",
            "self_attn.v_proj.weight": f"{_KEYS},{_HIDDEN}",
            "self_attn.v_proj.bias": f"{_KEYS}",
            "self_attn.o_proj.weight": f"{_HIDDEN},{_HIDDEN}",
            "mlp.gate_proj.weight": f"{_INNER},{_HIDDEN}",
            "mlp.up_proj.weight": f"{_INNER},{_HIDDEN}",
            "mlp.down_proj.weight": f"{_HIDDEN},{_INNER}",
        }.items():
            yield f"BF16 [{shape}] model.layers.{number}.{name}"


def copy(folder: Path, change: Callable[[str], str] = str) -> Path:
    """Copy the project without weights; `change` edits its `modelpack.toml`."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("dist", "weights"))
    file = folder / "modelpack.toml"
    file.write_text(change(file.read_text("utf-8")), "utf-8")
    return folder


def write_lock(folder: Path, wheels: Sequence[Wheel]) -> None:
    """Lock the project in `folder` with these wheels and the tensors of the real model."""
    this = project.read(folder, ignore_lock=True)
    file = WeightFile(
        path="model.safetensors", size=15_231_233_024, sha256=sha("a"), chunks=(sha("a"),),
        layer=digest("b"), tensors=tuple(tensors()),
    )  # fmt: skip
    weights = this.spec.weights[0]
    like = base_lock()
    lock = replace(
        like,
        fingerprints=fingerprints(this.spec, requirements=requirement_digests(this.spec, folder)),
        runtime=runtime_lock(this.spec),
        platforms=tuple(replace(one, wheels=tuple(wheels)) for one in like.platforms),
        weights=(
            WeightsLock(
                name=weights.name, destination=weights.destination, digest=digest("d"),
                files=(file,), bundle=None,
            ),
        ),
    )  # fmt: skip
    project.write(this.lock_path, lock_encoding.dump(lock))


def main() -> None:
    """Ask the package index that pip is configured with, and write what it says."""
    wanted = requirements.parse(EXAMPLE / "requirements.lock", target=target())
    found = package_index.select(
        wanted, target=target(), indexes={"pypi": None}, environment=os.environ
    )
    rows = [
        {
            "wheel": {
                "name": one.wheel.name, "version": one.wheel.version,
                "filename": one.wheel.filename, "size": one.wheel.size, "sha256": one.wheel.sha256,
            },
            "extras": list(one.extras), "requires_dist": list(one.requires_dist),
            "requires_python": one.requires_python,
        }
        for one in found
    ]  # fmt: skip
    METADATA.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()

"""Read sharded safetensors into NumPy arrays, the way the index says."""

import json
from pathlib import Path

import numpy as np
from safetensors import safe_open

INDEX = "model.safetensors.index.json"

Arrays = dict[str, np.ndarray]


def load(directory: Path) -> Arrays:
    """Return every tensor that the index in `directory` names; raise ValueError on a mismatch."""
    weight_map: dict[str, str] = json.loads((directory / INDEX).read_text("utf-8"))["weight_map"]
    arrays: Arrays = {}
    for shard in sorted(set(weight_map.values())):
        with safe_open(directory / shard, framework="numpy") as tensors:
            arrays |= {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
    if missing := weight_map.keys() - arrays.keys():
        raise ValueError(f"{INDEX} names tensors that no shard holds: {sorted(missing)}")
    return arrays

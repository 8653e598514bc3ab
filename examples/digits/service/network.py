"""The network: 64 pixels in, one hidden layer, the probability of each label out."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open

INDEX = "model.safetensors.index.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A trained multilayer perceptron and what its input and output mean."""

    labels: tuple[str, ...]
    pixels: int
    brightest: float
    hidden_weight: np.ndarray
    hidden_bias: np.ndarray
    output_weight: np.ndarray
    output_bias: np.ndarray

    @classmethod
    def load(cls, directory: Path) -> "Network":
        """Read configuration and shards from `directory`."""
        config = json.loads((directory / "config.json").read_text("utf-8"))
        tensors = _load_shards(directory)
        return cls(
            labels=tuple(config["labels"]),
            pixels=config["pixels"],
            brightest=config["brightest"],
            hidden_weight=tensors["hidden.weight"],
            hidden_bias=tensors["hidden.bias"],
            output_weight=tensors["output.weight"],
            output_bias=tensors["output.bias"],
        )

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Return [images, labels] for [images, pixels] of brightness."""
        x = images.astype(np.float32) / np.float32(self.brightest)
        x = np.maximum(x @ self.hidden_weight + self.hidden_bias, 0)
        x = x @ self.output_weight + self.output_bias
        x = np.exp(x - x.max(axis=1, keepdims=True))
        return x / x.sum(axis=1, keepdims=True)


def _load_shards(directory: Path) -> dict[str, np.ndarray]:
    """Return every tensor that the index names, read from the shard that it names."""
    weight_map = json.loads((directory / INDEX).read_text("utf-8"))["weight_map"]
    arrays = {}
    for name, shard in weight_map.items():
        with safe_open(directory / shard, framework="numpy") as tensors:
            arrays[name] = tensors.get_tensor(name)
    return arrays

"""The network: a point in, two hidden layers, the probability of each spiral out."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from service.device import NoDevice, through_memory

LAYERS = 3


@dataclass(frozen=True, slots=True)
class Network:
    """A trained multilayer perceptron."""

    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]

    @classmethod
    def load(cls, folder: Path) -> "Network":
        """Read the weights, through the memory of the GPU: what is used is what came back."""
        tensors = load_file(folder / "model.safetensors")
        for name, array in tensors.items():
            copy = through_memory(np.ascontiguousarray(array))
            if not np.array_equal(copy, array):
                raise NoDevice(f"the GPU's memory gave back other values for `{name}`")
            tensors[name] = copy
        return cls(
            weights=tuple(tensors[f"{number}.weight"] for number in range(LAYERS)),
            biases=tuple(tensors[f"{number}.bias"] for number in range(LAYERS)),
        )

    def probabilities(self, points: np.ndarray) -> np.ndarray:
        """Return [points, spirals] for [points, 2]."""
        x = points.astype(np.float32)
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = x @ weight + bias
            if number < LAYERS - 1:
                x = np.tanh(x)
        x = np.exp(x - x.max(axis=1, keepdims=True))
        return x / x.sum(axis=1, keepdims=True)

"""Train the spiral classifier and write its weights; the seed is fixed.

pip install 'numpy==2.2.6' 'safetensors==0.8.0'
python train.py
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

WEIGHTS = Path(__file__).resolve().parent / "weights"
SPIRALS, POINTS, HIDDEN = 3, 400, 32
SEED, STEPS, RATE = 20240131, 4000, 2e-3


def main() -> None:
    """Make the data, fit the network, keep it."""
    random = np.random.default_rng(SEED)
    x, truth = spirals(random)
    layers = fit(x, truth, random)
    hits = (forward(layers, x)[-1].argmax(axis=1) == truth).mean()
    WEIGHTS.mkdir(exist_ok=True)
    tensors = {}
    for number, (weight, bias) in enumerate(layers):
        tensors[f"{number}.weight"] = weight.astype(np.float32)
        tensors[f"{number}.bias"] = bias.astype(np.float32)
    save_file(tensors, WEIGHTS / "model.safetensors", metadata={"format": "np"})
    print(f"{hits:.1%} of the points it was trained on")


def spirals(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return points on three arms that wind around one another, and the arm of each."""
    truth = np.repeat(np.arange(SPIRALS), POINTS)
    radius = np.tile(np.linspace(0.05, 1, POINTS), SPIRALS)
    angle = 4 * radius + truth * 2 * np.pi / SPIRALS + random.normal(0, 0.1, len(truth))
    return np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1), truth


def forward(layers, x: np.ndarray) -> list[np.ndarray]:
    """Return what each layer gives, the input first."""
    found = [x]
    for number, (weight, bias) in enumerate(layers):
        x = found[-1] @ weight + bias
        found.append(np.tanh(x) if number < len(layers) - 1 else x)
    return found


def fit(x: np.ndarray, truth: np.ndarray, random: np.random.Generator):
    """Minimise the cross entropy with Adam (Kingma and Ba 2014)."""
    sizes = [2, HIDDEN, HIDDEN, SPIRALS]
    layers = [[random.normal(0, (1 / a) ** 0.5, (a, b)), np.zeros(b)] for a, b in pairwise(sizes)]
    state = [[(np.zeros_like(v), np.zeros_like(v)) for v in layer] for layer in layers]
    for step in range(1, STEPS + 1):
        found = forward(layers, x)
        slope = np.exp(found[-1] - found[-1].max(axis=1, keepdims=True))
        slope /= slope.sum(axis=1, keepdims=True)
        slope[np.arange(len(truth)), truth] -= 1
        slope /= len(truth)
        for number in reversed(range(len(layers))):
            slopes = [found[number].T @ slope, slope.sum(axis=0)]
            if number:
                slope = (slope @ layers[number][0].T) * (1 - found[number] ** 2)
            for place in (0, 1):
                first, second = state[number][place]
                first = 0.9 * first + 0.1 * slopes[place]
                second = 0.999 * second + 0.001 * slopes[place] ** 2
                state[number][place] = (first, second)
                mean, variance = first / (1 - 0.9**step), second / (1 - 0.999**step)
                layers[number][place] = layers[number][place] - RATE * mean / (variance**0.5 + 1e-8)
    return layers


if __name__ == "__main__":
    main()

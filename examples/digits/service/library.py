"""The network for programs that import it: arrays in, arrays out; the weights are loaded once."""

import os
from functools import cache
from pathlib import Path

import numpy as np

from service.network import Network

WEIGHTS = "/models/digits"


@cache
def network() -> Network:
    """Return the network of the weights in $MODELPACK_WEIGHTS."""
    return Network.load(Path(os.environ.get("MODELPACK_WEIGHTS", WEIGHTS)))


def classify(images: np.ndarray) -> dict[str, np.ndarray]:
    """Return the probability of each label, and the best one, of [images, pixels]."""
    rows = network().probabilities(np.asarray(images, np.float32))
    return {"probabilities": rows, "best": rows.argmax(axis=1)}

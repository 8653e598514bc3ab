"""The BERT encoder of all-MiniLM-L6-v2, its tokenizer and its pooling, in NumPy.

The computation is the one of the published model: WordPiece, at most 256 tokens, six layers of
self-attention (Devlin et al. 2018, arXiv:1810.04805), the mean over the tokens, unit length.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Encoding, Tokenizer

from service import weights

BATCH_TOKENS = 2048  # padded tokens computed at once; bounds the working memory at about 40 MB
MASKED = np.float32(-1e9)

# A rational approximation of erf on [-LIMIT, LIMIT], within 4e-7 in single precision
# (the one of Eigen and XLA: odd numerator, even denominator, highest power first).
_ERF_LIMIT = np.float32(3.7439211627767994)
_ERF_ABOVE = np.array(
    [2.2905065861350646e-4, 3.4082910107109506e-3, 5.0955695062380861e-2,
     1.8520832239976145e-1, 1.128379143519084],
    dtype=np.float32,
)  # fmt: skip
_ERF_BELOW = np.array(
    [-1.1791602954361697e-7, 2.3547966471313185e-5, 1.0179625278914885e-3,
     1.4070470171167667e-2, 1.1098505178285362e-1, 4.9746925110067538e-1, 1.0],
    dtype=np.float32,
)  # fmt: skip


def erf(x: np.ndarray) -> np.ndarray:
    """Return the error function of float32 `x`, element by element."""
    x = np.clip(x, -_ERF_LIMIT, _ERF_LIMIT)
    square = x * x
    return x * _polynomial(_ERF_ABOVE, square) / _polynomial(_ERF_BELOW, square)


def _polynomial(coefficients: np.ndarray, x: np.ndarray) -> np.ndarray:
    total = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total *= x
        total += coefficient
    return total


def gelu(x: np.ndarray) -> np.ndarray:
    """Return x · Φ(x), the exact form that BERT uses, not the tanh approximation."""
    return np.float32(0.5) * x * (np.float32(1) + erf(x * np.float32(0.5**0.5)))


def softmax(x: np.ndarray) -> np.ndarray:
    """Return the softmax over the last axis."""
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """y = x W + b, with W stored input-first."""

    weight: np.ndarray
    bias: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return x @ self.weight + self.bias


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerNorm:
    """Zero mean and unit variance over the last axis, then scale and shift."""

    weight: np.ndarray
    bias: np.ndarray
    epsilon: np.float32

    def __call__(self, x: np.ndarray) -> np.ndarray:
        x = x - x.mean(axis=-1, keepdims=True)
        variance = np.square(x).mean(axis=-1, keepdims=True)
        return x / np.sqrt(variance + self.epsilon) * self.weight + self.bias


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One transformer layer: self-attention, then the feed-forward network."""

    heads: int
    query_key_value: Linear
    attention_output: Linear
    attention_norm: LayerNorm
    intermediate: Linear
    output: Linear
    output_norm: LayerNorm

    def __call__(self, hidden: np.ndarray, bias: np.ndarray) -> np.ndarray:
        """Transform [batch, tokens, width]; `bias` is added to the attention scores."""
        batch, tokens, width = hidden.shape
        size = width // self.heads
        shape = (batch, tokens, 3, self.heads, size)
        query, key, value = self.query_key_value(hidden).reshape(shape).transpose(2, 0, 3, 1, 4)
        scores = query @ key.swapaxes(-1, -2) * np.float32(size**-0.5) + bias
        context = (softmax(scores) @ value).transpose(0, 2, 1, 3).reshape(hidden.shape)
        hidden = self.attention_norm(hidden + self.attention_output(context))
        return self.output_norm(hidden + self.output(gelu(self.intermediate(hidden))))


class Parts:
    """The tensors of a checkpoint, taken by the names that they have there."""

    def __init__(self, arrays: weights.Arrays, epsilon: float) -> None:
        self._arrays = arrays
        self._epsilon = np.float32(epsilon)

    def array(self, name: str) -> np.ndarray:
        """Return a tensor in single precision."""
        return np.asarray(self._arrays[name], dtype=np.float32)

    def linear(self, *names: str) -> Linear:
        """Return the map that computes all `names` side by side."""
        return Linear(
            weight=np.hstack([self.array(f"{name}.weight").T for name in names]),
            bias=np.concatenate([self.array(f"{name}.bias") for name in names]),
        )

    def norm(self, name: str) -> LayerNorm:
        """Return the layer normalisation `name`."""
        return LayerNorm(
            weight=self.array(f"{name}.weight"),
            bias=self.array(f"{name}.bias"),
            epsilon=self._epsilon,
        )

    def layer(self, number: int, heads: int) -> Layer:
        """Return transformer layer `number`, counted from 0."""
        at = f"encoder.layer.{number}"
        self_attention = f"{at}.attention.self"
        return Layer(
            heads=heads,
            query_key_value=self.linear(*(f"{self_attention}.{n}" for n in _PROJECTIONS)),
            attention_output=self.linear(f"{at}.attention.output.dense"),
            attention_norm=self.norm(f"{at}.attention.output.LayerNorm"),
            intermediate=self.linear(f"{at}.intermediate.dense"),
            output=self.linear(f"{at}.output.dense"),
            output_norm=self.norm(f"{at}.output.LayerNorm"),
        )


_PROJECTIONS = ("query", "key", "value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """Texts in, unit vectors out."""

    tokenizer: Tokenizer
    words: np.ndarray
    positions: np.ndarray
    norm: LayerNorm
    layers: tuple[Layer, ...]

    @classmethod
    def load(cls, directory: Path) -> "Encoder":
        """Read tokenizer, configuration and shards from `directory`."""
        config = json.loads((directory / "config.json").read_text("utf-8"))
        limits = json.loads((directory / "sentence_bert_config.json").read_text("utf-8"))
        parts = Parts(weights.load(directory), config["layer_norm_eps"])
        heads, depth = config["num_attention_heads"], config["num_hidden_layers"]
        segment = parts.array("embeddings.token_type_embeddings.weight")[0]
        return cls(
            tokenizer=_tokenizer(directory / "tokenizer.json", limits["max_seq_length"]),
            words=parts.array("embeddings.word_embeddings.weight"),
            positions=parts.array("embeddings.position_embeddings.weight") + segment,
            norm=parts.norm("embeddings.LayerNorm"),
            layers=tuple(parts.layer(number, heads) for number in range(depth)),
        )

    @property
    def dimensions(self) -> int:
        """The length of one embedding."""
        return int(self.words.shape[1])

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 [texts, dimensions], each row of length one."""
        encodings = [self.tokenizer.encode(text) for text in texts]
        result = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for rows in _batches(encodings):
            result[rows] = self._forward([encodings[row].ids for row in rows])
        return result

    def _forward(self, ids: Sequence[Sequence[int]]) -> np.ndarray:
        tokens = np.zeros((len(ids), max(map(len, ids))), dtype=np.int64)
        mask = np.zeros(tokens.shape, dtype=np.float32)
        for row, numbers in enumerate(ids):
            tokens[row, : len(numbers)] = numbers
            mask[row, : len(numbers)] = 1
        bias = (np.float32(1) - mask)[:, None, None, :] * MASKED
        hidden = self.norm(self.words[tokens] + self.positions[: tokens.shape[1]])
        for layer in self.layers:
            hidden = layer(hidden, bias)
        mean = (hidden * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def _tokenizer(file: Path, max_tokens: int) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(file))
    # The file carries the padding and truncation of its training, which are not the model's.
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def _batches(encodings: Sequence[Encoding]) -> Iterator[list[int]]:
    """Yield row numbers, texts of like length together, each batch within BATCH_TOKENS."""
    batch: list[int] = []
    for row in sorted(range(len(encodings)), key=lambda row: len(encodings[row].ids)):
        if batch and (len(batch) + 1) * len(encodings[row].ids) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch

"""Whether `tokenizer.json` parses, and whether the model has a row for each of its tokens.

Source: tokenizers, the serialisation of `Tokenizer`; transformers, the names of embeddings of the
models named in EMBEDDINGS. What is not known for sure is not judged.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from modelpack.checks.model_files.shard_index import parse_json
from modelpack.errors import Finding, InputError
from modelpack.inputs.opening import open_regular
from modelpack.inputs.quoting import quoted
from modelpack.inputs.safetensors import Tensor

RULE = "weights.tokenizer"
NAME = "tokenizer.json"
_LIMIT = 128 << 20
"bytes; those of the largest vocabularies have some thirty million"
_ID_LIMIT = 1 << 32
_DECODERS = (
    "llama mistral mixtral qwen2 qwen2_moe qwen3 qwen3_moe gemma gemma2 phi phi3 olmo olmo2 "
    "granite cohere starcoder2 stablelm smollm3"
)

EMBEDDINGS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    **dict.fromkeys(_DECODERS.split(), ("model.embed_tokens.weight",)),
    "bert": ("bert.embeddings.word_embeddings.weight", "embeddings.word_embeddings.weight"),
    "roberta": ("roberta.embeddings.word_embeddings.weight", "embeddings.word_embeddings.weight"),
    "xlm-roberta": (
        "roberta.embeddings.word_embeddings.weight", "embeddings.word_embeddings.weight",
    ),
    "distilbert": (
        "distilbert.embeddings.word_embeddings.weight", "embeddings.word_embeddings.weight",
    ),
    "gpt2": ("transformer.wte.weight", "wte.weight"),
    "gpt_neox": ("gpt_neox.embed_in.weight",),
    "t5": ("shared.weight",),
})  # fmt: skip
"`model_type` to what its table of embeddings is called: one row for each of `vocab_size` tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The largest ids that a tokenizer gives."""

    largest: int
    "of the model's own tokens; -1 where there are none"
    largest_added: int


class _Malformed(Exception):  # noqa: N818  a state of the input
    """The tokenizer is not what the library reads."""


def read(path: Path, *, at: str) -> tuple[Vocabulary, bool]:
    """Return the vocabulary, and whether merges are pairs; raise InputError naming `at`."""
    with open_regular(path, at=at) as file:
        size = file.seek(0, 2)
        if size > _LIMIT:
            message = f"{size} bytes of JSON, the limit is {_LIMIT}"
            raise InputError(Finding(message=message, at=at, rule=RULE))
        file.seek(0)
        return of_bytes(file.read(_LIMIT), at=at)


def of_bytes(data: bytes, *, at: str) -> tuple[Vocabulary, bool]:
    """Return the same of the content of a file."""
    try:
        return _parse(parse_json(data, at=at))
    except _Malformed as error:
        message = str(error)
    except InputError as error:
        message = error.findings[0].message
    raise InputError(Finding(message=message, at=at, rule=RULE))


def _parse(value: Any) -> tuple[Vocabulary, bool]:  # noqa: ANN401  any JSON value
    """Return what the value says; raise _Malformed."""
    model = value.get("model") if isinstance(value, dict) else None
    if not isinstance(model, dict):
        raise _Malformed("`model` is missing or no object")
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, dict):
        ids = list(vocabulary.values())
    elif isinstance(vocabulary, list):  # Unigram: a token's id is its place
        ids = list(range(len(vocabulary)))
    else:
        raise _Malformed("`model.vocab` is neither an object nor a list")
    added = value.get("added_tokens") or []
    if not isinstance(added, list) or not all(isinstance(token, dict) for token in added):
        raise _Malformed("`added_tokens` is no list of objects")
    more = [token.get("id") for token in added]
    for number in (*ids, *more):
        if type(number) is not int or not 0 <= number < _ID_LIMIT:
            raise _Malformed(f"the id of a token is no number: {quoted(str(number), 20)}")
    merges = model.get("merges")
    pairs = isinstance(merges, list) and bool(merges) and isinstance(merges[0], list)
    return Vocabulary(largest=max(ids, default=-1), largest_added=max(more, default=-1)), pairs


def findings(
    at: str, vocabulary: Vocabulary | None, config: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> Iterator[Finding]:
    """Yield what does not fit; `config` and `tensors` are those in the folder of the tokenizer."""
    stated = _vocab_size(config)
    table = _table(config, tensors)
    folder = at.rpartition("/")[0]
    if table is not None and stated is not None and table.shape[0] != stated:
        yield Finding(
            message=f"`vocab_size` is {stated}, the embedding {quoted(table.name)} has "
            f"{table.shape[0]} rows", at=f"{folder}/config.json".lstrip("/"),
            rule="weights.vocabulary",
            hint="take `config.json` and weights from one and the same model",
        )  # fmt: skip
        return
    rows = table.shape[0] if table is not None else stated
    if vocabulary is None or rows is None:
        return
    largest = max(vocabulary.largest, vocabulary.largest_added)
    if largest >= rows:
        sure = table is not None or vocabulary.largest >= rows
        yield Finding(
            message=f"it gives token {largest}, the model has {rows} tokens", at=at,
            rule="weights.vocabulary", severity="error" if sure else "warning",
            hint="take tokenizer and weights from one and the same model",
        )  # fmt: skip


def _vocab_size(config: Mapping[str, Any]) -> int | None:
    """Return what the configuration, or its part about text, says."""
    text = config.get("text_config")
    stated = config.get("vocab_size", text.get("vocab_size") if isinstance(text, dict) else None)
    return stated if type(stated) is int and 0 < stated < _ID_LIMIT else None


def _table(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Tensor | None:
    """Return the table of embeddings, where its name is known."""
    kind = config.get("model_type")
    for name in EMBEDDINGS.get(kind, ()) if isinstance(kind, str) else ():
        table = tensors.get(name)
        if table is not None and len(table.shape) == 2:  # noqa: PLR2004  rows and columns
            return table
    return None

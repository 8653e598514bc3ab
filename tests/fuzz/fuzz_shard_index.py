"""Whatever an index says, it is judged: findings, never another error, nothing unprintable."""

import sys

from modelpack.checks.model_files import shard_index
from modelpack.errors import InputError
from modelpack.inputs.safetensors import Header, Tensor

ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"


def _header(*names: str) -> Header:
    tensors = tuple(
        Tensor(name=name, dtype="U8", shape=(1,), begin=place, end=place + 1)
        for place, name in enumerate(names)
    )
    return Header(tensors=tensors, data_start=8, data_size=len(names))


HEADERS = {ONE: _header("a", "b"), TWO: _header("c", "a")}


def TARGET(data: bytes) -> None:  # noqa: N802  the name that the runner looks for
    """Judge `data` as the index of two shards."""
    try:
        value = shard_index.parse_json(data, at=INDEX)
        findings = shard_index.judge(value, INDEX, (ONE, TWO, INDEX), HEADERS)
    except InputError as error:
        findings = error.findings
    for finding in findings:
        if not finding.message.isprintable():
            raise AssertionError(f"unprintable message: {finding.message!a}")


if __name__ == "__main__":
    from run import fuzz

    fuzz("shard_index", sys.argv[1:])

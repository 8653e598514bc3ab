"""Whatever a model file or tokenizer holds, it is read within bounds or refused, printably."""

import json
import sys

from modelpack.checks.formats import numpy_header
from modelpack.checks.formats.window import of_bytes
from modelpack.checks.model_files import gguf_header, onnx_model, tokenizer, xgboost_model
from modelpack.errors import InputError

LAZY = (json, tokenizer)
"imported here, so that they are instrumented"


def TARGET(data: bytes) -> None:  # noqa: N802  the name that the runner looks for
    """Read `data` as each of the formats; only what says that it is GGUF may be GGUF."""
    window = of_bytes(data)
    read = 0
    for one in (
        lambda: onnx_model.read(window, at="m.onnx"),
        lambda: gguf_header.read(window, at="m.gguf"),
        lambda: numpy_header.check(window, at="m.npy"),
        lambda: xgboost_model.read(window, at="m.ubj", form="ubj"),
        lambda: xgboost_model.read(window, at="m.json", form="json"),
        lambda: tokenizer.of_bytes(data, at="tokenizer.json"),
    ):
        try:
            found = one()
        except InputError as error:
            if not str(error).isprintable():
                raise AssertionError(f"unprintable message: {error!a}") from error
            continue
        read += 1
        if isinstance(found, gguf_header.GgufHeader) and not data.startswith(gguf_header.MAGIC):
            raise AssertionError("a GGUF file without its magic number")
    if read > 1:
        raise AssertionError("one file is whole in two formats")


if __name__ == "__main__":
    from run import fuzz

    fuzz("model_files", sys.argv[1:])

"""Whatever a header holds, it is parsed or refused, and nothing that the library refuses passes."""

import sys

from safetensors import SafetensorError, deserialize

from modelpack.errors import InputError
from modelpack.inputs import safetensors


def TARGET(data: bytes) -> None:  # noqa: N802  the name that the runner looks for
    """Parse `data` as a safetensors file."""
    try:
        header = safetensors.parse_header(data, len(data), at="model.safetensors")
    except InputError as error:
        if not str(error).isprintable():
            raise AssertionError(f"unprintable message: {error!a}") from error
        return
    try:
        deserialize(data)
    except SafetensorError as error:
        raise AssertionError("accepted, though the library refuses it") from error
    if sum(tensor.end - tensor.begin for tensor in header.tensors) != header.data_size:
        raise AssertionError("accepted, though the tensors do not cover the data")


if __name__ == "__main__":
    from run import fuzz

    fuzz("safetensors", sys.argv[1:])

"""Fuzz the look into base images: `fuzz_base_layer.py tests/fuzz/corpus/base_layer`.

The input is a row of layers, each one headers of tar whose checksums are set right, or, where it
begins with a brace, an image configuration. Whatever it is, it is read or refused.
"""

import io
import sys

from modelpack.errors import ModelpackError
from modelpack.inputs.base_image import configuration, looking
from modelpack.inputs.base_image.content_notes import note
from modelpack.inputs.base_image.contents import dump, parse
from modelpack.inputs.base_image.layer_stream import LayerStream
from modelpack.inputs.base_image.merged_tree import MergedTree
from modelpack.oci.registry.challenge import parse as parse_challenge
from modelpack.oci.tar_reading import passing

BLOCK = 512
BETWEEN = b"\0LAYER\0"
SEARCH = ("/usr/local/bin", "/usr/bin", "/bin")


def TARGET(data: bytes) -> None:  # noqa: N802  the name that the runner looks for
    """Look into the image that `data` makes."""
    try:
        if data.startswith(b"{"):
            configuration.parse(data, name="fuzzed")
        else:
            look(data)
    except ModelpackError as error:
        if not str(error).isprintable():
            raise AssertionError(f"unprintable message: {error!a}") from error
    for challenge in parse_challenge(data.decode("latin-1")):
        assert challenge.scheme


def look(data: bytes) -> None:
    """Put the layers in `data` on one another, and find what there is to find."""
    tree = MergedTree()
    for number, part in enumerate(data.split(BETWEEN)[:4]):
        blocks = (part[at : at + BLOCK].ljust(BLOCK, b"\0") for at in range(0, len(part), BLOCK))
        stream = LayerStream(io.BytesIO(b"".join(map(summed, blocks))), limit=1 << 20, at="layer")
        for header in passing(stream, at="layer"):
            node = tree.add(header, number, at="layer")
            if node is not None and node.kind == "file" and header.is_file:
                node.noted = note(header.name, stream.content(header.size))
        stream.finish()
    found = looking._contents(tree, SEARCH)
    if parse(dump(found)) != found:
        raise AssertionError("what was found is not remembered as it was")


def summed(block: bytes) -> bytes:
    """Return `block` with the checksum of a tar header, unless it is all zeros."""
    if not any(block):
        return block
    bare = block[:148] + b" " * 8 + block[156:]
    return block[:148] + b"%06o\0 " % sum(bare) + block[156:]


def main() -> None:
    """Fuzz until a defect is found or the options of libFuzzer say stop."""
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, TARGET)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

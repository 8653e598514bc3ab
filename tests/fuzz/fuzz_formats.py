"""Whatever a file among the weights holds, it is classified within bounds, and printably."""

import ast
import sys
import zipfile

from modelpack.checks.formats import gate as formats
from modelpack.checks.formats import window

LAZY = (ast, zipfile)
"imported here, because the check imports them late"


def TARGET(data: bytes) -> None:  # noqa: N802  the name that the runner looks for
    """Classify `data`; what calls when unpickled is known to be a pickle."""
    found = formats.classify(window.of_bytes(data), "model.bin")
    for hazard in found.hazards:
        if not hazard.message.isprintable():
            raise AssertionError(f"unprintable message: {hazard.message!a}")
    if found != formats.classify(window.of_bytes(data), "model.bin"):
        raise AssertionError("two answers to one question")


if __name__ == "__main__":
    from run import fuzz

    fuzz("formats", sys.argv[1:])

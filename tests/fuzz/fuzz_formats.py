"""Whatever a file among the weights holds, it is classified within bounds, and printably."""

import ast
import sys
import zipfile

from modelpack.checks.formats import gate as formats
from modelpack.checks.formats import hazard as hazards
from modelpack.checks.formats import pickle_names, window

LAZY = (ast, zipfile)
"imported here, because the check imports them late"


def TARGET(data: bytes) -> None:  # noqa: N802  the name that the runner looks for
    """Classify `data`; what calls when unpickled is known to be a pickle."""
    pickles: list[hazards.Pickle] = []
    found = formats.classify(window.of_bytes(data), "model.bin", pickles=pickles)
    for one in pickles:
        named = pickle_names.of(one.window)
        if named.behind and named.broken < 0:
            raise AssertionError("names behind a break that is none")
        for name in (*named.names, *named.behind):
            if "\n" in name or "." not in name:
                raise AssertionError(f"not a module and a name: {name!a}")
    for hazard in found.hazards:
        if not hazard.message.isprintable():
            raise AssertionError(f"unprintable message: {hazard.message!a}")
    if found != formats.classify(window.of_bytes(data), "model.bin"):
        raise AssertionError("two answers to one question")


if __name__ == "__main__":
    from run import fuzz

    fuzz("formats", sys.argv[1:])

"""Whatever is answered, it is read or refused, and compared without an error."""

import sys

from modelpack.functional import answering
from modelpack.functional.comparing import NotANumber, differences, outside
from modelpack.functional.tolerance import Tolerance
from modelpack.inputs.array import of_numbers

WANTED = {"x": of_numbers("F32", (2, 2), [0.0, 1.0, 2.0, 3.0]), "y": [1, 2.5, "a", None]}


def TARGET(data: bytes) -> None:  # noqa: N802  the name that the runner looks for
    """Read `data` in every form, and compare what it says."""
    for form in ("json", "tensors", "call"):
        try:
            value = answering.read(data, form)  # type: ignore[arg-type]
        except (answering.Unreadable, NotANumber):
            continue
        found = [*differences(value, WANTED, Tolerance()), *outside(value, {"/x/*": (0, 1)})]
        for complaint in found:
            if not complaint.isprintable():
                raise AssertionError(f"unprintable complaint: {complaint!a}")


if __name__ == "__main__":
    from run import fuzz

    fuzz("answers", sys.argv[1:])

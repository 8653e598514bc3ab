"""The tensors of an image as text: those that differ by the number of a block are one row."""

from collections.abc import Mapping

from modelpack.cli import display
from modelpack.inspection import tensors as found_tensors
from modelpack.inspection.value import Inspection
from modelpack.lock.tensors import Tensor

_PATTERNS = 200
"rows that are shown"
_HEAD = ("TENSOR", "TIMES", "DTYPE", "PARAMS", "SHAPE")


def report(inspection: Inspection, tensors: Mapping[str, tuple[Tensor, ...]]) -> str:
    """Return a table for each `[weights]` of which tensors are known."""
    sections = []
    for item in inspection.weight_sets:
        paths = [one.path for one in inspection.weights if one.set == item.name]
        found = [tensor for path in paths for tensor in tensors.get(path, ())]
        patterns = found_tensors.patterns(found)
        rows = [
            (one.name, str(one.count), one.dtype, display.number(one.parameters), shape(one.shape))
            for one in patterns[:_PATTERNS]
        ]
        more = len(patterns) - len(rows)
        if more:
            rows.append((f"and {more} more (--raw lock has all)", "", "", "", ""))
        if rows:
            title = display.escape(f"TENSORS of {item.name} (* is the number of a block)")
            sections.append(f"{title}\n{display.table(rows, head=_HEAD, right=(1, 3), width=0)}")
    return "\n\n".join(sections)


def shape(sizes: tuple[int, ...]) -> str:
    """Return a shape as people write it, with a sign between its sizes."""
    return " × ".join(map(str, sizes)) or "scalar"  # noqa: RUF001  the sign

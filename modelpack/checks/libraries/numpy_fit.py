"""What NumPy arrays, and tensors that NumPy has no type for, ask of the locked libraries."""

from collections.abc import Iterator, Sequence

from modelpack.checks.formats.numpy_header import ArrayHeader
from modelpack.checks.libraries import table
from modelpack.checks.libraries.locked import Held, text
from modelpack.errors import Finding

_NAME = "numpy"


def findings(held: Held, array: ArrayHeader) -> Iterator[Finding]:
    """Yield what the locked NumPy does not load, or not as numbers."""
    if _NAME not in held.wheels:
        return
    version = text(array.version)
    yield from held.known(table.NUMPY_ARRAYS, version, f"is of version {version} of its format")
    if array.pickled_by_2:
        what = "holds objects that NumPy 2 pickled, by the name `numpy._core`"
        yield from held.known(table.NUMPY_ARRAYS, "numpy._core", what)
    since, most = table.NUMPY_HEADER
    if array.length > most and (held.version(_NAME) or (0, 0, 0)) >= since:
        yield held.finding(
            f"its header has {array.length} characters: `numpy.load` refuses more than {most}",
            _NAME, sure=False, hint="pass `max_header_size`, or write the array anew",
        )  # fmt: skip
    if array.bare and table.ML_DTYPES not in held.wheels:
        yield held.finding(
            f"its elements are {array.bare} bytes without a type, as NumPy writes bfloat16 and "
            "other types of `ml_dtypes`", _NAME, sure=False,
            hint=f"{held.add((table.ML_DTYPES,))}; in the service: `.view(ml_dtypes.bfloat16)`",
        )  # fmt: skip


def of_safetensors(held: Held, dtypes: Sequence[str]) -> Iterator[Finding]:
    """Yield a warning for tensors that only NumPy is there to take, which has no such type."""
    alone = _NAME in held.wheels and "safetensors" in held.wheels
    if not alone or any(name in held.wheels for name in table.ARRAYS_OF_OTHERS):
        return
    lacking = [dtype for dtype in dtypes if dtype in table.NOT_OF_NUMPY]
    if lacking:
        yield held.finding(
            f"has tensors of {', '.join(lacking)}, which safetensors gives to no NumPy", _NAME,
            sure=False,
            hint="convert them to F16 or F32, or lock what has the type, such as `torch`",
        )  # fmt: skip

"""The reader of NumPy headers beside NumPy: what it writes is read, what it refuses is refused."""

import io
import warnings

import numpy as np
from hostile_files import numpy_array
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from modelpack.checks.formats import numpy_header
from modelpack.checks.formats.window import of_bytes
from modelpack.errors import InputError

RELAXED = settings(max_examples=300, deadline=None)
LETTERS = "?bBhHiIlLqQefdgFDGSUVOMmcpPnN"
"without `a`, which NumPy 1 alone reads"

dtypes = st.one_of(
    arrays.scalar_dtypes(), arrays.array_dtypes(), arrays.byte_string_dtypes(),
    arrays.unicode_string_dtypes(),
)  # fmt: skip


def accepted(data: bytes) -> numpy_header.ArrayHeader | None:
    try:
        return numpy_header.check(of_bytes(data), at="m.npy")
    except InputError:
        return None


def loaded(data: bytes) -> "np.ndarray | None":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return np.load(io.BytesIO(data), allow_pickle=False)
        except (ValueError, EOFError, OSError, MemoryError, OverflowError):
            return None


@RELAXED
@given(st.data())
def test_what_numpy_writes_is_read_as_numpy_reads_it(data: st.DataObject) -> None:
    dtype = data.draw(dtypes)
    shape = data.draw(arrays.array_shapes(min_dims=0, min_side=0, max_side=3))
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that need version 3.0
        np.save(out, np.zeros(shape, dtype))
    array = loaded(out.getvalue())
    found = accepted(out.getvalue())
    if array is None:
        assert found is None
        return
    assert found is not None
    assert (found.shape, found.size) == (array.shape, len(out.getvalue()))
    assert found.dtype != "OBJECT"
    assert not found.objects
    if array.size and array.dtype.itemsize:
        assert accepted(out.getvalue()[:-1]) is None


@RELAXED
@given(
    st.sampled_from("<>|="), st.sampled_from(LETTERS), st.integers(0, 33), st.booleans(),
    st.integers(0, 3), st.integers(0, 300),
)  # fmt: skip
def test_a_type_is_one_of_numpy_or_refused(
    order: str, letter: str, width: int, sized: bool, rows: int, size: int
) -> None:
    descr = repr(f"{order}{letter}{width if sized else ''}")
    data = numpy_array(descr, bytes(size), shape=f"({rows},)")
    if loaded(data) is not None:
        assert accepted(data) is not None
    elif (found := accepted(data)) is not None:
        assert found.objects

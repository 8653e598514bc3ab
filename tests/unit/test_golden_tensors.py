"""Tensors of golden files: decoded as the formats say, or refused by name."""

import json
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.numpy import load, save

from modelpack.errors import InputError
from modelpack.functional import wire
from modelpack.inputs import array as arrays_of
from modelpack.inputs.array import Array, of_numbers
from modelpack.inputs.tensors import decode, encode

NUMPY = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


@given(st.data(), st.sampled_from(sorted(NUMPY)), SHAPES)
def test_numbers_are_those_that_numpy_sees(data: Any, dtype: str, shape: tuple[int, ...]) -> None:
    value = data.draw(arrays.arrays(NUMPY[dtype], shape))
    (array,) = decode(save({"x": value})).values()

    assert (array.dtype, array.shape) == (dtype, value.shape)
    assert repr(array.nested()) == repr(value.tolist())
    finite = bool(np.isfinite(value).all()) if array.is_fraction else True
    assert (array.not_finite() == "") is finite
    if shape:
        rows = array.rows()
        assert rows is not None
        assert [row.data for row in rows] == [np.asarray(row).tobytes() for row in value]
        assert array.with_rows(rows) == array


@given(st.dictionaries(st.text("abc.", min_size=1), st.tuples(
    st.sampled_from(["F32", "I64", "U8"]), SHAPES), max_size=4))  # fmt: skip
def test_what_is_encoded_is_what_the_library_writes(wanted: dict[str, Any]) -> None:
    values = {name: np.ones(shape, NUMPY[dtype]) for name, (dtype, shape) in wanted.items()}
    written = save(values)

    assert encode(decode(written)) == written
    assert load(encode(decode(written))).keys() == values.keys()


@pytest.mark.parametrize(
    ("dtype", "byte", "value"),
    [
        # OCP 8-bit Floating Point Specification 1.0, table 2
        ("F8_E4M3", 0b0_1111_110, 448.0), ("F8_E4M3", 0b0_0001_000, 2**-6),
        ("F8_E4M3", 0b0_0000_111, 0.875 * 2**-6), ("F8_E4M3", 0b1_0000_001, -(2**-9)),
        ("F8_E4M3", 0b1_0000_000, -0.0), ("F8_E4M3", 0b1_1111_111, math.nan),
        ("F8_E5M2", 0b0_11110_11, 57344.0), ("F8_E5M2", 0b0_00001_00, 2**-14),
        ("F8_E5M2", 0b0_00000_11, 0.75 * 2**-14), ("F8_E5M2", 0b1_11111_00, -math.inf),
        ("F8_E5M2", 0b0_11111_01, math.nan),
        # arXiv 2206.02915: the bias is one more, and -0 is NaN
        ("F8_E4M3FNUZ", 0x7F, 240.0), ("F8_E4M3FNUZ", 0x01, 2**-10),
        ("F8_E4M3FNUZ", 0x80, math.nan), ("F8_E5M2FNUZ", 0x7F, 57344.0),
        ("F8_E5M2FNUZ", 0x01, 2**-17), ("F8_E5M2FNUZ", 0x80, math.nan),
        # OCP Microscaling Formats 1.0, 5.4.1
        ("F8_E8M0", 0x00, 2**-127), ("F8_E8M0", 0x7F, 1.0), ("F8_E8M0", 0xFE, 2.0**127),
        ("F8_E8M0", 0xFF, math.nan),
    ],
)  # fmt: skip
def test_eight_bits_are_the_numbers_of_their_specification(
    dtype: str, byte: int, value: float
) -> None:
    found = Array(dtype=dtype, shape=(), data=bytes([byte]))

    assert repr(found.nested()) == repr(value)
    assert bool(found.not_finite()) is not math.isfinite(value)


@given(st.binary(min_size=2, max_size=2))
def test_bf16_is_the_upper_half_of_a_binary32(data: bytes) -> None:
    found = Array(dtype="BF16", shape=(), data=data).nested()

    assert repr(found) == repr(struct.unpack("<f", b"\0\0" + data)[0])


@pytest.mark.parametrize("dtype", ["F4", "F6_E2M3", "F6_E3M2", "C64"])
def test_what_cannot_be_decoded_is_refused_by_name(dtype: str) -> None:
    with pytest.raises(InputError, match=f"{dtype} is not supported here"):
        arrays_of.array(dtype, [8], bytes(64))


def test_all_tensors_that_cannot_be_used_are_named_at_once() -> None:
    header = (
        b'{"a":{"dtype":"C64","shape":[1],"data_offsets":[0,8]},'
        b'"b":{"dtype":"F4","shape":[2],"data_offsets":[8,9]},'
        b'"c":{"dtype":"U8","shape":[99999,99999,0],"data_offsets":[9,9]}}'
    )
    with pytest.raises(InputError) as refused:
        decode(len(header).to_bytes(8, "little") + header + bytes(9), at="x.safetensors")

    assert [finding.message for finding in refused.value.findings] == [
        "tensor `a`: C64 is not supported here: its elements are not single numbers of whole bytes",
        "tensor `b`: F4 is not supported here: its elements are not single numbers of whole bytes",
        "tensor `c`: shape [99999, 99999, 0] is absurd: it has no elements",
    ]


def test_where_a_number_is_none_is_said() -> None:
    array = of_numbers("F32", (2, 3), [0.0, 1.0, 2.0, 3.0, -math.inf, 5.0])

    assert array.not_finite() == "-Infinity at [1, 1]"
    assert of_numbers("F64", (70_000,), [1e308] * 70_000).not_finite() == ""
    assert of_numbers("I8", (1,), [1]).not_finite() == ""


@pytest.mark.parametrize("dtype", ["F32", "I64", "BOOL", "BF16", "F8_E5M2"])
def test_what_goes_to_a_function_comes_back_the_same_or_wider(dtype: str) -> None:
    array = Array(dtype=dtype, shape=(1, 2), data=bytes(2 * arrays_of.SIZES[dtype]))

    back = wire.tensors_of(wire_parsed({"x": [array, 1]}))["x"][0]

    assert back.nested() == array.nested()
    assert back.dtype == ("F32" if dtype.startswith(("BF", "F8")) else dtype)


def wire_parsed(value: Any) -> Any:
    return json.loads(wire.dumps(value))


@pytest.mark.parametrize(
    "parts", [[], ["F32", [1], "!"], ["F32", [2], "AAAA"], ["F99", [], ""], ["F32", -1, ""], "x"]
)
def test_a_tensor_that_is_none_is_refused(parts: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        wire.tensors_of({wire.KEY: parts})

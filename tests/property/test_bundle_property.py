"""Whatever a bundle holds comes back as it was; whatever else comes is refused, and said so."""

import json
from typing import Any

from bundles import bundles
from hypothesis import given
from hypothesis import strategies as st

from modelpack.errors import InputError
from modelpack.trust import bundle, dsse
from modelpack.trust.bundle import Bundle

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)


@given(bundles)
def test_what_is_written_is_read_back(one: Bundle) -> None:
    written = one.as_bytes()
    assert bundle.parse(written) == one
    assert bundle.parse(written).as_bytes() == written


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return where anything stands below `value`."""
    pairs: Any = (
        value.items() if isinstance(value, dict)
        else enumerate(value) if isinstance(value, list) else ()
    )  # fmt: skip
    return [
        place for key, item in pairs for place in ((*path, key), *places(item, (*path, key)))
    ]  # fmt: skip


@given(bundles, st.data(), json_values)
def test_any_other_value_anywhere_is_taken_whole_or_refused(
    one: Bundle, data: st.DataObject, other: object
) -> None:
    value = one.as_json()
    place = data.draw(st.sampled_from(places(value)))
    inner: Any = value
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = other
    try:
        parsed = bundle.parse(json.dumps(value, allow_nan=True).encode())
    except InputError:
        return
    assert bundle.parse(parsed.as_bytes()) == parsed


@given(st.binary(max_size=64))
def test_any_bytes_are_refused(data: bytes) -> None:
    try:
        bundle.parse(data)
    except InputError:
        return
    raise AssertionError("accepted")


@given(
    st.tuples(st.text("ab 1", max_size=9), st.binary(max_size=9)),
    st.tuples(st.text("ab 1", max_size=9), st.binary(max_size=9)),
)
def test_no_two_payloads_sign_as_one(one: tuple[str, bytes], other: tuple[str, bytes]) -> None:
    same = dsse.pae(one[1], one[0]) == dsse.pae(other[1], other[0])
    assert same == (one == other)

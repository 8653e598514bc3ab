"""Sizes and durations as people write them."""

import pytest

from modelpack import quantity
from modelpack.errors import InputError


@pytest.mark.parametrize(
    ("text", "count"),
    [("0B", 0), ("512B", 512), ("5 GB", 5 * 10**9), ("1.5kB", 1500), ("1.5 KiB", 1536),
     ("80 GiB", 80 << 30), ("2TiB", 2 << 40), ("0.0001B", 0)],
)  # fmt: skip
def test_sizes_are_bytes(text, count):
    assert quantity.size(text) == count


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("200ms", 200), ("20s", 20_000), ("1.5 m", 90_000), ("2h", 7_200_000), ("7d", 604_800_000),
     ("1w", 604_800_000), ("0.0s", 0)],
)  # fmt: skip
def test_durations_are_milliseconds(text, milliseconds):
    assert quantity.duration(text) == milliseconds


@pytest.mark.parametrize("text", ["", "5", "-1GB", "1 XB", "GB", "1e9B", "1,5GB", "1  GB", "٣GB"])
def test_other_sizes_are_refused_with_a_hint(text):
    with pytest.raises(InputError) as caught:
        quantity.size(text, at="--max-size")
    assert caught.value.findings[0].at == "--max-size"
    assert caught.value.findings[0].hint


@pytest.mark.parametrize("text", ["", "5", "-1s", "1 year", "s", "1e3ms", "1min"])
def test_other_durations_are_refused_with_a_hint(text):
    with pytest.raises(InputError) as caught:
        quantity.duration(text)
    assert caught.value.findings[0].hint

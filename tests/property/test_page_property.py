"""Whatever an image says, its page has the elements of a page of a harmless image."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit import test_page as made

PIECES = st.sampled_from([
    "<", ">", "&", '"', "'", "</", "/>", "<!--", "-->", "<script>", "</style>", "</title>", "]]>",
    "<svg onload=", "&#x3c;", "{{", "}}", "{%", "\x00", "\u2028", "\u202e", "\u2066", "\r\n", "\t",
    "javascript:", "`", "=", "\\u003c", "\ufeff", "\U000e0041", "<math><mtext>", "<plaintext>",
])  # fmt: skip
TEXTS = st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=12).map("".join)


@settings(max_examples=25)
@given(TEXTS)
def test_no_value_becomes_an_element_or_an_attribute(text: str) -> None:
    text = f"{text}."  # of an empty value nothing is shown
    same = made.harmless(text)
    found = made.rendered(made.hostile(text), made.verified(text), made.hostile_tensors(text))
    plain = made.rendered(made.hostile(same), made.verified(same), made.hostile_tensors(same))
    assert made.Outline(found).shape == made.Outline(plain).shape
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202a-\u202e\u2028\u2029\u2066-\u2069]", found)

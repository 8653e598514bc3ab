"""Text from outside made safe to print: escaped, short, on one line."""

import re

UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]"
)
"control characters, line separators, invisible and direction marks, lone surrogates"
_LATIN_1, _BASIC = 0xFF, 0xFFFF


def quoted(text: str, limit: int = 80) -> str:
    """Return `text` in backticks, what cannot be printed escaped, cut after `limit` characters."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    safe = "".join(one if one.isprintable() else _escaped(one) for one in cut)
    return f"`{safe.replace('`', chr(39))}`"


def _escaped(character: str) -> str:
    code = ord(character)
    if code <= _LATIN_1:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _BASIC else f"\\U{code:08x}"

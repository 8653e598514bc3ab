"""Text from outside made safe to print: escaped, short, on one line."""

import re

UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]"
)
"control characters, line separators, invisible and direction marks, lone surrogates"
_LATIN_1 = 0xFF


def quoted(text: str, limit: int = 80) -> str:
    """Return `text` in backticks, unprintable characters escaped, cut after `limit` characters."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    safe = UNPRINTABLE.sub(lambda match: _escaped(match.group()), cut)
    return f"`{safe.replace('`', chr(39))}`"


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code <= _LATIN_1 else f"\\u{code:04x}"

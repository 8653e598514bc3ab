"""Debian's control syntax: paragraphs of `Name: value` with continued lines (Policy 5.1)."""

from collections.abc import Iterator

Paragraph = dict[str, str]
"fields by name as written; further lines of a value are kept, after a newline, without indent"


def paragraphs(text: str) -> Iterator[Paragraph]:
    """Yield the paragraphs of `text`; comments are skipped, as are lines that are no field."""
    fields: Paragraph = {}
    last = ""
    for line in text.split("\n"):
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, last = {}, ""
        elif line[0] in " \t":
            if last:
                fields[last] += "\n" + line.strip()
        else:
            name, colon, value = line.partition(":")
            last = name.strip() if colon else ""
            if last:
                fields[last] = value.strip()
    if fields:
        yield fields

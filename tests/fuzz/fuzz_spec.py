"""Fuzz the parsers of what authors write: `python tests/fuzz/fuzz_spec.py tests/fuzz/corpus/spec`.

An input that ends in anything but a value or a ModelpackError is a defect; keep it in the corpus.
"""

import sys
import unicodedata

from modelpack import quantity, reference
from modelpack.cli import display
from modelpack.errors import ModelpackError
from modelpack.spec import decoding as spec_decoding


def one_input(data: bytes) -> None:
    """Parse `data` as modelpack.toml, and its text as a reference, a size and a duration."""
    text = data.decode(errors="replace")
    _tried(spec_decoding.parse, data)
    for parse in (reference.parse, quantity.size, quantity.duration):
        value = _tried(parse, text)
        if parse is reference.parse and value is not None and reference.parse(str(value)) != value:
            raise AssertionError(f"{text!r} is not written as it was read")


def _tried(parse, given):
    try:
        return parse(given)
    except ModelpackError as error:
        if not error.findings:
            raise AssertionError("an error without a finding") from error
        for finding in error.findings:
            lines = display.finding(finding).split("\n")
            if not all(_harmless(char) for line in lines for char in line):
                raise AssertionError(f"{lines!r} is not safe to print") from error
    return None


def _harmless(char):
    """Tell whether a character is to be shown as it is; a space of any width is."""
    return char.isprintable() or unicodedata.category(char) == "Zs"


def main() -> None:
    """Fuzz until a defect is found or the options of libFuzzer say stop."""
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

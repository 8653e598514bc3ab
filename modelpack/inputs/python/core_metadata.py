"""What a Python distribution says of itself: `METADATA`, or `PKG-INFO` of older ones.

Source: packaging.python.org, "Core metadata specifications". Hostile until parsed: what is not
as specified is left out, and nothing that it says is run or followed.
"""

from dataclasses import dataclass

from modelpack.inputs.licenses import UNKNOWN, Licenses, of_python

_HEADER_LIMIT = 4 << 20
"bytes of the fields; the description follows them"
_FIELD_LIMIT = 10_000
_TEXT_LIMIT = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A Python distribution as installed."""

    name: str
    "normalized, PEP 503"
    version: str
    licenses: Licenses = UNKNOWN
    requires: tuple[str, ...] = ()
    "`Requires-Dist` as written"


def parse(data: bytes) -> Distribution | None:
    """Return what the metadata file `data` describes, or None when it names nothing."""
    from email.parser import HeaderParser  # noqa: PLC0415  only when a layer is read
    from email.policy import compat32  # noqa: PLC0415

    from packaging.utils import canonicalize_name  # noqa: PLC0415

    text = data[:_HEADER_LIMIT].decode(errors="replace").replace("\r\n", "\n")
    fields = HeaderParser(policy=compat32).parsestr(text.lstrip("\n").partition("\n\n")[0] + "\n\n")

    def all_of(key: str) -> tuple[str, ...]:
        return tuple(str(value).strip() for value in (fields.get_all(key) or ())[:_FIELD_LIMIT])

    def first(key: str) -> str:
        return next(iter(all_of(key)), "")

    name, version = first("Name"), first("Version")
    if not _is_word(name) or not _is_word(version):
        return None
    return Distribution(
        name=canonicalize_name(name),
        version=version,
        licenses=of_python(first("License-Expression"), first("License"), all_of("Classifier")),
        requires=tuple(item for item in all_of("Requires-Dist") if len(item) <= _TEXT_LIMIT * 10),
    )


def _is_word(text: str) -> bool:
    return 0 < len(text) <= _TEXT_LIMIT and text.isprintable() and " " not in text

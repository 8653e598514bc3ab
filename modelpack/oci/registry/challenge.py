"""What a server asks for in `WWW-Authenticate`: a pure parser (RFC 9110, 11.6.1)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_LONGEST = 16 << 10
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'({_WORD})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_WORD}))')
_SCHEME = re.compile(rf"({_WORD})(?:[ \t]+(?:[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|$))?|(?=,|$))")
_BETWEEN = re.compile(r"[ \t,]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """One way to authenticate."""

    scheme: str
    "lowercase: `basic`, `bearer`"
    parameters: Mapping[str, str] = field(default_factory=dict)
    "names lowercase: `realm`, `service`, `scope`, `error`"


def parse(header: str) -> tuple[Challenge, ...]:
    """Return the challenges of a header, or of several joined by commas; never raises.

    What cannot be read ends it: what stands before counts.
    """
    found: list[tuple[str, dict[str, str]]] = []
    text = header[:_LONGEST]
    position = _end(_BETWEEN.match(text))
    while position < len(text):
        if found and (parameter := _PARAMETER.match(text, position)):
            name, quoted, plain = parameter.groups()
            value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            found[-1][1].setdefault(name.lower(), value)
            position = parameter.end()
        elif scheme := _SCHEME.match(text, position):
            found.append((scheme[1].lower(), {}))
            position = scheme.end()
        else:
            break
        position = _end(_BETWEEN.match(text, position))
    return tuple(Challenge(scheme=scheme, parameters=values) for scheme, values in found)


def _end(match: re.Match[str] | None) -> int:
    return match.end() if match else 0

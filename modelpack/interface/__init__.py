"""What the service answers, as documents of the author: OpenAPI, or JSON Schemas of both sides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

KINDS: Final = ("openapi", "input", "output")
"keys of `[interface]`, and names of the documents in an image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """The documents of an interface, read and bounded (see `modelpack.interface.reading`)."""

    openapi: Mapping[str, Any] = field(default_factory=dict)
    input: Mapping[str, Any] | bool | None = None
    "JSON Schema of a request; None: not given"
    output: Mapping[str, Any] | bool | None = None
    "JSON Schema of an answer; None: not given"

    def __bool__(self) -> bool:
        """Tell whether anything is stated."""
        return bool(self.openapi) or self.input is not None or self.output is not None

"""Golden requests, with the answers that they must get: pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from modelpack.digest import Digest
from modelpack.functional.comparing import Tolerance

MOST: Final = 32
"examples in a batch, unless the file says more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request."""

    method: str
    path: str
    json: Any = None
    "None: without a body"
    raw: bytes | None = None
    "the body, where it is not JSON"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes | None:
        """What is sent."""
        return self.raw if self.json is None else json.dumps(self.json).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Where request and answer have a list with one element for each example."""

    input: str
    output: str
    "JSON pointers"
    most: int = MOST


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """A request and what must be answered."""

    name: str
    "path of the file in the project"
    digest: Digest
    request: Request
    status: int
    json: Any = None
    checks_json: bool = False
    "whether the answer's content is stated"
    tolerance: Tolerance = field(default_factory=Tolerance)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    "least and greatest value by JSON pointer, in which `*` is every element"
    batch: Batch | None = None

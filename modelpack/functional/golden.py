"""Golden requests, with the answers that they must get: pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from modelpack.digest import Digest
from modelpack.functional.tolerance import Tolerance
from modelpack.inputs.array import Array

MOST: Final = 32
"examples in a batch, unless the file says more"
TENSORS: Final = "application/octet-stream"
"safetensors has no media type of its own"
CALL: Final = "/call"
"where the program that calls functions is asked"
Form = Literal["json", "tensors", "call"]
"a JSON text; a safetensors file; JSON in which tensors stand, between us and our program"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request, or one call of a function in the image."""

    method: str
    path: str
    json: Any = None
    "None: without a body; of a call its arguments, in which tensors may stand"
    tensors: Mapping[str, Array] | None = None
    "of a safetensors file, which is the body then"
    raw: bytes | None = None
    "the body as it is, whatever it is"
    headers: Mapping[str, str] = field(default_factory=dict)
    call: str = ""
    "`package.module:function`; empty: a request of HTTP"

    @property
    def value(self) -> Any:  # noqa: ANN401  any JSON value, tensors by name
        """What is asked."""
        return self.json if self.tensors is None else self.tensors

    def with_value(self, value: Any) -> "Request":  # noqa: ANN401
        """Return the same request of something else."""
        if self.tensors is None:
            return replace(self, json=value, raw=None)
        return replace(self, tensors=value, raw=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Where request and answer have a list, or tensor, with one element for each example."""

    input: tuple[str, ...]
    output: tuple[str, ...]
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
    "whether the answer's content is stated, as JSON"
    tensors: Mapping[str, Array] | None = None
    "what the answer holds where it is tensors by name"
    tolerance: Tolerance = field(default_factory=Tolerance)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    "least and greatest value by JSON pointer, in which `*` is every element"
    batch: Batch | None = None
    files: Mapping[str, Digest] = field(default_factory=dict)
    "of tensors, by their paths in the project"

    @property
    def value(self) -> Any:  # noqa: ANN401  any JSON value, tensors by name
        """What must be answered."""
        return self.json if self.tensors is None else self.tensors

    @property
    def is_stated(self) -> bool:
        """Whether it is said what must be answered, beyond the ranges of numbers."""
        return self.checks_json or self.tensors is not None

    @property
    def form(self) -> Form | None:
        """How the answer is read; None: its content does not matter."""
        if not self.is_stated and not self.ranges:
            return None
        if self.request.call:
            return "call"
        return "json" if self.tensors is None else "tensors"

"""The whole tool on one page: a project to what is wrong with it, its plans, its image.

`check` asks every gate that needs no build; `make_plans` says what would be built, from the code
that `read_code` reads; `build` does it, and nothing is visible before all is whole; `render` writes
a Dockerfile instead. `building.build` is the sequence of steps, `approval` what must pass before
there are names.
"""

from modelpack.pipeline.building import build
from modelpack.pipeline.gates import Gate, check, secrets_in_spec
from modelpack.pipeline.planning import make_plans, read_code
from modelpack.pipeline.rendering import render
from modelpack.pipeline.value import Built, Options

__all__ = [
    "Built",
    "Gate",
    "Options",
    "build",
    "check",
    "make_plans",
    "read_code",
    "render",
    "secrets_in_spec",
]

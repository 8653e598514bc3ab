"""Whether locked wheels are complete and fit the base, from their metadata alone."""

from collections.abc import Sequence

from modelpack.errors import Finding
from modelpack.inputs.package_index import Selected
from modelpack.inputs.python_target import Target


def findings(selected: Sequence[Selected], *, target: Target) -> tuple[Finding, ...]:
    """Return what is missing, contradictory or made for something else."""
    raise NotImplementedError

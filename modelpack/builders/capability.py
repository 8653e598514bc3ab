"""Whether this machine has a BuildKit, for `modelpack doctor`."""

from modelpack.builders import buildkit
from modelpack.errors import Finding, ModelpackError
from modelpack.inputs.capabilities import Capability
from modelpack.inputs.machine import Machine


def probe(machine: Machine) -> Capability:
    """Return what `build --builder docker` would use here, or what is in its way."""
    problem: Finding | None = None
    try:
        found = buildkit.connect(buildkit.ENGINE, machine.environment).about
    except ModelpackError as error:
        problem = error.findings[0]
        found = problem.message.splitlines()[0]
    return Capability(
        name="BuildKit",
        state="limited" if problem else "ok",
        found=found,
        needed_for=f"build --builder {buildkit.ENGINE}",
        hint=problem.hint if problem else "",
    )

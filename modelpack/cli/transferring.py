"""What `push`, `pull` and `copy` share: one transfer, told to people and as JSON."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelpack.cli.output import Output
from modelpack.cli.place import as_document, warn

if TYPE_CHECKING:
    from modelpack.inputs.machine import Machine
    from modelpack.reference import Reference
    from modelpack.transfer import Transferred


def carry_out(
    output: Output,
    source: "Reference",
    target: "Reference",
    *,
    machine: "Machine",
    tags: Sequence[str] = (),
    referrers: bool = True,
    replace: bool = False,
) -> "Transferred":
    """Copy an image, and tell where it is now."""
    from modelpack.cli import display  # noqa: PLC0415
    from modelpack.transfer import transfer  # noqa: PLC0415

    done = transfer(
        source, target, machine=machine, tags=tags, referrers=referrers, replace_versions=replace
    )
    warn(output, done.findings)
    names = ", ".join(f"{done.target}:{tag}" for tag in done.tags) or done.target
    beside = [f"{len(done.weights)} of mounted weights"] if done.weights else []
    beside += [f"{done.referrers} that vouch for it"] if done.referrers else []
    also = f", with {' and '.join(beside)}" if beside else ""
    output.say(f"{names}: {display.size(done.size)}{also}")
    return done


def document(done: "Transferred") -> Mapping[str, Any]:
    """Return what `--json` prints of a transfer."""
    return {
        "digest": done.digest,
        "target": done.target,
        "tags": list(done.tags),
        "weights": list(done.weights),
        "referrers": done.referrers,
        "size": done.size,
        "findings": as_document(done.findings),
    }

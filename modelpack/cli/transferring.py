"""What `push`, `pull` and `copy` share: one transfer, told to people and as JSON."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from modelpack.cli.output import Output
from modelpack.cli.place import as_document, warn

if TYPE_CHECKING:
    from modelpack.inputs.machine import Machine
    from modelpack.oci.overlay import Viewer
    from modelpack.reference import Reference
    from modelpack.transfer import Transferred


def artifact_option(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option `--artifact`."""
    return click.option(
        "--artifact", type=click.Choice(["modelpack"]), default=None,
        help="Not the image but the model artifact made from it, in the same blobs: `modelpack`, "
        "CNCF's. Without a tag it gets those of the image, with `-modelpack`.",
    )(function)  # fmt: skip


def carry_out(
    output: Output,
    source: "Reference",
    target: "Reference",
    *,
    machine: "Machine",
    tags: Sequence[str] = (),
    referrers: bool = True,
    replace: bool = False,
    artifact: str = "",
) -> "Transferred":
    """Copy an image, or the `artifact` made from it, and tell where it is now."""
    from modelpack import reference  # noqa: PLC0415
    from modelpack.cli import display  # noqa: PLC0415
    from modelpack.transfer import transfer  # noqa: PLC0415

    done = transfer(
        source, target, machine=machine, tags=tags, referrers=referrers, replace_versions=replace,
        viewed=_viewer(artifact), suffix=reference.ARTIFACT_SUFFIX if artifact else "",
    )  # fmt: skip
    warn(output, done.findings)
    names = ", ".join(f"{done.target}:{tag}" for tag in done.tags) or done.target
    beside = [f"{len(done.weights)} of mounted weights"] if done.weights else []
    beside += [f"{done.referrers} that vouch for it"] if done.referrers else []
    also = f", with {' and '.join(beside)}" if beside else ""
    output.say(f"{names}: {display.size(done.size)}{also}")
    return done


def _viewer(artifact: str) -> "Viewer | None":
    if not artifact:
        return None
    from modelpack.views import artifact_making  # noqa: PLC0415

    return artifact_making.view


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

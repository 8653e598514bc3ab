"""What `push`, `pull` and `copy` share: one transfer, told to people and as JSON."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from modelpack.cli.frame.output import Output
from modelpack.cli.frame.place import as_document, warn

if TYPE_CHECKING:
    from modelpack.inputs.machine import Machine
    from modelpack.oci.overlay import Viewer
    from modelpack.reference import Reference
    from modelpack.stores.transfer import Transferred


def artifact_option(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option `--artifact`."""
    return click.option(
        "--artifact", type=click.Choice(["modelpack"]), default=None,
        help="Not the image but the model artifact made from it, in the same blobs: `modelpack`, "
        "CNCF's. Without a tag it gets those of the image, with `-modelpack`.",
    )(function)  # fmt: skip


def attestations_option(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option `--buildkit-attestations`."""
    return click.option(
        "--buildkit-attestations", "attested", is_flag=True,
        help="Put the image into an index with its SBOM (SPDX) and provenance, as BuildKit does "
        "and Docker Scout wants them. The image keeps its digest; the tag names the index.",
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
    attested: bool = False,
) -> "Transferred":
    """Copy an image, or a view of it, and tell where it is now."""
    if artifact and attested:
        raise click.UsageError("`--buildkit-attestations` is about images, not artifacts")
    from modelpack import reference  # noqa: PLC0415
    from modelpack.cli import display, environment  # noqa: PLC0415
    from modelpack.stores.transfer import transfer  # noqa: PLC0415

    done = transfer(
        source, target, machine=machine, tags=tags, referrers=referrers, replace_versions=replace,
        viewed=_viewer(artifact, attested=attested, machine=machine),
        suffix=reference.ARTIFACT_SUFFIX if artifact else "", engines=environment.engine_for,
    )  # fmt: skip
    warn(output, done.findings)
    names = ", ".join(f"{done.target}:{tag}" for tag in done.tags) or done.target
    beside = [f"{len(done.weights)} of mounted weights"] if done.weights else []
    beside += [f"{done.referrers} that vouch for it"] if done.referrers else []
    also = f", with {' and '.join(beside)}" if beside else ""
    output.say(f"{names}: {display.size(done.size)}{also}")
    return done


def _viewer(artifact: str, *, attested: bool, machine: "Machine") -> "Viewer | None":
    if artifact:
        from modelpack.views import artifact_making  # noqa: PLC0415

        return artifact_making.view
    if attested:
        from modelpack.views import attested_index  # noqa: PLC0415

        return functools.partial(attested_index.view, machine=machine)
    return None


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

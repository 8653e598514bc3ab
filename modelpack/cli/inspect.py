"""`modelpack inspect`: what an image claims to be, where it came from, what does not add up."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelpack.cli.frame import image_options, verifying
from modelpack.cli.frame.image_options import platform_option
from modelpack.cli.frame.output import Output, with_output
from modelpack.cli.frame.verifying import policy_options

if TYPE_CHECKING:
    from modelpack.cli.display.page.html import Verified
    from modelpack.cli.display.page.weights import Tensors
    from modelpack.inspection.value import Inspection

_FILE = click.Path(path_type=Path, dir_okay=False)


def complete_raw(*_: object) -> list[str]:
    """Return the kinds of documents, for shells."""
    from modelpack.cli.display.inspect_raw import KINDS  # noqa: PLC0415

    return list(KINDS)


@click.command("inspect")
@click.argument("image", default=".", metavar="[IMAGE]")
@platform_option
@click.option(
    "--raw", default="", metavar="KIND", shell_complete=complete_raw,
    help="Print this document as it is: manifest, config, index, spec, lock, source, weights; of "
    "what stands beside the image sbom, provenance, oms, scan, test, rebuild, stage, evaluation, "
    "vex, verification, signature, attestation:TYPE, or the digest of a referrer.",
)  # fmt: skip
@click.option(
    "--html", type=_FILE, metavar="FILE",
    help="Write a page for a browser: one file, which fetches nothing.",
)  # fmt: skip
@policy_options(
    "With --html: verify too, and show what was asked for and found. Ends as `verify` does."
)
@with_output
def command(
    *,
    output: Output,
    image: str,
    platform: str,
    raw: str,
    html: Path | None,
    policy: Path | None,
    trusted_root: Path | None,
    stage: str,
) -> None:
    """Show what an image claims to be and where it came from.

    IMAGE is a project (a folder, default `.`: the image last built from it), a layout
    oci:PATH[:TAG|@DIGEST], an archive oci-archive:FILE or docker-archive:FILE, an image in a
    registry, HOST/NAME[:TAG|@DIGEST], or of an engine, docker-daemon:NAME or (podman's)
    containers-storage:NAME. Read are its manifest, its configuration and its small last layer,
    never the weights; an engine sends all, and the rest is let pass. With it is shown what stands
    beside it, whoever made it: signatures, SBOMs, provenance, scans. All are claims, not
    verified.
    """
    from modelpack import reference  # noqa: PLC0415  not for `--help`
    from modelpack.cli.display import inspect_raw  # noqa: PLC0415
    from modelpack.cli.environment import engine_for, registries  # noqa: PLC0415
    from modelpack.inspection.artifacts import with_contents  # noqa: PLC0415
    from modelpack.inspection.reading import read  # noqa: PLC0415
    from modelpack.inspection.vouching import with_referrers  # noqa: PLC0415
    from modelpack.stores import opening  # noqa: PLC0415  not for `--help`

    _expect_together(raw, html, policy, trusted_root, stage)
    asked = verifying.asked_for(policy, trusted_root, stage) if policy else None
    name = reference.parse(image, at="IMAGE")
    kind = inspect_raw.expect(raw) if raw else ""
    with opening.opened(name, engines=engine_for, registries=registries) as (store, root):
        documents = read(store, root, platform=platform, host=image_options.host_platform())
        if not kind or inspect_raw.is_beside(kind):
            documents = with_referrers(store, documents)
        if not kind:
            documents = with_contents(store, documents)
        verified = asked.judged(store, root, name) if asked else None
    if kind:
        image_options.print_exactly(inspect_raw.document(documents, kind))
        return
    from modelpack.cli import display  # noqa: PLC0415
    from modelpack.cli.display import inspect_report  # noqa: PLC0415
    from modelpack.inspection import tensors  # noqa: PLC0415
    from modelpack.inspection.describing import describe  # noqa: PLC0415

    inspection = describe(documents)
    if html is not None:
        _write_page(output, html, inspection, tensors.of(documents), verified)
        return
    text = ""
    if not output.as_json:
        text = inspect_report.report(
            inspection, verbose=output.verbose,
            tensors=tensors.of(documents) if output.verbose else {},
        )  # fmt: skip
    output.result(text=text, document=display.plain(inspection))


def _expect_together(
    raw: str, html: Path | None, policy: Path | None, trusted_root: Path | None, stage: str
) -> None:
    """Raise where options are given that say nothing together."""
    if raw and html is not None:
        raise click.UsageError("`--raw` and `--html` are two things to make")
    if policy is not None and html is None:
        raise click.UsageError("`--policy` goes with `--html`: modelpack verify --policy FILE")
    verifying.expect_policy(policy, trusted_root, stage)


def _write_page(
    output: Output,
    path: Path,
    inspection: "Inspection",
    tensors: "Tensors",
    verified: "Verified | None",
) -> None:
    """Write the page; end as `verify` does where it was asked what is proved."""
    from modelpack import templates  # noqa: PLC0415
    from modelpack.cli.display.page import html  # noqa: PLC0415
    from modelpack.oci.file_writing import unwritable  # noqa: PLC0415

    sheets = html.Sheets(page=templates.text(html.TEMPLATE), style=templates.text(html.STYLE))
    text = html.page(inspection, sheets, verified=verified, tensors=tensors)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise unwritable(str(path), error) from error
    answer = verified.report.answer if verified else None
    said = f": {answer}" if answer else ": claims, not verified"
    output.result(
        text=f"{path}{said}",
        document={"html": str(path), "digest": inspection.digest, "answer": answer},
    )
    if answer:
        click.get_current_context().exit(verifying.EXIT[answer])

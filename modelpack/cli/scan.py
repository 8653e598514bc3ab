"""`modelpack scan`: vulnerabilities, secrets, misconfiguration and licences, and the gate."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelpack.cli.frame.keeping import EXIT, attach_option
from modelpack.cli.frame.malware import Asked, malware_options, scan_image
from modelpack.cli.frame.output import Output, with_output
from modelpack.cli.frame.scanning import database_option, wanted_database
from modelpack.errors import InputError

if TYPE_CHECKING:
    from modelpack.evidence.scan.scanning import Scanned
    from modelpack.project import Project
    from modelpack.spec import Scan


@click.command("scan")
@click.argument("image", default=".", metavar="[IMAGE]")
@click.option(
    "--file", type=click.Path(path_type=Path), metavar="F",
    help="Take the rules from [scan] of this file (default: modelpack.toml of a project; for "
    "other images what is strict by default).",
)  # fmt: skip
@click.option(
    "--platform", default="", metavar="OS/ARCH", help="Only this image of an index: linux/arm64."
)
@database_option
@click.option("--offline", is_flag=True, help="Fetch no database; use what is on this machine.")
@click.option(
    "--format", "form", type=click.Choice(["table", "sarif"]), default="table", show_default=True,
    help="What to print (see also --json).",
)  # fmt: skip
@click.option(
    "--vex", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Also write the exceptions that apply as a CycloneDX VEX document.",
)  # fmt: skip
@attach_option
@malware_options
@with_output
def command(
    *,
    output: Output,
    image: str,
    file: Path | None,
    platform: str,
    database: Path | None,
    offline: bool,
    form: str,
    vex: Path | None,
    attach: bool | None,
    malware: Asked,
) -> None:
    """Let Trivy look at an image, and judge what it finds by [scan] of the project.

    IMAGE is a project (a folder, default `.`: the image last built from it), a layout
    oci:PATH[:TAG|@DIGEST], an archive oci-archive:FILE or docker-archive:FILE, an image in a
    registry, HOST/NAME[:TAG|@DIGEST], or of an engine, docker-daemon:NAME or
    containers-storage:NAME. Weights are left out, and not fetched: they were checked when they were
    packed. Ends with 1 when something is above the gate, and
    with 3 when nothing can be said, such as with an old database.

    With --malware or --yara, ClamAV or YARA looks at every file of every layer instead, weights
    too; 3 when a file is too large for it, unless --skip names the file.
    """
    if malware:
        if database or vex or offline or form != "table":
            raise click.UsageError("`--db`, `--vex`, `--offline` and `--format` are for Trivy")
        status = scan_image(image, file, platform, malware, output, attach=attach)
        click.get_current_context().exit(status)
    from modelpack import reference  # noqa: PLC0415  not for `--help`
    from modelpack.assembly import outputs  # noqa: PLC0415
    from modelpack.assembly import scans as scanning  # noqa: PLC0415
    from modelpack.cli import environment  # noqa: PLC0415
    from modelpack.cli.frame import keeping  # noqa: PLC0415
    from modelpack.cli.frame.place import open_machine  # noqa: PLC0415
    from modelpack.evidence.scan import places  # noqa: PLC0415
    from modelpack.evidence.scan.scanning import scan  # noqa: PLC0415
    from modelpack.evidence.scan.subject import layers_of  # noqa: PLC0415
    from modelpack.trust.made_here import MadeHere  # noqa: PLC0415

    this = keeping.project_of(image, file)
    machine = open_machine(output, offline=offline)
    wanted, rules = wanted_database(database), _rules(this)
    attaches = keeping.attaches(image, attach)
    place = reference.parse(image, at="IMAGE")
    with places.subjects(
        place,
        platform=platform,
        engines=environment.engine_for,
        machine=machine,
        known=layers_of(this.lock if this else None),
    ) as subjects:
        if vex is not None and len(subjects) > 1:
            raise InputError("there are several images, and a VEX document is about one",
                             at="--vex", hint="choose one with `--platform`")  # fmt: skip
        scans = [scan(one, rules=rules, wanted=wanted, machine=machine) for one in subjects]
    name = keeping.name_of(image, this)
    said = scanning.evidence(scans, name)
    MadeHere(machine.cache).keep(one.digest for one in said)
    if attaches:
        keeping.keep(image, said, output, patterns=outputs.SCAN_COPIES, asked=bool(attach))
    _tell_job(scans, name)
    if vex is not None:
        _write_vex(vex, scans[0], name)
    _show(output, scans, place="" if form != "sarif" else this.lock_path.name if this else "image")
    click.get_current_context().exit(max((EXIT[one.outcome] for one in scans), key=_weight))


def _show(output: Output, scans: Sequence["Scanned"], *, place: str) -> None:
    """Print what was found; as SARIF where there is a `place` at which it can be mended."""
    from modelpack.cli import display  # noqa: PLC0415
    from modelpack.cli.display import scan_report  # noqa: PLC0415

    for finding in dict.fromkeys(one for scanned in scans for one in scan_report.notices(scanned)):
        if finding.severity == "error" or not output.quiet:
            click.echo(display.finding(finding), err=True)
    if place and not output.as_json:
        from modelpack.evidence.scan import sarif  # noqa: PLC0415

        click.echo(display.to_json(sarif.document(scans, place=place)))
        if not output.quiet:
            text = scan_report.text(scans, verbose=output.verbose)
            click.echo(display.escape_lines(text), err=True)
        return
    output.result(
        text=scan_report.text(scans, verbose=output.verbose), document=scan_report.document(scans)
    )


def _tell_job(scans: Sequence["Scanned"], name: str) -> None:
    """Tell the CI job, where there is one."""
    from modelpack.cli import environment  # noqa: PLC0415
    from modelpack.cli.display import job_summary  # noqa: PLC0415

    environment.job().tell(
        {"scan": job_summary.outcome(scans)}, summary=job_summary.scanned(name, scans)
    )


def _weight(status: int) -> int:
    """A no stands whatever else could not be found out."""
    return (0, 3, 1).index(status)


def _rules(this: "Project | None") -> "Scan":
    from modelpack.spec import Scan  # noqa: PLC0415

    return this.spec.scan if this else Scan()


def _write_vex(path: Path, scanned: "Scanned", name: str) -> None:
    from modelpack import project  # noqa: PLC0415
    from modelpack.canonical_json import pretty  # noqa: PLC0415
    from modelpack.evidence.scan import vex  # noqa: PLC0415

    project.write(path, pretty(vex.document(scanned, name)))

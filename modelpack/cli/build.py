"""`modelpack build`: the image."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelpack.cli.frame.output import Output, with_output
from modelpack.cli.frame.place import open_machine, open_project, project_options, warn
from modelpack.cli.frame.scanning import database_option, wanted_database
from modelpack.cli.frame.signing import SigningOptions, for_build, signing_options
from modelpack.errors import InputError

if TYPE_CHECKING:
    from modelpack import pipeline
    from modelpack.assembly.pushing import Push
    from modelpack.project import Project


@click.command("build")
@project_options
@click.option("--locked", is_flag=True, help="Fail when there is no lock instead of making one.")
@click.option("--offline", is_flag=True, help="Use nothing but what is on this machine.")
@click.option(
    "--builder", default="embedded", show_default=True, metavar="NAME",
    help="What installs the dependencies: `embedded`, `docker` (BuildKit, as Docker itself would "
    "use it), or a builder that buildx knows. The image is the same one.",
)  # fmt: skip
@click.option(
    "--output", "targets", multiple=True, metavar="IMAGE",
    help="Where the image goes: oci:FOLDER, oci-archive:FILE, docker-archive:FILE (repeatable; "
    "default: the layout DIR/dist/image).",
)  # fmt: skip
@click.option(
    "--tag", "names", multiple=True, metavar="REF",
    help="Full name of the image, such as ghcr.io/acme/minilm:1.2.0 (repeatable; default: from "
    "[image] and [model]).",
)  # fmt: skip
@click.option(
    "--platform", "platforms", multiple=True, metavar="OS/ARCH",
    help="Build this one of the locked platforms (repeatable; default: all, under one index).",
)  # fmt: skip
@click.option(
    "--revision", metavar="REV", help="The commit to record, or `none` (default: what git says)."
)
@click.option(
    "--scan", "scanning", is_flag=True,
    help="Scan the image before it gets its names (see `modelpack scan`).",
)  # fmt: skip
@database_option
@click.option(
    "--test", "testing", is_flag=True,
    help="Test the image in Docker or podman before it gets its names (see `modelpack test`).",
)  # fmt: skip
@click.option("--no-cache", is_flag=True, help="Make every layer anew.")
@click.option(
    "--load", "into_engine", is_flag=True,
    help="Also load the image into Docker or podman, under its full names.",
)  # fmt: skip
@click.option(
    "--push", "pushing", is_flag=True,
    help="Push the image under its full names, straight from the source files; without --output, "
    "nothing else is written but dist/build.json.",
)  # fmt: skip
@click.option("--replace", is_flag=True, help="Let version tags move to this image with --push.")
@click.option(
    "--sign", "signing", is_flag=True,
    help="Sign the image before it gets its names (see `modelpack sign`).",
)  # fmt: skip
@signing_options
@click.option(
    "--metadata-file", type=click.Path(path_type=Path), metavar="FILE",
    help="Also write what --json prints to FILE.",
)  # fmt: skip
@with_output
def command(
    *,
    output: Output,
    folder: Path | None,
    file: Path | None,
    locked: bool,
    offline: bool,
    builder: str,
    targets: tuple[str, ...],
    names: tuple[str, ...],
    platforms: tuple[str, ...],
    revision: str | None,
    scanning: bool,
    database: Path | None,
    testing: bool,
    no_cache: bool,
    into_engine: bool,
    pushing: bool,
    replace: bool,
    signing: bool,
    how: SigningOptions,
    metadata_file: Path | None,
) -> None:
    """Build the image of the project in DIR (default: here) and print its digest.

    Makes a missing modelpack.lock, and never changes one that exists. Needs neither root nor, but
    for `--builder docker`, Docker. Everything that is wrong is said at once, and then nothing is
    written.
    """
    from modelpack import pipeline, platform, project  # noqa: PLC0415
    from modelpack.assembly import outputs  # noqa: PLC0415
    from modelpack.assembly.image_names import image_names  # noqa: PLC0415
    from modelpack.canonical_json import pretty  # noqa: PLC0415
    from modelpack.cli import environment  # noqa: PLC0415
    from modelpack.cli.display import build_report  # noqa: PLC0415
    from modelpack.cli.frame import gpu_memory, loading  # noqa: PLC0415

    invocation = environment.invocation()
    this = open_project(folder, file)
    engine = loading.ready_engine(this.spec, platforms, at="--load") if into_engine else None
    test = None
    if testing:
        from modelpack.cli.frame import trying  # noqa: PLC0415

        test = trying.wanted(this, platforms, engine)
    machine = open_machine(output, offline=offline)
    tags, full = image_names(this.spec, names)
    pushes = _pushes(this, names, full, offline=offline) if pushing else ()
    wanted = targets or ([f"oci:{this.layout}"] if into_engine or testing or not pushing else [])
    parsed = outputs.parse_all(wanted, tags=tags, names=full)
    with for_build(how, asked=signing, offline=offline) as ready:
        built = pipeline.build(
            this,
            machine=machine,
            outputs=parsed,
            options=pipeline.Options(
                revision=revision, epoch=environment.source_date_epoch(), locked=locked,
                use_cache=not no_cache, builder=builder, invocation=invocation,
                platforms=frozenset(platform.parse(name, at="--platform") for name in platforms),
                scan=wanted_database(database) if scanning else None,
                test=test, pushes=pushes, replace=replace, signing=ready,
            ),
        )  # fmt: skip
    warn(output, built.findings)
    memory = gpu_memory.tell(output, this.spec, built.lock)
    document = {
        **build_report.document(built, [str(item.target) for item in parsed]),
        "gpu_memory": memory,
    }
    if parsed:
        outputs.write_copies(this.output, built.evidence)
    record = this.output / "build.json"
    project.write(record, pretty({"schema": 1, **document}))
    if built.tested:
        from modelpack.cli.display import testing_report  # noqa: PLC0415

        output.say(testing_report.answer(built.tested))
    if not output.quiet and not output.as_json:
        click.echo(build_report.text(this, built, document), err=True)
    if engine is not None:
        document["loaded"] = loading.load(engine, parsed[0], built.digest, output)
        project.write(record, pretty({"schema": 1, **document}))
    if metadata_file is not None:
        project.write(metadata_file, pretty({"schema": 1, **document}))
    _tell_job(this, built, document)
    output.result(text=built.digest, document=document)


def _pushes(
    this: "Project", given: tuple[str, ...], names: tuple[str, ...], *, offline: bool
) -> "tuple[Push, ...]":  # fmt: skip
    """Return where `--push` brings the image; raise InputError where nothing says it."""
    from modelpack.assembly import pushing  # noqa: PLC0415

    if offline:
        raise InputError("`--push` needs the network, which `--offline` rules out", at="--push")
    if not given and not this.spec.image.repository:
        raise InputError(
            "nothing says where to", at="--push",
            hint="set image.repository, or name it with `--tag HOST/NAME:TAG`",
        )  # fmt: skip
    return pushing.parse_all(names)


def _tell_job(this: "Project", built: "pipeline.Built", document: dict[str, Any]) -> None:
    """Tell the CI job, where there is one."""
    from modelpack.cli import environment  # noqa: PLC0415
    from modelpack.cli.display import job_summary  # noqa: PLC0415

    values = {"digest": built.digest, "pushed": " ".join(built.pushed)}
    if built.scans:
        values["scan"] = job_summary.outcome(built.scans)
    name = f"{this.spec.model.name} {this.spec.model.version}"
    said = [job_summary.built(name, document)]
    if built.tested:
        values["test"] = built.tested.outcome
        said.append(job_summary.tested(name, built.tested))
    environment.job().tell(values, summary="\n\n".join(said))

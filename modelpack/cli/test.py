"""`modelpack test`: the functional gate."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelpack.cli.frame.keeping import EXIT, attach_option
from modelpack.cli.frame.output import Output, with_output
from modelpack.errors import Finding, InputError

if TYPE_CHECKING:
    from modelpack.assembly.evidence import Evidence
    from modelpack.functional.golden import Golden
    from modelpack.functional.rules import Rules
    from modelpack.functional.value import Tested
    from modelpack.oci.layer import Descriptor
    from modelpack.project import Project


@click.command("test")
@click.argument("image", default=".", metavar="[IMAGE]")
@click.option(
    "--file", type=click.Path(path_type=Path), metavar="F",
    help="Take [test] and the golden files from this file's project (default: modelpack.toml of "
    "IMAGE, where it is a project).",
)  # fmt: skip
@click.option(
    "--concurrency", type=click.IntRange(1, 256), metavar="N",
    help="Clients that ask at once while it is measured (default: test.concurrency, 1).",
)  # fmt: skip
@click.option(
    "--duration", default="", metavar="TIME",
    help="For how long they ask, such as 10s (default: test.duration, 5s).",
)  # fmt: skip
@click.option(
    "--mount-weights", "mounts", multiple=True, metavar="[NAME=]FOLDER",
    help="The folder of weights that are not in the image (default: the project's own).",
)  # fmt: skip
@click.option(
    "--trust", default="", metavar="FOLDER", help="Who must have signed the weights, as in `run`."
)
@click.option(
    "--gpus", default="", metavar="GPUS", help="As in `run`: all, a number, or device=0,GPU-4f2a…"
)
@click.option(
    "--junit", "junit_file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Also write the report as JUnit XML.",
)  # fmt: skip
@attach_option
@with_output
def command(
    *,
    output: Output,
    image: str,
    file: Path | None,
    concurrency: int | None,
    duration: str,
    mounts: tuple[str, ...],
    trust: str,
    gpus: str,
    junit_file: Path | None,
    attach: bool | None,
) -> None:
    """Run an image in Docker or podman, ask it what must be answered, and measure it.

    IMAGE is as in `modelpack run`. It runs read-only, without capabilities and without a network,
    as a user that nobody planned for, with no more memory and processors than [test] limits say.
    Golden requests must be answered, and functions return, as their files say; readiness, liveness,
    version, metrics and SIGTERM must be right; cold start, latency, memory and size are held
    against the limits. Ends with 1 when something is not as it must be, and with 3 when a limit
    could not be measured.
    """
    from modelpack import project  # noqa: PLC0415  not for `--help`
    from modelpack.cli import environment  # noqa: PLC0415
    from modelpack.cli.display import job_summary, testing_report  # noqa: PLC0415
    from modelpack.cli.frame import keeping  # noqa: PLC0415
    from modelpack.functional import golden_files, junit, preparing, rules  # noqa: PLC0415

    keeping.attaches(image, attach, engines=True)
    this = keeping.project_of(image, file)
    if this is None:
        raise InputError("which golden requests must it answer?", at="--file",
                         hint="--file modelpack.toml: the file with [test]")  # fmt: skip
    golden = golden_files.read(this.root, this.spec.test.golden)
    serves = any(not one.request.call for one in golden)
    asked = rules.of_spec(
        this.spec, serves=serves, concurrency=concurrency, duration=duration
    )  # fmt: skip
    tested, manifest = _test(
        output, this, image, golden, asked, mounts=mounts, trust=trust, gpus=gpus,
        attach=bool(attach),
    )  # fmt: skip
    name = keeping.name_of(image, this)
    said = preparing.evidence(tested, manifest, name) if manifest else None
    _keep(output, this, image, said, attach)
    if junit_file is not None:
        project.write(junit_file, junit.document(tested))
    environment.job().tell({"test": tested.outcome}, summary=job_summary.tested(name, tested))
    for line in testing_report.log(tested):
        output.say(line)
    document = testing_report.document(tested, said.digest if said else None)
    output.result(text=testing_report.text(tested), document=document)
    click.get_current_context().exit(EXIT[tested.outcome])


def _unknown(image: str) -> Finding:
    """Return what to say where nobody can tell the manifest."""
    return Finding(
        message="the engine knows the image by its configuration, and nothing here says which "
        "manifest that belongs to: no statement is made", at=image,
        hint="modelpack test HOST/NAME --attach where it is in a registry; or the project, as it "
        "was last built",
    )  # fmt: skip


def _keep(
    output: Output, this: "Project", image: str, said: "Evidence | None", attach: bool | None
) -> None:
    """Keep what was found out with the image: in its layout, where asked in its registry."""
    from modelpack import reference  # noqa: PLC0415
    from modelpack.assembly import outputs  # noqa: PLC0415
    from modelpack.cli import environment  # noqa: PLC0415
    from modelpack.cli.frame import identifying, keeping  # noqa: PLC0415
    from modelpack.trust.made_here import MadeHere  # noqa: PLC0415

    if said is None:
        problem = _unknown(image)
        output.say(f"{problem.at}: {problem.message}\nhint: {problem.hint}")
        return
    MadeHere(environment.cache_folder()).keep([said.digest])
    place, kept = image, attach is not False
    if isinstance(reference.parse(image), reference.Daemon | reference.ContainersStorage):
        # Where it was built it has a layout, which is as good a place.
        (subject,) = said.subjects
        kept = kept and identifying.built_here(this, subject.digest) is not None
        place = str(this.root.resolve())
    elif isinstance(reference.parse(image), reference.Registry):
        kept = bool(attach)
        if not kept:
            output.say("the result is not kept with the image: `--attach` does")
    if kept:
        keeping.keep(place, [said], output, patterns=outputs.TEST_COPIES, asked=bool(attach))


def _test(
    output: Output,
    this: "Project",
    image: str,
    golden: "tuple[Golden, ...]",
    rules: "Rules",
    *,
    mounts: tuple[str, ...],
    trust: str,
    gpus: str,
    attach: bool,
) -> "tuple[Tested, Descriptor | None]":
    """Bring the image into the engine and test it; also return its manifest, where it is known."""
    from modelpack import reference  # noqa: PLC0415
    from modelpack.cli import environment  # noqa: PLC0415
    from modelpack.cli.frame import identifying  # noqa: PLC0415
    from modelpack.functional import gate  # noqa: PLC0415
    from modelpack.running import preparing as running  # noqa: PLC0415

    what = reference.parse(image, at="IMAGE")
    engine, progress = environment.engine_for(what), output.progress()
    wanted = gate.Wanted(
        engine=engine, golden=golden, rules=rules, clock=environment.now, mounts=mounts,
        trust=trust, gpus=gpus,
    )  # fmt: skip
    with running.found(
        what, engine=engine, host="", progress=progress, credentials=environment.credentials(),
        identify=identifying.Identifier(this),
    ) as found:  # fmt: skip
        if attach and found.manifest is None:
            raise InputError(_unknown(image))
        tested = gate.test(wanted, found, folders=running.folders(what), progress=progress)
        return tested, found.manifest

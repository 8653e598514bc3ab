"""`modelpack render`: a standalone Dockerfile and its context."""

import sys
from pathlib import Path

import click

from modelpack.cli.frame.output import Output, with_output
from modelpack.cli.frame.place import as_document, open_machine, open_project, project_options, warn


@click.command("render")
@project_options
@click.option(
    "--output", "place", type=click.Path(path_type=Path), metavar="DIR",
    help="Write the context to this folder (default: DIR/dist/docker).",
)  # fmt: skip
@click.option(
    "--platform", "names", multiple=True, metavar="OS/ARCH",
    help="Render for this platform only (repeatable; default: all of the lock).",
)  # fmt: skip
@click.option(
    "--link", is_flag=True, help="Use COPY --link: layers that stand alone, from Docker 23 on."
)
@click.option(
    "--wheels", is_flag=True, help="Put the wheels in too: the build then needs no network."
)
@click.option("--offline", is_flag=True, help="Use nothing but what is on this machine.")
@click.option(
    "--revision", metavar="REV", help="The commit to record, or `none` (default: what git says)."
)
@with_output
def command(
    *,
    output: Output,
    folder: Path | None,
    file: Path | None,
    place: Path | None,
    names: tuple[str, ...],
    link: bool,
    wheels: bool,
    offline: bool,
    revision: str | None,
) -> None:
    """Write a Dockerfile with all that it needs, and print it.

    `docker build DIR/dist/docker` then makes the same files as `modelpack build`, on any Docker
    from 20.10 on and without modelpack. Of several platforms the first one's file is Dockerfile,
    the others' Dockerfile.ARCH. Large weights are shared with their source where the file system
    can. Needs modelpack.lock; a folder that render did not write is left alone.
    """
    from modelpack import dockerfile, pipeline, platform  # noqa: PLC0415
    from modelpack.cli import display, environment  # noqa: PLC0415

    this = open_project(folder, file)
    rendered = pipeline.render(
        this,
        place or this.output / "docker",
        machine=open_machine(output, offline=offline),
        platforms=[platform.parse(name, at="--platform") for name in names],
        options=pipeline.Options(revision=revision, epoch=environment.source_date_epoch()),
        how=dockerfile.Options(link=link, wheels=wheels),
    )
    warn(output, rendered.findings)
    context = rendered.context
    copied = f", {display.size(context.copied)} of it copied" if context.copied else ""
    output.say(f"{display.size(context.size)} in {context.files} files{copied}: {context.place}")
    if output.as_json or sys.stdout.isatty():
        output.result(
            text="\n".join(one.text for _, one in rendered.dockerfiles).removesuffix("\n"),
            document={
                "context": str(context.place), "files": context.files, "size": context.size,
                "dockerfiles": [
                    {"platform": str(one.platform), "file": one.name, "plan": plan.digest,
                     "text": one.text}
                    for plan, one in rendered.dockerfiles
                ],
                "findings": as_document(rendered.findings),
            },
        )  # fmt: skip
    else:
        # As it is: what a terminal must not see escaped is right in a file.
        click.echo("\n".join(one.text for _, one in rendered.dockerfiles), nl=False)

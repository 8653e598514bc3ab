"""`modelpack check`: every gate that needs no build, and with `--run` the author's own."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelpack.cli.frame.image_options import host_platform
from modelpack.cli.frame.malware import Asked, malware_options, project_gate
from modelpack.cli.frame.output import Output, with_output
from modelpack.cli.frame.place import as_document, open_machine, open_project, project_options, warn

if TYPE_CHECKING:
    from modelpack.checking import running
    from modelpack.checking.result import Check, Checked
    from modelpack.malware.value import Looked
    from modelpack.pipeline import Gate
    from modelpack.project import Project

_NO_LIMIT = 86_400


@click.command("check")
@project_options
@click.option(
    "--run", "running", is_flag=True,
    help="Then run the commands of [checks], with what the image holds, without network.",
)  # fmt: skip
@click.option(
    "--only", multiple=True, metavar="NAME", help="Run this check of [checks] (repeatable)."
)
@click.option(
    "--timeout", type=click.IntRange(1, _NO_LIMIT), metavar="SECONDS",
    help="What one check of [checks] may take (default: 600).",
)  # fmt: skip
@click.option(
    "--engine", "only_engine", is_flag=True,
    help="Run them in a container of Docker or podman, as where this machine has no other way.",
)  # fmt: skip
@click.option(
    "--compatible-with", "earlier", metavar="IMAGE", default="",
    help="Refuse a breaking change of the interface against this image's, unless the model's "
    "major version rises.",
)  # fmt: skip
@malware_options
@with_output
def command(
    *,
    output: Output,
    folder: Path | None,
    file: Path | None,
    running: bool,
    only: tuple[str, ...],
    timeout: int | None,
    only_engine: bool,
    earlier: str,
    malware: Asked,
) -> None:
    """Look for all that would refuse a build: in spec, lock, requirements, weights and code.

    All findings at once, and nothing is written. Exit status 1 when a gate refuses, 2 when only
    the spec or the lock is wrong; warnings alone are 0.

    With --run, the author's own checks are run next, with the interpreter, packages, code and
    weights of the image and the wheels of dependencies.development: in a folder that is all they
    see, or in a container where this machine gives users no namespaces. What they say is kept
    with the image last built here if it is the one that was checked.

    With --malware or --yara, ClamAV or YARA looks at weights and code as well.
    """
    from modelpack import pipeline  # noqa: PLC0415
    from modelpack.cli import display  # noqa: PLC0415
    from modelpack.cli.frame import gpu_memory  # noqa: PLC0415

    if not running and (only or timeout or only_engine):
        raise click.UsageError("`--only`, `--timeout` and `--engine` are for `--run`")
    this = open_project(folder, file)
    machine, looks = open_machine(output), list["Looked"]()
    further = (
        *(_compatible(this, earlier) if earlier else ()),
        *((project_gate(this, malware, machine, looks),) if malware else ()),
    )
    findings = pipeline.check(this, machine=machine, further=further)
    memory = gpu_memory.tell(output, this.spec, this.lock)
    document: dict[str, object] = {"findings": as_document(findings), "gpu_memory": memory}
    texts = ["\n".join(display.finding(f) for f in findings) or "nothing found"]
    if looks:
        from modelpack.cli.display import malware_report  # noqa: PLC0415

        texts.append(malware_report.text(looks))
        document.update(malware_report.document(looks))
    if not running:
        output.result(text="\n\n".join(texts), document=document)
        return
    warn(output, findings)
    checked, kept = _run(this, output, only=only, timeout=timeout, only_engine=only_engine)
    output.result(text=_text(checked), document={**document, "checks": _document(checked, kept)})
    click.get_current_context().exit(0 if checked.passed else 1)


def _run(
    this: "Project",
    output: Output,
    *,
    only: tuple[str, ...],
    timeout: int | None,
    only_engine: bool,
) -> "tuple[Checked, bool]":
    """Run the author's checks, and keep what they say with the image that they are about."""
    from modelpack.checking import keeping, running  # noqa: PLC0415
    from modelpack.cli import environment  # noqa: PLC0415
    from modelpack.cli.frame import build_record  # noqa: PLC0415

    machine = open_machine(output)
    options = running.Options(
        timeout=timeout or running.TIMEOUT, epoch=environment.source_date_epoch(), only=only,
        only_engine=only_engine,
    )  # fmt: skip
    checked = running.run(
        this, machine=machine, options=options, watching=_watching(output),
        engine=environment.engine, clock=environment.now,
    )  # fmt: skip
    if only:  # a part of the checks is no answer to whether they pass
        return checked, False
    said = keeping.keep(this, checked, machine=machine)
    if said:
        build_record.amend(this.output / "build.json", said)
    else:
        output.say("no image was built of this yet: `modelpack build`, then check again to keep it")
    return checked, bool(said)


def _watching(output: Output) -> "running.Watching":
    from modelpack.checking import running  # noqa: PLC0415
    from modelpack.cli import display  # noqa: PLC0415

    def said(line: str) -> None:
        if not output.quiet:
            click.echo(f"  {display.escape(line)}", err=True)

    return running.Watching(
        begins=lambda name: output.say(f"check {name}"), said=said,
        ended=lambda check: output.say(f"check {check.name}: {_outcome(check)}"),
    )  # fmt: skip


def _outcome(check: "Check") -> str:
    from modelpack.cli import display  # noqa: PLC0415

    took = display.duration(check.seconds)
    if check.state == "late":
        return f"killed after {took}"
    if check.status < 0:
        return f"killed by signal {-check.status} after {took}"
    return f"passed in {took}" if check.passed else f"failed with {check.status} in {took}"


def _text(checked: "Checked") -> str:
    from modelpack.cli import display  # noqa: PLC0415

    width = max(len(display.escape(check.name)) for check in checked.checks)
    return "\n".join(
        f"{display.escape(check.name):{width}}  {_outcome(check)}" for check in checked.checks
    )


def _document(checked: "Checked", kept: bool) -> dict[str, object]:
    return {
        "result": "passed" if checked.passed else "failed",
        "platform": str(checked.platform),
        "runner": {"name": checked.runner.name, "version": checked.runner.version},
        "plan": checked.plan,
        "image": checked.image,
        "attached": kept,
        "checks": [
            {
                "name": check.name,
                "command": list(check.argv),
                "state": check.state,
                "status": check.status,
                "seconds": check.seconds,
            }
            for check in checked.checks
        ],
        "development": [wheel.filename for wheel in checked.development],
    }


def _compatible(this: "Project", earlier: str) -> "tuple[Gate, ...]":
    """Return the gate that compares the interface with that of the image `earlier`."""
    from modelpack import reference  # noqa: PLC0415
    from modelpack.cli.environment import engine_for, registries  # noqa: PLC0415
    from modelpack.comparison import compatibility  # noqa: PLC0415
    from modelpack.inspection.reading import read_image  # noqa: PLC0415
    from modelpack.stores import opening  # noqa: PLC0415

    name = reference.parse(earlier, at="--compatible-with")
    with opening.opened(name, engines=engine_for, registries=registries) as (store, root):
        documents = read_image(store, root, host=host_platform())
    return (lambda: compatibility.gate(this, documents),)

"""`modelpack plan`: what would be built, and what would be built again and why."""

from pathlib import Path

import click

from modelpack.cli.frame.output import Output, with_output
from modelpack.cli.frame.place import open_machine, open_project, project_options


@click.command("plan")
@project_options
@click.option(
    "--revision", metavar="REV", help="The commit to record, or `none` (default: what git says)."
)
@with_output
def command(
    *, output: Output, folder: Path | None, file: Path | None, revision: str | None
) -> None:
    """Show the layers that `modelpack build` would make, and why one would be made again.

    States: reuse, the layer is in dist/image; write, it is kept from an earlier build; make, it
    is made anew. Needs modelpack.lock; reads the code, never the weights, and writes nothing.
    """
    from modelpack import pipeline, plan  # noqa: PLC0415
    from modelpack.assembly.explanation import explain  # noqa: PLC0415
    from modelpack.cli import display, environment  # noqa: PLC0415
    from modelpack.pipeline import project_lock  # noqa: PLC0415

    this = open_project(folder, file)
    machine = open_machine(output)
    lock = project_lock.require_fresh(this)
    options = pipeline.Options(revision=revision, epoch=environment.source_date_epoch())
    read = pipeline.read_code(this, machine=machine, epoch=lock.epoch, options=options)
    plans = [planned for _, planned in pipeline.make_plans(this, lock, read)]
    separate = plan.make_weights(this.spec, lock)
    documents, texts = [], []
    for planned in (*plans, *((separate,) if separate else ())):
        steps = explain(planned, this.layout, machine)
        rows = [[s.step.kind, s.step.name, s.step.digest[7:19], s.state, s.why] for s in steps]
        title = "mounted weights" if planned is separate else str(planned.platform)
        texts.append(
            f"{title}  plan {planned.digest}\n"
            + display.table(rows, head=["step", "content", "key", "state", "why"])
        )
        documents.append(
            {
                "role": "weights" if planned is separate else "serve",
                "platform": None if planned is separate else str(planned.platform),
                "digest": planned.digest,
                "steps": [
                    {"kind": s.step.kind, "name": s.step.name, "digest": s.step.digest,
                     "state": s.state, "why": s.why}
                    for s in steps
                ],
                "config": planned.config,
            }
        )  # fmt: skip
    output.result(text="\n\n".join(texts), document={"plans": documents})

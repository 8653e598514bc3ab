"""`modelpack lock`: write or judge `modelpack.lock`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelpack.cli.frame.output import Output, with_output
from modelpack.cli.frame.place import as_document, open_machine, open_project, project_options, warn

if TYPE_CHECKING:
    from modelpack.lock import Part
    from modelpack.project import Project

_PARTS: dict[str, "Part"] = {
    "base": "base", "deps": "dependencies", "weights": "weights", "runtime": "runtime",
}  # fmt: skip


@click.command("lock")
@project_options
@click.option(
    "--check", is_flag=True,
    help="Write nothing; when the lock is stale, say what moved and end with 2. Sources of "
    "weights are asked whether they moved on.",
)  # fmt: skip
@click.option(
    "--upgrade", "upgrades", multiple=True, type=click.Choice([*_PARTS, "all"]),
    help="Renew this part with the newest there is (repeatable).",
)  # fmt: skip
@click.option(
    "--upgrade-package", "packages", multiple=True, metavar="NAME",
    help="Let this requirement move (repeatable; needs dependencies.source).",
)  # fmt: skip
@with_output
def command(
    *,
    output: Output,
    folder: Path | None,
    file: Path | None,
    check: bool,
    upgrades: tuple[str, ...],
    packages: tuple[str, ...],
) -> None:
    """Write modelpack.lock: packages, wheels and weights of the project in DIR, by digest.

    Only stale parts are looked up again; everything else stays as it was reviewed, unless
    --upgrade or --upgrade-package lets it move. With dependencies.source the requirements are
    compiled where they are missing or stale. Prints what moved. An evaluation that is of other
    weights, or misses what is asked of it, is a warning here, and refuses a build.
    """
    this = open_project(folder, file)
    if check:
        _judge(this, output)
        return
    from modelpack.assembly import evaluations, source_reading  # noqa: PLC0415
    from modelpack.cli.frame import gpu_memory  # noqa: PLC0415
    from modelpack.lock.comparison import differences  # noqa: PLC0415
    from modelpack.pipeline import project_lock  # noqa: PLC0415
    from modelpack.resolve.dependencies import Upgrade  # noqa: PLC0415

    renew = frozenset(_PARTS.values() if "all" in upgrades else (_PARTS[u] for u in upgrades))
    upgrade = None
    if packages:
        if not this.spec.dependencies.source:
            raise click.UsageError("`--upgrade-package` needs `dependencies.source`")
        renew = renew | {"dependencies"}
        upgrade = Upgrade(packages=packages)
    if "dependencies" in renew and not packages and this.spec.dependencies.source:
        upgrade = Upgrade(everything=True)
    machine = open_machine(output)
    source_reading.read_interface(this.root, this.spec)
    resolution = project_lock.make_lock(this, machine=machine, renew=renew, upgrade=upgrade)
    findings = (
        *resolution.findings, *evaluations.doubts(this.spec, resolution.lock, this.root),
    )  # fmt: skip
    warn(output, findings)
    memory = gpu_memory.tell(output, this.spec, resolution.lock)
    moved = differences(this.lock, resolution.lock)
    output.result(
        text="\n".join(moved) if moved else "nothing moved",
        document={
            "lock": str(this.lock_path), "moved": list(moved),
            "findings": as_document(findings), "gpu_memory": memory,
        },
    )  # fmt: skip


def _judge(this: "Project", output: Output) -> None:
    from modelpack.assembly import evaluations  # noqa: PLC0415
    from modelpack.pipeline import project_lock  # noqa: PLC0415

    machine = open_machine(output)
    project_lock.judge_lock(this, machine=machine)
    lock = project_lock.require_fresh(this)
    findings = (
        *project_lock.moved_sources(this, machine=machine),
        *evaluations.doubts(this.spec, lock, this.root),
    )
    warn(output, findings)
    output.result(
        text="the lock is fresh", document={"fresh": True, "findings": as_document(findings)}
    )

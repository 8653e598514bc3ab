"""What a project's code and lock give: the Source, and the Plan of each platform."""

from modelpack import plan
from modelpack.assembly.source_reading import CodeAndSource, read_source
from modelpack.errors import InputError
from modelpack.inputs import weights_image
from modelpack.inputs.machine import Machine
from modelpack.lock import Lock, PlatformLock
from modelpack.pipeline.value import Options
from modelpack.plan import Plan
from modelpack.platform import Platform
from modelpack.project import Project


def read_code(this: Project, *, machine: Machine, epoch: int, options: Options) -> CodeAndSource:
    """Read and gate the code, and find out which commit it is."""
    return read_source(
        this.root, this.spec, committed=(this.file, this.lock_path), epoch=epoch,
        revision=options.revision, source_date_epoch=options.epoch, machine=machine,
    )  # fmt: skip


def make_plans(
    this: Project, lock: Lock, read: CodeAndSource, *, only: frozenset[Platform] = frozenset()
) -> tuple[tuple[PlatformLock, Plan], ...]:
    """Return the plan of each locked platform; `plan.make_weights` has that of mounted weights.

    With `only`, of these platforms, whose plans are the same as among all.
    """
    locked = {platform.platform: platform for platform in lock.platforms}
    if unknown := sorted(only - {*locked}):
        raise InputError(
            f"`{unknown[0]}` is not locked", at="--platform",
            hint=f"this project has {', '.join(f'`{name}`' for name in sorted(locked))}",
        )  # fmt: skip
    weights = weights_image.digest(this.spec, lock)
    return tuple(
        (platform, plan.make(this.spec, lock, read.source, platform, weights_image=weights))
        for name, platform in locked.items()
        if not only or name in only
    )

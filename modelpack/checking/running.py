"""From a project to what its author's checks say of the image that a build would make."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from modelpack import pipeline
from modelpack.checking import choosing, planning
from modelpack.checking.result import Check, Checked
from modelpack.checking.room import Room
from modelpack.engine.door import Engine
from modelpack.errors import InputError
from modelpack.inputs.machine import Machine
from modelpack.inputs.scratch import scratch_folder
from modelpack.lock import encoding as lock_encoding
from modelpack.metadata import weights_digest
from modelpack.pipeline.project_lock import require_fresh
from modelpack.plan import Plan
from modelpack.project import Project
from modelpack.resolve.development import development_wheels

TIMEOUT: Final = 600
"seconds that one check has"
_OUTPUT = 1 << 20
"characters of one check's output that are passed on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How checks are run."""

    timeout: int = TIMEOUT
    "seconds for each"
    epoch: int | None = None
    "SOURCE_DATE_EPOCH"
    revision: str | None = None
    "as for a build"
    only: tuple[str, ...] = ()
    "names; empty: all"
    only_engine: bool = False
    "in a container, though there is another way"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """Who is told what happens."""

    begins: Callable[[str], None]
    said: Callable[[str], None]
    "a line of output, as the check wrote it"
    ended: Callable[[Check], None]


def run(
    this: Project, *, machine: Machine, options: Options, watching: Watching,
    engine: Callable[[], Engine], clock: Callable[[], int],
) -> Checked:  # fmt: skip
    """Run every check in a place that holds what the image will; stop at none that fails.

    `engine` is asked for one where this machine has no other way. Raises before any check is run
    where the spec, the lock or this machine does not allow it.
    """
    wanted = _wanted(this, options)
    lock = require_fresh(this)
    choice = choosing.choose(lock, machine=machine, engine=engine, only_engine=options.only_engine)
    pipeline.secrets_in_spec(this)
    platform = choice.platform
    development = development_wheels(this.spec, this.root, platform, machine=machine)
    how = pipeline.Options(revision=options.revision, epoch=options.epoch)
    planned = planning.make(this, lock, platform, machine=machine, how=how)
    with (
        scratch_folder(machine.cache) as scratch,
        choosing.opened(choice, planned, development, machine=machine, scratch=scratch) as room,
    ):
        started = clock()
        checks = tuple(
            _run(name, argv, room, planned.plan, options, watching) for name, argv in wanted.items()
        )
        runner = room.runner
    return Checked(
        platform=platform.platform, checks=checks, plan=planned.plan.digest,
        lock=lock_encoding.digest(lock), weights=weights_digest(lock),
        image=planned.image.digest, development=development, runner=runner, started=started,
        finished=clock(),
    )  # fmt: skip


def _wanted(this: Project, options: Options) -> Mapping[str, Sequence[str]]:
    checks = this.spec.checks
    if not checks:
        raise InputError("there are no checks", at="checks",
                         hint='such as `[checks] tests = ["python", "-m", "pytest"]`')  # fmt: skip
    if unknown := [name for name in options.only if name not in checks]:
        raise InputError(f"there is no check `{unknown[0]}`", at="--only",
                         hint=f"there are {', '.join(f'`{name}`' for name in checks)}")  # fmt: skip
    return {name: argv for name, argv in checks.items() if not options.only or name in options.only}


def _run(
    name: str, argv: Sequence[str], room: Room, plan: Plan, options: Options,
    watching: Watching,
) -> Check:  # fmt: skip
    watching.begins(name)
    environment = dict(item.partition("=")[::2] for item in plan.config["Env"])
    before = time.monotonic()
    ended = room.run(
        argv, environment=environment, timeout=options.timeout, said=_bounded(watching.said)
    )
    check = Check(
        name=name, argv=tuple(argv), status=ended.status,
        state="late" if ended.late else "failed" if ended.status else "passed",
        seconds=round(time.monotonic() - before, 3),
    )  # fmt: skip
    watching.ended(check)
    return check


def _bounded(said: Callable[[str], None]) -> Callable[[str], None]:
    """Return what passes lines on until there were too many."""
    left = _OUTPUT

    def tell(line: str) -> None:
        nonlocal left
        if left > 0:
            said(line[:left])
            left -= len(line) + 1
            if left <= 0:
                said("… what it writes from here on is left out")

    return tell

"""From a project to what its author's checks say of the image that a build would make."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelpack import pipeline
from modelpack.assembly.assemble import Inputs, Made, image
from modelpack.assembly.weights_at_hand import weights_at_hand
from modelpack.builders.choice import EMBEDDED, open_builder
from modelpack.checking.result import Check, Checked
from modelpack.checking.root import ELSEWHERE, assemble, require_assembled, weight_files
from modelpack.checking.sandbox import Ended, Sandbox
from modelpack.errors import InputError, Unavailable
from modelpack.inputs.machine import Machine
from modelpack.inputs.scratch import scratch_folder
from modelpack.lock import Lock, PlatformLock
from modelpack.lock import encoding as lock_encoding
from modelpack.metadata import weights_digest
from modelpack.oci.image import Image
from modelpack.oci.layer_cache import LayerCache
from modelpack.plan import Plan
from modelpack.project import Project
from modelpack.project_lock import require_fresh
from modelpack.resolve.development import development_wheels
from modelpack.run_configuration import HOME

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """Who is told what happens."""

    begins: Callable[[str], None]
    said: Callable[[str], None]
    "a line of output, as the check wrote it"
    ended: Callable[[Check], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planned:
    """The image that would be built."""

    platform: PlatformLock
    plan: Plan
    lock: Lock
    image: Image
    made: tuple[Made, ...]
    weights: Mapping[str, Path]


def run(
    this: Project, *, machine: Machine, options: Options, watching: Watching,
    clock: Callable[[], int],
) -> Checked:  # fmt: skip
    """Run every check in a folder that holds what the image will; stop at none that fails.

    Raises before any of them is run where the spec, the lock or this machine does not allow it.
    """
    wanted = _wanted(this, options)
    lock = require_fresh(this)
    platform = _platform(lock, machine)
    require_assembled(platform)
    pipeline.secrets_in_spec(this)
    development = development_wheels(this.spec, this.root, platform, machine=machine)
    planned = _plan(this, lock, platform, machine, options)
    with scratch_folder(machine.cache) as scratch:
        machine.progress.say("assembling what the image holds")
        root = scratch / "root"
        assemble(planned.made, development, platform, root, machine=machine, scratch=scratch)
        sandbox = _sandbox(planned, root, scratch)
        sandbox.prepare()
        if reason := sandbox.probe():
            raise Unavailable(
                f"this machine gives no namespaces to users: {reason}", at="checks",
                hint=f"{ELSEWHERE}; or allow user namespaces",
            )  # fmt: skip
        started = clock()
        checks = tuple(
            _run(name, argv, sandbox, planned.plan, options, watching)
            for name, argv in wanted.items()
        )
    return Checked(
        platform=platform.platform, checks=checks, plan=planned.plan.digest,
        lock=lock_encoding.digest(lock), weights=weights_digest(lock),
        image=planned.image.digest, development=development, started=started, finished=clock(),
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


def _platform(lock: Lock, machine: Machine) -> PlatformLock:
    """Return the locked platform of this machine, or the first one, which cannot run then."""
    own = [platform for platform in lock.platforms if platform.platform == machine.host]
    return (own or list(lock.platforms))[0]


def _plan(
    this: Project, lock: Lock, platform: PlatformLock, machine: Machine, options: Options
) -> _Planned:
    """Make the layers that hold no weights, as a build does; what is remembered is not made."""
    how = pipeline.Options(revision=options.revision, epoch=options.epoch)
    read = pipeline.read_code(this, machine=machine, epoch=lock.epoch, options=how)
    at_hand = weights_at_hand(this.spec, lock, this.root, machine=machine, targets=(None,))
    at_hand.remember(machine.digests)
    ((_, plan),) = pipeline.make_plans(this, lock, read, only=frozenset({platform.platform}))
    layers = LayerCache(machine.cache, known=machine.digests)
    inputs = Inputs(
        spec=this.spec, lock=lock, source=read.source, code=read.code, weights=at_hand.sources,
        digests=machine.digests, threads=machine.threads, interface=read.interface,
    )  # fmt: skip
    with open_builder(
        EMBEDDED, platform, plan, lock, user=this.spec.runtime.user, machine=machine,
        layers=layers, stores=(), use_cache=True,
    ) as builder:  # fmt: skip
        made_image, made = image(plan, inputs, builder=builder, layers=layers)
    return _Planned(
        platform=platform, plan=plan, lock=lock, image=made_image, made=made,
        weights=weight_files(lock, at_hand.sources),
    )  # fmt: skip


def _sandbox(planned: _Planned, root: Path, scratch: Path) -> Sandbox:
    config = planned.plan.config
    user, _, group = config["User"].partition(":")
    return Sandbox(
        root=root, uid=int(user), gid=int(group or 0), home=HOME, workdir=config["WorkingDir"],
        files=planned.weights, scratch=scratch,
    )  # fmt: skip


def _run(
    name: str, argv: Sequence[str], sandbox: Sandbox, plan: Plan, options: Options,
    watching: Watching,
) -> Check:  # fmt: skip
    watching.begins(name)
    environment = dict(item.partition("=")[::2] for item in plan.config["Env"])
    before = time.monotonic()
    ended: Ended = sandbox.run(
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

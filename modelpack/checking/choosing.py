"""Where the checks of a project are run: in a folder of this machine, else in a container."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from modelpack.checking.container import container_room
from modelpack.checking.planning import Planned
from modelpack.checking.room import Room
from modelpack.checking.root import assemble, require_assembled
from modelpack.checking.sandbox import Sandbox
from modelpack.engine.door import Engine
from modelpack.errors import InputError, ModelpackError, Unavailable
from modelpack.inputs.machine import Machine
from modelpack.inputs.scratch import scratch_folder
from modelpack.lock import Lock, PlatformLock, Wheel
from modelpack.run_configuration import HOME

_HINT: Final = "start Docker or podman; or modelpack render, then docker build --target check"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Where checks are run, and with the image of which platform."""

    platform: PlatformLock
    engine: Engine | None
    "None: in a folder"


def choose(
    lock: Lock, *, machine: Machine, engine: Callable[[], Engine], only_engine: bool
) -> Choice:
    """Return the first way that this machine has; raise Unavailable with why it has none."""
    if only_engine:
        return _in(engine(), lock)
    own = next((one for one in lock.platforms if one.platform == machine.host), lock.platforms[0])
    try:
        require_assembled(own)
        _require_namespaces(machine)
    except ModelpackError as why:
        try:
            found = engine()
        except ModelpackError as error:
            told = [replace(finding, hint=_HINT) for finding in why.findings]
            raise Unavailable(*told, *error.findings) from error
        machine.progress.say(f"{why.findings[0].message}: the checks run in {found.about}")
        return _in(found, lock)
    return Choice(platform=own, engine=None)


def _in(engine: Engine, lock: Lock) -> Choice:
    platform = engine.about.platform
    for one in lock.platforms:
        if one.platform == platform:
            return Choice(platform=one, engine=engine)
    known = ", ".join(f"`{one.platform}`" for one in lock.platforms)
    raise InputError(
        f"there is no image for `{platform}`, which the engine runs", at="image.platforms",
        hint=f"there are {known}",
    )  # fmt: skip


def _require_namespaces(machine: Machine) -> None:
    """Raise Unavailable unless a process here may have a folder for its whole machine."""
    with scratch_folder(machine.cache) as scratch:
        root = scratch / "root"
        root.mkdir()
        nobody = Sandbox(root=root, uid=1, gid=0, home=HOME, workdir="/", files={}, scratch=scratch)
        nobody.prepare()
        if reason := nobody.probe():
            raise Unavailable(f"this machine gives no namespaces to users: {reason}", at="checks")


@contextmanager
def opened(
    choice: Choice, planned: Planned, development: tuple[Wheel, ...], *, machine: Machine,
    scratch: Path,
) -> Iterator[Room]:  # fmt: skip
    """Furnish the place that was chosen with what the image holds, and the `development` wheels."""
    if choice.engine is not None:
        with container_room(
            choice.engine, planned, development, machine=machine, scratch=scratch
        ) as room:
            yield room
        return
    machine.progress.say("assembling what the image holds")
    root = scratch / "root"
    assemble(planned.made, development, choice.platform, root, machine=machine, scratch=scratch)
    config = planned.plan.config
    user, _, group = config["User"].partition(":")
    sandbox = Sandbox(
        root=root, uid=int(user), gid=int(group or 0), home=HOME, workdir=config["WorkingDir"],
        files=planned.weights, scratch=scratch,
    )  # fmt: skip
    sandbox.prepare()
    yield sandbox

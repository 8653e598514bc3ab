"""A container of Docker or podman as the place for checks, with what the folder of checks has.

The image in it is the one that a build makes, with the development wheels as one more layer, which
nobody keeps. It sees no network; its root is read-only, its user and variables are the image's.
"""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from modelpack import process
from modelpack.checking.planning import Planned
from modelpack.checking.room import GRACE, TEMPORARY, Ended, Runner
from modelpack.checking.root import development_layer
from modelpack.engine import loading
from modelpack.engine.door import Engine
from modelpack.engine.value import Container, Mount
from modelpack.errors import InputError, ModelpackError, Unavailable
from modelpack.inputs.machine import Machine
from modelpack.lock import Wheel
from modelpack.oci.blobs import content_of
from modelpack.oci.image import Image
from modelpack.oci.layer import Blob, Descriptor
from modelpack.oci.manifest import MANIFEST_LIMIT
from modelpack.run_configuration import HOME
from modelpack.running import following

_NAME = "modelpack-check"
_LINE = 64 << 10
"bytes of a line that are kept until its end comes"
_SHOWN = 4 << 20
"bytes of its output after which nobody is shown more"


@dataclass(frozen=True, slots=True, kw_only=True)
class InMemory:
    """An image that is in no store, as a source for an engine."""

    image: Image

    def read(self, what: Descriptor, *, limit: int = MANIFEST_LIMIT) -> bytes:
        """Return a manifest or a configuration."""
        if what.size > limit:
            raise InputError("larger than it may be", at=what.digest)
        return content_of(self.blob(what))

    def blob(self, descriptor: Descriptor) -> Blob:
        """Return the manifest or what is below it."""
        blobs = (self.image.manifest_blob, *self.image.blobs)
        return next(blob for blob in blobs if blob.digest == descriptor.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRoom:
    """An image in an engine; each check gets a container of its own."""

    engine: Engine
    image: str
    python: str
    "the image's own interpreter"
    mounts: tuple[Mount, ...]
    say: Callable[[str], None]

    @property
    def runner(self) -> Runner:
        """What runs the checks."""
        return Runner(name=self.engine.about.kind, version=self.engine.about.version)

    def run(
        self, argv: Sequence[str], *, environment: Mapping[str, str], timeout: float,
        said: Callable[[str], None],
    ) -> Ended:  # fmt: skip
        """Run `argv` with exactly this `environment`, and return how it ended."""
        found = self._drive(argv, environment, timeout, said)
        return Ended(status=int(found.get("status", 0)), late=bool(found.get("late")))

    def _drive(
        self, argv: Sequence[str], environment: Mapping[str, str], timeout: float,
        said: Callable[[str], None],
    ) -> dict[str, Any]:  # fmt: skip
        driver = files("modelpack.checking").joinpath("container_driver.py").read_text("utf-8")
        wanted = {
            "argv": list(argv), "environment": dict(environment), "timeout": -int(-timeout // 1),
        }  # fmt: skip
        container = Container(
            image=self.image, entrypoint=self.python,
            command=("-I", "-S", "-c", driver, json.dumps(wanted)), network="none",
            mounts=self.mounts, scratch=(*TEMPORARY, HOME),
        )  # fmt: skip
        lines = _Lines(said=said)
        with following.started(
            self.engine, container, keep=False, patience=0, say=self.say
        ) as watch:
            watch.show(lines.write, stdout=False, stderr=True)
            # The driver ends what is late; whoever stops the driver is ended from here.
            with process.alarm(timeout + GRACE, lambda: _remove(self.engine, watch.id)):
                self.engine.wait(watch.id)
            watch.drain()
            # Once more when all is there: who follows a log may miss how it ends.
            answer = self._said(watch.id, stdout=True)
            if lines.taken < _SHOWN:
                lines.write(self._said(watch.id, stdout=False)[lines.taken :])
        lines.end()
        try:
            found = json.loads(answer)
        except ValueError as error:
            raise Unavailable("the container of the check has ended without a word",
                              at=str(self.engine.about)) from error  # fmt: skip
        return dict(found)

    def _said(self, container: str, *, stdout: bool) -> bytes:
        """Return what an ended container wrote, up to what anybody is shown."""
        found = bytearray()
        for block in self.engine.output(container, stdout=stdout, stderr=not stdout, follow=False):
            found += block
            if len(found) > _SHOWN:
                break
        return bytes(found)


@contextmanager
def container_room(
    engine: Engine, planned: Planned, development: tuple[Wheel, ...], *, machine: Machine,
    scratch: Path,
) -> Iterator[ContainerRoom]:  # fmt: skip
    """Bring the image and the `development` wheels into `engine`; they are gone in the end.

    An image that the engine had before under a name stays. Raises Refused as the folder does.
    """
    layer = development_layer(
        planned.made, development, planned.platform, machine=machine, scratch=scratch
    )
    image = planned.image
    if layer is not None:
        image = replace(image, layers=(*image.layers, layer))
    # A name of this run: who else needs the image keeps it by another one.
    name = f"{_NAME}:{uuid.uuid4().hex}"
    loaded = loading.load(
        engine, InMemory(image=image), image.manifest_blob.descriptor, names=(name,),
        progress=machine.progress,
    )  # fmt: skip
    try:
        yield ContainerRoom(
            engine=engine, image=loaded.id, python=planned.platform.interpreter.path,
            mounts=tuple(
                Mount(source=str(source.resolve()), target=target)
                for target, source in planned.mounted.items()
            ),
            say=machine.progress.say,
        )  # fmt: skip
    finally:
        with suppress(ModelpackError):  # what came first is what is told
            engine.forget(name)


def _remove(engine: Engine, container: str) -> None:
    with suppress(ModelpackError):
        engine.remove(container)


@dataclass(slots=True, kw_only=True)
class _Lines:
    """Bytes as lines of text; one without end is passed on in parts."""

    said: Callable[[str], None]
    kept: bytearray = field(default_factory=bytearray)
    taken: int = 0
    "bytes so far"

    def write(self, block: bytes) -> None:
        self.taken += len(block)
        self.kept += block
        *lines, rest = bytes(self.kept).split(b"\n")
        if len(rest) > _LINE:
            lines, rest = [*lines, rest], b""
        self.kept[:] = rest
        for line in lines:
            self._say(line)

    def end(self) -> None:
        """Pass on what has no end of a line."""
        if self.kept:
            self._say(bytes(self.kept))
        self.kept.clear()

    def _say(self, line: bytes) -> None:
        self.said(line.decode(errors="replace").rstrip("\r"))

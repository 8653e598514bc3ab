"""A container from its start to its end, with somebody watching who may end it at any time."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from modelpack.engine.door import Engine
from modelpack.engine.value import Container, State
from modelpack.errors import ModelpackError, Unavailable

Write = Callable[[bytes], None]
_TAIL = 64 << 10
"bytes of the end of a log that are remembered"
_AGAIN = 0.5
"seconds between two looks at whether it is ready"
_LAST_WORDS = 10.0
"seconds for the rest of its output to arrive after it ended"


@dataclass(slots=True, kw_only=True)
class Watch:
    """A container that was started, and what it writes."""

    engine: Engine
    container: Container
    id: str
    patience: int
    "seconds between its stop signal and its end"
    say: Callable[[str], None]
    tail: bytearray = field(default_factory=bytearray)
    "the end of what it wrote to stderr"
    broken: BaseException | None = None
    "why its output cannot be shown any more"
    threads: list[threading.Thread] = field(default_factory=list)

    def show(self, write: Write, *, stdout: bool, stderr: bool) -> None:
        """Pass on, from now on and in a thread of its own, what the container writes."""
        thread = threading.Thread(
            target=self._show,
            args=(write,),
            kwargs={"stdout": stdout, "stderr": stderr},
            daemon=True,
        )
        self.threads.append(thread)
        thread.start()

    def _show(self, write: Write, *, stdout: bool, stderr: bool) -> None:
        try:
            for block in self.engine.output(self.id, stdout=stdout, stderr=stderr):
                if stderr:
                    self.tail += block
                    del self.tail[:-_TAIL]
                write(block)
        except ModelpackError:
            return  # who waits for the container hears of it
        except OSError as error:
            # Nobody reads any more: as with any program in a pipe, that is the end.
            self.broken = error
            self.engine.stop(self.id, patience=self.patience)

    def ready(self, health: tuple[str, ...], seconds: float) -> bool:
        """Wait until the health check succeeds; False when it does not within `seconds`.

        Without a check it is ready when it runs. Also True when it has ended: see its state.
        """
        end = time.monotonic() + seconds
        while (state := self.engine.state(self.id)) is not None and state.running:
            if not health or self._healthy(health):
                return True
            if time.monotonic() > end:
                return False
            time.sleep(_AGAIN)
        return True

    def _healthy(self, health: tuple[str, ...]) -> bool:
        try:
            return self.engine.execute(self.id, health) == 0
        except Unavailable:  # it ended in between
            return False

    def end(self, health: tuple[str, ...], seconds: float | None) -> "Ended":
        """Wait until it ends; stop it when it is not ready within `seconds`.

        Interrupted, it sends the stop signal and goes on waiting; interrupted again, it raises.
        """
        late, told = False, False
        try:
            if seconds is not None and not self.ready(health, seconds):
                late = True
                self.stop()
            status = self.engine.wait(self.id)
        except Exception:
            raise
        except BaseException:  # noqa: BLE001  Ctrl-C, or told to end: so is the container
            self.say(f"stopping; killed after {self.patience} s, or when interrupted again")
            told = True
            self.stop()
            status = self.engine.wait(self.id)
        self.drain()
        if self.broken is not None:
            raise self.broken
        state = self.engine.state(self.id)
        return Ended(status=status, state=state, late=late, stopped=told or late)

    def drain(self) -> None:
        """Let arrive what it wrote last."""
        for thread in self.threads:
            thread.join(_LAST_WORDS)

    def stop(self) -> None:
        """Send its stop signal, then kill it."""
        self.engine.stop(self.id, patience=self.patience)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a container ended."""

    status: int
    state: State | None
    late: bool
    "it was not ready in time"
    stopped: bool
    "it did not end by itself"


@contextmanager
def started(
    engine: Engine, container: Container, *, keep: bool, patience: int, say: Callable[[str], None]
) -> Iterator[Watch]:
    """Start a container; it is removed at the end however that comes, unless `keep`.

    One that was made and not started is always removed.
    """
    id_ = engine.create(container)
    try:
        engine.start(id_)
    except BaseException:
        _remove(engine, id_)
        raise
    try:
        yield Watch(engine=engine, container=container, id=id_, patience=patience, say=say)
    except BaseException:
        _remove(engine, id_)
        raise
    else:
        if not keep:
            engine.remove(id_)


def _remove(engine: Engine, container: str) -> None:
    """Remove what failed, unless the engine fails as well: what came first is what is told."""
    with suppress(ModelpackError):
        engine.remove(container)

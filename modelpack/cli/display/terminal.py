"""Long work as seen on a terminal: one bar on stderr with rate and time left."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

from modelpack.cli import display
from modelpack.progress import SILENT, Advance, Progress

PATIENCE = 1.0
"seconds that a task runs before it shows a bar"
_INTERVAL = 0.1
"seconds between two drawings"
_BAR = 20
"columns of the bar itself"
_CLEAR = "\r\x1b[K"


def progress_for(*, quiet: bool) -> Progress:
    """Return the Progress for this process: messages always but with `-q`, bars on a terminal."""
    if quiet:
        return SILENT
    return Terminal(stream=sys.stderr, bars=sys.stderr.isatty(), clock=time.monotonic)


@dataclass(slots=True)
class _Task:
    label: str
    total: int
    started: float
    done: int = 0


@dataclass(slots=True)
class Terminal:
    """Writes messages as lines, and the tasks that run as one line that it redraws.

    Safe from any thread. The line is gone when the last task ends, however it ends.
    """

    stream: TextIO
    bars: bool
    clock: Callable[[], float]
    _tasks: list[_Task] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _drawn: bool = False
    _last: float = 0.0

    def say(self, message: str) -> None:
        """Write `message` on a line of its own."""
        with self._lock:
            self._erase()
            self.stream.write(display.escape(message) + "\n")
            self.stream.flush()

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Advance]:
        """Show how far `label` is, once it has taken longer than a second."""
        task = _Task(label, total, self.clock())
        with self._lock:
            self._tasks.append(task)
        try:
            yield lambda count: self._advance(task, count)
        finally:
            with self._lock:
                self._tasks.remove(task)
                self._erase()

    def _advance(self, task: _Task, count: int) -> None:
        with self._lock:
            task.done += count
            now = self.clock()
            if not self.bars or now - task.started < PATIENCE or now - self._last < _INTERVAL:
                return
            self._last = now
            line = " · ".join(_line(t, now) for t in self._tasks if now - t.started >= PATIENCE)
            room = display.terminal_width(self.stream) or 80
            self.stream.write(_CLEAR + display.shortened(line, room - 1))
            self.stream.flush()
            self._drawn = True

    def _erase(self) -> None:
        if self._drawn:
            self.stream.write(_CLEAR)
            self.stream.flush()
            self._drawn = False


def _line(task: _Task, now: float) -> str:
    rate = task.done / max(now - task.started, 0.001)
    label, speed = display.escape(task.label), f"{display.size(int(rate))}/s"
    if task.total <= 0:
        return f"{label} {display.size(task.done)} {speed}"
    share = min(task.done / task.total, 1.0)
    bar = ("█" * round(share * _BAR)).ljust(_BAR, "░")
    left = f" {display.duration((task.total - task.done) / rate)} left" if 0 < share < 1 else ""
    sizes = f"{display.size(task.done)} of {display.size(task.total)}"
    return f"{label} {bar} {share:4.0%} {sizes} {speed}{left}"

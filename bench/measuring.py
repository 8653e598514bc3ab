"""Whole processes measured: seconds, processor time, memory, bytes; and the limits beside them."""

import argparse
import hashlib
import mmap
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from model import MIB


@dataclass
class Row:
    """One measurement."""

    name: str
    seconds: float | None
    megabytes: int | None = None
    "resident at the peak, of the process that was started"
    read: int | None = None
    "bytes read by it, from the page cache as well"
    note: str = ""
    cpu: float | None = None
    "seconds of processor time, which a busy machine does not stretch"
    ratio: float | None = None
    "to hashing in the same moment"
    daemons: int | None = None
    "MB resident at the peak, of the engine's processes together"
    written: int | None = None
    "bytes that the disk was given to write meanwhile, by whomever"

    def take(self, other: "Row") -> None:
        """Take over what a process took."""
        self.seconds, self.megabytes, self.read = other.seconds, other.megabytes, other.read
        self.cpu, self.note = other.cpu, other.note


@contextmanager
def stage(message: str) -> Iterator[None]:
    """Tell what takes long and is not measured."""
    print(f"… {message}", file=sys.stderr, flush=True)
    yield


def limits(shards: Sequence[Path], root: Path) -> list[Row]:
    """Measure hashing and writing with all cores, the best of three."""
    total = sum(path.stat().st_size for path in shards)
    with stage("the limits of the machine"):
        hashing, cpu = min(hash_all(shards) for _ in range(3))
        target = root / "written"
        target.mkdir()
        writing = min(
            timed(
                lambda: in_threads(
                    write_zeros, [(target / path.name, 0, path.stat().st_size) for path in shards]
                )
            )
            for _ in range(2)
        )
        shutil.rmtree(target)
    return [
        Row("sha256 once, all cores", hashing, cpu=cpu, note=rate(total, hashing)),
        Row("writing as much, buffered", writing, note=rate(total, writing)),
    ]


def pieces(shards: Sequence[Path]) -> list[tuple[Path, int, int]]:
    """Return whole files where they keep all cores busy, else chunks of 64 MiB."""
    if len(shards) >= cores():
        return [(path, 0, path.stat().st_size) for path in shards]
    chunk = 64 * MIB
    return [
        (path, start, min(chunk, path.stat().st_size - start))
        for path in shards
        for start in range(0, path.stat().st_size, chunk)
    ]


def in_threads(
    work: Callable[[tuple[Path, int, int]], None], items: Sequence[tuple[Path, int, int]]
) -> None:
    """Do `work` on all items with as many threads as there are cores."""
    with ThreadPoolExecutor(max_workers=cores()) as pool:
        list(pool.map(work, items))


def hash_range(item: tuple[Path, int, int]) -> None:
    """Hash a range of a file."""
    path, start, size = item
    running, buffer = hashlib.sha256(), memoryview(mmap.mmap(-1, MIB))
    file = os.open(path, os.O_RDONLY)
    while size:
        count = os.preadv(file, [buffer[:size]], start)
        running.update(buffer[:count])
        start, size = start + count, size - count
    os.close(file)


def write_zeros(item: tuple[Path, int, int]) -> None:
    """Write a file of this size."""
    path, _, size = item
    block = bytes(MIB)
    with path.open("wb", buffering=0) as stream:
        while size:
            size -= stream.write(block[:size]) or 0


def timed(work: Callable[[], None]) -> float:
    """Return the seconds that `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def hash_all(shards: Sequence[Path]) -> tuple[float, float]:
    """Hash all shards once with all cores; return seconds, and seconds of processor time."""
    began = time.process_time()
    seconds = timed(lambda: in_threads(hash_range, pieces(shards)))
    return seconds, time.process_time() - began


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def installed(**variables: str) -> dict[str, str]:
    """Return the environment of a modelpack as pip installs it: its bytecode is kept.

    PYTHONDONTWRITEBYTECODE, which containers for development often have, would have every run
    compile every module again, a third of a build after an edit of code.
    """
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **variables}


def measured(
    command: Sequence[str], *, cwd: Path, environment: dict[str, str], name: str = ""
) -> Row:
    """Run `command` and return what it took; without seconds when it failed."""
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        read = None
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            read = bytes_read(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        last = output.read().decode(errors="replace").strip().splitlines()[-1:]
    if process.returncode:
        return Row(name, None, note=f"exit {process.returncode}: {''.join(last)[:100]}")
    unit = 1 if sys.platform == "darwin" else 1 << 10
    return Row(
        name,
        seconds,
        megabytes=usage.ru_maxrss * unit // 1_000_000,
        read=read,
        cpu=usage.ru_utime + usage.ru_stime,
    )


def bytes_read(pid: int) -> int | None:
    """Return what an ended process read, where Linux tells."""
    try:
        text = Path(f"/proc/{pid}/io").read_text()
    except OSError:
        return None
    return int(text.split("rchar: ")[1].split()[0])


def describe(root: Path, arguments: argparse.Namespace) -> str:
    """Return what is measured on what."""
    mounts = []
    if Path("/proc/mounts").exists():
        for line in Path("/proc/mounts").read_text().splitlines():
            _, place, kind, *_ = line.split()
            if root.is_relative_to(place):
                mounts.append((len(place), kind))
    file_system = max(mounts, default=(0, "unknown"))[1]
    return (
        f"{arguments.shards} x {arguments.size / (1 << 30):g} GiB, {cores()} cores "
        f"({platform.machine()}), {file_system}, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, modelpack-build {version('modelpack-build')}, "
        f"load {os.getloadavg()[0]:.1f} at the start"
    )


def rate(size: int, seconds: float) -> str:
    """Return a rate for people."""
    return f"{size / seconds / 1e9:.2f} GB/s"


def table(rows: Sequence[Row]) -> str:
    """Return the rows for people; ratios are to hashing once with all cores."""
    best = next(row.seconds for row in rows if row.seconds)
    columns: list[tuple[str, int, Callable[[Row], float | None]]] = [
        ("seconds", 2, lambda row: row.seconds),
        (" ratio", 2, lambda row: row.ratio or (row.seconds / best if row.seconds else None)),
        (" CPU s", 2, lambda row: row.cpu),
        ("MB peak", 0, lambda row: row.megabytes),
        ("MB read", 0, lambda row: row.read and row.read / 1e6),
        ("MB peak of the engine", 0, lambda row: row.daemons),
        ("MB to disk", 0, lambda row: row.written and row.written / 1e6),
    ]
    shown = [column for column in columns if any(column[2](row) is not None for row in rows)]
    lines = [f"{'':52} {' '.join(name for name, _, _ in shown)}"]
    for row in rows:
        cells = (cell(value(row), len(name), digits) for name, digits, value in shown)
        lines.append(f"{row.name:52} {' '.join(cells)}  {row.note}".rstrip())
    return "\n".join(lines)


def cell(value: float | None, width: int, digits: int) -> str:
    """Return a number set to the right, or a dash."""
    return f"{'-':>{width}}" if value is None else f"{value:{width}.{digits}f}"

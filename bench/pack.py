"""Measure packing: what this machine can do at best, what `modelpack build` takes, what peers take.

Self-contained: makes a model of safetensors shards and a project around it, then measures in one
run and prints seconds, ratios to hashing the same files once with all cores, peak memory, and
what was measured on what. A ratio is worth quoting, a second is not.

    python bench/pack.py                              4 shards of 1 GiB, in a temporary folder
    python bench/pack.py --shards 1 --size 8GiB       one big file
    python bench/pack.py --work /mnt/xfs              on another file system
"""

import argparse
import hashlib
import json
import mmap
import os
import platform
import shutil
import struct
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

MIB = 1 << 20
UNITS = {"KiB": 1 << 10, "MiB": MIB, "GiB": 1 << 30}
SETTLE = 3
"seconds: a file younger than two is not remembered by its times"
PROJECT = """schema = 1

[model]
name = "bench"
version = "1"

[weights]
path = "weights"

[code]
include = ["app/**/*.py"]
command = ["python", "-m", "app"]
"""
DOCKERFILE = """FROM scratch
COPY app /app
{copies}
"""


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


def main() -> int:
    """Make the model, measure everything, print the table."""
    arguments = parse_arguments()
    if arguments.work:
        arguments.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.work, prefix="modelpack-bench-") as folder:
        root = Path(folder)
        project = make_project(root / "project")
        environment = {**os.environ, "MODELPACK_CACHE": str(root / "cache")}
        rows: list[Row] = []
        print(describe(root, arguments), flush=True)
        with stage("caching the base with a tiny model"):
            write_shard(project / "weights" / "tiny.safetensors", 4 * MIB, 0)
            warm = modelpack(project, environment, "build")
        if warm.seconds is None:
            print(f"the first build failed: {warm.note}", file=sys.stderr)
            return 1
        (project / "weights" / "tiny.safetensors").unlink()
        with stage(f"making {arguments.shards} shards of {arguments.size} bytes"):
            shards = make_shards(project / "weights", arguments.shards, arguments.size)
            settle()
        rows += limits(shards, root)
        rows += ours(project, shards, environment, root / "cache", arguments.repeat)
        if not arguments.no_peers:
            rows += peers(project, shards, root)
        print(table(rows))
    return 0


def parse_arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--size", type=size_of, default="1GiB", help="of one shard")
    parser.add_argument("--single", type=size_of, help="one file of this size")
    parser.add_argument("--repeat", type=int, default=3, help="of builds; the median counts")
    parser.add_argument("--work", type=Path, help="folder for model, project and cache")
    parser.add_argument("--no-peers", action="store_true")
    arguments = parser.parse_args()
    if arguments.single:
        arguments.shards, arguments.size = 1, arguments.single
    return arguments


def size_of(text: str) -> int:
    """Return the bytes that `64MiB` means."""
    number, unit = text[:-3], text[-3:]
    if unit not in UNITS or not number.isdigit():
        raise argparse.ArgumentTypeError(f"not a size like 64MiB or 1GiB: {text}")
    return int(number) * UNITS[unit]


# The model and the project


def make_project(folder: Path) -> Path:
    """Write a project with one code file and no dependencies."""
    (folder / "weights").mkdir(parents=True)
    (folder / "app").mkdir()
    (folder / "app" / "__main__.py").write_text('print("hello")\n')
    (folder / "modelpack.toml").write_text(PROJECT)
    return folder


def make_shards(folder: Path, count: int, size: int) -> list[Path]:
    """Write safetensors shards of bf16-like numbers, with the index that names them."""
    names = [f"model-{n + 1:05}-of-{count:05}.safetensors" for n in range(count)]
    for number, name in enumerate(names):
        write_shard(folder / name, size, number)
    index = {
        "metadata": {"total_size": count * size},
        "weight_map": {f"layer{number}": name for number, name in enumerate(names)},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return [folder / name for name in names]


def write_shard(path: Path, size: int, number: int) -> None:
    """Write one tensor; the bytes repeat after 4 MiB, which no tool here makes use of."""
    header = json.dumps(
        {
            f"layer{number}": {
                "dtype": "BF16",
                "shape": [size // 2],
                "data_offsets": [0, size // 2 * 2],
            }
        }
    ).encode()
    header += b" " * (-len(header) % 8)
    # Small blocks: a process that is started inherits this one's peak memory.
    block = bytearray(os.urandom(4 * MIB))
    # bf16 numbers near zero share sign and exponent: every second byte has few values.
    block[1::2] = bytes(0x3C | (byte & 0x83) for byte in block[1:512:2]) * (len(block) // 512)
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(header)) + header)
        left = size // 2 * 2
        while left:
            block[:8] = struct.pack("<II", number, left % (1 << 32))
            left -= stream.write(block[:left])


def settle() -> None:
    """Let the disk catch up and files grow old enough to be remembered."""
    os.sync()
    time.sleep(SETTLE)


@contextmanager
def stage(message: str) -> Iterator[None]:
    """Tell what takes long and is not measured."""
    print(f"… {message}", file=sys.stderr, flush=True)
    yield


# What the machine can do at best


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


# Ours


def ours(
    project: Path, shards: Sequence[Path], environment: dict[str, str], cache: Path, repeat: int
) -> list[Row]:
    """Measure the builds that the limits are about; every one is a whole process."""
    rows = []

    def build(name: str, before: Callable[[], None], times: int = repeat) -> None:
        with stage(name):
            seen = []
            for _ in range(times):
                before()
                os.sync()
                seen.append(beside_hashing(shards, project, environment, "build"))
            seen.sort(key=lambda row: row.ratio or 0.0)
            row = seen[len(seen) // 2]
            row.name = name
            rows.append(row)

    def forget() -> None:
        shutil.rmtree(project / "dist", ignore_errors=True)
        shutil.rmtree(cache / "digests", ignore_errors=True)

    def unlock() -> None:
        forget()
        (project / "modelpack.lock").unlink(missing_ok=True)

    def edit_code() -> None:
        with (project / "app" / "__main__.py").open("a") as stream:
            stream.write("# edited\n")

    build("modelpack build, first, no lock (looks up the base)", unlock, 1)
    build("modelpack build, first, locked", forget)
    build("modelpack build, nothing changed", lambda: None)
    build("modelpack build, one code file changed", edit_code)
    with stage("one shard changed"):
        write_shard(shards[-1], shards[-1].stat().st_size - 512, len(shards) - 1)
        settle()
        rows.append(beside_hashing(shards, project, environment, "lock", "--upgrade", "weights"))
        rows[-1].name = "modelpack lock --upgrade weights, one shard changed"
        build("modelpack build, one shard changed", lambda: None, 1)
    return rows


def beside_hashing(
    shards: Sequence[Path], project: Path, environment: dict[str, str], *command: str
) -> Row:
    """Run the command line just after hashing the shards, so that both meet the same machine."""
    baseline, _ = hash_all(shards)
    row = modelpack(project, environment, *command)
    row.ratio = row.seconds / baseline if row.seconds else None
    return row


def modelpack(project: Path, environment: dict[str, str], *command: str) -> Row:
    """Run the real command line on the project."""
    return measured(
        [sys.executable, "-m", "modelpack", *command, str(project)],
        cwd=project,
        environment=environment,
    )


# Peers


def peers(project: Path, shards: Sequence[Path], root: Path) -> list[Row]:
    """Measure the same work by tools that are installed."""
    return [*kit(project, shards, root), *docker(project, shards), *crane(project, shards, root)]


def kit(project: Path, shards: Sequence[Path], root: Path) -> list[Row]:
    """KitOps: not a runnable image, but the fastest packer of weights."""
    if not shutil.which("kit"):
        return [Row("kit pack", None, note="not installed")]
    parts = [{"path": f"weights/{path.name}"} for path in shards[1:]]
    kitfile = {
        "manifestVersion": "1.0.0",
        "package": {"name": "bench"},
        "model": {"name": "bench", "path": f"weights/{shards[0].name}", "parts": parts},
        "code": [{"path": "app"}],
    }
    (project / "Kitfile").write_text(json.dumps(kitfile))
    environment = {**os.environ, "KITOPS_HOME": str(root / "kit")}
    rows = []
    for name in ("kit pack, first", "kit pack, nothing changed"):
        with stage(name):
            rows.append(
                measured(
                    ["kit", "pack", ".", "-t", "bench:1"],
                    cwd=project,
                    environment=environment,
                    name=name,
                )
            )
    (project / "Kitfile").unlink()
    return rows


def docker(project: Path, shards: Sequence[Path]) -> list[Row]:
    """Docker with a COPY for every shard."""
    if (
        not shutil.which("docker")
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        return [Row("docker build", None, note="no engine")]
    copies = "\n".join(f"COPY weights/{path.name} /models/{path.name}" for path in shards)
    (project / "Dockerfile").write_text(DOCKERFILE.format(copies=copies))
    rows = []
    for name in ("docker build, first", "docker build, nothing changed"):
        with stage(name):
            rows.append(
                measured(
                    ["docker", "build", "-q", "-t", "modelpack-bench:1", "."],
                    cwd=project,
                    environment={**os.environ, "DOCKER_BUILDKIT": "1"},
                    name=name,
                )
            )
    subprocess.run(["docker", "rmi", "-f", "modelpack-bench:1"], capture_output=True, check=False)
    (project / "Dockerfile").unlink()
    return rows


def crane(project: Path, shards: Sequence[Path], root: Path) -> list[Row]:
    """Crane appends tars: tar and crane together do what a build does."""
    if not shutil.which("crane"):
        return [Row("tar and crane append", None, note="not installed")]
    folder = root / "crane"
    folder.mkdir()
    tars = " ".join(f"-f {folder}/{path.name}.tar" for path in shards)
    script = " && ".join(
        [
            *(
                f"tar -C {project}/weights -cf {folder}/{path.name}.tar {path.name}"
                for path in shards
            ),
            f"crane append --oci-empty-base {tars} -t bench:1 -o {folder}/image.tar",
        ]
    )
    with stage("crane"):
        row = measured(
            ["sh", "-c", script],
            cwd=folder,
            environment=dict(os.environ),
            name="tar and crane append",
        )
    shutil.rmtree(folder)
    return [row]


# Measuring and telling


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
    lines = [f"{'':52} seconds  ratio  CPU s  MB peak  MB read"]
    for row in rows:
        ratio = row.ratio or (row.seconds / best if row.seconds else None)
        cells = (
            cell(row.seconds, 7, 2),
            cell(ratio, 6, 2),
            cell(row.cpu, 6, 2),
            cell(row.megabytes, 8, 0),
            cell(row.read and row.read / 1e6, 8, 0),
        )
        lines.append(f"{row.name:52} {' '.join(cells)}  {row.note}".rstrip())
    return "\n".join(lines)


def cell(value: float | None, width: int, digits: int) -> str:
    """Return a number set to the right, or a dash."""
    return f"{'-':>{width}}" if value is None else f"{value:{width}.{digits}f}"


if __name__ == "__main__":
    sys.exit(main())

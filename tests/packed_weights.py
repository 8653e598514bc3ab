"""A folder of weights with the manifest that the guard checks, made small for tests."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHUNK = 16
DIGEST = "sha256:" + "ab" * 32


def file_entry(path: str, data: bytes, chunk: int = CHUNK) -> dict[str, Any]:
    """Return the manifest's entry of one file."""
    parts = [data[i : i + chunk] for i in range(0, len(data), chunk)]
    return {
        "path": path,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "chunks": [hashlib.sha256(part).hexdigest() for part in parts],
    }


def weights_entry(
    root: Path,
    files: Mapping[str, bytes],
    *,
    name: str = "tiny",
    include: Sequence[str] = ("*.safetensors", "*.json"),
    exclude: Sequence[str] = (),
    chunk: int = CHUNK,
    mounted: bool = False,
) -> dict[str, Any]:
    """Write `files` below `root` and return the manifest's entry of these weights."""
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return {
        "name": name,
        "path": str(root),
        "mounted": mounted,
        "include": list(include),
        "exclude": list(exclude),
        "digest": DIGEST,
        "files": [file_entry(path, data, chunk) for path, data in sorted(files.items())],
    }


def manifest(*weights: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a manifest of `weights`; `changes` are its top-level keys."""
    whole = {
        "schema": 1, "model": {"name": "tiny", "version": "1.0.0"}, "verify": "full",
        "override": False, "mounts": "warn", "chunk": CHUNK, "digest": DIGEST,
    }  # fmt: skip
    return {**whole, "weights": list(weights), **changes}


def save(value: Any, path: Path) -> str:
    """Write a manifest, and return its path as the guard takes it."""
    path.write_text(json.dumps(value), encoding="utf-8")
    return str(path)


def events(text: str) -> list[dict[str, Any]]:
    """Return the guard's events from what it wrote to standard error."""
    return [json.loads(line) for line in text.splitlines()]


@contextmanager
def captured_events() -> Iterator[list[dict[str, Any]]]:
    """Fill the list with the guard's events of this block, where no fixture can."""
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield found
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        file.seek(0)
        found.extend(events(file.read()))

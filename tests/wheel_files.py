"""Wheels made in code, good and hostile, so that nothing binary is kept in git."""

import base64
import hashlib
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

from modelpack.lock import Interpreter, Wheel

PYTHON_3_13 = Interpreter(version="3.13.5", path="/usr/bin/python3.13", glibc="2.41")


def row(path: str, data: bytes, algorithm: str = "sha256") -> str:
    """The line of RECORD for a file."""
    digest = base64.urlsafe_b64encode(hashlib.new(algorithm, data).digest()).decode().rstrip("=")
    return f"{path},{algorithm}={digest},{len(data)}"


def build(
    folder: Path,
    name: str = "demo",
    version: str = "1.0",
    *,
    files: Mapping[str, bytes] | None = None,
    tag: str = "py3-none-any",
    metadata: str = "",
    entry_points: str = "",
    record: str | None = None,
    members: tuple[tuple[zipfile.ZipInfo, bytes], ...] = (),
    executable: frozenset[str] = frozenset(),
) -> tuple[Wheel, Path]:
    """Write a wheel; `record` replaces its RECORD, `members` are put in as they are."""
    info = f"{name}-{version}.dist-info"
    content = dict({f"{name}/__init__.py": b"VALUE = 1\n"} if files is None else files)
    content[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}".encode()
    )
    content[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
    )
    if entry_points:
        content[f"{info}/entry_points.txt"] = entry_points.encode()
    rows = [row(f'"{path}"', data) for path, data in content.items()]
    rows += [row(member.filename, data) for member, data in members]
    rows.append(f"{info}/RECORD,,")
    text = "\n".join(rows) + "\n" if record is None else record
    content[f"{info}/RECORD"] = text.encode()
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in content.items():
            archive.writestr(entry(member, executable=member in executable), data)
        for special, data in members:
            archive.writestr(special, data)
    return locked(path, name, version), path


def entry(path: str, *, executable: bool = False, mode: int = 0) -> zipfile.ZipInfo:
    """A member with a fixed time and a regular file's mode, or another `mode`."""
    info = zipfile.ZipInfo(path)
    info.external_attr = (mode or stat.S_IFREG | (0o755 if executable else 0o644)) << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def locked(path: Path, name: str, version: str) -> Wheel:
    """The lock's value for the wheel at `path`."""
    data = path.read_bytes()
    return Wheel(
        name=name.replace("_", "-"), version=version, filename=path.name, size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )  # fmt: skip

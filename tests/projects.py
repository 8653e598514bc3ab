"""Whole projects made in code: a tiny base, one wheel, weights and a lock, built without a network.

The packages are put into the cache as if they had been downloaded, so that
`modelpack build --locked --offline` works on any machine, in less than a second.
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from modelpack import platform as platforms
from modelpack import project
from modelpack.errors import ModelpackError
from modelpack.inputs.debian.mirrors import Mirrors
from modelpack.inputs.downloads import Downloads
from modelpack.inputs.file_digests import FileDigests
from modelpack.inputs.machine import Machine
from modelpack.lock import (
    AssembledBase,
    DebianRelease,
    Interpreter,
    Lock,
    PlatformLock,
    Wheel,
)
from modelpack.lock import encoding as lock_encoding
from modelpack.lock.staleness import fingerprints
from modelpack.oci import compression
from modelpack.oci.layer import REF_NAME
from modelpack.oci.layout import Layout
from modelpack.oci.references import closure
from modelpack.oci.referrers import KIND, tag_for
from modelpack.platform import Platform
from modelpack.resolve.dependencies import requirement_digests
from modelpack.resolve.runtime import runtime_lock
from modelpack.resolve.weights import resolve_weights
from modelpack.spec import Spec
from tests import debian_archive, wheel_files

AMD64 = Platform("linux", "amd64")
MACHINES = {"amd64": 62, "arm64": 183}
"`e_machine` of ELF files by architecture (ELF-64 Object File Format; AAELF64)"
EPOCH = 1_700_000_000
TOML = """\
schema = 1

[model]
name = "tiny"
version = "1.0.0"

[weights]
path = "weights"

[code]
include = ["service/**/*.py"]
command = ["python", "-m", "service"]

[runtime]
bytecode = "none"
"""
CODE: Mapping[str, bytes] = {
    "service/__init__.py": b"",
    "service/__main__.py": b'print("ready")\n',
}


def safetensors(tensors: Mapping[str, bytes]) -> bytes:
    """Return a safetensors file with one-dimensional U8 tensors (format 0.5)."""
    header: dict[str, object] = {}
    position = 0
    for name, data in tensors.items():
        end = position + len(data)
        header[name] = {"dtype": "U8", "shape": [len(data)], "data_offsets": [position, end]}
        position = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(tensors.values())


def sparse_safetensors(path: Path, size: int) -> None:
    """Write a file of `size` bytes and more whose one tensor is a hole: no disk is used."""
    text = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + size)


WEIGHTS: Mapping[str, bytes] = {
    "config.json": b'{"architectures": ["Tiny"]}\n',
    "model-00001-of-00002.safetensors": safetensors({"a": bytes(range(256)) * 8}),
    "model-00002-of-00002.safetensors": safetensors({"b": bytes(range(100))}),
    "model.safetensors.index.json": json.dumps(
        {
            "metadata": {"total_size": 2148},
            "weight_map": {
                "a": "model-00001-of-00002.safetensors",
                "b": "model-00002-of-00002.safetensors",
            },
        }
    ).encode(),
}


def make_project(
    folder: Path,
    cache: Path,
    *,
    toml: str = TOML,
    weights: Mapping[str, bytes] = WEIGHTS,
    files: Mapping[str, bytes] = CODE,
    packages: Sequence[str] = (),
    wheels: bool = True,
) -> Path:
    """Write a project with its lock to `folder`, put what it needs into `cache`, return `folder`.

    `weights` lie below `weights/`, `files` anywhere; `packages` are further Debian packages.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "modelpack.toml").write_text(toml, encoding="utf-8")
    below = {f"weights/{path}": data for path, data in weights.items()}
    for path, data in {**files, **below}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    write_lock(folder, cache, packages=packages, wheels=wheels)
    return folder


def write_lock(
    folder: Path, cache: Path, *, packages: Sequence[str] = (), wheels: bool = True
) -> Lock:
    """Lock the project anew, with the made packages, and fill the cache with them."""
    this = project.read(folder, ignore_lock=True)
    machine = machine_of(cache)
    weights, _ = resolve_weights(this.spec, folder, machine=machine, into=None)
    lock = Lock(
        fingerprints=fingerprints(this.spec, requirements=requirement_digests(this.spec, folder)),
        epoch=EPOCH,
        compressor=compression.current(this.spec.image.compression),
        runtime=runtime_lock(this.spec),
        platforms=tuple(
            _platform(this.spec, platforms.parse(name), machine.downloads, packages, wheels=wheels)
            for name in this.spec.image.platforms
        ),
        weights=weights,
    )
    project.write(this.lock_path, lock_encoding.dump(lock))
    return lock


def rewrite_lock(folder: Path, platform: PlatformLock) -> None:
    """Let the lock of a project name another `platform`."""
    this = project.read(folder)
    assert this.lock is not None
    project.write(
        this.lock_path, lock_encoding.dump(replace(this.lock, platforms=(platform,)))
    )  # fmt: skip


def machine_of(cache: Path) -> Machine:
    """Return a machine that has only `cache`."""
    return Machine(
        cache=cache, downloads=Downloads(cache), digests=FileDigests(cache / "digests"),
        mirrors=Mirrors(), indexes={}, environment={}, now=EPOCH, threads=2, host=AMD64,
        offline=True,
    )  # fmt: skip


def _platform(
    spec: Spec, platform: Platform, downloads: Downloads, packages: Sequence[str], *, wheels: bool
) -> PlatformLock:
    release = DebianRelease(
        archive="debian", suite="trixie", snapshot="20260101T000000Z", sha256="1" * 64,
        signed_by=("A" * 40,),
    )  # fmt: skip
    debs = {
        "python3.13-minimal": _python_deb(platform),
        **{name: _plain_deb(name) for name in packages},
    }
    for content in debs.values():
        keep(downloads, content)
    return PlatformLock(
        platform=platform,
        base=AssembledBase(
            distribution=spec.runtime.base,
            releases=(release,),
            packages=tuple(
                debian_archive.locked(content, name=name, architecture=platform.architecture)
                for name, content in sorted(debs.items())
            ),
        ),
        interpreter=Interpreter(version="3.13.5", path="/usr/bin/python3.13", glibc="2.41"),
        wheels=(_wheel(downloads),) if wheels else (),
        bytecode="none",
    )


def _python_deb(platform: Platform) -> bytes:
    # Not compressed: what a compressor makes differs between versions of its library.
    machine = MACHINES[platform.architecture]
    return debian_archive.deb(
        "python3.13-minimal",
        debian_archive.folder("./usr/"),
        debian_archive.folder("./usr/bin/"),
        debian_archive.file(
            "./usr/bin/python3.13",
            debian_archive.library(needed=("libc.so.6",), machine=machine), mode=0o755,
        ),
        debian_archive.file(f"./usr/lib/{platform.multiarch}/libc.so.6",
                            debian_archive.library("libc.so.6", machine=machine)),
        debian_archive.file("./usr/lib/python3.13/os.py", b"sep = '/'\n" * 2000),
        architecture=platform.architecture, suffix="",
    )  # fmt: skip


def _plain_deb(name: str) -> bytes:
    text = f"{name}\n".encode()
    return debian_archive.deb(
        name, debian_archive.file(f"./usr/share/{name}/readme", text), suffix=""
    )


def _wheel(downloads: Downloads) -> Wheel:
    content = wheel(
        "pastel", "1.0",
        {"pastel/__init__.py": b"VALUE = 1\n", "pastel/table.py": b"TABLE = range(9)\n" * 500},
    )  # fmt: skip
    return Wheel(
        name="pastel", version="1.0", filename="pastel-1.0-py3-none-any.whl", size=len(content),
        sha256=keep(downloads, content),
    )  # fmt: skip


def wheel(name: str, version: str, files: Mapping[str, bytes], *, metadata: str = "") -> bytes:
    """Return a wheel whose members are stored: the same bytes with every zlib."""
    info = f"{name}-{version}.dist-info"
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}"
    content = {
        **files,
        f"{info}/METADATA": about.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        b"Tag: py3-none-any\n",
    }
    rows = [wheel_files.row(path, data) for path, data in content.items()]
    content[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for path, data in content.items():
            member = wheel_files.entry(path)
            member.compress_type = zipfile.ZIP_STORED
            archive.writestr(member, data)
    return out.getvalue()


def keep(downloads: Downloads, content: bytes) -> str:
    """Keep `content` as if it had been downloaded; return its sha256."""
    sha256 = hashlib.sha256(content).hexdigest()
    if downloads.path(sha256) is None:
        downloads.add(sha256, len(content), lambda file: file.write(content))
    return sha256


def command(folder: Path, *options: str, python: str = sys.executable) -> list[str]:
    """Return the command that builds `folder` without a network, printing only the digest."""
    return [python, "-m", "modelpack", "build", str(folder), "--locked", "--offline", "-q",
            *options]  # fmt: skip


def environment(cache: Path, **changes: str) -> dict[str, str]:
    """Return the environment of a build that uses `cache`."""
    return {**os.environ, "MODELPACK_CACHE": str(cache), **changes}


def build(
    folder: Path,
    cache: Path,
    *options: str,
    python: str = sys.executable,
    variables: Mapping[str, str] = {},
    check: bool = True,
) -> "subprocess.CompletedProcess[str]":
    """Build `folder` in a process of its own; without `check` it may fail."""
    done = subprocess.run(
        command(folder, *options, python=python), env=environment(cache, **variables),
        capture_output=True, text=True, errors="replace", timeout=300, check=False,
    )  # fmt: skip
    if check and done.returncode:
        raise AssertionError(f"build ended with {done.returncode}:\n{done.stderr}")
    return done


def digest_of(folder: Path, cache: Path, *options: str) -> str:
    """Build `folder` and return the digest of its image."""
    return build(folder, cache, *options).stdout.strip()


DIST = frozenset({"image", "build.json", "sbom.cdx.json", "provenance.json", "oms.json"})
"what a build writes into dist/"


def tags(layout: Path) -> list[str]:
    """Return the tags of the images of a layout, in order."""
    named = [entry.annotations.get(REF_NAME, "") for entry in Layout(layout).manifests()]
    return [tag for tag in named if not tag.startswith("sha256-")]


def image_blobs(layout: Path) -> list[str]:
    """Return the names of the blobs of all images: not of what vouches for them."""
    store = Layout(layout)
    images = [
        entry for entry in store.manifests()
        if not entry.annotations.get(REF_NAME, "").startswith("sha256-")
    ]  # fmt: skip
    return sorted(digest.removeprefix("sha256:") for digest in closure(images, store.image))


def facts(layout: Path) -> dict[str, object]:
    """Return every digest of the one image of a layout, the names around it, and its evidence.

    But for the provenance, which tells when it was built and stands nowhere in the image.
    """
    store = Layout(layout)
    descriptor, others = store.manifests()
    assert others.annotations == {REF_NAME: tag_for(descriptor.digest)}
    manifest = store.image(descriptor.digest)
    config = json.loads(store.read(manifest.config))
    named = store.referrers(descriptor.digest)
    evidence = {e.annotations[KIND]: store.image(e.digest).layers[0].digest for e in named}
    assert evidence.pop("provenance")
    return {
        "manifest": descriptor.digest,
        "config": manifest.config.digest,
        "layers": [layer.digest for layer in manifest.layers],
        "diff_ids": config["rootfs"]["diff_ids"],
        "created": config["created"],
        "plan": config["config"]["Labels"]["dev.modelpack.plan.digest"],
        "blobs": sorted(closure([descriptor], store.image)),
        "strays": sorted(
            {f"sha256:{path.name}" for path in layout.glob("blobs/sha256/*")}
            - closure([descriptor, others], store.image)
        ),
        "index": descriptor.as_json(),
        "evidence": evidence,
    }


def copy_shuffled(source: Path, target: Path, *, seed: int) -> Path:
    """Copy the files of a project in an order of chance, so that folders list another order."""
    order = [path for path in source.rglob("*") if path.is_file() and "dist" not in path.parts]
    Random(seed).shuffle(order)
    for path in order:
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
        place.chmod(path.stat().st_mode & 0o777)
    return target


def damage(layout: Path) -> list[str]:
    """Return what is wrong with a layout: blobs with wrong names, strange files, missing content.

    Nothing at all where there is no `index.json` yet: such a folder names nothing.
    """
    wrong = [
        f"blob {path.name} holds other bytes"
        for path in sorted(layout.glob("blobs/sha256/*"))
        if sha256_of(path) != path.name
    ]
    if not (layout / "index.json").exists():
        return wrong
    store = Layout(layout)
    try:
        needed = closure(store.manifests(), store.image)
        wrong += [f"blob {d} is missing" for d in sorted(needed) if not store.path_of(d).is_file()]
    except ModelpackError as error:
        wrong.append(str(error))
    return wrong


def strangers(folder: Path, expected: Iterable[str]) -> list[str]:
    """Return what lies in `folder` beside the `expected` names."""
    return sorted({entry.name for entry in os.scandir(folder)} - set(expected))


def sha256_of(path: Path) -> str:
    """Return the digest of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

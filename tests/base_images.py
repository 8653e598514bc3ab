"""Small images that can be a base, made in code: a Python, a C library, and what a test adds."""

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fakes.registry_server import RegistryServer

from modelpack.digest import Digest
from modelpack.digest import of as digest_of

PATH = "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
MACHINES = {"amd64": 62, "arm64": 183}

Member = tuple[tarfile.TarInfo, bytes]


def elf(text: bytes = b"", architecture: str = "amd64") -> bytes:
    """Return what begins like an ELF file and holds `text` as a string of its own."""
    start = b"\x7fELF\x02\x01" + bytes(12) + MACHINES[architecture].to_bytes(2, "little")
    return start + bytes(100) + b"\0" + text + b"\0" + bytes(100)


def libc(version: str = "2.41", architecture: str = "amd64") -> bytes:
    """Return what says to be glibc."""
    text = f"GNU C Library (Debian GLIBC {version}-12) stable release version {version}.\n"
    return elf(text.encode(), architecture)


def file(path: str, content: bytes = b"x", *, mode: int = 0o644, uid: int = 0) -> Member:
    """Return a regular file."""
    member = tarfile.TarInfo(path)
    member.size, member.mode, member.uid = len(content), mode, uid
    return member, content


def folder(path: str, *, mode: int = 0o755, uid: int = 0) -> Member:
    """Return a folder."""
    member = tarfile.TarInfo(path)
    member.type, member.mode, member.uid = tarfile.DIRTYPE, mode, uid
    return member, b""


def link(path: str, target: str, *, hard: bool = False) -> Member:
    """Return a link."""
    member = tarfile.TarInfo(path)
    member.type, member.linkname = (tarfile.LNKTYPE if hard else tarfile.SYMTYPE), target
    return member, b""


def layer(*members: Member) -> bytes:
    """Return a tar of `members` in their order."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def debian(version: str = "3.13.5", architecture: str = "amd64") -> bytes:
    """Return a layer like those of Debian: merged /usr, a Python, glibc, certificates."""
    minor = ".".join(version.split(".")[:2])
    triplet = {"amd64": "x86_64", "arm64": "aarch64"}[architecture] + "-linux-gnu"
    return layer(
        folder("usr/bin"), link("bin", "usr/bin"), link("lib", "usr/lib"),
        file(f"usr/bin/python{minor}", elf(version.encode(), architecture), mode=0o755),
        link("usr/bin/python3", f"python{minor}"),
        file(f"usr/lib/python{minor}/os.py"),
        file(f"usr/lib/{triplet}/libc.so.6", libc(architecture=architecture)),
        file("etc/ssl/certs/ca-certificates.crt", b"-----BEGIN CERTIFICATE-----\n"),
        folder("tmp", mode=0o1777),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeImage:
    """An image by its documents and blobs."""

    manifest: bytes
    config: bytes
    layers: tuple[bytes, ...]
    "as they are stored"

    @property
    def digest(self) -> Digest:
        """The digest of the manifest."""
        return digest_of(self.manifest)

    def put(self, registry: RegistryServer, repository: str, *tags: str) -> str:
        """Push it; return the name of its first tag."""
        registry.put(repository, self.manifest, *tags, blobs=(self.config, *self.layers))
        return f"{registry.address}/{repository}:{tags[0]}"


def packed(data: bytes) -> bytes:
    """Return `data` compressed with gzip."""
    return gzip.compress(data, mtime=0)


def image(
    *layers: bytes,
    architecture: str = "amd64",
    docker: bool = True,
    compress: Callable[[bytes], bytes] = packed,
    run: Mapping[str, Any] | None = None,
    **config: Any,
) -> MadeImage:
    """Return an image of plain tars `layers`; `run` is the `config` member, PATH by default."""
    stored = tuple(compress(data) for data in layers)
    settings = {
        "architecture": architecture, "os": "linux", "created": "2026-01-02T03:04:05.678901234Z",
        "config": {"Env": [PATH]} if run is None else run,
        "rootfs": {"type": "layers", "diff_ids": [digest_of(data) for data in layers]},
        **config,
    }  # fmt: skip
    kinds = (
        ("application/vnd.docker.distribution.manifest.v2+json",
         "application/vnd.docker.container.image.v1+json", DOCKER_LAYER)
        if docker
        else ("application/vnd.oci.image.manifest.v1+json",
              "application/vnd.oci.image.config.v1+json", OCI_LAYER)
    )  # fmt: skip
    encoded = json.dumps(settings).encode()
    manifest = {
        "schemaVersion": 2, "mediaType": kinds[0],
        "config": _descriptor(kinds[1], encoded),
        "layers": [_descriptor(kinds[2], data) for data in stored],
    }  # fmt: skip
    return MadeImage(manifest=json.dumps(manifest).encode(), config=encoded, layers=stored)


def index(images: Mapping[str, MadeImage], *, extra: Sequence[Mapping[str, Any]] = ()) -> bytes:
    """Return an index of `images` by architecture, as buildx writes one."""
    entries = [
        {**_descriptor(json.loads(one.manifest)["mediaType"], one.manifest),
         "platform": {"os": "linux", "architecture": architecture,
                      **({"variant": "v8"} if architecture == "arm64" else {})}}
        for architecture, one in images.items()
    ]  # fmt: skip
    return json.dumps(
        {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
         "manifests": [*entries, *extra]}
    ).encode()  # fmt: skip


def _descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}

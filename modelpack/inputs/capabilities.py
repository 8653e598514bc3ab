"""What this machine can do, for `modelpack doctor`: each answer with the way to mend it."""

import importlib.metadata
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from modelpack import process
from modelpack.errors import Finding, ModelpackError, Unavailable
from modelpack.inputs.machine import Machine

State = Literal["ok", "missing", "limited"]
"`limited`: everything works, but slower or with less"
_ROOM = 5_000_000_000
"bytes that a build of a small model with a cold cache may need"
_PATIENCE = 20.0
"seconds for a program or a server to answer"
_FICLONE = 0x40049409
"ioctl_ficlone(2)"
_DISTRIBUTION = "modelpack-build"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """One thing that commands need."""

    name: str
    state: State
    found: str
    "what is there"
    needed_for: str
    hint: str = ""


def probe(machine: Machine, folder: Path, *, online: bool) -> tuple[Capability, ...]:
    """Return what this machine can do; `online` asks mirrors and the package index too."""
    return (
        *_packages(),
        _signatures(machine),
        _git(machine),
        _platform(machine),
        _namespaces(machine),
        *_room(machine, folder),
        _cloning(folder),
        _engine(machine),
        _trivy(machine),
        _clamav(machine),
        *(_network(machine) if online else ()),
    )


def _packages() -> Iterator[Capability]:
    """Compare what the distribution requires with what is installed."""
    from packaging.requirements import Requirement  # noqa: PLC0415

    version = ".".join(map(str, sys.version_info[:3]))
    yield Capability(name="Python", state="ok", found=version, needed_for="everything")
    try:
        required = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        required = []
    told = {"pysequoia"}  # gpgv does as well: see _signatures
    for requirement in map(Requirement, required):
        if requirement.name in told:
            continue
        told.add(requirement.name)  # two extras may want one package
        optional = requirement.marker is not None and "extra" in str(requirement.marker)
        installed = _installed(requirement.name)
        fits = bool(installed) and requirement.specifier.contains(installed, prereleases=True)
        yield Capability(
            name=requirement.name,
            state="ok" if fits else "limited" if optional else "missing",
            found=installed or "not installed",
            needed_for=_USES.get(requirement.name, "everything"),
            hint="" if fits else f"pip install '{requirement.name}{requirement.specifier}'",
        )


_USES: Mapping[str, str] = {
    "boto3": "weights from s3://, sign with a key in AWS KMS",
    "deflate": "build",
    "fickling": "check, lock and build of files in weights.allow-unsafe",
    "huggingface-hub": "weights from hf://",
    "installer": "build",
    "jinja2": "render",
    "jsonschema": "[interface]",
    "openapi-spec-validator": "[interface] with an OpenAPI document",
    "packaging": "lock, build",
    "pip": "lock, build",
    "pip-tools": "lock with dependencies.source",
    "python-pkcs11": "sign with a key on a token or in an HSM",
    "safetensors": "shard",
    "schemathesis": "test: requests made from an OpenAPI document",
    "securesystemslib": "sign with a key in a KMS",
    "sigstore": "sign, verify",
    "yara-x": "scan --yara, check --yara",
    "zstandard": 'build with compression = "zstd"',
}


def _installed(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _signatures(machine: Machine) -> Capability:
    gpgv = shutil.which("gpgv", path=machine.environment.get("PATH"))
    found = " and ".join(filter(None, ("pysequoia" * bool(_installed("pysequoia")), gpgv)))
    return Capability(
        name="OpenPGP",
        state="ok" if found else "missing",
        found=found or "neither pysequoia nor gpgv",
        needed_for="lock (signatures of Debian's indexes)",
        hint="" if found else "pip install pysequoia",
    )


def _git(machine: Machine) -> Capability:
    found = _answer(machine, "git", "--version").removeprefix("git version ")
    return Capability(
        name="git",
        state="ok" if found else "limited",
        found=found or "not installed",
        needed_for="build (revision of the code)",
        hint="" if found else "install git, or pass `--revision REV|none`",
    )


def _platform(machine: Machine) -> Capability:
    name = f"{sys.platform}/{os.uname().machine}"
    return Capability(
        name="platform",
        state="ok" if machine.host else "limited",
        found=str(machine.host or name),
        needed_for="build (bytecode compiled by the base's Python)",
        hint="" if machine.host else 'set `bytecode = "none"`, or build on Linux',
    )


def _namespaces(machine: Machine) -> Capability:
    unshare = ("unshare", "--user", "--net", "true")
    works = machine.host is not None and _ends_well(machine, *unshare)
    return Capability(
        name="user namespaces",
        state="ok" if works else "limited",
        found="allowed" if works else "not allowed, or not on this system",
        needed_for="build (compiling bytecode without network), check --run",
        hint=""
        if works
        else "bytecode is compiled all the same, with the network in reach, and "
        "check --run takes a container engine",
    )


def _room(machine: Machine, folder: Path) -> Iterator[Capability]:
    for name, path in (("room in the cache", machine.cache), ("room for dist", folder)):
        there = next(p for p in (path, *path.absolute().parents) if p.exists())
        free = shutil.disk_usage(there).free
        yield Capability(
            name=name,
            state="ok" if free >= _ROOM else "limited",
            found=f"{free / 1e9:.1f} GB free at {path}",
            needed_for="build",
            hint="" if free >= _ROOM else "`modelpack cache prune`, or set MODELPACK_CACHE",
        )


def _cloning(folder: Path) -> Capability:
    clones = _clones(folder)
    return Capability(
        name="shared disk blocks",
        state="ok" if clones else "limited",
        found="the file system clones" if clones else "the file system copies",
        needed_for="build (weights that take no room and no time)",
        hint="" if clones else "btrfs, xfs and bcachefs clone; nothing is wrong without",
    )


def _clones(folder: Path) -> bool:
    import fcntl  # noqa: PLC0415

    if sys.platform != "linux":
        return False
    try:
        with tempfile.TemporaryFile(dir=folder) as one, tempfile.TemporaryFile(dir=folder) as two:
            one.write(bytes(4096))
            one.flush()
            fcntl.ioctl(two.fileno(), _FICLONE, one.fileno())
    except OSError:
        return False
    return True


def _trivy(machine: Machine) -> Capability:
    found = _answer(machine, "trivy", "version").removeprefix("Version: ")
    return Capability(
        name="Trivy",
        state="ok" if found else "limited",
        found=found or "not installed",
        needed_for="scan, build --scan",
        hint="" if found else "https://trivy.dev/docs/latest/getting-started/installation/",
    )


def _clamav(machine: Machine) -> Capability:
    found = _answer(machine, "clamscan", "--version")
    dated = found.count("/") > 1  # engine, database, and of when it is
    return Capability(
        name="ClamAV",
        state="ok" if dated else "limited",
        found=found or "not installed",
        needed_for="scan --malware, check --malware",
        hint="" if dated else
        "it has no database: freshclam, or `--malware-db DIR`" if found else
        "`apt-get install clamav` or `brew install clamav`, then `freshclam`",
    )  # fmt: skip


def _engine(machine: Machine) -> Capability:
    from modelpack.engine import address, connecting  # noqa: PLC0415  heavy

    problem: Finding | None = None
    found = ""
    try:
        found = str(connecting.connect(address.addresses(machine.environment)).about)
    except ModelpackError as error:
        problem = error.findings[0]
        found = f"{problem.at}: {problem.message}" if problem.at else problem.message
    return Capability(
        name="container engine",
        state="limited" if problem else "ok",
        found=found,
        needed_for="run, test, build --load, inspect docker-daemon:, check --run --engine",
        hint=problem.hint if problem else "",
    )


def _network(machine: Machine) -> Iterator[Capability]:
    mirrors = machine.mirrors
    roots = (("Debian mirror", mirrors.debian), ("security mirror", mirrors.debian_security))
    for name, urls in roots:
        suite = "trixie-security" if name.startswith("security") else "trixie"
        problem = _reach(f"{urls[0]}/dists/{suite}/InRelease")
        yield _reached(name, urls[0], problem, "lock, build with a cold cache")
    snapshots = _reached(
        "Debian snapshots", mirrors.snapshot, _reach(f"{mirrors.snapshot}/"), "build of old locks"
    )
    yield replace(snapshots, state="limited") if snapshots.state == "missing" else snapshots
    pip = (sys.executable, "-m", "pip", "index", "versions", "pip", "--disable-pip-version-check")
    found = "" if _ends_well(machine, *pip) else "pip cannot list versions"
    yield _reached("package index", "what pip is configured for", found, "lock, build")


def _reached(name: str, url: str, problem: str, needed_for: str) -> Capability:
    return Capability(
        name=name,
        state="missing" if problem else "ok",
        found=f"{url}: {problem}" if problem else url,
        needed_for=needed_for,
        hint="set a mirror in the user's configuration, or build with `--offline`"
        if problem
        else "",
    )


def _reach(url: str) -> str:
    """Return why `url` cannot be had, or nothing."""
    from urllib.error import URLError  # noqa: PLC0415  heavy
    from urllib.request import Request, urlopen  # noqa: PLC0415

    request = Request(url, method="HEAD")  # noqa: S310  mirrors are http and https
    try:
        with urlopen(request, timeout=_PATIENCE):  # noqa: S310
            return ""
    except (URLError, OSError, ValueError) as error:
        return str(getattr(error, "reason", error))[:200]


def _answer(machine: Machine, *argv: str) -> str:
    try:
        done = process.run(argv, environment=machine.environment, timeout=_PATIENCE)
    except Unavailable:
        return ""
    lines = done.stdout.decode(errors="replace").splitlines()
    return lines[0][:200] if done.status == 0 and lines else ""


def _ends_well(machine: Machine, *argv: str) -> bool:
    try:
        return process.run(argv, environment=machine.environment, timeout=_PATIENCE).status == 0
    except Unavailable:
        return False

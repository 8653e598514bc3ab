"""Names of images: where one is read from or written to, parsed without looking at the disk.

`parse` and `str` are inverse to each other on every value that `parse` returns.
"""

import re
from dataclasses import dataclass
from typing import Literal

from modelpack import digest as digests
from modelpack.digest import Digest
from modelpack.errors import InputError

TAG = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
'OCI distribution-spec, "Pulling manifests"'
WEIGHTS_SUFFIX = "-weights"
"of a tag: the image of the weights that are mounted into the image with the tag"
ARTIFACT_SUFFIX = "-modelpack"
"of a tag: the model artifact made from the image with the tag"
DOCKER_HUB = "docker.io"
_LONGEST = 4096
_LONGEST_REPOSITORY = 255
_TAG = re.compile(TAG)
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{{1,5}})?")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with a `modelpack.toml`: the image last built from it."""

    path: str

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class Layout:
    """An image in an OCI image layout, a folder; by tag, by digest, or the only one."""

    path: str
    tag: str = ""
    digest: Digest | None = None

    def __str__(self) -> str:
        return f"oci:{self.path}{_suffix(self.tag, self.digest)}"


@dataclass(frozen=True, slots=True)
class Archive:
    """A tar file of one image, for `docker load`, podman and skopeo."""

    kind: Literal["oci-archive", "docker-archive"]
    path: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.path}"


@dataclass(frozen=True, slots=True)
class Registry:
    """A repository of a registry; with a tag, a digest, both or neither."""

    host: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    def __str__(self) -> str:
        return f"{self.name}{_suffix(self.tag, self.digest)}"

    @property
    def name(self) -> str:
        """The repository with its host, as signatures and statements name it."""
        return f"{self.host}/{self.repository}"

    @property
    def familiar(self) -> str:
        """The name as engines and people write it: without what Docker Hub's names imply."""
        name = self.name
        if self.host == DOCKER_HUB:
            name = self.repository.removeprefix("library/")
        return f"{name}{_suffix(self.tag, self.digest)}"


@dataclass(frozen=True, slots=True)
class Daemon:
    """An image of a Docker engine."""

    reference: Registry

    def __str__(self) -> str:
        return f"docker-daemon:{self.reference}"


@dataclass(frozen=True, slots=True)
class ContainersStorage:
    """An image in the storage of podman, Buildah and CRI-O."""

    reference: Registry

    def __str__(self) -> str:
        return f"containers-storage:{self.reference}"


Reference = Project | Layout | Archive | Daemon | ContainersStorage | Registry


def parse(text: str, *, at: str = "") -> Reference:  # noqa: PLR0911  one for each transport
    """Return what `text` names, or raise InputError.

    What starts with `.` or `/`, or is empty, is a project. Otherwise a transport before the first
    `:` decides (containers-transports(5)); all else is a registry reference.
    """
    if len(text) > _LONGEST or _UNPRINTABLE.search(text):
        raise InputError("an image name may not be that long or hold control characters", at=at)
    if not text or text[0] in "./":
        return Project(text or ".")
    if text.startswith("docker://"):
        return registry(text.removeprefix("docker://"), at=at)
    transport, colon, rest = text.partition(":")
    match transport if colon else "":
        case "oci":
            return _layout(rest, at=at)
        case "oci-archive" | "docker-archive" as kind:
            return Archive(kind, _present(rest, text, at=at))
        case "docker-daemon":
            return Daemon(registry(rest, at=at))
        case "containers-storage":
            return ContainersStorage(registry(rest, at=at))
        case _:
            return registry(text, at=at)


def registry(text: str, *, at: str = "") -> Registry:
    """Return the registry reference `text` with Docker Hub's short names written out.

    Follows the grammar of distribution/reference; raises InputError.
    """
    if url := _URL.match(text):
        raise InputError(
            f"an image name has no `{url[0]}`", at=at, hint=f"write `{text[url.end() :]}`"
        )
    name, tag, digest = _split(text, at=at)
    host, slash, repository = name.partition("/")
    if not slash or not (set(".:") & set(host) or host == "localhost" or host != host.lower()):
        host, repository = DOCKER_HUB, name
    if host == "index.docker.io":
        host = DOCKER_HUB
    if host == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    if not _HOST.fullmatch(host):
        raise InputError(f"not a registry host: `{host}`", at=at)
    if len(repository) > _LONGEST_REPOSITORY or not _REPOSITORY.fullmatch(repository):
        raise InputError(
            f"not a repository: `{repository}`",
            at=at,
            hint="names are lowercase letters and digits, joined by `.`, `_`, `-` and `/`; "
            "a folder starts with `./`",
        )
    return Registry(host, repository, tag, digest)


def _layout(text: str, *, at: str) -> Layout:
    path, tag, digest = _split(text, at=at)
    if tag and digest:
        raise InputError("give a tag or a digest, not both", at=at)
    return Layout(_present(path, f"oci:{text}", at=at), tag, digest)


def _split(text: str, *, at: str) -> tuple[str, str, Digest | None]:
    name, _, digest_text = text.partition("@sha")
    digest = digests.parse("sha" + digest_text, at=at) if digest_text else None
    if name != text and digest is None:
        raise InputError("no digest after `@sha`", at=at)
    before, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        return name, "", digest
    if not _TAG.fullmatch(tag):
        raise InputError(f"not a tag: `{tag}`", at=at, hint="letters, digits and `.`, `_`, `-`")
    return before, tag, digest


def _present(path: str, text: str, *, at: str) -> str:
    if not path:
        raise InputError(f"no path in `{text}`", at=at)
    return path


def _suffix(tag: str, digest: Digest | None) -> str:
    return (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")

"""Where weights live: `weights.source`, parsed without asking anybody."""

import re
from dataclasses import dataclass

from modelpack import reference
from modelpack.errors import InputError
from modelpack.reference import Archive, Layout, Registry

DEFAULT_REVISION = "main"
"of a repository of a hub"
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]")
_LONGEST = 2048
_REPOSITORY = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._-]{0,95}/)?[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_REVISION = re.compile(r"(?!.*\.\.)[A-Za-z0-9](?:[A-Za-z0-9._/+-]{0,198}[A-Za-z0-9._+-])?")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
)
_OWN_HOST = re.compile(r"[^/]*[.:][^/]*/.+|localhost/.+")
"a registry reference that says which registry it means"


@dataclass(frozen=True, slots=True)
class Hub:
    """A repository of models on the Hugging Face Hub, or on a server that speaks like it."""

    repository: str
    revision: str
    "a commit, or a branch or tag that leads to one"

    def __str__(self) -> str:
        return f"hf://{self.repository}@{self.revision}"


@dataclass(frozen=True, slots=True)
class Bucket:
    """Objects of a bucket: one object, or all below a prefix."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


@dataclass(frozen=True, slots=True)
class Website:
    """One file, or with a last `/` a folder of files whose names the spec lists."""

    url: str

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True, slots=True)
class Stored:
    """An image or artifact that holds weights: in a layout, an archive or a registry."""

    name: Layout | Archive | Registry

    def __str__(self) -> str:
        return str(self.name)


WeightSource = Hub | Bucket | Website | Stored


def is_commit(text: str) -> bool:
    """Tell whether a revision of a hub is a commit, which never moves."""
    return _COMMIT.fullmatch(text) is not None


def parse(text: str, *, at: str = "") -> WeightSource:
    """Return what `text` names, or raise InputError."""
    if len(text) > _LONGEST or _UNPRINTABLE.search(text):
        raise InputError("a source may not be that long or hold blanks or controls", at=at)
    scheme, separator, rest = text.partition("://")
    match scheme if separator else "":
        case "hf":
            return _hub(rest, at=at)
        case "s3":
            return _bucket(rest, at=at)
        case "https":
            return _website(text, rest, at=at)
        case "http":
            raise InputError("weights are fetched by https only", at=at)
        case _:
            return _stored(text, at=at)


def _hub(rest: str, *, at: str) -> Hub:
    repository, written, revision = rest.partition("@")
    if not _REPOSITORY.fullmatch(repository):
        raise InputError("not a repository of a hub", at=at, hint="`hf://ORG/REPO@<commit>`")
    if written and not _REVISION.fullmatch(revision):
        raise InputError(
            "not a revision", at=at, hint="a commit, or a branch or tag that leads to one"
        )
    return Hub(repository, revision or DEFAULT_REVISION)


def _bucket(rest: str, *, at: str) -> Bucket:
    bucket, _, prefix = rest.partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise InputError("not a bucket", at=at, hint="`s3://BUCKET/PREFIX`")
    return Bucket(bucket, prefix)


def _website(text: str, rest: str, *, at: str) -> Website:
    host, slash, path = rest.partition("/")
    if "@" in host:
        raise InputError(
            "the source holds credentials, which the image would tell everybody", at=at,
            hint="take them out; ~/.netrc is asked for them",
        )  # fmt: skip
    if not _HOST.fullmatch(host) or not slash or not path:
        raise InputError("not the URL of a file", at=at, hint="`https://HOST/FOLDER/FILE`")
    if "?" in path or "#" in path:
        raise InputError(
            "the source has a query, which the image would tell everybody", at=at,
            hint="name a URL without `?` and `#`; signed URLs do not last anyway",
        )  # fmt: skip
    return Website(text)


def _stored(text: str, *, at: str) -> Stored:
    found = reference.parse(text, at=at)
    named = text.startswith("docker://") or _OWN_HOST.fullmatch(text)
    if isinstance(found, Layout | Archive) or (isinstance(found, Registry) and named):
        return Stored(found)
    raise InputError(
        "not a source of weights", at=at,
        hint="`hf://ORG/REPO@<commit>`, `s3://…`, `https://…`, `oci:FOLDER`, or an image with its "
        "registry, such as `ghcr.io/acme/model:1`; a folder is `path`",
    )  # fmt: skip


def pinned(text: str, revision: str) -> str:
    """Return the source `text` as a URI that names the `revision` that was resolved."""
    source = parse(text)
    match source:
        case Hub():
            return f"hf://{source.repository}@{revision or source.revision}"
        case Stored(Registry() as name):
            return f"{name.name}@{revision}" if revision else str(source)
        case Stored(Layout() as layout):
            return f"oci:{layout.path}@{revision}" if revision else str(source)
        case _:
            return str(source)


def uri_of(text: str, revision: str, path: str, *, version: str = "", single: bool = False) -> str:
    """Return the URI of one file of a source: as exact as the source can be named.

    `single`: the source is that file, and no folder.
    """
    source, whole = parse(text), pinned(text, revision)
    match source:
        case Bucket():
            key = key_of(source, path, single=single)
            return f"s3://{source.bucket}/{key}{f'?versionId={version}' if version else ''}"
        case Website():
            return whole if single else f"{whole}{path}"
        case Hub():
            return f"{whole}/{path}"
        case Stored():
            return f"{whole}#{path}"


def key_of(source: Bucket, path: str, *, single: bool) -> str:
    """Return the key of the object that is the file `path` of the source."""
    if single:
        return source.prefix
    prefix = source.prefix.rstrip("/")
    return f"{prefix}/{path}" if prefix else path

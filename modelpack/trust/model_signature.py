"""The files of a model by digest, as OpenSSF Model Signing (OMS) has them signed.

Source: ossf/model-signing-spec, v1.0: one subject, whose digest is over the digests of all files
in the order of their names (6.5.1); method `files`, sha256. Whoever has the folder can check it
without this program.
"""

import hashlib
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from modelpack.digest import Digest, hex_of, of_hex
from modelpack.errors import Finding, InputError
from modelpack.lock import WeightsLock
from modelpack.metadata import NAMEPLATE
from modelpack.oci.layer import blob_of
from modelpack.oci.manifest import printable
from modelpack.oci.referrers import Referrer
from modelpack.trust import predicate_types
from modelpack.trust.members import Members
from modelpack.trust.statement import PREDICATE_TYPE, Statement, Subject

if TYPE_CHECKING:
    from modelpack.trust.bundle import Bundle

ARTIFACT_TYPE: Final = "application/vnd.modelpack.oms.v1+json"
"""of a signature beside an image. Not that of a Sigstore bundle: its subject is the model, and
tools that read every bundle of an image would stumble over it"""
SIGNATURE_FILE: Final = "model.sig"
"""in the folder of the weights: the one packed file that a signature need not be over, for it is
not over itself (6.2), and nothing is loaded from it. So it is when locked, verified and started"""
_IGNORED: Final = (".git", ".gitattributes", ".github", ".gitignore")
"what a clone of the model's repository has besides"
_FILES_LIMIT: Final = 100_000
_NAME_LIMIT: Final = 4096
_SHA256_DIGITS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The files of a model that somebody vouches for."""

    name: str
    "of the model's folder; says nothing (6.5)"
    digest: Digest
    "over the digests of all files"
    files: Mapping[str, str]
    "hexadecimal digits of the sha256 by path"


def statement(weights: WeightsLock, *, mounted: bool) -> Statement:
    """Return the statement about one set of weights whose digests somebody has proved."""
    files = sorted(weights.files, key=lambda file: file.path)
    root = _root({file.path: file.sha256 for file in files})
    resources: list[dict[str, Any]] = [
        {"name": file.path, "algorithm": "sha256", "digest": file.sha256} for file in files
    ]
    return Statement(
        subjects=(
            Subject(
                name=posixpath.basename(weights.destination),
                digest={"sha256": hex_of(root)},
            ),
        ),
        predicate_type=predicate_types.OMS,
        predicate={
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": sorted((*_IGNORED, *((NAMEPLATE,) if mounted else ()))),
            },
            "resources": resources,
        },
    )


def referrer(bundle: "Bundle", *, kind: str) -> Referrer:
    """Return a signature of a model as what stands beside an image that holds the model."""
    return Referrer(
        artifact_type=ARTIFACT_TYPE,
        content=blob_of(bundle.as_bytes(), ARTIFACT_TYPE),
        annotations={PREDICATE_TYPE: predicate_types.OMS},
        kind=kind,
    )


def read(statement: Statement, *, at: str = "signature") -> Manifest:
    """Return the files that `statement` is about, or raise InputError with what is not OMS.

    Only whole files by sha256 are read, which every implementation can write (10); ranges and
    other hashes are refused by name, as 6.3.2 asks.
    """
    if statement.predicate_type != predicate_types.OMS:
        other = printable(statement.predicate_type)
        raise InputError(
            f"not the signature of a model: its predicate is `{other}`", at=at,
            hint=f"one is `{predicate_types.OMS}`",
        )  # fmt: skip
    predicate = Members(statement.predicate, at=f"{at}.predicate")
    serialization = predicate.child("serialization")
    _expect(serialization, "method", "files", hint="sign whole files, not ranges")
    _expect(serialization, "hash_type", "sha256", hint="sign with sha256")
    files = dict(_resources(predicate))
    if not files:
        raise InputError("it names no file", at=f"{at}.predicate.resources")
    root = _root(files)
    if [subject.sha256 for subject in statement.subjects] != [root]:
        raise InputError("its subject is not the digest over its files", at=f"{at}.subject")
    return Manifest(name=statement.subjects[0].name, digest=root, files=files)


def differences(manifest: Manifest, weights: WeightsLock, *, at: str) -> Iterator[Finding]:
    """Yield how the packed files are not the signed ones; a part of the signed files will do."""
    for file in weights.files:
        if file.path == SIGNATURE_FILE:
            continue
        signed = manifest.files.get(file.path)
        if signed is None:
            yield Finding(
                message=f"`{file.path}` is packed and was not signed", at=at,
                rule="weights.unsigned",
                hint="leave it out with `weights.exclude`, or have it signed; the signature itself "
                f"is packed as `{SIGNATURE_FILE}`",
            )  # fmt: skip
        elif signed != file.sha256:
            yield Finding(
                message=f"`{file.path}` is not the signed file: {of_hex(file.sha256)}, "
                f"{of_hex(signed)} was signed",
                at=at, rule="weights.signature", hint="get the files that were signed",
            )  # fmt: skip


def _root(files: Mapping[str, str]) -> Digest:
    """Return the digest over all files (6.5.1)."""
    whole = hashlib.sha256(b"".join(bytes.fromhex(files[path]) for path in sorted(files)))
    return of_hex(whole.hexdigest())


def _resources(predicate: Members) -> Iterator[tuple[str, str]]:
    before = ""
    for item in predicate.children("resources", limit=_FILES_LIMIT):
        name = item.text("name", limit=_NAME_LIMIT)
        digest = item.text("digest", limit=2 * _SHA256_DIGITS)
        _expect(item, "algorithm", "sha256", hint="sign with sha256")
        if not _is_canonical(name):
            raise InputError(f"not a path within a model: `{printable(name)}`", at=item.at)
        if before >= name:
            raise InputError("its files are not in the order of their names, each once", at=item.at)
        if len(digest) != _SHA256_DIGITS or not set(digest) <= set("0123456789abcdef"):
            raise InputError("not a sha256 digest", at=item.where("digest"))
        before = name
        yield name, digest


def _is_canonical(name: str) -> bool:
    """Tell whether `name` is written as 6.1.2 wants it."""
    parts = name.split("/")
    return bool(name) and "\0" not in name and not {"", ".", ".."} & {*parts}


def _expect(members: Members, key: str, value: str, *, hint: str) -> None:
    found = members.text(key, limit=64)
    if found != value:
        raise InputError(
            f"`{printable(found)}` is not read by this version", at=members.where(key), hint=hint
        )

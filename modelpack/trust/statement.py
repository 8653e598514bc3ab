"""What somebody says about artifacts: in-toto statements, written canonically, read strictly.

Source: in-toto attestation framework, `spec/v1/statement.md` and `resource_descriptor.md`; v0.1,
which cosign still writes, is read too.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelpack import canonical_json
from modelpack.digest import Digest, hex_of, of_hex
from modelpack.errors import InputError
from modelpack.oci.layer import Blob, blob_of
from modelpack.oci.manifest import parse_object, printable
from modelpack.oci.referrers import Referrer

V1: Final = "https://in-toto.io/Statement/v1"
V01: Final = "https://in-toto.io/Statement/v0.1"
MEDIA_TYPE: Final = "application/vnd.in-toto+json"
PREDICATE_TYPE: Final = "in-toto.io/predicate-type"
"annotation by which Docker Scout, buildx and Trivy choose statements"
SIZE_LIMIT: Final = 64 << 20
"bytes of a statement; the SBOM of a large image has a few million"
_SUBJECTS = 10_000
_ALGORITHM = re.compile(r"[A-Za-z0-9_./-]{1,64}")
_DIGITS = re.compile(r"[0-9a-f]{8,256}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An artifact that a statement is about."""

    name: str
    "for people; may be empty in what others write"
    digest: Mapping[str, str]
    "lowercase hexadecimal digits by algorithm"

    @property
    def sha256(self) -> Digest | None:
        """The digest that an image is named by."""
        return of_hex(self.digest["sha256"]) if "sha256" in self.digest else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A predicate about subjects."""

    subjects: tuple[Subject, ...]
    predicate_type: str
    "a URI"
    predicate: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return the statement as JSON values, in version 1."""
        return {
            "_type": V1,
            "subject": [
                {"name": subject.name, "digest": dict(subject.digest)} for subject in self.subjects
            ],
            "predicateType": self.predicate_type,
            "predicate": self.predicate,
        }

    def as_bytes(self) -> bytes:
        """Return the statement as it is stored and signed: one value, one text."""
        return canonical_json.dumps(self.as_json())

    def as_blob(self) -> Blob:
        """Return the statement as content of a store."""
        return blob_of(self.as_bytes(), MEDIA_TYPE)

    def is_about(self, digest: Digest) -> bool:
        """Tell whether one of the subjects is `digest`."""
        return any(subject.sha256 == digest for subject in self.subjects)


def about(name: str, *digests: Digest) -> tuple[Subject, ...]:
    """Return the images with `digests` as subjects, each under `name`, which clients ask for."""
    return tuple(Subject(name=name, digest={"sha256": hex_of(digest)}) for digest in digests)


def referrer(statement: Statement, *, kind: str) -> Referrer:
    """Return the unsigned `statement` as what vouches for an image.

    A later one of the same `kind` takes its place.
    """
    return Referrer(
        artifact_type=MEDIA_TYPE,
        content=statement.as_blob(),
        annotations={PREDICATE_TYPE: statement.predicate_type},
        kind=kind,
    )


def parse(data: bytes, *, at: str = "statement") -> Statement:
    """Return the statement in `data`, or raise InputError with what is not as specified."""
    value = parse_object(data, at=at, limit=SIZE_LIMIT)
    try:
        canonical_json.dumps(value)
    except (ValueError, RecursionError) as error:
        raise InputError("it holds text or numbers that cannot be written", at=at) from error
    kind = value.get("_type")
    if kind not in (V1, V01):
        raise InputError(f"not an in-toto statement: `_type` is {_shown(kind)}", at=at)
    subjects = value.get("subject")
    if not isinstance(subjects, list) or not 0 < len(subjects) <= _SUBJECTS:
        raise InputError("`subject` is not a list of artifacts", at=at)
    predicate_type = value.get("predicateType")
    if not isinstance(predicate_type, str) or not predicate_type:
        raise InputError("`predicateType` is not a URI", at=at)
    predicate = value.get("predicate", {})
    if not isinstance(predicate, dict):
        raise InputError("`predicate` is not an object", at=at)
    return Statement(
        subjects=tuple(
            _subject(item, named=kind == V01, at=f"{at}.subject[{index}]")
            for index, item in enumerate(subjects)
        ),
        predicate_type=predicate_type,
        predicate=predicate,
    )


def _subject(value: object, *, named: bool, at: str) -> Subject:
    """Return one subject; only version 0.1 asks for a name."""
    if not isinstance(value, dict):
        raise InputError("not an artifact", at=at)
    name = value.get("name", None if named else "")
    if not isinstance(name, str):
        raise InputError("`name` is not a text", at=at)
    digest = value.get("digest")
    if not isinstance(digest, dict) or not digest:
        raise InputError("an artifact without a digest", at=at)
    for algorithm, digits in digest.items():
        if not (_ALGORITHM.fullmatch(algorithm) and isinstance(digits, str)):
            raise InputError(f"not a digest: {_shown(digits)}", at=at)
        if not _DIGITS.fullmatch(digits):
            raise InputError(f"not lowercase hexadecimal digits: {_shown(digits)}", at=at)
    if "sha256" in digest and len(digest["sha256"]) != 64:  # noqa: PLR2004  digits of a sha256
        raise InputError(f"not a sha256 digest: {_shown(digest['sha256'])}", at=at)
    return Subject(name=name, digest=digest)


def _shown(value: object) -> str:
    return f"`{printable(value)}`" if isinstance(value, str) else type(value).__name__

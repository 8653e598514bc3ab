"""How an image came to be: SLSA provenance, with every input by digest and who proved it.

Source: SLSA v1.2, Build: Provenance (predicate type v1). The build type is documented in
docs/build-types/v1.md. Times stand here and nowhere in the image.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from modelpack import __version__, canonical_json
from modelpack.canonical_json import rfc3339
from modelpack.digest import Digest, hex_of
from modelpack.digest import of as digest_of
from modelpack.lock import AssembledBase, ImageBase, Lock, PlatformLock, WeightsLock, purls, sources
from modelpack.lock import encoding as lock_encoding
from modelpack.plan import Plan
from modelpack.source import Source
from modelpack.spec import Spec

BUILD_TYPE: Final = "https://modelpack.dev/build-types/v1"
LOCAL_BUILDER: Final = "https://modelpack.dev/builders/local"
"somebody's machine: nobody vouches for what ran there (SLSA Build L1)"
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

Proofs = Mapping[tuple[str, str], str]
"by name of the weights and path of the file: `hashed` here, or taken from the `lock`"


def _never() -> int:
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """Who builds, and when it began; the clock tells when it ends."""

    builder: str = LOCAL_BUILDER
    id: str = ""
    started: int = 0
    clock: Callable[[], int] = _never


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What a caller asked for beside the spec."""

    builder: str = "embedded"
    "what made base and dependency layers"
    revision: str | None = None
    source_date_epoch: int | None = None
    platforms: tuple[str, ...] = ()
    "empty: all that the spec names"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltImage:
    """An image of the build, and its plan."""

    role: str
    "`serve` or `weights`"
    plan: Plan
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Byproduct:
    """A document that the build wrote beside the image."""

    name: str
    digest: Digest
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All that provenance is made from."""

    spec: Spec
    lock: Lock
    platforms: Sequence[PlatformLock]
    "those that were built for"
    source: Source
    parameters: Parameters
    images: Sequence[BuiltImage]
    proofs: Proofs
    byproducts: Sequence[Byproduct] = field(default_factory=tuple)
    signers: Mapping[str, str] = field(default_factory=dict)
    "who signed which weights, by their name, where the spec asked for it and it was verified"


def predicate(record: Record, invocation: Invocation, *, finished: int) -> dict[str, Any]:
    """Return the predicate of a provenance statement."""
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": _external(record),
            "internalParameters": _internal(record),
            "resolvedDependencies": list(_dependencies(record)),
        },
        "runDetails": {
            "builder": {"id": invocation.builder, "version": {"modelpack": __version__}},
            "metadata": {
                **({"invocationId": invocation.id} if invocation.id else {}),
                "startedOn": rfc3339(invocation.started),
                "finishedOn": rfc3339(finished),
            },
            "byproducts": [
                {
                    "name": item.name,
                    "digest": {"sha256": hex_of(item.digest)},
                    "mediaType": item.media_type,
                }
                for item in record.byproducts
            ],
        },
    }


def _external(record: Record) -> dict[str, Any]:
    """Return what the caller decides: the spec, with the author's claims, and the options."""
    asked = record.parameters
    found: dict[str, Any] = {"spec": canonical_json.plain(record.spec), "builder": asked.builder}
    if asked.revision is not None:
        found["revision"] = asked.revision
    if asked.source_date_epoch is not None:
        found["sourceDateEpoch"] = asked.source_date_epoch
    if asked.platforms:
        found["platforms"] = list(asked.platforms)
    return found


def _internal(record: Record) -> dict[str, Any]:
    lock = record.lock
    return {
        "lock": lock_encoding.digest(lock),
        "format": lock.format,
        "compressor": canonical_json.plain(lock.compressor),
        "images": [
            {
                "role": image.role,
                "platform": str(image.plan.platform),
                "digest": image.digest,
                "plan": image.plan.digest,
            }
            for image in record.images
        ],
    }


def _dependencies(record: Record) -> Iterator[dict[str, Any]]:
    lock, source = record.lock, record.source
    yield _descriptor("modelpack.lock", digest_of(lock_encoding.dump(lock)), role="lock")
    yield _descriptor("code", source.digest, role="code", files=len(source.files))
    if source.revision:
        commit = {"digest": {"gitCommit": source.revision}} if (
            _COMMIT.fullmatch(source.revision)
        ) else {}  # fmt: skip
        state = {True: "changed", False: "clean", None: "not compared"}[source.dirty]
        yield {
            "name": "revision", **commit,
            "annotations": {"role": "code", "revision": source.revision, "state": state},
        }  # fmt: skip
    yield _descriptor("guard.py", lock.runtime.guard, role="runtime")
    yield _descriptor("probe.py", lock.runtime.probe, role="runtime")
    if lock.runtime.signature:
        yield _descriptor("signature.py", lock.runtime.signature, role="runtime")
    seen: set[str] = set()
    for platform in record.platforms:
        for item in (*_base(platform), *_wheels(platform)):
            key = canonical_json.dumps(item).decode()
            if key not in seen:
                yield item
            seen.add(key)
    for weights in lock.weights:
        yield from _weights(weights, record)


def _base(platform: PlatformLock) -> Iterator[dict[str, Any]]:
    base = platform.base
    if isinstance(base, AssembledBase):
        for release in base.releases:
            yield _descriptor(
                f"{release.archive} {release.suite} InRelease", release.sha256, role="index",
                snapshot=release.snapshot, signedBy=list(release.signed_by),
            )  # fmt: skip
        for package in base.packages:
            yield _descriptor(
                package.path.rpartition("/")[2], package.sha256, role="base",
                uri=purls.of_package(package, base), path=package.path, archive=package.archive,
            )  # fmt: skip
        return
    yield from _base_image(base, platform)


def _base_image(base: ImageBase, platform: PlatformLock) -> Iterator[dict[str, Any]]:
    repository, tag = purls.repository_and_tag(base.reference)
    architecture = platform.platform.architecture
    yield _descriptor(
        base.reference, base.digest, role="base",
        uri=purls.image(base.digest, repository=repository, architecture=architecture, tag=tag),
    )  # fmt: skip
    yield _descriptor(f"{base.reference} configuration", base.config, role="base")
    for number, layer in enumerate(base.layers, start=1):
        yield _descriptor(
            f"{base.reference} layer {number}", layer.digest, role="base",
            media_type=layer.media_type,
        )  # fmt: skip


def _wheels(platform: PlatformLock) -> Iterator[dict[str, Any]]:
    for wheel in platform.wheels:
        uri = purls.package_url(
            "pypi", wheel.name, wheel.version, qualifiers={"file_name": wheel.filename}
        )
        yield _descriptor(wheel.filename, wheel.sha256, role="dependency", uri=uri)


def _weights(weights: WeightsLock, record: Record) -> Iterator[dict[str, Any]]:
    """Yield the weight files; `proof` says who knows that the digest is right."""
    written = next(item for item in record.spec.weights if item.name == weights.name)
    uris = sources.uris(weights)
    signer = record.signers.get(weights.name, "")
    for file in weights.files:
        yield _descriptor(
            f"{weights.name}/{file.path}", file.sha256, role="weights", size=file.size,
            uri=uris.get(file.path, ""),
            proof=record.proofs[weights.name, file.path], mode=written.mode,
            **({"source": written.source} if written.source else {}),
            **({"signedBy": signer} if signer else {}),
        )  # fmt: skip


def _descriptor(
    name: str, digest: str, *, uri: str = "", media_type: str = "", **annotations: object
) -> dict[str, Any]:
    """Return a resource descriptor; `digest` may be digits alone."""
    return {
        "name": name,
        **({"uri": uri} if uri else {}),
        "digest": {"sha256": digest.removeprefix("sha256:")},
        **({"mediaType": media_type} if media_type else {}),
        "annotations": annotations,
    }

"""Weights on this machine against the lock: the locked ones, or not needed, or a stale lock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modelpack import spec as specs
from modelpack.assembly import fetched_weights
from modelpack.assembly.fetched_weights import Targets
from modelpack.assembly.weights_gate import gate
from modelpack.digest import Digest, of_hex
from modelpack.errors import Finding, StaleLock
from modelpack.inputs import weights as weight_inputs
from modelpack.inputs.file_digests import FileDigest, FileDigests
from modelpack.inputs.machine import Machine
from modelpack.inputs.weights import SourceFile
from modelpack.lock import Lock, WeightFile, WeightsLock
from modelpack.oci.store import Store
from modelpack.resolve.weights import find
from modelpack.spec import Spec

Proof = Literal["hashed", "lock"]
_HINT = "modelpack lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class AtHand:
    """Where each weight file is, and who vouches for its digest."""

    sources: Mapping[str, Mapping[str, Path]]
    "by name of the weights and path of the file; absent files are left out"
    proofs: Mapping[tuple[str, str], Proof]
    "`hashed`: by this machine, now or before; `lock`: nobody here has the file"
    unproved: tuple["_Known", ...]
    "files whose digest is proved when their layer is written"
    findings: tuple[Finding, ...]
    "warnings of the gates, now or when these contents passed them before"
    passed: tuple[tuple[Digest, tuple[Finding, ...]], ...]
    """gates that these contents passed, with their warnings: to be remembered once they are proved
    to be the locked ones"""

    def remember(self, digests: FileDigests) -> None:
        """Record what writing the layers has proved."""
        for key, warnings in self.passed:
            digests.record_verdict(key, warnings)
        for known in self.unproved:
            file = known.file
            layer_key = weight_inputs.layer_key(known.weights.destination, file.path)
            layers: dict[str, Digest] = {layer_key: file.layer} if file.layer else {}
            digests.record(
                known.source.status,
                FileDigest(sha256=file.sha256, chunks=file.chunks, layers=layers),
            )


def weights_at_hand(
    spec: Spec, lock: Lock, root: Path, *, machine: Machine, targets: Targets
) -> AtHand:
    """Find the locked weight files; raise StaleLock when the folder holds others.

    Reads nothing that has not changed. A changed file whose layer the first of the `targets` does
    not have is not read here either: writing the layer hashes it. Of a source, what no cache and
    not every target has is fetched.
    """

    def fetched(written: specs.Weights, weights: WeightsLock) -> tuple[SourceFile, ...]:
        return fetched_weights.at_hand(written, weights, root, machine=machine, targets=targets)

    store = next((target for target in targets if target is not None), None)
    found = _look(spec, lock, root, fetched)
    findings = list(found.findings)
    passed: list[tuple[Digest, tuple[Finding, ...]]] = []
    warnings: list[Finding] = []
    for written, weights, files in found.groups:
        if not findings:
            key, said = gate(spec, written, weights, files, lock.platforms, machine)
            warnings += said
            passed += [(key, said)] if key else []
    unproved: tuple[_Known, ...] = ()
    if not findings:
        to_hash, unproved, findings = _split(found.known, machine, store)
        findings += _hash(to_hash, machine)
    if findings:
        raise StaleLock(*findings)
    sources = {
        weights.name: {file.path: file.source for file in files}
        for _, weights, files in found.groups
    }
    proofs: dict[tuple[str, str], Proof] = {
        (weights.name, file.path): "hashed" if file.path in sources[weights.name] else "lock"
        for weights in lock.weights
        for file in weights.files
    }
    return AtHand(
        sources=sources, proofs=proofs, unproved=unproved, findings=tuple(warnings),
        passed=tuple(passed),
    )  # fmt: skip


def differences(spec: Spec, lock: Lock, root: Path, *, machine: Machine) -> tuple[Finding, ...]:
    """Return how the weights of this machine differ from the lock; none where there are none.

    Reads every file whose digest is not remembered. Sources are not asked.
    """
    found = _look(spec, lock, root, lambda *_: ())
    if found.findings:
        return found.findings
    to_hash, unproved, findings = _split(found.known, machine, None)
    return (*findings, *_hash([*to_hash, *unproved], machine))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A weight file that is here and, by its name and size, in the lock."""

    weights: WeightsLock
    source: SourceFile
    file: WeightFile


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What lies here of all locked weights."""

    groups: tuple[tuple[specs.Weights, WeightsLock, tuple[SourceFile, ...]], ...]
    known: tuple[_Known, ...]
    findings: tuple[Finding, ...]


def _look(
    spec: Spec,
    lock: Lock,
    root: Path,
    fetched: Callable[[specs.Weights, WeightsLock], tuple[SourceFile, ...]],
) -> _Found:
    groups, known, findings = [], [], list[Finding]()
    for weights in lock.weights:
        written = next(item for item in spec.weights if item.name == weights.name)
        if written.source:  # what the cache has of it is what its name says
            groups.append((written, weights, fetched(written, weights)))
            continue
        files = _find(root, written)
        locked = {file.path: file for file in weights.files}
        findings += _differences(weights, files)
        groups.append((written, weights, files))
        known += [
            _Known(weights=weights, source=file, file=locked[file.path])
            for file in files
            if file.path in locked
        ]
    return _Found(groups=tuple(groups), known=tuple(known), findings=tuple(findings))


def _find(root: Path, weights: specs.Weights) -> tuple[SourceFile, ...]:
    """Return the files that are there; no folder at all is a machine without the weights."""
    if not (root / weights.path).exists():
        return ()
    return find(root, weights)


def _differences(weights: WeightsLock, files: tuple[SourceFile, ...]) -> list[Finding]:
    locked = {file.path: file for file in weights.files}
    at = f"weights.{weights.name}"
    findings = [
        Finding(message=f"`{file.path}` is not in the lock", at=at, rule="lock.stale-weights",
                hint=_HINT)
        for file in files if file.path not in locked
    ]  # fmt: skip
    findings += [
        Finding(
            message=f"`{file.path}` has {file.status.st_size} bytes, "
            f"{locked[file.path].size} are locked",
            at=at, rule="lock.stale-weights", hint=_HINT,
        )
        for file in files
        if file.path in locked and file.status.st_size != locked[file.path].size
    ]  # fmt: skip
    missing = set(locked) - {file.path for file in files}
    if files and missing:
        findings += [
            Finding(message=f"`{path}` is in the lock and not in the folder", at=at,
                    rule="lock.stale-weights", hint=f"restore it, or `{_HINT}`")
            for path in sorted(missing)
        ]  # fmt: skip
    return findings


def _split(
    files: tuple[_Known, ...], machine: Machine, store: Store | None
) -> tuple[list[_Known], tuple[_Known, ...], list[Finding]]:
    """Return the files to hash, those that only writing will prove, and what surely differs."""
    to_hash: list[_Known] = []
    unproved: list[_Known] = []
    findings: list[Finding] = []
    for known in files:
        remembered = machine.digests.get(known.source.status)
        if remembered is not None:
            if remembered.sha256 != known.file.sha256:
                findings.append(_differs(known))
        elif known.file.layer is not None and not _is_in(store, known):
            unproved.append(known)
        else:
            to_hash.append(known)
    return to_hash, tuple(unproved), findings


def _is_in(store: Store | None, known: _Known) -> bool:
    layer = weight_inputs.layer_of(known.weights.destination, known.file, None)
    return store is not None and store.has(layer.blob.descriptor)


def _hash(files: list[_Known], machine: Machine) -> list[Finding]:
    """Hash `files`, remember those that are the locked ones, and return how others differ."""
    if not files:
        return []
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  not for a code-only build

    total = sum(known.file.size for known in files)
    with (
        machine.progress.task("hashing weights", total) as advance,
        ThreadPoolExecutor(machine.threads) as pool,
    ):

        def different(known: _Known) -> Finding | None:
            file, source = known.file, known.source
            if weight_inputs.sha256_of(source.source, file.size, advance) != file.sha256:
                return _differs(known)
            machine.digests.record(
                source.status, FileDigest(sha256=file.sha256, chunks=file.chunks)
            )
            return None

        return [finding for finding in pool.map(different, files) if finding is not None]


def _differs(known: _Known) -> Finding:
    return Finding(
        message=f"`{known.file.path}` is not the locked file: its content differs from "
        f"{of_hex(known.file.sha256)}",
        at=f"weights.{known.weights.name}", rule="lock.stale-weights", hint=_HINT,
    )  # fmt: skip

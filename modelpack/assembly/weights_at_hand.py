"""Weights on this machine against the lock: the locked ones, or not needed, or a stale lock."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modelpack import spec as specs
from modelpack.digest import of as digest_of
from modelpack.digest import of_hex
from modelpack.errors import Finding, Refused, StaleLock
from modelpack.inputs import weights as weight_inputs
from modelpack.inputs.file_digests import FileDigest, FileDigests
from modelpack.inputs.machine import Machine
from modelpack.inputs.weights import SourceFile
from modelpack.lock import Lock, WeightFile, WeightsLock
from modelpack.oci.store import Store
from modelpack.progress import Advance
from modelpack.resolve.weights import check, find
from modelpack.spec import Spec

CHECK_VERSION = 1
"of the weight gates: counts up when they refuse more, so that old verdicts do not stand"
Proof = Literal["hashed", "lock"]
_HINT = "modelpack lock --upgrade weights"


@dataclass(frozen=True, slots=True, kw_only=True)
class AtHand:
    """Where each weight file is, and who vouches for its digest."""

    sources: Mapping[str, Mapping[str, Path]]
    "by name of the weights and path of the file; absent files are left out"
    proofs: Mapping[tuple[str, str], Proof]
    "`hashed`: by this machine, now or before; `lock`: nobody here has the file"
    unproved: tuple[tuple[SourceFile, WeightFile], ...]
    "files whose digest is proved when their layer is written"

    def remember(self, digests: FileDigests) -> None:
        """Record what writing the layers has proved."""
        for source, file in self.unproved:
            digests.record(
                source.status, FileDigest(sha256=file.sha256, chunks=file.chunks)
            )


def weights_at_hand(
    spec: Spec, lock: Lock, root: Path, *, machine: Machine, store: Store | None
) -> AtHand:
    """Find the locked weight files; raise StaleLock when the folder holds others.

    Reads nothing that has not changed. A changed file whose layer the `store` does not have is
    not read here either: writing the layer hashes it.
    """
    findings: list[Finding] = []
    sources: dict[str, Mapping[str, Path]] = {}
    known: list[tuple[str, SourceFile, WeightFile]] = []
    for weights in lock.weights:
        written = next(item for item in spec.weights if item.name == weights.name)
        files = _find(root, written)
        findings += _differences(weights, files)
        locked = {file.path: file for file in weights.files}
        known += [(weights.name, f, locked[f.path]) for f in files if f.path in locked]
        sources[weights.name] = {file.path: file.source for file in files}
        if not findings:
            _gate(written, weights, files, machine)
    if not findings:
        unproved, changed = _compare(known, machine, store, lock)
        findings += changed
    if findings:
        raise StaleLock(*findings)
    proofs: dict[tuple[str, str], Proof] = {
        (weights.name, file.path): "hashed" if file.path in sources[weights.name] else "lock"
        for weights in lock.weights
        for file in weights.files
    }
    return AtHand(sources=sources, proofs=proofs, unproved=unproved)


def _find(root: Path, weights: specs.Weights) -> tuple[SourceFile, ...]:
    """Return the files that are there; no folder at all is a machine without the weights."""
    if weights.path and not (root / weights.path).exists():
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
                    rule="lock.stale-weights", hint=f"restore it, or {_HINT}")
            for path in sorted(missing)
        ]  # fmt: skip
    return findings


def _gate(
    written: specs.Weights, weights: WeightsLock, files: tuple[SourceFile, ...], machine: Machine
) -> None:
    """Run the weight gates over these contents, unless they passed before on this machine."""
    if not files:
        return
    key = digest_of(
        f"checked:{CHECK_VERSION}:{weights.digest}:{sorted(written.allow_unsafe)}:"
        f"{sorted(written.require)}".encode()
    )
    if machine.digests.derived(key) == weights.digest:
        return
    findings = check(written, files)
    if any(finding.severity == "error" for finding in findings):
        raise Refused(*findings)
    machine.digests.record_derived(key, weights.digest)


def _compare(
    files: list[tuple[str, SourceFile, WeightFile]],
    machine: Machine,
    store: Store | None,
    lock: Lock,
) -> tuple[tuple[tuple[SourceFile, WeightFile], ...], list[Finding]]:
    """Return the files that only writing will prove, and a Finding for each that differs."""
    destinations = {weights.name: weights.destination for weights in lock.weights}
    unproved: list[tuple[SourceFile, WeightFile]] = []
    findings: list[Finding] = []
    to_hash: list[tuple[str, SourceFile, WeightFile]] = []
    for name, source, file in files:
        remembered = machine.digests.get(source.status)
        if remembered is not None:
            if remembered.sha256 != file.sha256:
                findings.append(_differs(name, file))
        elif file.layer is not None and not (
            store is not None
            and store.has(
                weight_inputs.layer_of(destinations[name], file, None).blob.descriptor
            )
        ):
            unproved.append((source, file))
        else:
            to_hash.append((name, source, file))
    total = sum(file.size for _, _, file in to_hash)
    with machine.progress.task("hashing weights", total) as advance:
        findings += _hash(to_hash, machine, advance)
    return tuple(unproved), findings


def _hash(
    files: list[tuple[str, SourceFile, WeightFile]], machine: Machine, advance: Advance
) -> list[Finding]:
    def different(item: tuple[str, SourceFile, WeightFile]) -> Finding | None:
        name, source, file = item
        found = weight_inputs.sha256_of(source.source, file.size, advance)
        if found != file.sha256:
            return _differs(name, file)
        machine.digests.record(
            source.status, FileDigest(sha256=file.sha256, chunks=file.chunks)
        )
        return None

    run: Callable[[tuple[str, SourceFile, WeightFile]], Finding | None] = different
    with ThreadPoolExecutor(machine.threads) as pool:
        return [finding for finding in pool.map(run, files) if finding is not None]


def _differs(name: str, file: WeightFile) -> Finding:
    return Finding(
        message=f"`{file.path}` is not the locked file: its content differs from "
        f"{of_hex(file.sha256)}",
        at=f"weights.{name}", rule="lock.stale-weights", hint=_HINT,
    )  # fmt: skip

"""Whether a Lock still belongs to a Spec, and if not, what moved: pure comparison."""

import hashlib
from collections.abc import Mapping
from typing import Any

from modelpack import canonical_json
from modelpack.errors import Finding
from modelpack.lock import PARTS, Fingerprints, Lock, Part, RuntimeLock
from modelpack.spec import Spec
from modelpack.spec.writing import written

COMMAND = "modelpack lock"
"what renews the stale parts and no other; `--upgrade PART` would let all of a part move"


def fingerprints(spec: Spec, *, requirements: Mapping[str, str]) -> Fingerprints:
    """Return what the parts of a lock are selected by.

    `requirements` maps the key (`dependencies.lockfile`, `dependencies.source`) to the sha256 of
    the file that it names: another list of packages is another selection.
    """
    runtime = spec.runtime
    return Fingerprints(
        base=_digests(
            {
                "image.platforms": sorted(spec.image.platforms),
                "runtime.base": runtime.base,
                "runtime.bytecode": runtime.bytecode,
                "runtime.packages": sorted(runtime.packages),
                "runtime.python": runtime.python,
            }
        ),
        dependencies=_digests(
            {
                **{f"content of {key}": value for key, value in requirements.items()},
                "dependencies.indexes": list(spec.dependencies.indexes),
                "dependencies.lockfile": spec.dependencies.lockfile,
            }
        ),
        weights=_digests({f"weights.{item.name}": written(item) for item in spec.weights}),
        runtime=_digests({"image.compression": spec.image.compression}),
    )


def moved(lock: Lock, now: Fingerprints, runtime: RuntimeLock) -> Mapping[Part, tuple[str, ...]]:
    """Return, for each stale part, the keys whose values are no longer what was locked."""
    changes: dict[Part, tuple[str, ...]] = {}
    for part in PARTS:
        before: tuple[str, ...] = getattr(lock.fingerprints, part)
        after: tuple[str, ...] = getattr(now, part)
        keys = sorted({item.rpartition("=")[0] for item in set(before) ^ set(after)})
        if keys:
            changes[part] = tuple(keys)
    if lock.runtime != runtime:
        changes["runtime"] = (*changes.get("runtime", ()), "the guard of this modelpack")
    return changes


def findings(
    changes: Mapping[Part, tuple[str, ...]], *, filename: str, hint: str = COMMAND
) -> tuple[Finding, ...]:
    """Return a Finding for each stale part: what moved, and the command to type."""
    return tuple(
        Finding(
            message=f"the lock is stale: {', '.join(keys)} changed since it was made",
            at=f"{filename}: {part}",
            rule=f"lock.stale-{part}",
            hint=hint,
        )
        for part, keys in changes.items()
    )


def _digests(values: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(
        f"{key}={hashlib.sha256(canonical_json.dumps(value)).hexdigest()[:16]}"
        for key, value in sorted(values.items())
    )

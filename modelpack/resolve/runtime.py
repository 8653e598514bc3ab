"""The programs of this modelpack that an image holds."""

from modelpack.digest import of as digest_of
from modelpack.inputs import runtime_files
from modelpack.lock import RuntimeLock
from modelpack.spec import Spec


def runtime_lock(spec: Spec) -> RuntimeLock:
    """Return the digests of this modelpack's programs that the image holds."""
    signed = spec.runtime.require_signature
    return RuntimeLock(
        guard=digest_of(runtime_files.guard()), probe=digest_of(runtime_files.probe()),
        signature=digest_of(runtime_files.signature()) if signed else None,
    )  # fmt: skip

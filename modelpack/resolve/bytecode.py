"""Whether Python files are compiled ahead: settled in the lock, never by who builds."""

from collections.abc import Sequence
from typing import Literal

from modelpack.errors import Finding
from modelpack.lock import AssembledBase, PlatformLock
from modelpack.lock.bytecode import compiler
from modelpack.platform import Platform
from modelpack.spec import Spec


def settle(
    spec: Spec, wanted: PlatformLock, locked: Sequence[PlatformLock], host: Platform | None
) -> tuple[Literal["unchecked-hash", "none"], tuple[Finding, ...]]:
    """Settle `auto`: compiled where a machine like this one can compile it, else not at all.

    An interpreter compiles for other architectures, too, but only one of a base that is locked
    is run: the bytecode of an image never depends on anything that its lock does not hold.
    """
    if spec.runtime.bytecode != "auto":
        return spec.runtime.bytecode, ()
    if not isinstance(wanted.base, AssembledBase):
        return "none", ()
    if compiler(wanted, locked, host) is not None:
        return "unchecked-hash", ()
    finding = Finding(
        message=f"Python files for {wanted.platform} are not compiled ahead: no locked interpreter "
        "of the same Python runs on this machine",
        at="runtime.bytecode", rule="bytecode.none", severity="warning",
        hint=f"lock on {wanted.platform}, or with the platform of this machine in "
        "`image.platforms`",
    )  # fmt: skip
    return "none", (finding,)

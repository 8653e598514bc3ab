"""Which bases this machine's owner allows: decided before anything is asked of the network."""

from collections.abc import Sequence

from modelpack import reference
from modelpack.errors import InputError, Refused
from modelpack.spec.rules import ASSEMBLED_BASES


def complaint(pattern: object) -> str:
    """Return what is wrong with a pattern of `[bases] allow`, or nothing.

    A repository stands for all of its images, one with a tag for what that tag names (and so for
    nothing that is named by digest), one with a digest for itself, and `/*` at the end for every
    repository below.
    """
    if not isinstance(pattern, str):
        return "expected a text"
    if pattern in ASSEMBLED_BASES:
        return ""
    try:
        named = reference.registry(pattern.removesuffix("/*") + "/x" * pattern.endswith("/*"))
    except InputError as error:
        return error.findings[0].message
    host = pattern.partition("/")[0]
    return "" if host == named.host else f"write the host out: `{named.host}/…`"


def require(base: str, patterns: Sequence[str] | None) -> None:
    """Raise Refused unless `base`, as in `runtime.base`, is among the allowed ones."""
    if patterns is None or any(_matches(base, pattern) for pattern in patterns):
        return
    shown = ", ".join(f"`{pattern}`" for pattern in patterns) or "none at all"
    raise Refused(
        f"`{_full(base)}` is not among the bases that this machine allows",
        at="runtime.base",
        hint=f"allowed are {shown} (`[bases]` in the configuration of modelpack)",
    )


def _full(base: str) -> str:
    return base if base in ASSEMBLED_BASES else str(reference.registry(base))


def _matches(base: str, pattern: str) -> bool:
    if base in ASSEMBLED_BASES or pattern in ASSEMBLED_BASES:
        return base == pattern
    name = reference.registry(base)
    if pattern.endswith("/*"):
        return name.name.startswith(pattern[:-1])
    wanted = reference.registry(pattern)
    return (
        name.name == wanted.name
        and (not wanted.tag or (name.tag, name.digest) == (wanted.tag, wanted.digest))
        and (not wanted.digest or name.digest == wanted.digest)
    )

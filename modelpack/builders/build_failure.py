"""From what a builder said to one message: what is wrong, its last lines, and the next command."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelpack.errors import Finding, InputError, ModelpackError, Refused, Unavailable
from modelpack.inputs.quoting import quoted

OLDEST = "Docker 20.10, or buildx 0.10 with BuildKit 0.9"
EMBEDDED = "or use `--builder embedded`, which needs none"
_SHOWN = 10
"last lines in a message"
_KILLED = re.compile(r"exit code: 137\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cause:
    """A failure that is known by what is said about it."""

    pattern: re.Pattern[str]
    message: str
    "`{builder}`, `{platform}` and `{said}`, the words that the pattern found"
    hint: str
    kind: Callable[..., ModelpackError] = Unavailable


def _cause(
    pattern: str, message: str, hint: str, kind: Callable[..., ModelpackError] = Unavailable
) -> _Cause:
    return _Cause(pattern=re.compile(pattern, re.IGNORECASE), message=message, hint=hint, kind=kind)


# The first that fits counts: what a step was stopped by, before what that led to.
_CAUSES = (
    _cause(
        r"no space left on device|disk quota exceeded",
        "no space is left where builder `{builder}` builds, or here",
        "`docker buildx prune` and `modelpack cache prune` make room",
    ),
    _cause(
        r"exec format error",
        "builder `{builder}` cannot run programs for {platform}",
        "name a builder with a node for it, or install an emulator there: "
        "docker run --privileged --rm tonistiigi/binfmt --install all",
    ),
    _cause(
        r"did not complete successfully: exit code: \d+|executor failed running .*exit code: \d+",
        "builder `{builder}` could not install the wheels",
        "modelpack check; a wheel that pip refuses is replaced by `modelpack lock --upgrade deps`",
        Refused,
    ),
    _cause(
        r"permission denied while trying to connect to the docker[^\n]*",
        "this user may not speak to the Docker engine",
        f"join the group `docker`, {EMBEDDED}",
    ),
    _cause(
        r"cannot connect to the docker daemon at [^ \n]+|error during connect: [^\n]{,200}",
        "the Docker engine does not answer: {said}",
        f"start it, or set DOCKER_HOST, {EMBEDDED}",
    ),
    _cause(
        r"unknown flag: --?\w[\w-]*|unknown shorthand flag[^\n]*|unknown flag: mount"
        r"|requires BuildKit|only supported on a Docker daemon with experimental[^\n]*",
        "builder `{builder}` is too old: {said}",
        f"it must be {OLDEST} at least, {EMBEDDED}",
    ),
    _cause(
        r"waiting for connection|context deadline exceeded|connection refused|no such host"
        r"|connect: no such file or directory|timed out waiting for",
        "builder `{builder}` does not answer",
        f"docker buildx inspect --bootstrap, {EMBEDDED}",
    ),
    _cause(
        r"error reading from server|transport is closing|closing transport|connection reset"
        r"|code = Unavailable|code = Canceled|unexpected EOF|: EOF\b|broken pipe",
        "builder `{builder}` ended while it was building",
        "look at its own log, then build again",
    ),
)  # fmt: skip


def explain(
    text: str, last_lines: Sequence[str], *, builder: str, platform: str = ""
) -> ModelpackError:
    """Return the error for a builder that failed and said `text`."""
    lines = [line for line in last_lines if line.strip()][-_SHOWN:]
    for cause in _CAUSES:
        if found := cause.pattern.search(text):
            said = quoted(found[0], 200).strip("`").rstrip(".")
            message = cause.message.format(builder=builder, platform=platform, said=said)
            hint = cause.hint
            if "{said}" in cause.message:
                lines = []
            elif cause.kind is Refused and _KILLED.search(text):
                hint = "a process was killed there, most often for lack of memory"
            break
    else:
        message, hint = f"builder `{builder}` failed", "docker buildx inspect --bootstrap"
        cause = _CAUSES[-1]
    at = "dependencies" if cause.kind is Refused else f"--builder {builder}"
    return cause.kind(Finding(message="\n".join((message, *lines)), at=at, hint=hint))


def unknown(builder: str, known: Sequence[str]) -> ModelpackError:
    """Return the error for a builder that nobody knows."""
    names = ", ".join(f"`{name}`" for name in ("embedded", "docker", *known))
    return InputError(
        f"there is no builder `{builder}`; known: {names}", at=f"--builder {builder}",
        hint=f"docker buildx create --name {builder} --driver docker-container",
    )  # fmt: skip

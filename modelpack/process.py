"""The one door to other programs: argument vectors, never a shell, a chosen environment."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelpack.errors import Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """How a program ended and what it said."""

    status: int
    stdout: bytes
    stderr: bytes

    def last_lines(self, count: int = 5) -> str:
        """Return the last lines that the program wrote to stderr, or else to stdout."""
        text = (self.stderr.strip() or self.stdout.strip()).decode(errors="replace")
        return "\n".join(text.splitlines()[-count:])


def run(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    cwd: str | None = None,
    stdin: bytes = b"",
    timeout: float | None = None,
) -> Completed:
    """Run `argv` with exactly this `environment` and return how it ended.

    Raises Unavailable when the program is missing, cannot be started or runs past `timeout`
    seconds.
    """
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            capture_output=True,
            env=dict(environment),
            cwd=cwd,
            timeout=timeout,
            check=False,
        )
    except OSError as error:
        raise Unavailable(f"cannot run `{argv[0]}`: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"`{argv[0]}` did not end within {timeout} seconds") from error
    return Completed(status=done.returncode, stdout=done.stdout, stderr=done.stderr)

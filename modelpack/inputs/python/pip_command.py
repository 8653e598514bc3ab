"""pip as the door to package indexes: this machine's indexes, proxies, certificates, passwords.

pip is run as a program, for another target than this Python, from a private folder; URLs with
passwords are handed over in a file there and never stand in a command line.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name, parse_wheel_filename

from modelpack import process
from modelpack.errors import Unavailable
from modelpack.inputs.python.requirements import without_secrets
from modelpack.inputs.python.target import Target
from modelpack.inputs.quoting import quoted
from modelpack.lock import Wheel

_OVERRIDES = {
    "PIP_CONSTRAINT": os.devnull,
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_COLOR": "1",
    "PIP_NO_INPUT": "1",
    "PIP_PROGRESS_BAR": "off",
    "PIP_REQUIRE_VIRTUALENV": "0",
    "PIP_USER": "0",
}
"of this machine's configuration, what would stand in the way"
_NOT_FOUND = re.compile(r"No matching distribution found for ([A-Za-z0-9][A-Za-z0-9._-]*)")
_OTHER_HASH = re.compile(
    r"DO NOT MATCH THE HASHES.*?\n\s+([A-Za-z0-9][A-Za-z0-9._-]*)(?:==| from )", re.DOTALL
)
_TROUBLE = re.compile(r"Retrying \(|Could not fetch URL \S+ (?!404 )|ConnectionError|SSLError")
_LOG_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\S+\s+")
_HINT = "check the network, and pip's configuration with `python -m pip config list`"
_INTERPRETER = re.compile(r"(?:cp|py)(\d)(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a run of pip ended."""

    succeeded: bool
    text: str
    "what it said on standard error, without passwords"

    @property
    def refused(self) -> str | None:
        """The normalized name of a requirement that the indexes do not satisfy, or None."""
        found = _NOT_FOUND.search(self.text) or _OTHER_HASH.search(self.text)
        return canonicalize_name(found[1]) if found else None

    @property
    def trouble(self) -> bool:
        """Whether an index could not be asked."""
        return _TROUBLE.search(self.text) is not None

    def unavailable(self) -> Unavailable:
        """Return the error that shows what stood in the way, or else pip's last words."""
        lines = [line for line in self.text.splitlines() if line.strip()]
        words = [line for line in lines if _TROUBLE.search(line)] or lines
        said = _LOG_TIME.sub("", words[-1] if words else "no reason given")
        return Unavailable(f"pip cannot use the package index: {quoted(said, 400)}", hint=_HINT)


def target_options(target: Target) -> list[str]:
    """Return the options that make pip choose for `target`.

    Requires-Python is left to `modelpack.checks.lockfile`: older releases of pip compare it with
    the Python that runs pip.
    """
    return [
        *(f"--platform={platform}" for platform in target.platforms),
        f"--python-version={target.interpreter.version}",
        f"--abi={target.abi}",
        "--implementation=cp",
        "--ignore-requires-python",
    ]


def wheel_options(wheels: Sequence[Wheel]) -> list[str]:
    """Return the options that make pip take exactly these files, whatever they are for."""
    tags = [tag for wheel in wheels for tag in parse_wheel_filename(wheel.filename)[3]]
    versions = [_INTERPRETER.fullmatch(tag.interpreter) for tag in tags]
    newest = max(((int(m[1]), int(m[2])) for m in versions if m), default=(3, 11))
    platforms = sorted({tag.platform for tag in tags} - {"any"})
    abis = sorted({tag.abi for tag in tags} - {"none", "abi3"})
    return [
        *(f"--platform={platform}" for platform in platforms or ["any"]),
        *(f"--abi={abi}" for abi in abis or ["none"]),
        f"--python-version={newest[0]}.{newest[1]}",
        "--implementation=cp",
        "--ignore-requires-python",
    ]


def write_requirements(path: Path, lines: Iterable[str], urls: Sequence[str | None]) -> None:
    """Write a requirements file that asks the indexes at `urls`; None: the configured ones."""
    own = [url for url in urls if url is not None]
    options = [f"--extra-index-url {url}" for url in own]
    if own and None not in urls:
        options[0] = f"--index-url {own[0]}"
    path.touch(mode=0o600)
    path.write_text("".join(f"{line}\n" for line in (*options, *lines)), "utf-8")


def run(
    command: str, arguments: Sequence[str], *, environment: Mapping[str, str], cwd: Path
) -> Answer:
    """Run a pip `command` for wheels without their dependencies."""
    argv = [
        sys.executable, "-P", "-m", "pip", command, "--no-deps", "--no-binary=:none:",
        "--only-binary=:all:", *arguments,
    ]  # fmt: skip
    done = process.run(argv, environment={**environment, **_OVERRIDES}, cwd=str(cwd))
    text = (done.stderr or done.stdout).decode(errors="replace")
    return Answer(succeeded=done.status == 0, text=without_secrets(text))


def probe(
    line: str,
    urls: Sequence[str | None],
    *,
    environment: Mapping[str, str],
    options: Sequence[str] = (),
) -> Answer:
    """Ask the indexes at `urls` for the requirement in `line`; return all that pip logs."""
    with tempfile.TemporaryDirectory(prefix="modelpack-") as folder:
        place = Path(folder)
        write_requirements(place / "requirements.txt", [line], urls)
        answer = run(
            "install",
            [
                "--dry-run", "--ignore-installed", "--quiet", "--log=log", *options,
                "--requirement=requirements.txt",
            ],
            environment=environment, cwd=place,
        )  # fmt: skip
        log = place / "log"
        text = log.read_text("utf-8", errors="replace") if log.is_file() else answer.text
    return Answer(succeeded=answer.succeeded, text=without_secrets(text))


def download(
    lines: Iterable[str],
    options: Sequence[str],
    urls: Sequence[str | None],
    environment: Mapping[str, str],
    folder: Path,
) -> list[str]:
    """Download the requirements in `lines`, with hashes, to `folder`; return names not found."""
    left, gone = {line.partition("==")[0]: line for line in lines}, list[str]()
    while left:
        with tempfile.TemporaryDirectory(prefix="modelpack-") as private:
            place = Path(private)
            write_requirements(place / "requirements.txt", left.values(), urls)
            answer = run(
                "download",
                [
                    "--quiet", "--require-hashes", f"--dest={folder}", *options,
                    "--requirement=requirements.txt",
                ],
                environment=environment, cwd=place,
            )  # fmt: skip
        if answer.succeeded:
            break
        refused = answer.refused
        if answer.trouble or refused not in left:
            raise answer.unavailable()
        gone.append(refused)
        del left[refused]
    return gone

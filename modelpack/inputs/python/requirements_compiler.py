"""pip-tools under the interpreter that the image will run: `requirements.in` to a lockfile.

pip-tools evaluates markers in the interpreter that runs it, so that one must be the target: the
assembled base's own, run in place, or a Python of this machine of equal version and platform.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement

from modelpack import process
from modelpack.errors import InputError, ModelpackError, Unavailable
from modelpack.inputs.python import pip_command
from modelpack.inputs.python.base_interpreter import BaseInterpreter, runs_here
from modelpack.inputs.python.pip_command import Answer
from modelpack.inputs.python.requirements import without_secrets
from modelpack.inputs.python.target import Target
from modelpack.inputs.quoting import quoted
from modelpack.progress import SILENT, Progress

_OPTIONS = (
    "--generate-hashes", "--strip-extras", "--allow-unsafe", "--no-config", "--no-header",
    "--no-emit-options", "--no-emit-index-url", "--no-emit-find-links",
    "--no-emit-trusted-host", "--newline=lf", "--pip-args=--only-binary=:all:",
)  # fmt: skip
_FLAGS = ("-B", "-P", "-S", "-s")
"nothing but the standard library and the folder that PYTHONPATH names"
_HEADER = "# Compiled by `modelpack lock` from `{source}`: edit that file, not this one.\n"
_FACTS = (
    "import platform, sys; print(sys.implementation.name, platform.python_version(),"
    " sys.platform, platform.machine())"
)
_ABSENT = re.compile(r"requirement ([A-Za-z0-9][A-Za-z0-9._-]*).* \(from versions: none\)")
_VERSIONS = re.compile(r"\(from versions: (?:[^()]*, )?([^(),]+)\)")
_LAST_EXCEPTION = re.compile(r"^(\w+(?:\.\w+)+): (.*)$", re.MULTILINE)
_UV = (
    "uv pip compile --generate-hashes --only-binary :all: --python-version {minor}"
    " --python-platform {machine}-manylinux_{glibc} requirements.in -o requirements.lock"
)


def find_interpreter(
    target: Target, *, base: BaseInterpreter | None, environment: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the command of an interpreter that is `target`: the base's own, or one on PATH.

    Raises Unavailable, with the command that resolves for another machine, where there is none.
    """
    candidates: list[tuple[str, ...]] = []
    if base is not None and base.runnable:
        candidates.append(base.argv)
    if runs_here(target.platform):
        for name in (f"python{target.interpreter.minor}", "python3", "python"):
            path = shutil.which(name, path=environment.get("PATH"))
            if path:
                candidates.append((path,))
    for argv in candidates:
        with suppress(ModelpackError):
            if _is(argv, target, environment):
                return argv
    interpreter = target.interpreter
    command = _UV.format(
        minor=interpreter.minor, machine=target.platform.machine,
        glibc=interpreter.glibc.replace(".", "_"),
    )  # fmt: skip
    raise Unavailable(
        f"no Python {interpreter.version} for {target.platform} runs on this machine, and "
        "requirements can only be compiled by the Python that they are for",
        at="dependencies.source",
        hint=f"let uv compile them, then run `modelpack lock` again: `{command}`",
    )


def compile(  # noqa: A001  the field's word
    source: Path,
    output: Path,
    *,
    interpreter_argv: Sequence[str],
    environment: Mapping[str, str],
    indexes: Mapping[str, str | None],
    upgrade: bool = False,
    upgrade_packages: Sequence[str] = (),
    progress: Progress = SILENT,
) -> None:
    """Write the hash-locked requirements of `source` to `output`, whole or not at all.

    Versions in an `output` that is there are kept where they still fit, unless `upgrade` or
    named. Raises InputError when the requirements cannot be satisfied with wheels, Unavailable
    when an index cannot be asked.
    """
    progress.say(f"compiling {source.name}")
    wishes = ["--upgrade"] if upgrade else []
    wishes += [f"--upgrade-package={name}" for name in upgrade_packages]
    # Absolute: what runs below has another working folder, and Python 3.11 keeps a relative one.
    beside = output.parent.resolve()
    with tempfile.TemporaryDirectory(prefix=".modelpack-", dir=beside) as folder:
        place = Path(folder)
        tools, draft = place / "tools", place / output.name
        _expose(tools)
        if output.is_file():
            shutil.copyfile(output, draft)
        argv = [
            *interpreter_argv, *_FLAGS, "-m", "piptools", "compile", *_OPTIONS, *wishes,
            f"--output-file={draft}", source.name,
        ]  # fmt: skip
        done = process.run(
            argv, environment=_environment(environment, tools, indexes), cwd=str(source.parent)
        )
        if done.status:
            said = without_secrets((done.stderr or done.stdout).decode(errors="replace"))
            raise _failure(said, source, environment=environment, indexes=indexes)
        text = draft.read_text("utf-8") if draft.is_file() else ""
        draft.write_text(_HEADER.format(source=source.name) + text, "utf-8", newline="\n")
        draft.chmod(0o644)
        draft.replace(output)


def _is(argv: Sequence[str], target: Target, environment: Mapping[str, str]) -> bool:
    clean = {key: value for key, value in environment.items() if not key.startswith("PYTHON")}
    done = process.run([*argv, "-S", "-s", "-c", _FACTS], environment=clean, timeout=60)
    wanted = f"cpython {target.interpreter.version} linux {target.platform.machine}"
    return done.status == 0 and done.stdout.decode(errors="replace").strip() == wanted


def _environment(
    environment: Mapping[str, str], tools: Path, indexes: Mapping[str, str | None]
) -> Mapping[str, str]:
    """Return the surroundings of pip-tools; URLs are given here, where they do not show."""
    kept = {
        key: value
        for key, value in environment.items()
        if not key.startswith(("PYTHON", "LD_")) and key != "VIRTUAL_ENV"
    }
    own = [url for url in indexes.values() if url is not None]
    if own and None not in indexes.values():
        kept["PIP_INDEX_URL"] = own.pop(0)
    extra = [*kept.get("PIP_EXTRA_INDEX_URL", "").split(), *own]
    if extra:
        kept["PIP_EXTRA_INDEX_URL"] = " ".join(extra)
    return {
        **kept, "PYTHONPATH": str(tools), "PYTHONHASHSEED": "0", "PIP_CONSTRAINT": os.devnull,
        "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_REQUIRE_VIRTUALENV": "0",
    }  # fmt: skip


def _expose(folder: Path) -> None:
    """Fill `folder` with links to pip-tools and what it needs, and to nothing else of ours."""
    folder.mkdir()
    for distribution in _closure("pip-tools"):
        if distribution.files is None:
            raise Unavailable(
                f"`{distribution.name}` is installed without a list of its files",
                hint="install modelpack-build with pip, in an environment of its own",
            )
        for top in sorted({PurePosixPath(file).parts[0] for file in distribution.files}):
            link = folder / top
            if top not in ("..", "__pycache__") and not link.is_symlink():
                link.symlink_to(Path(str(distribution.locate_file(top))))


def _closure(name: str) -> Iterator[metadata.Distribution]:
    """Yield the installed distribution `name` and all that it requires."""
    waiting, seen = [name], {name}
    while waiting:
        try:
            distribution = metadata.distribution(waiting.pop())
        except metadata.PackageNotFoundError:
            continue  # only needed on another Python
        yield distribution
        for text in distribution.requires or ():
            required = Requirement(text)
            if required.name not in seen and _always(required):
                seen.add(required.name)
                waiting.append(required.name)


def _always(required: Requirement) -> bool:
    return required.marker is None or required.marker.evaluate({"extra": ""})


def _failure(
    text: str, source: Path, *, environment: Mapping[str, str], indexes: Mapping[str, str | None]
) -> ModelpackError:
    answer = Answer(succeeded=False, text=text)
    if answer.trouble:
        return answer.unavailable()
    absent = _ABSENT.search(text)
    if absent:
        # pip-tools does not tell an index that fails from one that lacks the package.
        probe = pip_command.probe(absent[1], tuple(indexes.values()), environment=environment)
        if probe.trouble:
            return probe.unavailable()
    return InputError(
        f"cannot be compiled to wheels: {quoted(_reason(text), 1500)}", at=str(source),
        hint="loosen what conflicts, or choose versions that have wheels",
    )  # fmt: skip


def _reason(text: str) -> str:
    """Return what pip-tools and pip say for people: without the traceback, not every version."""
    before, _, after = text.partition("Traceback (most recent call last):")
    lines = [line.strip() for line in before.splitlines() if line.strip()]
    if not any("ERROR" in line for line in lines):
        last = _LAST_EXCEPTION.findall(after)
        lines = [last[-1][1]] if last else after.splitlines()[-3:]
    said = "; ".join(line.removeprefix("ERROR: ") for line in lines)
    said = said.replace("(from versions: none)", "(no version has a wheel that fits)")
    return _VERSIONS.sub(r"(latest: \1)", said)

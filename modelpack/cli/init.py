"""`modelpack init`: write a first modelpack.toml from what a folder holds."""

import json
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import click

from modelpack.cli.frame.output import Output, with_output

if TYPE_CHECKING:
    from modelpack.inputs.guessing.value import Project


@click.command("init")
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option("--file", "name", default="modelpack.toml", help="Name of the file to write.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@with_output
def command(output: Output, folder: Path, name: str, force: bool) -> None:
    """Write a first modelpack.toml from what DIR (default: here) holds.

    Looks for weights (safetensors, ONNX, GGUF, XGBoost), tokenizer and config, locked requirements,
    an entry point and its port.
    Says on stderr what was guessed and what to look at next; prints the path.
    """
    from modelpack.inputs.guessing import looking  # noqa: PLC0415  not for `--help`

    found = looking.look(folder)
    path = folder / name
    _write(path, render(found), force=force)
    for note in found.notes:
        output.say(note)
    where = "" if folder == Path() else f" {folder}"
    output.say(f"next: read {path}, then `modelpack lock{where}` and `modelpack build{where}`")
    output.result(text=str(path), document={"path": str(path), "notes": list(found.notes)})


def render(found: "Project") -> str:
    """Return the text of a modelpack.toml that says what was found."""
    from modelpack import templates  # noqa: PLC0415

    sections = {
        "model": _model(found),
        "weights": _weights(found),
        "code": _code(found),
        "dependencies": _dependencies(found),
        "runtime": _runtime(found),
    }
    return Template(templates.text("init/modelpack.toml.txt")).substitute(sections)


def _model(found: "Project") -> str:
    return _lines(
        _line("name", found.name),
        _line("version", found.version),
        _line(
            "license", found.license, else_write='"Apache-2.0"  # SPDX expression of the weights'
        ),
        '# description = "One line for people"',
        _line("task", found.task, else_write='"feature-extraction"'),
        _line("architecture", found.architecture, else_write='"bert"'),
        _line("framework", found.framework, else_write='"numpy"  # what loads the weights'),
    )


def _weights(found: "Project") -> str:
    return _lines(
        "[weights]",
        _line("path", found.weights),
        _line("include", found.weight_patterns) if found.weight_patterns else "",
        _line("require", found.required) if found.required else "",
        f"# in the image: /models/{found.name}, also in the variable MODELPACK_WEIGHTS",
    )


def _code(found: "Project") -> str:
    return _lines(
        _line("path", found.code),
        _line("include", found.code_patterns) if found.code_patterns else "",
        _line("command", found.command or ("python", "-m", "service")),
    )


def _dependencies(found: "Project") -> str:
    if not found.lockfile:
        return _lines(
            "# [dependencies]",
            '# lockfile = "requirements.lock"  # hash-locked requirements, or pylock.toml',
        )
    return _lines(
        "[dependencies]",
        _line("lockfile", found.lockfile),
        _line("source", found.requirements) if found.requirements else "",
    )


def _runtime(found: "Project") -> str:
    paths = ", ".join(f"{key} = {_toml(path)}" for key, path in found.health)
    return _lines(
        _line("device", found.device),
        f"port = {found.port}" if found.port else "# port = 8080",
        f"health = {{ {paths} }}" if paths else '# health = { live = "/healthz" }',
    )


def _line(key: str, value: str | tuple[str, ...], *, else_write: str = "") -> str:
    if not value:
        return f"# {key} = {else_write}" if else_write else ""
    return f"{key} = {_toml(value)}"


def _toml(value: str | tuple[str, ...]) -> str:
    """Return `value` as TOML; what JSON escapes, TOML's basic strings escape alike."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def _lines(*lines: str) -> str:
    return "\n".join(line for line in lines if line)


def _write(path: Path, text: str, *, force: bool) -> None:
    """Write the file; one that is there stays whole, or with `force` is replaced at once."""
    import tempfile  # noqa: PLC0415

    from modelpack.errors import InputError  # noqa: PLC0415

    if not force or not path.exists():
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            hint = "add `--force` to replace it"
            raise InputError("is there already", at=str(path), hint=hint) from None
        return
    if path.is_symlink() or not path.is_file():
        raise InputError("not a regular file", at=str(path))
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(path.stat().st_mode & 0o777)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)

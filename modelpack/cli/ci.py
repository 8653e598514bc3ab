"""`modelpack ci`: a pipeline for GitHub, GitLab, or any other CI."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelpack.cli.frame.output import Output, with_output
from modelpack.errors import Finding, InputError

if TYPE_CHECKING:
    from modelpack.deploy import ci
    from modelpack.spec import Spec

_LIMIT = 4 << 20
"bytes of a file that is compared"


@click.command("ci")
@click.argument("system", type=click.Choice(["github", "gitlab", "generic"]))
@click.argument(
    "folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path, readable=False)
)
@click.option(
    "--output", "target", metavar="FILE",
    help="Where to; `-`: stdout (default: where the system looks for it, in the repository).",
)  # fmt: skip
@click.option(
    "--policy", "policy", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Promote from stage to stage by this policy (default: policy.toml beside the project, if "
    "it has stages).",
)  # fmt: skip
@click.option("--replace", is_flag=True, help="Replace a file that says something else.")
@with_output
def command(
    *,
    output: Output,
    system: str,
    folder: Path,
    target: str | None,
    policy: Path | None,
    replace: bool,
) -> None:
    """Write a pipeline for the project in DIR (default: here) and print its path.

    Check, build, scan, push by a name of its own, sign, verify, and after an approval the tags of
    modelpack.toml. With a policy that has stages, the image is promoted from each to the next.
    Nothing that fails a stage reaches the next. `generic` is a POSIX shell script with a function
    for each stage. A file that is there and differs is left alone.
    """
    from modelpack import project, templates  # noqa: PLC0415
    from modelpack.cli import display  # noqa: PLC0415
    from modelpack.cli.frame.place import as_document, warn  # noqa: PLC0415
    from modelpack.deploy import ci  # noqa: PLC0415

    this = project.read(folder)
    top = _repository(folder)
    chosen = ci.SYSTEMS[system]
    promotion = _promotion(policy, folder, top)
    text = ci.render(
        system, this.spec, folder=folder.resolve().relative_to(top).as_posix(),
        template=templates.text(chosen.template), tools=_tools(), promotion=promotion,
    )  # fmt: skip
    findings = (*_findings(this.spec), *ci.doubts(promotion))
    warn(output, findings)
    path = None if target == "-" else Path(target) if target else _near(top / chosen.path)
    written = path is not None and _write(path, text, replace=replace)
    if path is not None and system == "generic":
        path.chmod(0o755)
    document = {
        "system": system, "path": str(path) if path else None, "written": written, "text": text,
        "findings": as_document(findings),
    }  # fmt: skip
    if path is None and not output.as_json:
        click.echo(text, nl=False)  # as it is: it holds plain words only
        return
    output.result(text=display.escape(str(path)), document=document)


def _promotion(given: Path | None, folder: Path, top: Path) -> "ci.Promotion | None":
    """Return the policy with the stages of a project; None: it has none."""
    from modelpack.deploy import ci  # noqa: PLC0415
    from modelpack.trust import policy_file  # noqa: PLC0415

    path = given or folder / "policy.toml"
    if given is None and not path.is_file():
        return None
    policy = policy_file.read(path)
    if not policy.stages:
        if given is None:
            return None
        raise InputError("the policy has no stages", at="--policy", hint="write `[stages.NAME]`")
    place = path.resolve()
    if not place.is_relative_to(top):
        raise InputError(f"`{path}` is not in the repository", at="--policy")
    return ci.Promotion(path=place.relative_to(top).as_posix(), policy=policy)


def _tools() -> "ci.Tools":
    from modelpack import __version__  # noqa: PLC0415
    from modelpack.cli import COMMANDS  # noqa: PLC0415
    from modelpack.deploy import ci  # noqa: PLC0415
    from modelpack.evidence.scan import trivy  # noqa: PLC0415

    return ci.Tools(modelpack=__version__, trivy=trivy.TESTED, test="test" in COMMANDS)


def _findings(spec: "Spec") -> tuple[Finding, ...]:
    """Return what the pipeline cannot do for this project."""
    from modelpack.cli import COMMANDS  # noqa: PLC0415
    from modelpack.deploy import ci  # noqa: PLC0415

    if not ci.tested(spec) or "test" in COMMANDS:
        return ()
    return (
        Finding(
            message="this version has no `modelpack test`: the pipeline does not test the image",
            at="test.golden", rule="ci.test", severity="warning",
        ),
    )  # fmt: skip


def _repository(folder: Path) -> Path:
    """Return the folder of the repository that `folder` lies in, else `folder` itself."""
    place = folder.resolve()
    return next((each for each in (place, *place.parents) if (each / ".git").exists()), place)


def _near(path: Path) -> Path:
    """Return `path` as a person would type it here."""
    relative = Path(os.path.relpath(path))
    return path if relative.parts[:1] == ("..",) else relative


def _write(path: Path, text: str, *, replace: bool) -> bool:
    """Write the file; tell whether it was needed. One that differs stays, but for `replace`."""
    from modelpack import project  # noqa: PLC0415
    from modelpack.inputs.opening import open_regular  # noqa: PLC0415

    data = text.encode()
    if os.path.lexists(path):
        with open_regular(path) as file:
            found = file.read(_LIMIT)
        if found == data:
            return False
        if not replace:
            raise InputError(
                "is there already, and says something else", at=str(path),
                hint="compare it with what `--output -` prints, or add `--replace`",
            )  # fmt: skip
    project.write(path, data)
    return True

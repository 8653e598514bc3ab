"""The CI job that a command runs in: who builds there, and what its later steps are told.

Source: GitHub Docs, "Variables reference" and "Workflow commands"; GitLab Docs, "Predefined CI/CD
variables", "artifacts:reports:dotenv"; Fulcio, docs/oid-info.md ("Build Signer URI", "Run
Invocation URI"): what a certificate says of a job is what provenance says of it.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelpack.errors import InputError
from modelpack.oci.file_writing import unwritable

BUILDER_VARIABLE = "MODELPACK_BUILDER_ID"
"URI of what builds, for provenance: a CI system's workflow"
INVOCATION_VARIABLE = "MODELPACK_INVOCATION_ID"
"URL of this run of it"
DOTENV_VARIABLE = "MODELPACK_DOTENV"
"file that gets lines of NAME=VALUE, as GitLab's dotenv reports want them"
_PREFIX = "MODELPACK_"
_LINE_END = re.compile(r"[\r\n]")


def builder(variables: Mapping[str, str]) -> str:
    """Return the URI of the pipeline that runs this; empty where nothing says so."""
    if given := variables.get(BUILDER_VARIABLE, ""):
        return given
    match _system(variables):
        case "github":
            return _joined(variables, "GITHUB_SERVER_URL", "/", "GITHUB_WORKFLOW_REF")
        case "gitlab":
            if named := variables.get("CI_CONFIG_REF_URI", ""):
                return f"https://{named}"
            file = _joined(variables, "CI_PROJECT_URL", "//", "CI_CONFIG_PATH")
            reference = _gitlab_reference(variables)
            return f"{file}@{reference}" if file and reference else ""
        case _:
            return ""


def run(variables: Mapping[str, str]) -> str:
    """Return the URL of this run of the pipeline; empty where nothing says so."""
    if given := variables.get(INVOCATION_VARIABLE, ""):
        return given
    match _system(variables):
        case "github":
            repository = _joined(variables, "GITHUB_SERVER_URL", "/", "GITHUB_REPOSITORY")
            attempt = _joined(variables, "GITHUB_RUN_ID", "/attempts/", "GITHUB_RUN_ATTEMPT")
            return f"{repository}/actions/runs/{attempt}" if repository and attempt else ""
        case "gitlab":
            return variables.get("CI_JOB_URL", "")
        case _:
            return ""


def _system(variables: Mapping[str, str]) -> str:
    if variables.get("GITHUB_ACTIONS", "") == "true":
        return "github"
    return "gitlab" if variables.get("GITLAB_CI", "") == "true" else ""


def _joined(variables: Mapping[str, str], first: str, between: str, second: str) -> str:
    """Return two variables as one text; nothing when one of them is missing."""
    before, after = variables.get(first, ""), variables.get(second, "")
    return f"{before}{between}{after}" if before and after else ""


def _gitlab_reference(variables: Mapping[str, str]) -> str:
    """Return the full name of what the pipeline runs for."""
    kinds = (
        ("refs/tags/", "CI_COMMIT_TAG"),
        ("refs/heads/", "CI_COMMIT_BRANCH"),
        ("", "CI_MERGE_REQUEST_REF_PATH"),
    )
    return next((f"{kind}{variables[name]}" for kind, name in kinds if variables.get(name)), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The files by which a CI job is told something; None where nobody asks for it."""

    outputs: Path | None = None
    summary: Path | None = None
    dotenv: Path | None = None

    def tell(self, values: Mapping[str, str], *, summary: str = "") -> None:
        """Give `values` to later steps, and `summary`, in Markdown, to people.

        Names are lowercase; later jobs of GitLab read them as MODELPACK_NAME. Raises Unavailable.
        """
        if self.outputs is not None:
            _append(self.outputs, "".join(_block(name, values[name]) for name in values))
        if self.dotenv is not None:
            _append(self.dotenv, "".join(_line(name, values[name]) for name in values))
        if self.summary is not None and summary:
            _append(self.summary, f"{summary}\n")


def here(variables: Mapping[str, str]) -> Job:
    """Return the job that the environment tells of."""

    def place(name: str) -> Path | None:
        return Path(variables[name]) if variables.get(name) else None

    return Job(
        outputs=place("GITHUB_OUTPUT"),
        summary=place("GITHUB_STEP_SUMMARY"),
        dotenv=place(DOTENV_VARIABLE),
    )


def _block(name: str, value: str) -> str:
    """Return an output between two lines that no value can foresee."""
    delimiter = f"modelpack-{os.urandom(16).hex()}"
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"


def _line(name: str, value: str) -> str:
    if _LINE_END.search(value):
        raise InputError(f"a value of several lines: `{name}`", at=DOTENV_VARIABLE)
    return f"{_PREFIX}{name.upper().replace('-', '_')}={value}\n"


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise unwritable(str(path), error) from error

"""A small runner of GitHub workflows: jobs in order, each in a clean folder, their shell for real.

Actions are stood in for by what they do with files. Expressions are those of GitHub's language
that our workflows use. Source: GitHub Docs, "Workflow syntax", "Evaluate expressions", "Contexts".
"""

import glob
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

PATIENCE = 300
_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_TOKEN = re.compile(r"'[^']*'|[A-Za-z_][\w.-]*|&&|\|\||==|!=|[!(),]")
_WORDS = {"&&": " and ", "||": " or ", "!": " not "}
_STATUS = re.compile(r"\b(?:always|cancelled|failure|success)\(")
INPUTS: Mapping[str, frozenset[str]] = {
    "actions/checkout": frozenset({"persist-credentials", "lfs"}),
    "actions/setup-python": frozenset({"python-version"}),
    "actions/cache": frozenset({"path", "key", "restore-keys"}),
    "actions/upload-artifact": frozenset({"name", "path", "retention-days", "if-no-files-found"}),
    "actions/download-artifact": frozenset({"name", "path"}),
    "github/codeql-action/upload-sarif": frozenset({"sarif_file", "category"}),
}
"the inputs that these actions have, as far as we give them any"


@dataclass
class Runner:
    """Runs workflows of a repository; what remains of a run can be looked at."""

    repository: Path
    folder: Path
    cache: Path
    "what an earlier run kept of the user's cache"
    contexts: Mapping[str, Any]
    "such as `github`, `vars`, `secrets`"
    environment: Mapping[str, str]
    "of the machine"
    identity: Mapping[str, str] = field(default_factory=dict)
    "variables of a job that may have an identity token"
    results: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    reported: list[str] = field(default_factory=list)
    "SARIF that was uploaded"
    log: str = ""
    scripts: list[str] = field(default_factory=list)
    "that were run"

    def run(self, text: str, *, without: frozenset[str] = frozenset()) -> None:
        """Run the jobs of a workflow; those in `without` succeed and do nothing."""
        workflow = yaml.safe_load(text)
        for name, job in workflow["jobs"].items():
            needs = job.get("needs", [])
            needs = [needs] if isinstance(needs, str) else needs
            known = {"needs": {each: {"outputs": self.outputs[each]} for each in needs}}
            succeeded = all(self.results[each] == "success" for each in needs)
            if not self._wanted(job.get("if"), known, succeeded=succeeded):
                self.results[name], self.outputs[name] = "skipped", {}
            elif name in without:
                self.results[name], self.outputs[name] = "success", {}
            else:
                _Job(self, name, {**workflow, **job}, known).run(workflow.get("env", {}))

    def value(self, expression: str, known: Mapping[str, Any], *, succeeded: bool = True) -> Any:
        """Return what an expression is worth; a name that nobody knows is empty."""

        def named(path: str) -> Any:
            value: Any = {**self.contexts, **known}
            for part in path.split("."):
                value = value.get(part, "") if isinstance(value, Mapping) else ""
            return value

        functions = {
            "cancelled": lambda: False, "always": lambda: True, "success": lambda: succeeded,
            "failure": lambda: not succeeded, "hashFiles": lambda path: f"hash of {path}",
            "named": named,
        }  # fmt: skip
        python = ""
        for token in _TOKEN.findall(expression):
            known_word = token in functions or token[0] == "'" or not token[0].isalpha()
            python += _WORDS.get(token, token) if known_word else f"named({token!r})"
        return eval(python, {"__builtins__": {}}, functions)

    def filled(self, text: object, known: Mapping[str, Any]) -> str:
        """Return a value with its expressions filled in."""
        return _EXPRESSION.sub(lambda found: str(self.value(found[1], known)), str(text))

    def _wanted(self, condition: str | None, known: Mapping[str, Any], *, succeeded: bool) -> bool:
        if condition is None:
            return succeeded
        bare = _EXPRESSION.sub(r"\1", condition)
        value = bool(self.value(bare, known, succeeded=succeeded))
        return value and (succeeded or bool(_STATUS.search(bare)))


class _Job:
    def __init__(self, runner: Runner, name: str, job: Mapping[str, Any], known: Any) -> None:
        self.runner, self.name, self.job = runner, name, job
        self.place = runner.folder / "jobs" / name
        self.work, self.home, self.temp = (self.place / n for n in ("work", "home", "temp"))
        for folder in (self.work, self.home, self.temp):
            folder.mkdir(parents=True)
        self.path = ""
        self.steps: dict[str, Any] = {}
        self.known = {**known, "steps": self.steps, "runner": {"os": "Linux", "arch": "X64"}}

    def run(self, variables: Mapping[str, Any]) -> None:
        """Run the steps; one that fails ends all that do not ask for it."""
        said = self._said(variables, self.job.get("env", {}))
        self.known["env"] = said
        succeeded = True
        for number, step in enumerate(self.job["steps"]):
            if self.runner._wanted(step.get("if"), self.known, succeeded=succeeded):
                succeeded = self._step(number, step, said) and succeeded
        runner = self.runner
        runner.results[self.name] = "success" if succeeded else "failure"
        runner.outputs[self.name] = {
            key: runner.filled(value, self.known)
            for key, value in self.job.get("outputs", {}).items()
        }

    def _said(self, *tables: Mapping[str, Any]) -> dict[str, str]:
        return {
            name: self.runner.filled(value, self.known)
            for table in tables
            for name, value in table.items()
        }

    def _step(self, number: int, step: Mapping[str, Any], said: Mapping[str, str]) -> bool:
        if "uses" in step:
            action = step["uses"].partition("@")[0]
            given = {k: self.runner.filled(v, self.known) for k, v in step.get("with", {}).items()}
            assert set(given) <= INPUTS[action], action
            _ACTIONS[action](self, given)
            return True
        files = {
            f"GITHUB_{name}": str(self.place / f"{number}-{name}")
            for name in ("OUTPUT", "STEP_SUMMARY", "PATH")
        }
        for path in files.values():
            Path(path).touch()
        assert not _EXPRESSION.search(step["run"]), "an expression in a script"
        script = self.place / f"{number}.sh"
        script.write_text(step["run"])
        self.runner.scripts.append(step["run"])
        may = self.job.get("permissions", {}).get("id-token") == "write"
        machine = {**self.runner.environment, **(self.runner.identity if may else {})}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)], cwd=self.work,
            env={
                **machine, "PATH": f"{self.path}{machine['PATH']}", "HOME": str(self.home),
                "RUNNER_TEMP": str(self.temp), "CI": "true", **_variables(self.runner.contexts),
                **files, **said, **self._said(step.get("env", {})),
            },
            capture_output=True, text=True, check=False, timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.runner.log += f"--- {self.name}: {step['name']}\n{done.stdout}{done.stderr}"
        for line in Path(files["GITHUB_PATH"]).read_text().splitlines():
            self.path = f"{line}:{self.path}"
        if "id" in step:
            self.steps[step["id"]] = {"outputs": _outputs(Path(files["GITHUB_OUTPUT"]))}
        return done.returncode == 0

    def check_out(self, given: Mapping[str, str]) -> None:
        """Clone the repository into the empty folder."""
        subprocess.run(
            ["git", "clone", "--quiet", str(self.runner.repository), str(self.work)], check=True
        )

    def set_up_python(self, given: Mapping[str, str]) -> None:
        """Nothing: the machine has one."""

    def restore(self, given: Mapping[str, str]) -> None:
        """Bring back what an earlier run kept of the user's cache."""
        if given["key"].startswith("modelpack-"):
            shutil.copytree(self.runner.cache, self._expanded(given["path"]))

    def upload(self, given: Mapping[str, str]) -> None:
        """Keep files by their place below the folder that no pattern names."""
        target = self.runner.folder / "artifacts" / given["name"]
        pattern = self._expanded(given["path"])
        above = os.path.dirname(re.split(r"[*?\[]", pattern)[0])
        for found in glob.glob(pattern):
            place = target / Path(found).relative_to(above)
            place.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if os.path.isdir(found) else shutil.copyfile)(found, place)
        assert target.exists() or given.get("if-no-files-found") != "error", pattern

    def download(self, given: Mapping[str, str]) -> None:
        """Bring back the files of an earlier job."""
        shutil.copytree(
            self.runner.folder / "artifacts" / given["name"],
            self._expanded(given.get("path", ".")), dirs_exist_ok=True,
        )  # fmt: skip

    def report(self, given: Mapping[str, str]) -> None:
        """Take in a SARIF file."""
        self.runner.reported.append((self.work / given["sarif_file"]).read_text())

    def _expanded(self, path: str) -> str:
        below = path.removeprefix("~/")
        return str((self.work if below == path else self.home) / below)


_ACTIONS: Mapping[str, Callable[[_Job, Mapping[str, str]], None]] = {
    "actions/checkout": _Job.check_out,
    "actions/setup-python": _Job.set_up_python,
    "actions/cache": _Job.restore,
    "actions/upload-artifact": _Job.upload,
    "actions/download-artifact": _Job.download,
    "github/codeql-action/upload-sarif": _Job.report,
}


def _variables(contexts: Mapping[str, Any]) -> dict[str, str]:
    """Return the default variables that the `github` context tells of."""
    github = {key: value for key, value in contexts["github"].items() if isinstance(value, str)}
    return {"GITHUB_ACTIONS": "true", **{f"GITHUB_{k.upper()}": v for k, v in github.items()}}


def _outputs(path: Path) -> dict[str, str]:
    lines, found = path.read_text().splitlines(), {}
    while lines:
        name, _, delimiter = lines.pop(0).partition("<<")
        end = lines.index(delimiter)
        found[name] = "\n".join(lines[:end])
        del lines[: end + 1]
    return found

"""A small runner of GitLab pipelines: jobs in order, each in a clone, their shell for real.

Source: GitLab Docs, "CI/CD YAML syntax reference", "Where variables can be used".
"""

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

PATIENCE = 300
_VARIABLE = re.compile(r"\$(\w+)")
_COMPARISON = re.compile(r'\$(\w+)(?: == (?:"([^"]*)"|\$(\w+)))?')
KEYS = frozenset({
    "stage", "image", "needs", "variables", "before_script", "script", "cache", "artifacts",
    "rules", "id_tokens", "environment", "resource_group", "interruptible", "services",
})  # fmt: skip
"of a job: what this runner knows"


@dataclass
class Runner:
    """Runs pipelines of a repository; what remains of a run can be looked at."""

    repository: Path
    folder: Path
    cache: Path
    "what an earlier run kept of the cache"
    variables: Mapping[str, str]
    "predefined ones, and those of the project"
    environment: Mapping[str, str]
    "of the machine"
    tokens: Mapping[str, str] = field(default_factory=dict)
    "identity tokens by audience"
    results: dict[str, str] = field(default_factory=dict)
    log: str = ""
    scripts: list[str] = field(default_factory=list)
    _given: dict[str, dict[str, str]] = field(default_factory=dict)

    def run(self, text: str, *, without: frozenset[str] = frozenset()) -> None:
        """Run the jobs of a pipeline, also what waits for a person; skip those in `without`."""
        pipeline = yaml.safe_load(text)
        whole = {**self.variables, **pipeline["variables"]}
        if not _matched(pipeline["workflow"]["rules"], self.variables):
            return
        for name, job in pipeline.items():
            if not isinstance(job, dict) or "script" not in job:
                continue
            assert set(job) <= KEYS, name
            assert job["stage"] in pipeline["stages"]
            rule = _matched(job["rules"], self.variables) if "rules" in job else {}
            if rule is None or rule.get("when") == "never":
                self.results[name] = "left out"
            elif any(self.results[each] != "success" for each in job["needs"]):
                self.results[name] = "skipped"
            elif name in without:
                self.results[name] = "success"
            else:
                self.results[name] = self._job(name, job, whole)

    def _job(self, name: str, job: Mapping[str, Any], whole: Mapping[str, str]) -> str:
        work = self.folder / "jobs" / name
        (self.folder / "homes" / name).mkdir(parents=True)
        clone = ["git", "clone", "--quiet", str(self.repository), str(work)]
        subprocess.run(clone, check=True)
        said = {**whole, "CI_PROJECT_DIR": str(work), "GITLAB_CI": "true", "CI": "true"}
        for each, value in job.get("variables", {}).items():
            said[each] = _VARIABLE.sub(lambda found: said.get(found[1], ""), value)
        for need in job["needs"]:
            said.update(self._given.get(need, {}))
            if self._kept(need).exists():
                shutil.copytree(self._kept(need), work, dirs_exist_ok=True)
        for variable, token in job.get("id_tokens", {}).items():
            said[variable] = self.tokens[token["aud"]]
        if job.get("cache", {}).get("key", {}) != f"trivy-{whole['TRIVY']}" and "cache" in job:
            (place,) = job["cache"]["paths"]
            shutil.copytree(self.cache, work / place, dirs_exist_ok=True)
        lines = [*job.get("before_script", []), *job["script"]]
        self.scripts += lines
        script = self.folder / f"{name}.sh"
        script.write_text("\n".join(lines))
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)], cwd=work,
            env={**self.environment, "HOME": str(self.folder / "homes" / name), **said},
            capture_output=True, text=True, check=False, timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.log += f"--- {name}\n{done.stdout}{done.stderr}"
        self._keep(name, work, job.get("artifacts", {}))
        return "success" if done.returncode == 0 else "failed"

    def _keep(self, name: str, work: Path, artifacts: Mapping[str, Any]) -> None:
        self._kept(name).mkdir(parents=True)
        for pattern in artifacts.get("paths", []):
            for found in work.glob(pattern.removesuffix("/")):
                place = self._kept(name) / found.relative_to(work)
                place.parent.mkdir(parents=True, exist_ok=True)
                (shutil.copytree if found.is_dir() else shutil.copyfile)(found, place)
        reports = artifacts.get("reports", {})
        for kind in set(reports) - {"dotenv"}:
            assert list(work.glob(reports[kind])), kind
        if "dotenv" in reports and (work / reports["dotenv"]).exists():
            lines = (work / reports["dotenv"]).read_text().splitlines()
            self._given[name] = dict(line.split("=", 1) for line in lines)

    def _kept(self, name: str) -> Path:
        return self.folder / "artifacts" / name


def _matched(rules: list[Mapping[str, str]], variables: Mapping[str, str]) -> Any:
    """Return the first rule whose condition holds; None: no rule."""
    for rule in rules:
        found = _COMPARISON.fullmatch(rule["if"])
        assert found, rule
        name, text, other = found.groups()
        value = variables.get(name, "")
        wanted = text if text is not None else variables.get(other, "") if other else None
        if value == wanted or (wanted is None and value):
            return rule
    return None

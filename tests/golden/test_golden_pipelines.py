"""Pipelines that may change only on purpose, rewritten by `make golden`; and what linters say.

actionlint and zizmor read the workflows, the systems' own schemas both YAML files, shellcheck
every script. What the scripts do is tested in tests/integration/test_ci_pipelines.py.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelpack import templates
from modelpack.deploy import ci
from modelpack.spec import decoding
from modelpack.trust.policy import decoding as policies

HERE = Path(__file__).parent / "pipelines"
CASES = {
    "full": ("models/reranker", True),
    "plain": (".", False),
    "staged": (".", False),
}
"the folder of the project in its repository, and whether there is a `modelpack test`"
NAMES = {"github": "github.yml", "gitlab": "gitlab.yml", "generic": "generic.sh"}
EACH = [(case, system) for case in CASES for system in NAMES]
_PIN = re.compile(r"uses: +[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


def rendered(case: str, system: str) -> str:
    folder, test = CASES[case]
    spec = decoding.parse((HERE / case / "modelpack.toml").read_bytes(), filename="modelpack.toml")
    return ci.render(
        system, spec, folder=folder, template=templates.text(ci.SYSTEMS[system].template),
        tools=ci.Tools(modelpack="1.0.0", trivy="v0.74.0", test=test), promotion=_policy(case),
    )  # fmt: skip


def _policy(case: str) -> ci.Promotion | None:
    path = HERE / case / "policy.toml"
    if not path.is_file():
        return None
    return ci.Promotion(path="policy.toml", policy=policies.parse(path.read_bytes()))


@pytest.mark.parametrize(("case", "system"), EACH)
def test_a_pipeline_is_as_it_was(case: str, system: str, rewrite: bool) -> None:
    path = HERE / case / NAMES[system]
    text = rendered(case, system)
    if rewrite:
        path.write_text(text)
    assert path.read_text() == text


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a function that writes a pipeline to where its system looks for it."""

    def write(case: str, system: str) -> Path:
        path = tmp_path / ci.SYSTEMS[system].path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(rendered(case, system))
        return path

    return write


Files = Callable[[str, str], Path]


def says(*words: object, status: int = 0, given: str = "") -> str:
    """Run a linter, which must end with `status`; return what it says."""
    done = subprocess.run(
        [*map(str, words)], capture_output=True, text=True, check=False, input=given
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("case", CASES)
def test_actionlint_accepts_the_workflow(
    case: str, file: Files, go_tool: Callable[[str], str], require_tool: Callable[[str], str]
) -> None:
    lint = [go_tool("actionlint"), "-shellcheck", require_tool("shellcheck"), "-pyflakes", ""]
    path = file(case, "github")
    assert says(*lint, path) == ""
    path.write_text(path.read_text().replace('$PROJECT" --check', '${{ github.evnet }}" $X'))
    complaints = says(*lint, path, status=1)
    assert "evnet" in complaints
    assert "SC2086" in complaints


def holes(path: Path) -> set[str]:
    """Return the names of what zizmor finds."""
    zizmor = [Path(sys.executable).with_name("zizmor"), "--offline", "--no-config", "--quiet",
              "--format", "json", "--no-exit-codes"]  # fmt: skip
    return {each["ident"] for each in json.loads(says(*zizmor, path))}


@pytest.mark.parametrize("case", CASES)
def test_zizmor_finds_no_hole_in_the_workflow(case: str, file: Files) -> None:
    path = file(case, "github")
    # Runs of tags may use what runs of the default branch kept, and nobody else writes that
    # (docs/adr/0022).
    assert holes(path) == {"cache-poisoning"}
    path.write_text(path.read_text().replace('"$PROJECT" --check', "${{ github.head_ref }}"))
    assert "template-injection" in holes(path)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("schema", ["github-workflows", "gitlab-ci"])
def test_the_schema_of_the_system_accepts_the_file(case: str, schema: str, file: Files) -> None:
    transform = ["--data-transform", "gitlab-ci"] if schema == "gitlab-ci" else []
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}",
             *transform]  # fmt: skip
    path = file(case, schema.partition("-")[0])
    says(*check, path)
    path.write_text(path.read_text().replace("    permissions:", "    permission:").replace(
        "  interruptible: false", "  interruptable: 1"))  # fmt: skip
    says(*check, path, status=1)


def test_our_own_action_is_one_that_github_takes(require_tool: Callable[[str], str]) -> None:
    path = Path(__file__).parents[2] / "action.yml"
    says(
        sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-actions", path
    )
    # What goes to PATH is a folder of its own, which no caller names.
    assert holes(path) == {"github-env"}
    for step in yaml.safe_load(path.read_text())["runs"]["steps"]:
        assert "${{" not in step["run"]
        says(require_tool("shellcheck"), "--shell", "bash", "-", given=step["run"])


@pytest.mark.parametrize(("case", "system"), [one for one in EACH if one[1] != "github"])
def test_shellcheck_accepts_every_script(
    case: str, system: str, require_tool: Callable[[str], str]
) -> None:
    shellcheck = require_tool("shellcheck")
    for script in scripts(case, system):
        says(shellcheck, "--shell", "sh", "-", given=script)
    says(shellcheck, "--shell", "sh", "-", given="echo $1\n", status=1)


def scripts(case: str, system: str) -> list[str]:
    text = rendered(case, system)
    if system == "generic":
        return [text]
    jobs = [job for job in yaml.safe_load(text).values() if isinstance(job, dict)]
    return [
        "\n".join([*job.get("before_script", []), *job["script"]])
        for job in jobs
        if "script" in job
    ]


@pytest.mark.parametrize("case", CASES)
def test_every_action_is_pinned_by_commit_and_says_its_version(case: str) -> None:
    used = [line.strip() for line in rendered(case, "github").splitlines() if "uses:" in line]
    assert len(used) > 10
    assert [line for line in used if not _PIN.fullmatch(line)] == []
    assert len({line.rpartition(" #")[0].rpartition("@")[0] for line in used}) == len(set(used))


@pytest.mark.parametrize("case", CASES)
def test_each_job_may_do_what_it_needs_and_no_more(case: str) -> None:
    workflow = yaml.safe_load(rendered(case, "github"))
    assert workflow["permissions"] == {}
    may = {name: set(job["permissions"].items()) for name, job in workflow["jobs"].items()}
    last = ["promote-staging", "promote-production"] if case == "staged" else ["production"]
    signing = ["sign", *(last if case == "staged" else [])]
    assert [name for name in may if ("id-token", "write") in may[name]] == signing
    assert [name for name in may if ("security-events", "write") in may[name]] == ["report"]
    pushing = [name for name in may if ("packages", "write") in may[name]]
    assert pushing == ["build", "sign", *last]
    assert [n for n, job in workflow["jobs"].items() if "environment" in job] == last
    pipeline: dict[str, Any] = yaml.safe_load(rendered(case, "gitlab"))
    tokens = [name for name, job in pipeline.items() if "id_tokens" in job]
    assert tokens == signing
    assert pipeline[last[-1]]["rules"][-1]["when"] == "manual"
    assert all(pipeline[name]["needs"][0] == "build" for name in last)


@pytest.mark.parametrize(("case", "system"), EACH)
def test_no_secret_and_no_expression_stands_in_a_script(case: str, system: str) -> None:
    if system == "github":
        jobs = yaml.safe_load(rendered(case, system))["jobs"].values()
        texts = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    else:
        texts = scripts(case, system)
    assert texts
    assert [text for text in texts if "${{" in text or "[=" in text or "{%" in text] == []


@pytest.mark.parametrize("system", NAMES)
def test_the_image_is_tested_where_the_project_says_how(system: str) -> None:
    assert "modelpack test" in rendered("full", system)
    assert "modelpack test" not in rendered("plain", system)

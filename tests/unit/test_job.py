"""The CI job that a command runs in: who builds, what later steps and people are told."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from modelpack.cli import environment
from modelpack.cli.display import markdown
from modelpack.cli.environment import ci_job
from modelpack.errors import InputError, Unavailable
from modelpack.evidence.provenance import LOCAL_BUILDER
from modelpack.oci.layout import Layout
from tests import projects
from tests.command_line import run_here

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "acme/minilm",
    "GITHUB_WORKFLOW_REF": "acme/minilm/.github/workflows/modelpack.yml@refs/heads/main",
    "GITHUB_RUN_ID": "42",
    "GITHUB_RUN_ATTEMPT": "2",
}
GITLAB = {
    "GITLAB_CI": "true",
    "CI_PROJECT_URL": "https://gitlab.com/acme/minilm",
    "CI_CONFIG_PATH": ".gitlab-ci.yml",
    "CI_COMMIT_BRANCH": "main",
    "CI_JOB_URL": "https://gitlab.com/acme/minilm/-/jobs/7",
}
FILE = "https://gitlab.com/acme/minilm//.gitlab-ci.yml"
HOSTILE = "a\nEOF\nmodelpack-0<<X\n::set-output name=b::c"


def without(variables: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name not in names}


def test_on_github_the_workflow_builds() -> None:
    assert ci_job.builder(GITHUB) == (
        "https://github.com/acme/minilm/.github/workflows/modelpack.yml@refs/heads/main"
    )
    assert ci_job.run(GITHUB) == "https://github.com/acme/minilm/actions/runs/42/attempts/2"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, f"{FILE}@refs/heads/main"),
        ({"CI_COMMIT_BRANCH": "", "CI_COMMIT_TAG": "v1"}, f"{FILE}@refs/tags/v1"),
        (
            {"CI_COMMIT_BRANCH": "", "CI_MERGE_REQUEST_REF_PATH": "refs/merge-requests/1/head"},
            f"{FILE}@refs/merge-requests/1/head",
        ),
        (
            {"CI_CONFIG_REF_URI": "gitlab.com/acme/shared//ci.yml@refs/heads/v2"},
            "https://gitlab.com/acme/shared//ci.yml@refs/heads/v2",
        ),
        ({"CI_COMMIT_BRANCH": ""}, ""),
    ],
)
def test_on_gitlab_the_pipeline_builds(more: Mapping[str, str], expected: str) -> None:
    assert ci_job.builder({**GITLAB, **more}) == expected
    assert ci_job.run({**GITLAB, **more}) == GITLAB["CI_JOB_URL"]


@pytest.mark.parametrize("variables", [GITHUB, GITLAB, {}])
def test_what_the_caller_says_stands(variables: Mapping[str, str]) -> None:
    said = {ci_job.BUILDER_VARIABLE: "https://ci.example/b", ci_job.INVOCATION_VARIABLE: "run:1"}
    assert ci_job.builder({**variables, **said}) == "https://ci.example/b"
    assert ci_job.run({**variables, **said}) == "run:1"


@pytest.mark.parametrize("missing", ["GITHUB_ACTIONS", "GITHUB_SERVER_URL", "GITHUB_WORKFLOW_REF"])
def test_a_builder_is_named_whole_or_not_at_all(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = without(GITHUB, missing)
    assert ci_job.builder(variables) == ""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert environment.invocation().builder == LOCAL_BUILDER


def outputs(path: Path) -> dict[str, str]:
    """Read the outputs of a step as GitHub's runner does (FileCommandManager)."""
    lines, found = path.read_text().split("\n"), {}
    while lines:
        line = lines.pop(0)
        if not line:
            continue
        name, _, delimiter = line.partition("<<")
        end = lines.index(delimiter)
        found[name] = "\n".join(lines[:end])
        lines = lines[end + 1 :]
    return found


def test_later_steps_get_values_whatever_they_hold(tmp_path: Path) -> None:
    file = tmp_path / "output"
    place = ci_job.Job(outputs=file)
    place.tell({"first": HOSTILE, "second": ""})
    place.tell({"third": "c"})
    assert outputs(file) == {"first": HOSTILE, "second": "", "third": "c"}
    delimiters = re.findall(r"<<(.*)", file.read_text())
    assert len(set(delimiters)) == len(delimiters)


def test_a_dotenv_report_has_one_line_for_each_value(tmp_path: Path) -> None:
    file = tmp_path / "job.env"
    place = ci_job.here({ci_job.DOTENV_VARIABLE: str(file)})
    place.tell({"digest": "sha256:1", "the-scan": "passed"}, summary="nobody asked")
    assert file.read_text() == "MODELPACK_DIGEST=sha256:1\nMODELPACK_THE_SCAN=passed\n"
    with pytest.raises(InputError, match="several lines"):
        place.tell({"digest": HOSTILE})


def test_nobody_is_told_where_nobody_asks(tmp_path: Path) -> None:
    assert ci_job.here({"GITHUB_OUTPUT": ""}) == ci_job.Job()
    ci_job.Job().tell({"digest": "x"}, summary="y")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=re.escape(str(tmp_path))):
        ci_job.Job(summary=tmp_path).tell({}, summary="x")


@pytest.mark.parametrize("value", ["a|b", "<img src=x>", "`x`\n# y", "[a](http://b)", "\x1b[2J"])
def test_markdown_is_text_whatever_it_holds(value: str) -> None:
    shown = markdown.table(["", markdown.text(value)], [[markdown.code(value), ""]])
    bare = re.sub(r"\\[!-/:-@\[-`{-~]", "", shown)
    assert not set(bare) & set("<>`[]#!*_\x1b")
    assert {line.count("|") for line in bare.split("\n")} == {3}


Type = Callable[..., dict[str, str]]


@pytest.fixture
def build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Type:
    """Build a project in a job of GitHub's."""
    folder = projects.make_project(tmp_path / "project", tmp_path / "cache")
    variables = {
        **GITHUB,
        "MODELPACK_CACHE": str(tmp_path / "cache"),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    def run(*options: str) -> dict[str, str]:
        done = run_here(capsys, "build", folder, "--locked", "--offline", *options)
        assert done.status == 0, done.err
        return {"stdout": done.out.strip()}

    return run


def test_a_build_tells_the_job_its_digest_and_shows_its_layers(build: Type, tmp_path: Path) -> None:
    digest = build()["stdout"]
    assert outputs(tmp_path / "output") == {"digest": digest, "pushed": ""}
    summary = (tmp_path / "summary").read_text()
    assert summary.startswith("### tiny 1.0.0: built\n\n|")
    assert f"| digest | `{digest}` |" in summary
    assert "| weights | linux/amd64 | 4 small files |" in summary


def test_provenance_says_which_workflow_built(build: Type, tmp_path: Path) -> None:
    build()
    text = (tmp_path / "project" / "dist" / "provenance.json").read_text()
    assert f'"id": "{ci_job.builder(GITHUB)}"' in text
    assert f'"invocationId": "{ci_job.run(GITHUB)}"' in text


def test_the_job_changes_nothing_of_the_image(
    build: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build()["stdout"]
    for name in GITHUB:
        monkeypatch.delenv(name)
    assert build()["stdout"] == first
    assert Layout(tmp_path / "project" / "dist" / "image").manifests()[0].digest == first

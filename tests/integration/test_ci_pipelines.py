"""Pipelines of `modelpack ci`, run: each script as it stands in the file, in order, from a clone.

With git, a registry that wants a login, the real Trivy with a small database, and a Sigstore in
this process, which knows the jobs that may have an identity. A scan that fails stops all that comes
after it: nothing is pushed.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from tests import github_runner, gitlab_runner, vulnerable_project
from tests import vulnerability_database as facts
from tests.registry_process import PASSWORD, USER, Registry, running_registry
from tests.sigstore.server import running_sigstore
from tests.sigstore.stack import Sigstore
from tests.vulnerable_project import NEW, NEW_EXPAT, OLD, OLD_EXPAT

pytestmark = [pytest.mark.integration, pytest.mark.slow]

WORKFLOW = ".github/workflows/modelpack.yml"
KNOWN = "CVE-2023-37920"
"""of the old certifi"""
POLICY = """
schema = 1
[signers.pipeline]
identity = "{identity}"
issuer = "{issuer}"
[signature]
signers = ["pipeline"]
[provenance]
[scan]
[stages.production]
signers = ["pipeline"]
after = "staging"
approver-not-builder = false
[stages.staging]
signers = ["pipeline"]
approver-not-builder = false
"""
STAGES = {"staging", "production"}
TOKENS = {"REGISTRY_USERNAME": USER, "REGISTRY_PASSWORD": PASSWORD}


@contextmanager
def granting(token: str) -> Iterator[Mapping[str, str]]:
    """Grant a job an identity token, as GitHub's runners do; yield the job's variables.

    Source: GitHub Docs, "OpenID Connect reference", "Methods for requesting the OIDC token".
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = parse_qs(urlsplit(self.path).query)
            allowed = self.headers["Authorization"].lower() == "bearer of-this-job"
            self.send_response(200 if allowed and asked["audience"] == ["sigstore"] else 403)
            self.end_headers()
            self.wfile.write(json.dumps({"value": token}).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"http://127.0.0.1:{server.server_port}/?a=1",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of-this-job",
        }
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Desk:
    """A repository of one project, a machine to run its pipelines, and a registry."""

    folder: Path
    registry: Registry
    environment: Mapping[str, str]
    sigstore: Sigstore

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def commit(self) -> str:
        return self._git("rev-parse", "HEAD").strip()

    def write(self, system: str, *, vulnerable: bool, below: str = ".", promoter: str = "") -> str:
        """Commit a project, below the repository, with its pipeline; return the pipeline.

        With a `promoter`, an identity, there is a policy by which it may promote.
        """
        certifi, expat = (OLD, OLD_EXPAT) if vulnerable else (NEW, NEW_EXPAT)
        rules = (
            f'[image]\nrepository = "{self.registry.address}/acme/tiny"\ntags = ["1.0", "b"]\n'
            '[sign]\nrequire = ["scan"]\n'
        )
        vulnerable_project.make(
            self.repository / below, self.cache, certifi=certifi, expat=expat, rules=rules
        )
        (self.repository / ".gitignore").write_text("dist/\n")
        if promoter:
            policy = POLICY.format(identity=promoter, issuer=self.sigstore.url)
            (self.repository / below / "policy.toml").write_text(policy)
        self._git("init", "--quiet", "--initial-branch", "main")
        done = subprocess.run(
            [sys.executable, "-m", "modelpack", "ci", system, below], cwd=self.repository,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        self._git("add", "--all")
        self._git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "first")
        return (self.repository / done.stdout.strip()).read_text()

    def _git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=self.repository, capture_output=True, text=True, check=True
        )
        return done.stdout

    def pushed(self) -> set[str]:
        """Return the tags in the registry, but for those by which referrers are found."""
        below = self.registry.folder / "data/docker/registry/v2/repositories/acme/tiny/_manifests"
        return {path.name for path in below.glob("tags/*") if not path.name.startswith("sha256-")}

    def tagged(self, tag: str) -> str:
        below = f"data/docker/registry/v2/repositories/acme/tiny/_manifests/tags/{tag}/current/link"
        return (self.registry.folder / below).read_text()


@pytest.fixture
def desk(
    go_tool: Callable[[str], str], require_tool: Callable[[str], str], tmp_path: Path
) -> Iterator[Desk]:
    database = facts.write(tmp_path / "database", updated=int(time.time()) - 3600)
    configuration = tmp_path / "config.toml"
    configuration.write_text(f'[scan]\ndatabase = "{database}"\n')
    programs = (Path(sys.executable).parent, Path(go_tool("trivy")).parent, "/usr/bin", "/bin")
    environment = {
        "PATH": os.pathsep.join(map(str, programs)),
        "MODELPACK_CONFIG": str(configuration),
        "LANG": "C.UTF-8",
    }
    docker_registry = require_tool("docker-registry")
    with (
        running_registry(docker_registry, tmp_path / "registry", login=True) as registry,
        running_sigstore(tmp_path) as sigstore,
    ):
        yield Desk(tmp_path, registry, environment, sigstore)


def github(desk: Desk, *, event: str = "push") -> github_runner.Runner:
    """Return a runner for what happened at the desk's repository."""
    return github_runner.Runner(
        repository=desk.repository, folder=desk.folder / "run", cache=desk.cache,
        environment=desk.environment,
        contexts={
            "secrets": TOKENS,
            "vars": {
                "MODELPACK_TRUST_CONFIG": json.dumps(desk.sigstore.trust_config()),
                "MODELPACK_OIDC_ISSUER": desk.sigstore.url,
            },
            "github": {
                "event_name": event, "sha": desk.commit, "repository": "acme/tiny",
                "server_url": "https://github.com", "run_id": "1", "run_attempt": "1",
                "workflow_ref": f"acme/tiny/{WORKFLOW}@refs/heads/main",
                "event": {"pull_request": {"head": {"repo": {"full_name": "acme/tiny"}}}},
            },
        },
    )  # fmt: skip


def gitlab(desk: Desk, **variables: str) -> gitlab_runner.Runner:
    """Return a runner for a pipeline of the default branch, which is protected."""
    return gitlab_runner.Runner(
        repository=desk.repository, folder=desk.folder / "run", cache=desk.cache,
        environment=desk.environment,
        variables={
            "CI_PIPELINE_SOURCE": "push", "CI_COMMIT_BRANCH": "main", "CI_DEFAULT_BRANCH": "main",
            "CI_COMMIT_REF_PROTECTED": "true", "CI_COMMIT_SHA": desk.commit,
            "CI_PROJECT_URL": "https://gitlab.com/acme/tiny", "CI_CONFIG_PATH": ".gitlab-ci.yml",
            "CI_PROJECT_PATH": "acme/tiny", "CI_SERVER_URL": "https://gitlab.com",
            "CI_SERVER_FQDN": "gitlab.com", "CI_PROJECT_NAMESPACE": "acme",
            "MODELPACK_TRUST_CONFIG": str(desk.sigstore.trust_config_file()),
            "MODELPACK_OIDC_ISSUER": desk.sigstore.url,
            "CI_JOB_URL": "https://gitlab.com/acme/tiny/-/jobs/1",
            **TOKENS, **variables,
        },
    )  # fmt: skip


def test_on_github_what_passed_is_pushed_and_then_gets_its_tags(desk: Desk) -> None:
    text = desk.write("github", vulnerable=False, below="models/tiny")
    runner = github(desk)
    token = desk.sigstore.job_token("acme/tiny", workflow=WORKFLOW, commit=desk.commit, run="1")
    with granting(token) as runner.identity:
        runner.run(text)
    assert set(runner.results.values()) == {"success"}, runner.log
    digest = runner.outputs["build"]["digest"]
    assert desk.pushed() == {f"git-{desk.commit}", "1.0", "b"}
    assert {desk.tagged(tag) for tag in (f"git-{desk.commit}", "1.0", "b")} == {digest}
    (sarif,) = runner.reported
    assert json.loads(sarif)["runs"][0]["properties"] == {"digest": digest, "outcome": "passed"}
    handed = desk.folder / "run/artifacts/modelpack-statements"
    assert {"build.json", "sbom.cdx.json", "scan.json"} <= {each.name for each in handed.iterdir()}
    assert PASSWORD not in runner.log.replace("--password-stdin", "")


def test_on_github_a_failing_scan_is_shown_and_stops_everything(desk: Desk) -> None:
    text = desk.write("github", vulnerable=True)
    runner = github(desk)
    runner.run(text)
    assert runner.results == {
        "build": "failure", "report": "success", "sign": "skipped", "verify": "skipped",
        "production": "skipped",
    }  # fmt: skip
    assert KNOWN in runner.reported[0]
    assert desk.pushed() == set()
    assert not any("modelpack push" in script for script in runner.scripts)


def test_of_a_pull_request_nothing_is_pushed(desk: Desk) -> None:
    text = desk.write("github", vulnerable=False)
    runner = github(desk, event="pull_request")
    runner.run(text)
    assert runner.results == {
        "build": "success", "report": "success", "sign": "skipped", "verify": "skipped",
        "production": "skipped",
    }  # fmt: skip
    assert desk.pushed() == set()
    assert not any("REGISTRY_PASSWORD" in script for script in runner.scripts)


def test_on_gitlab_what_passed_is_pushed_and_then_gets_its_tags(desk: Desk) -> None:
    pipeline = "https://gitlab.com/acme/tiny//.gitlab-ci.yml@refs/heads/main"
    text = desk.write("gitlab", vulnerable=False, below="models/tiny", promoter=pipeline)
    runner = gitlab(desk)
    runner.tokens = {
        "sigstore": desk.sigstore.issuer.pipeline_token("acme/tiny", commit=desk.commit)
    }
    runner.run(text)
    assert set(runner.results.values()) == {"success"}, runner.log
    assert desk.pushed() == {f"git-{desk.commit}", "1.0", "b", *STAGES}
    assert [name for name in runner.results if name.startswith("promote-")] == [
        "promote-staging", "promote-production",
    ]  # fmt: skip
    record = json.loads((desk.folder / "run/jobs/build/models/tiny/dist/build.json").read_bytes())
    assert {desk.tagged(name) for name in ("1.0", *STAGES)} == {record["digest"]}
    assert record["dirty"] is False
    provenance = (desk.folder / "run/jobs/build/models/tiny/dist/provenance.json").read_text()
    assert pipeline in provenance


def test_on_gitlab_a_failing_scan_stops_everything(desk: Desk) -> None:
    text = desk.write("gitlab", vulnerable=True)
    runner = gitlab(desk)
    runner.run(text)
    assert runner.results == {
        "trivy": "success", "build": "failed", "sign": "skipped", "verify": "skipped",
        "production": "skipped",
    }  # fmt: skip
    assert KNOWN in runner.log
    assert desk.pushed() == set()


@pytest.mark.parametrize(
    "variables",
    [
        {"CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_IID": "1"},
        {"CI_COMMIT_REF_PROTECTED": "false"},
    ],
)
def test_on_gitlab_only_protected_branches_sign(desk: Desk, variables: Mapping[str, str]) -> None:
    text = desk.write("gitlab", vulnerable=False)
    runner = gitlab(desk, **variables)
    runner.run(text, without=frozenset({"trivy", "build"}))
    assert {runner.results[name] for name in ("sign", "verify", "production")} == {"left out"}


GO = """#!/bin/sh
echo "$GOEXPERIMENT $CGO_ENABLED $*" >> "$HOME/go.log"
mkdir -p "$GOBIN" && touch "$GOBIN/trivy" && chmod +x "$GOBIN/trivy"
"""


@pytest.mark.parametrize("system", ["github", "gitlab"])
def test_where_there_is_no_trivy_go_compiles_the_tested_one_once(
    system: str, tmp_path: Path, golden_pipeline: Callable[[str], Any]
) -> None:
    pipeline = golden_pipeline(system)
    if system == "github":
        steps = {step["name"]: step for step in pipeline["jobs"]["build"]["steps"]}
        lines, place = [steps["Install Trivy"]["run"]], tmp_path / "go" / "bin"
        said = pipeline["jobs"]["build"]["env"]
    else:
        lines, place = pipeline["trivy"]["script"], tmp_path / "dist" / "ci"
        said = pipeline["variables"]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "go").write_text(GO)
    (tmp_path / "bin" / "go").chmod(0o755)
    for _ in range(2):
        subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", "\n".join(lines)],
            cwd=tmp_path, check=True,
            env={
                "PATH": f"{tmp_path}/bin:/usr/bin:/bin", "HOME": str(tmp_path), **said,
                "GITHUB_PATH": str(tmp_path / "path"),
            },
        )  # fmt: skip
    assert (place / "trivy").exists()
    assert (tmp_path / "go.log").read_text().splitlines() == [
        "jsonv2 0 install -ldflags -s -w github.com/aquasecurity/trivy/cmd/trivy@v0.74.0"
    ]


@pytest.fixture
def golden_pipeline() -> Callable[[str], Any]:
    """Return a function that reads the pipeline of a project at the top of its repository."""
    plain = Path(__file__).parents[1] / "golden" / "pipelines" / "plain"
    return lambda system: yaml.safe_load((plain / f"{system}.yml").read_bytes())


def script(desk: Desk, *stages: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run stages of the generic pipeline in the one clone."""
    clone, home = desk.folder / "clone", desk.folder / "home"
    if not clone.exists():
        subprocess.run(["git", "clone", "-q", str(desk.repository), str(clone)], check=True)
        home.mkdir()
    return subprocess.run(
        [str(clone / "modelpack-ci.sh"), *stages], cwd="/", capture_output=True, text=True,
        check=False, timeout=300, stdin=subprocess.DEVNULL,
        env={
            **desk.environment, "HOME": str(home), "MODELPACK_CACHE": str(desk.cache), **TOKENS,
            "TRUST_CONFIG": str(desk.sigstore.trust_config_file()), **variables,
        },
    )  # fmt: skip


def test_a_plain_script_does_the_same(desk: Desk) -> None:
    desk.write("generic", vulnerable=False, promoter="ci@example.org")
    stages = ["install", "check", "build", "scan", "push"]
    done = script(desk, *stages)
    assert done.returncode == 0, done.stderr
    assert desk.pushed() == {f"git-{desk.commit}"}
    token = desk.folder / "token"
    token.write_text(desk.sigstore.token("ci@example.org"))
    done = script(desk, "sign", IDENTITY_TOKEN_FILE=str(token))
    assert done.returncode == 0, done.stderr
    expected = {"CERTIFICATE_OIDC_ISSUER": desk.sigstore.url}
    for identity, status in (("ci@example.org", 0), ("somebody@example.org", 1)):
        done = script(desk, "verify", CERTIFICATE_IDENTITY=identity, **expected)
        assert done.returncode == status, done.stderr
    as_ci = {"IDENTITY_TOKEN_FILE": str(token)}
    early = script(desk, "promote-production", **as_ci)
    assert early.returncode == 1
    assert "after staging" in early.stdout
    token.write_text(desk.sigstore.token("somebody@example.org"))
    assert script(desk, "promote-staging", **as_ci).returncode == 1
    assert desk.pushed() == {f"git-{desk.commit}"}
    for stage in ("promote-staging", "promote-production"):
        token.write_text(desk.sigstore.token("ci@example.org"))
        done = script(desk, stage, **as_ci)
        assert done.returncode == 0, done.stdout + done.stderr
    assert {desk.tagged(name) for name in ("1.0", "b", *STAGES)} == {
        desk.tagged(f"git-{desk.commit}")
    }
    assert script(desk, "nonsense").returncode == 2


def test_a_plain_script_ends_where_the_scan_fails(desk: Desk) -> None:
    desk.write("generic", vulnerable=True)
    done = script(desk)
    assert done.returncode == 1
    assert "=== scan" in done.stderr
    assert "=== push" not in done.stderr
    assert desk.pushed() == set()


ACTION = Path(__file__).parents[2] / "action.yml"


def test_the_action_installs_itself_and_hands_on_the_digest(desk: Desk) -> None:
    desk.write("github", vulnerable=False)
    action = yaml.safe_load(ACTION.read_text())
    steps = [
        {key: value for key, value in step.items() if key != "shell"}
        for step in action["runs"]["steps"]
    ]
    job = {
        "env": {"MODELPACK_CACHE": str(desk.cache)},
        "steps": [{"uses": "actions/checkout@0"}, *steps],
        "outputs": {name: output["value"] for name, output in action["outputs"].items()},
    }
    runner = github(desk)
    command = "build . --locked --offline\n  --scan"
    runner.contexts = {
        **runner.contexts, "inputs": {"command": command, "python": sys.executable},
        "github": {**runner.contexts["github"], "action_path": str(ACTION.parent)},
    }  # fmt: skip
    runner.run(yaml.safe_dump({"jobs": {"one": job}}))
    assert runner.results == {"one": "success"}, runner.log
    record = json.loads((desk.folder / "run/jobs/one/work/dist/build.json").read_bytes())
    assert runner.outputs["one"] == {
        "digest": record["digest"], "pushed": "", "scan": "passed", "malware": "",
    }  # fmt: skip

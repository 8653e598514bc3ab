"""`modelpack ci`: where it writes, what it leaves alone, what it refuses to put into a pipeline."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from modelpack import spec as specs
from modelpack import templates
from modelpack.cli import COMMANDS
from modelpack.cli import ci as command
from modelpack.deploy import ci
from modelpack.errors import InputError
from modelpack.evidence.scan import trivy
from modelpack.spec import Image, Interface, Spec, decoding
from tests import projects
from tests.command_line import Done, run_here

TOML = projects.TOML + '[image]\nrepository = "ghcr.io/acme/tiny"\n'
TOOLS = ci.Tools(modelpack="1.0.0", trivy="v1.0.0", test=False)
PATHS = {system: known.path for system, known in ci.SYSTEMS.items()}
Type = Callable[..., Done]


@pytest.fixture
def type_(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Type:
    """Type commands in a repository with a project at its top and one below."""
    for place in (tmp_path, tmp_path / "models" / "b"):
        place.mkdir(parents=True, exist_ok=True)
        (place / "modelpack.toml").write_text(TOML)
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    return lambda *words: run_here(capsys, "ci", *words)


@pytest.mark.parametrize("system", PATHS)
def test_it_writes_where_the_system_looks_and_prints_the_path(
    system: str, type_: Type, tmp_path: Path
) -> None:
    done = type_(system)
    assert (done.status, done.out) == (0, f"{PATHS[system]}\n")
    assert (tmp_path / PATHS[system]).read_text().count("ghcr.io/acme/tiny") == 1


def test_a_project_below_gets_its_pipeline_at_the_top_of_the_repository(
    type_: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "models")
    done = type_("github", "b")
    path = tmp_path / PATHS["github"]
    assert done.out == f"{path}\n"
    assert 'PROJECT: "./models/b"\n' in path.read_text()
    assert "hashFiles('models/b/modelpack.lock')" in path.read_text()


def test_only_the_script_is_a_program(type_: Type, tmp_path: Path) -> None:
    for system, path in PATHS.items():
        type_(system)
        assert bool((tmp_path / path).stat().st_mode & 0o100) is (system == "generic")


def test_a_file_that_says_something_else_is_left_alone(type_: Type, tmp_path: Path) -> None:
    path = tmp_path / PATHS["gitlab"]
    path.write_text("mine")
    done = type_("gitlab")
    assert (done.status, path.read_text()) == (2, "mine")
    assert "--replace" in done.err
    done = type_("gitlab", "--replace", "--json")
    assert done.document["written"] is True
    assert path.read_text() == done.document["text"]
    # Again: nothing to do, and nothing is done.
    before = path.stat().st_mtime_ns
    done = type_("gitlab", "--json")
    assert (done.status, done.document["written"]) == (0, False)
    assert path.stat().st_mtime_ns == before


def test_a_dangling_link_is_not_written_through(type_: Type, tmp_path: Path) -> None:
    (tmp_path / PATHS["gitlab"]).symlink_to(tmp_path / "elsewhere")
    assert type_("gitlab").status == 2
    assert not (tmp_path / "elsewhere").exists()


def test_the_text_may_go_to_stdout_or_elsewhere(type_: Type, tmp_path: Path) -> None:
    text = type_("github", "--output", "-").out
    assert text.startswith("# Made by `modelpack ci github` from modelpack.toml.")
    assert not (tmp_path / ".github").exists()
    done = type_("github", "--output", "other/x.yml", "--json")
    assert list(done.document) == ["schema", "system", "path", "written", "text", "findings"]
    assert (tmp_path / "other" / "x.yml").read_text() == done.document["text"] == text


def test_a_declared_test_that_cannot_be_run_is_a_warning(
    type_: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "modelpack.toml").write_text(TOML + '[test]\ngolden = ["*.json"]\n')
    monkeypatch.delitem(COMMANDS, "test", raising=False)
    done = type_("github", "--output", "-")
    (message,) = done.messages
    assert message.startswith("warning: test.golden: this version has no `modelpack test`: ")
    assert "modelpack test" not in done.out
    monkeypatch.setitem(COMMANDS, "test", "")
    done = type_("github", "--output", "-")
    assert done.messages == []
    assert 'run: modelpack test "$PROJECT"' in done.out


def test_a_project_without_a_repository_is_refused(type_: Type, tmp_path: Path) -> None:
    (tmp_path / "modelpack.toml").write_text(projects.TOML)
    done = type_("github")
    assert done.status == 2
    assert done.messages == ["error: image.repository: the project names no repository"]


def spec(**image: object) -> Spec:
    read = decoding.parse(TOML.encode(), filename="modelpack.toml")
    return replace(read, image=replace(read.image, **image))  # type: ignore[arg-type]


def render(system: str, read: Spec, *, folder: str = ".", tools: ci.Tools = TOOLS) -> str:
    text = templates.text(ci.SYSTEMS[system].template)
    return ci.render(system, read, folder=folder, template=text, tools=tools)


HOSTILE = ("$(id)", "`id`", "${{ github.token }}", 'a"b', "a\nb: c", "a b", "$X", "a\\", "'")


@pytest.mark.parametrize("system", PATHS)
@pytest.mark.parametrize("value", HOSTILE)
def test_what_is_no_plain_word_never_gets_into_a_pipeline(system: str, value: str) -> None:
    """Such values are refused before, by the grammar of the toml: this is the second wall."""
    with pytest.raises(InputError):
        render(system, spec(tags=(value,)))
    with pytest.raises(InputError, match="cannot name the folder"):
        render(system, spec(), folder=value)
    with pytest.raises(InputError):
        render(system, spec(repository=f"ghcr.io/{value}"))


@pytest.mark.parametrize("folder", ["..", "a/../b", "/a", "-x", "a/./b", "a//b"])
def test_a_folder_is_below_the_repository(folder: str) -> None:
    with pytest.raises(InputError, match="cannot name the folder"):
        render("github", spec(), folder=folder)


def test_ghcr_takes_the_token_of_the_job_and_others_take_secrets() -> None:
    own, other = (
        render("github", spec(repository=f"{host}/a/b")) for host in ("ghcr.io", "quay.io")
    )
    assert "secrets." not in own
    assert "github.token" not in other
    assert 'REGISTRY: "docker.io"' in render("github", spec(repository="acme/tiny"))


def test_what_the_project_needs_of_modelpack_is_installed() -> None:
    assert '"modelpack-build==1.0.0"' in render("gitlab", spec())
    read = spec(compression="zstd")
    weights = tuple(
        replace(read.weights[0], path="", source=source)
        for source in ("s3://a/b", "hf://a/b@c", "oci:x")
    )
    text = render("gitlab", replace(read, weights=weights))
    assert '"modelpack-build[hf,s3,zstd]==1.0.0"' in text
    described = replace(spec(), interface=Interface(openapi="openapi.json"))
    assert '"modelpack-build[interface]==1.0.0"' in render("gitlab", described)
    tested = replace(described, test=specs.Test(golden=("golden/*.json",)))
    text = render("gitlab", tested, tools=replace(TOOLS, test=True))
    assert '"modelpack-build[interface,schemathesis]==1.0.0"' in text
    assert "lfs: true" not in render("github", replace(read, weights=weights))
    assert "lfs: true" in render("github", read)


def test_the_trivy_of_a_pipeline_is_the_one_that_is_tested() -> None:
    pinned = (Path(__file__).parents[1] / "tools" / "trivy" / "go.mod").read_text()
    assert f"github.com/aquasecurity/trivy {trivy.TESTED}\n" in pinned
    assert command._tools().trivy == trivy.TESTED


def test_tags_default_to_the_version() -> None:
    assert isinstance(spec().image, Image)
    assert '"$IMAGE:1.0.0"' in render("generic", spec())


STAGED = """
schema = 1
[signers.us]
identity = "us@example.org"
issuer = "https://issuer.example.org"
[signature]
signers = ["us"]
"""
STAGES = '[stages.canary]\nsigners = ["us"]\n[stages.b]\nsigners = ["us"]\nafter = "canary"\n'


def test_a_policy_with_stages_makes_a_job_of_each(type_: Type, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(STAGED)
    assert "production" in type_("gitlab", "--output", "-").out  # it has no stages

    policy.write_text(STAGED + STAGES)
    done = type_("gitlab", "--output", "-", "--json")
    pipeline = yaml.safe_load(done.document["text"])
    assert pipeline["stages"][-2:] == ["promote-canary", "promote-b"]
    assert "production" not in pipeline
    assert "modelpack copy" not in str(pipeline["promote-canary"])
    assert "modelpack copy" in str(pipeline["promote-b"])
    assert "deployment_tier" not in pipeline["promote-b"]["environment"]
    rules = [one["at"] for one in done.document["findings"]]
    assert rules == [f"stages.{name}.approver-not-builder" for name in ("canary", "b")]

    policy.rename(tmp_path / "models" / "other.toml")
    assert "production" in type_("gitlab", "--output", "-").out
    given = type_("gitlab", "--policy", "models/other.toml", "--output", "-").out
    assert '--policy "models/other.toml"' in given


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (STAGED, "p.toml", "the policy has no stages"),
        (STAGED + STAGES.replace("stages.b]", 'stages."b.c"]'), "p.toml", "the stage `b.c`"),
        (STAGED + STAGES, "with space.toml", "cannot name the file"),
        (STAGED + STAGES, "../p.toml", "is not in the repository"),
    ],
)
def test_a_policy_that_no_pipeline_can_follow_is_refused(
    text: str, place: str, message: str, type_: Type, tmp_path: Path
) -> None:
    (tmp_path / place).write_text(text)
    done = type_("github", "--policy", place)
    assert (done.status, message in done.err) == (2, True), done.err
    assert not (tmp_path / PATHS["github"]).exists()

"""The commands as a demanding user types them: where images go, what they claim, what is told."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelpack.oci.layout import Layout
from tests import projects
from tests.command_line import Done, run, run_here, state_of

REVISION = "org.opencontainers.image.revision"
CREATED = "org.opencontainers.image.created"
DIRTY = "dev.modelpack.source.dirty"
LOCKED = "2023-11-14T22:13:20Z"
"the lock's epoch, `projects.EPOCH`"


@dataclass
class Desk:
    """A locked project that needs no network, and how to type commands here."""

    folder: Path
    cache: Path
    type: Callable[..., Done]

    def build(self, *options: object) -> Done:
        return self.type("build", self.folder, "--locked", "--offline", *options)

    def built(self, *options: object) -> str:
        """Build and return the digest."""
        done = self.build(*options)
        assert done.status == 0, done.err
        return done.out.strip()

    def labels(self, *options: object) -> dict[str, str]:
        """Build and return the labels."""
        self.built(*options)
        return self.config()["config"]["Labels"]

    def config(self, layout: Path | None = None) -> Any:
        store = Layout(layout or self.folder / "dist" / "image")
        manifest = store.image(store.manifests()[0].digest)
        assert manifest.config is not None
        return json.loads(store.read(manifest.config))

    def states(self) -> dict[str, tuple[str, str]]:
        """Return what `plan` says of each step."""
        done = self.type("plan", self.folder, "--json")
        assert done.status == 0, done.out
        (plan,) = done.document["plans"]
        return {step["kind"]: (step["state"], step["why"]) for step in plan["steps"]}

    def relock(self) -> None:
        projects.write_lock(self.folder, self.cache)

    def edit(self, old: str, new: str) -> None:
        file = self.folder / "modelpack.toml"
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MODELPACK_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    folder = tmp_path / "project"
    projects.make_project(folder, tmp_path / "cache")
    return Desk(folder, tmp_path / "cache", lambda *words: run_here(capsys, *words))


@pytest.fixture
def commit(
    desk: Desk, require_tool: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], str]:
    """Return what commits the project, at a time of its own, and gives the revision."""
    git = require_tool("git")
    for name in list(os.environ):
        if name.startswith("GIT_"):
            monkeypatch.delenv(name)

    def call(*words: str) -> str:
        return subprocess.run(
            [git, "-c", "user.name=A", "-c", "user.email=a@example.org", *words],
            cwd=desk.folder, check=True, capture_output=True, text=True,
            env={**os.environ, "GIT_COMMITTER_DATE": "2020-01-02T03:04:05+05:00"},
        ).stdout.strip()  # fmt: skip

    def make() -> str:
        call("init", "-q")
        call("add", "modelpack.toml", "modelpack.lock", "service")
        call("commit", "-q", "-m", "all")
        return call("rev-parse", "HEAD")

    return make


# What the image claims of its source


def test_without_a_repository_there_is_no_revision(desk: Desk) -> None:
    labels = desk.labels()
    assert REVISION not in labels
    assert DIRTY not in labels
    assert labels[CREATED] == LOCKED
    assert not any(
        item.startswith("MODELPACK_REVISION=") for item in desk.config()["config"]["Env"]
    )


def test_a_commit_gives_revision_and_time(desk: Desk, commit: Callable[[], str]) -> None:
    revision = commit()
    labels = desk.labels()
    assert (labels[REVISION], labels[DIRTY]) == (revision, "false")
    assert labels[CREATED] == desk.config()["created"] == "2020-01-01T22:04:05Z"
    assert f"MODELPACK_REVISION={revision}" in desk.config()["config"]["Env"]
    record = json.loads((desk.folder / "dist" / "build.json").read_bytes())
    assert (record["revision"], record["dirty"]) == (revision, False)


@pytest.mark.parametrize(
    ("change", "dirty"),
    [
        (lambda p: (p / "service" / "__main__.py").write_text("print(2)\n"), "true"),
        (lambda p: (p / "service" / "__main__.py").chmod(0o755), "true"),
        (lambda p: (p / "service" / "new.py").write_text(""), "true"),
        (lambda p: (p / "modelpack.toml").write_text(f"# note\n{projects.TOML}"), "true"),
        (lambda p: (p / "README.md").write_text("not packed"), "false"),
        (lambda p: (p / "service" / "__main__.py").touch(), "false"),
        (lambda p: (p / "weights" / "README.md").write_text("not packed"), "false"),
    ],
    ids=["content", "x-bit", "new file", "spec", "unpacked file", "time", "beside the weights"],
)
def test_only_packed_files_make_a_build_dirty(
    desk: Desk, commit: Callable[[], str], change: Callable[[Path], object], dirty: str
) -> None:
    revision = commit()
    change(desk.folder)
    labels = desk.labels()
    assert (labels[REVISION], labels[DIRTY]) == (revision, dirty)


def test_the_revision_can_be_left_out_and_set(desk: Desk, commit: Callable[[], str]) -> None:
    plain = desk.built()
    commit()
    assert desk.built("--revision", "none") == plain
    assert REVISION not in desk.config()["config"]["Labels"]
    assert desk.labels("--revision", "v1.2-3-gabc")[REVISION] == "v1.2-3-gabc"


@pytest.mark.parametrize("revision", ["", "a b", "a\nb", "\x1b[2J", "é", "x" * 300])
def test_a_revision_is_one_plain_word(desk: Desk, revision: str) -> None:
    for words in (["build", desk.folder, "--offline"], ["plan", desk.folder]):
        done = desk.type(*words, "--revision", revision)
        assert done.status == 2
        assert "--revision: not a revision" in done.err
    assert not (desk.folder / "dist").exists()


def test_source_date_epoch_is_the_time(
    desk: Desk, commit: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    commit()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert desk.labels()[CREATED] == "1970-01-02T00:00:00Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "tomorrow")
    done = desk.build()
    assert (done.status, done.messages) == (
        2, ["error: SOURCE_DATE_EPOCH: not a number of seconds since 1970: `tomorrow`"],
    )  # fmt: skip


def test_labels_trace_the_image(desk: Desk) -> None:
    desk.edit('version = "1.0.0"', 'version = "1.0.0"\nlicense = "MIT"\ntask = "sorting"')
    desk.edit(
        "[runtime]\n",
        '[[training.data]]\nname = "s2orc"\nversion = "2021"\nuri = "s3://acme/s2orc"\n'
        '[training]\nrun = "https://mlflow.example/1"\n'
        '[image]\nlabels = { "com.acme.team" = "search" }\n[runtime]\n',
    )
    labels = desk.labels("--revision", "abc")
    record = json.loads((desk.folder / "dist" / "build.json").read_bytes())
    own = {key: value for key, value in labels.items() if key.startswith("dev.modelpack.")}
    assert own["dev.modelpack.model.name"] == labels["org.opencontainers.image.title"] == "tiny"
    assert own["dev.modelpack.model.version"] == labels["org.opencontainers.image.version"]
    assert own["dev.modelpack.model.task"] == "sorting"
    assert own["dev.modelpack.weights.digest"] == record["weights"]
    assert own["dev.modelpack.lock.digest"] == record["lock"]
    assert own["dev.modelpack.plan.digest"] == record["plan"]
    assert own["dev.modelpack.training.run"] == "https://mlflow.example/1"
    (data,) = json.loads(own["dev.modelpack.training.data"])
    assert (data["name"], data["version"]) == ("s2orc", "2021")
    assert own["dev.modelpack.format"]
    assert labels["org.opencontainers.image.licenses"] == "MIT"
    assert labels["com.acme.team"] == "search"
    assert list(labels) == sorted(labels)


# Where images go


def entries(layout: Path) -> dict[str, str]:
    """Return the images of a layout by tag; what vouches for them stands behind them."""
    index = json.loads((layout / "index.json").read_bytes())
    named = {
        entry["annotations"]["org.opencontainers.image.ref.name"]: entry["digest"]
        for entry in index["manifests"]
    }
    images = {tag: digest for tag, digest in named.items() if not tag.startswith("sha256-")}
    assert list(named)[: len(images)] == list(images)
    assert set(named) - set(images) == {d.replace(":", "-") for d in images.values()}
    return images


def test_the_image_goes_to_dist_with_its_version_as_tag(desk: Desk) -> None:
    digest = desk.built()
    assert entries(desk.folder / "dist" / "image") == {"1.0.0": digest}
    assert projects.strangers(desk.folder / "dist", projects.DIST) == []


def test_a_layout_keeps_its_other_tags(desk: Desk, tmp_path: Path) -> None:
    first = desk.built("--output", f"oci:{tmp_path}/layout:one")
    (desk.folder / "service" / "__main__.py").write_text("print(2)\n")
    second = desk.built("--output", f"oci:{tmp_path}/layout:two")
    assert first != second
    assert entries(tmp_path / "layout") == {"two": second, "one": first}
    assert desk.type("inspect", f"oci:{tmp_path}/layout:one", "--json").document["digest"] == first
    assert projects.damage(tmp_path / "layout") == []


def test_one_layout_named_twice_gets_both_tags(desk: Desk, tmp_path: Path) -> None:
    names = (f"oci:{tmp_path}/layout:one", f"oci:{tmp_path}/../{tmp_path.name}/layout:two")
    words = [word for name in names for word in ("--output", name)]
    done = run("build", desk.folder, "--locked", "--offline", "-q", *words, cache=desk.cache)
    assert done.status == 0, done.err
    assert set(entries(tmp_path / "layout")) == {"one", "two"}


def test_archives_and_a_layout_hold_one_image(desk: Desk, tmp_path: Path) -> None:
    names = [
        f"oci:{tmp_path}/l",
        f"oci-archive:{tmp_path}/o.tar",
        f"docker-archive:{tmp_path}/d.tar",
    ]
    done = desk.build("--json", *[word for name in names for word in ("--output", name)])
    assert done.status == 0, done.err
    assert done.document["outputs"] == names
    for name in names:
        shown = desk.type("inspect", name, "--json").document
        assert shown["digest"] == done.document["digest"]
        assert shown["model"]["name"] == "tiny"
    assert not (desk.folder / "dist" / "image").exists()


def test_an_archive_is_written_again_over_itself(desk: Desk, tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.tar"
    desk.built("--output", f"docker-archive:{target}", "--output", f"docker-archive:{target}")
    first = target.read_bytes()
    desk.built("--output", f"docker-archive:{target}")
    assert target.read_bytes() == first
    assert projects.strangers(target.parent, ["a.tar"]) == []


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "./x", "foo", "oci:", "oci-archive:", "oci:{0}/x:bad tag", "docker://acme/tiny",
        "oci:{0}/x@sha256:" + "0" * 64, "docker-daemon:x:1", "oci:{0}/\x1b[2J", "oci:" + "x" * 9999,
        "oci:{0}/project", "oci:{0}/project/weights", "oci-archive:{0}/project",
        "docker-archive:{0}/project/service", "oci-archive:{0}/pipe", "docker-archive:{0}/device",
    ],
)  # fmt: skip
def test_what_is_no_place_for_an_image_is_refused_and_untouched(
    desk: Desk, tmp_path: Path, name: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/full")
    before = state_of(desk.folder)
    done = desk.build("--output", name.format(tmp_path))
    assert done.status == 2, done.err
    assert state_of(desk.folder) == before
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "device").is_symlink()


def test_a_place_that_cannot_be_written_is_no_verdict(desk: Desk) -> None:
    for name in ("oci:/proc/none/x", f"oci:{desk.folder}/modelpack.toml"):
        done = desk.build("--output", name)
        assert done.status == 3
        assert "cannot be written" in done.err


def test_two_archives_cannot_be_one_file(desk: Desk, tmp_path: Path) -> None:
    done = desk.build(
        "--output", f"oci-archive:{tmp_path}/a.tar", "--output", f"docker-archive:{tmp_path}/a.tar"
    )
    assert done.status == 2
    assert "are one place" in done.err
    assert not (tmp_path / "a.tar").exists()


def test_names_are_tags_of_a_layout_and_full_names_of_archives(desk: Desk, tmp_path: Path) -> None:
    tags = ("--tag", "ghcr.io/acme/tiny:a", "--tag", "tiny:b")
    desk.built(
        *tags, "--output", f"oci:{tmp_path}/l", "--output", f"docker-archive:{tmp_path}/d.tar"
    )
    assert set(entries(tmp_path / "l")) == {"a", "b"}
    names = subprocess.run(
        ["tar", "-xOf", str(tmp_path / "d.tar"), "manifest.json"], check=True, capture_output=True
    ).stdout
    assert json.loads(names)[0]["RepoTags"] == ["ghcr.io/acme/tiny:a", "tiny:b"]


@pytest.mark.parametrize(
    "tag", ["x", "", "A B:c", "x:\x1b[2J", "x@sha256:" + "0" * 64, "x:" + "y" * 200]
)
def test_a_tag_is_a_repository_with_a_tag(desk: Desk, tag: str) -> None:
    assert desk.build("--tag", tag).status == 2
    assert not (desk.folder / "dist").exists()


def test_programs_get_json_and_the_same_in_files(desk: Desk, tmp_path: Path) -> None:
    done = desk.build("--json", "--metadata-file", tmp_path / "new" / "record.json")
    document = done.document
    assert document == json.loads((tmp_path / "new" / "record.json").read_bytes())
    assert document == json.loads((desk.folder / "dist" / "build.json").read_bytes())
    assert [layer["step"] for layer in document["layers"]] == [
        "base", "dependencies", "weights", "code", "meta",
    ]  # fmt: skip
    assert desk.build("-q").err == ""


# Projects of every shape


def test_weights_may_lie_outside_of_the_project(desk: Desk, tmp_path: Path) -> None:
    plain = desk.config() if desk.built() else None
    (desk.folder / "weights").rename(tmp_path / "elsewhere")
    desk.edit('path = "weights"', 'path = "../elsewhere"')
    desk.relock()
    desk.built()
    assert plain is not None
    assert desk.config()["rootfs"]["diff_ids"][2] == plain["rootfs"]["diff_ids"][2]


def test_several_weights_are_told_apart(desk: Desk) -> None:
    desk.edit('[weights]\npath = "weights"\n', '[[weights]]\nname = "a"\npath = "weights"\n'
              '[[weights]]\nname = "b"\npath = "more"\n')  # fmt: skip
    (desk.folder / "more").mkdir()
    (desk.folder / "more" / "b.safetensors").write_bytes(projects.safetensors({"x": b"1234"}))
    desk.relock()
    desk.built()
    shown = desk.type("inspect", desk.folder, "--json").document
    assert [item["destination"] for item in shown["weight_sets"]] == ["/models/a", "/models/b"]
    (desk.folder / "more" / "b.safetensors").write_bytes(b"\x80\x04.")
    (desk.folder / "weights" / "config.json").write_bytes(b"\x80\x04N.")
    done = desk.type("check", desk.folder)
    assert done.status == 1
    for place in ("weights/config.json: ", "more/b.safetensors: ", "weights.b: ", "weights.a: "):
        assert any(place in line for line in done.messages), done.err


def test_a_file_of_another_name_has_its_own_lock(desk: Desk) -> None:
    other = desk.folder / "gpu.toml"
    (desk.folder / "modelpack.toml").rename(other)
    (desk.folder / "modelpack.lock").rename(desk.folder / "gpu.lock")
    for words in (["check"], ["plan"], ["lock", "--check"], ["build", "--locked", "--offline"]):
        assert desk.type(*words, "--file", other).status == 0
    assert desk.type("build", desk.folder, "--locked").status == 2


@pytest.mark.parametrize("command", ["check", "plan", "lock", "build"])
def test_a_place_without_a_project_is_answered_with_what_to_do(
    desk: Desk, tmp_path: Path, command: str
) -> None:
    (tmp_path / "empty").mkdir()
    done = desk.type(command, tmp_path / "empty")
    assert done.status == 2
    assert f"hint: modelpack init {tmp_path}/empty" in done.err
    assert "there is no such folder" in desk.type(command, tmp_path / "none").err
    file = desk.folder / "modelpack.toml"
    assert f"hint: --file {file}" in desk.type(command, file).err
    done = desk.type(command, desk.folder, "--file", tmp_path / "none.toml")
    assert (done.status, done.messages) == (2, [f"error: {tmp_path}: there is no `none.toml`"])


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe\x00", b"[" * 100_000, b"a = 1\n" * 300_000, b"\x00", b"[model"]
)
@pytest.mark.parametrize("command", ["check", "plan", "lock", "build"])
def test_a_spec_that_is_none_is_refused(desk: Desk, command: str, data: bytes) -> None:
    (desk.folder / "modelpack.toml").write_bytes(data)
    before = state_of(desk.folder)
    assert desk.type(command, desk.folder).status == 2
    assert desk.type(command, desk.folder, "--json").document["error"]["exit_code"] == 2
    assert state_of(desk.folder) == before


def test_a_file_that_cannot_be_read_is_named(desk: Desk) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    (desk.folder / "weights" / "config.json").chmod(0)
    (desk.folder / "service" / "__main__.py").chmod(0)
    done = desk.type("check", desk.folder)
    assert done.status == 1
    assert "weights/config.json" in done.err
    assert "service/__main__.py" in done.err


# What would be built, and why


def test_a_plan_says_what_is_there_and_what_changed(desk: Desk) -> None:
    assert {state for state, _ in desk.states().values()} == {"make"}
    assert desk.states()["base"][1] == "nothing was built here before"
    desk.built()
    reused = {"base", "dependencies", "weights", "code"}
    assert {kind for kind, (state, _) in desk.states().items() if state == "reuse"} == reused
    (desk.folder / "service" / "__main__.py").write_text("print(2)\n")
    states = desk.states()
    assert states["code"] == ("make", "a code file changed")
    assert {states[kind][0] for kind in reused - {"code"}} == {"reuse"}


def test_a_plan_names_the_change_of_the_base(desk: Desk) -> None:
    desk.built()
    desk.edit("[runtime]\n", "[runtime]\nuser = 4242\n")
    states = desk.states()
    assert states["base"] == ("make", "its packages, user or format changed")
    assert states["dependencies"][0] == "reuse"


def test_a_plan_names_the_change_of_wheels_and_weights(desk: Desk) -> None:
    desk.built()
    (desk.folder / "weights" / "config.json").write_text("{}")
    projects.write_lock(desk.folder, desk.cache)
    assert desk.states()["weights"] == ("make", "its content changed")
    lock = json.loads((desk.folder / "modelpack.lock").read_bytes())
    assert lock["platforms"][0]["wheels"][0]["name"] == "pastel"


def test_a_plan_tells_an_empty_cache_from_a_change(desk: Desk) -> None:
    desk.built()
    for name in ("steps", "blobs"):
        for path in (desk.cache / name).rglob("*"):
            if path.is_file():
                path.unlink()
    states = desk.states()
    for kind in ("base", "dependencies", "code"):
        assert states[kind] == ("make", "made before, kept nowhere any more")
    digest = json.loads((desk.folder / "dist" / "build.json").read_bytes())["digest"]
    assert desk.built() == digest
    assert desk.states()["base"][0] == "reuse"


def test_a_plan_tells_layers_that_are_only_kept_in_the_cache(desk: Desk) -> None:
    desk.built()
    (desk.folder / "dist").rename(desk.folder.parent / "dist")
    assert desk.states()["base"] == ("write", "made before, not in the layout")


@pytest.mark.parametrize(
    "record", [b"", b"[]", b'{"layers": 3}', b'{"layers": [1]}', b"[" * 100_000]
)
def test_a_damaged_build_record_does_not_stop_a_plan(desk: Desk, record: bytes) -> None:
    (desk.folder / "dist").mkdir()
    (desk.folder / "dist" / "build.json").write_bytes(record)
    assert desk.states()["base"][0] == "make"


def test_a_plan_needs_a_lock_and_says_how_to_get_one(desk: Desk) -> None:
    (desk.folder / "modelpack.lock").unlink()
    done = desk.type("plan", desk.folder)
    assert done.status == 2
    assert "hint: modelpack lock" in done.err


def test_a_plan_reads_no_weights_and_writes_nothing(desk: Desk) -> None:
    (desk.folder / "weights").rename(desk.folder.parent / "gone")
    before = state_of(desk.folder)
    assert desk.states()["weights"][0] == "make"
    assert state_of(desk.folder) == before


# The other commands


def test_an_image_is_inspected_by_every_name(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = desk.built()
    layout = desk.folder / "dist" / "image"
    monkeypatch.chdir(desk.folder)
    for words in ([], ["."], [desk.folder], [f"oci:{layout}"], ["oci:dist/image:1.0.0"],
                  [f"oci:{layout}@{digest}"]):  # fmt: skip
        done = desk.type("inspect", *words)
        assert done.status == 0, done.err
        assert digest in done.out
        assert "claims, not verified" in done.out
    done = desk.type("inspect", f"oci:{layout}:2")
    assert (done.status, "there are `1.0.0`" in done.err) == (2, True)


def test_the_cache_is_shown_and_pruned(tmp_path: Path) -> None:
    # In processes of their own: one that has built holds the cache until it ends.
    cache = tmp_path / "cache"
    folder = projects.make_project(tmp_path / "project", cache)
    digest = projects.digest_of(folder, cache)
    shown = run("cache", "info", "--json", cache=cache).document
    assert sum(item["files"] for item in shown["folders"]) > 0
    assert str(cache) in run("cache", "info", cache=cache).out
    dry = run("cache", "prune", "--max-size", "1B", "--dry-run", "--json", cache=cache).document
    assert (dry["removed"], dry["dry_run"]) == (0, True)
    assert run("cache", "prune", "--max-size", "1B", cache=cache).status == 0
    assert run("cache", "prune", "--older-than", "x", cache=cache).status == 2
    assert projects.digest_of(folder, cache) == digest


def test_the_machine_is_looked_at(desk: Desk) -> None:
    done = desk.type("doctor")
    assert done.status in (0, 1)
    assert "git" in done.out
    names = {item["name"] for item in desk.type("doctor", "--json").document["capabilities"]}
    assert {"Python", "git", "platform"} <= names


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_for_a_shell(desk: Desk, shell: str) -> None:
    assert "_MODELPACK_COMPLETE" in desk.type("completion", shell).out
    done = desk.type("completion", "tcsh")
    assert done.status == 2
    assert "\\t" not in desk.type("completion").err


@pytest.mark.parametrize(
    "words",
    [
        ["build", "--upgrade"], ["lock", "--upgrade", "code"], ["build", "--builder", "docker"],
        ["biuld"], ["build", "a", "b"], ["plan", "--output"], ["build", "--output"],
        ["lock", "--upgrade-package"], ["check", "--jsn"],
    ],
)  # fmt: skip
def test_wrong_words_are_errors_of_usage(desk: Desk, words: list[str]) -> None:
    done = desk.type(*words)
    assert done.status == 2
    assert done.messages


def test_the_exit_statuses_are_in_the_help(desk: Desk) -> None:
    assert "Exit status: 0 yes, 1 the answer is no" in " ".join(desk.type("--help").out.split())

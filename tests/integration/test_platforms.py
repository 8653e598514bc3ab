"""Two platforms: one lock, one index, shared layers once, and an arm64 half that fits arm64."""

import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from modelpack.lock import encoding as lock_encoding
from modelpack.oci.layout import Layout
from tests import projects
from tests.command_line import Done, run_here
from tests.integration.conftest import REVISION, ROOT, UNAVAILABLE

BOTH = '[image]\nplatforms = ["linux/amd64", "linux/arm64"]\n'
AMD64, ARM64 = "linux/amd64", "linux/arm64"


@dataclass
class Desk:
    """A project locked for two platforms, and how to type commands here."""

    folder: Path
    cache: Path
    type: Callable[..., Done]

    def build(self, *options: object, status: int = 0) -> Any:
        """Build and return the record."""
        done = self.type("build", self.folder, "--locked", "--offline", "--json", *options)
        assert done.status == status, done.out + done.err
        return done.document

    @property
    def store(self) -> Layout:
        return Layout(self.folder / "dist" / "image")


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MODELPACK_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    folder = tmp_path / "project"
    projects.make_project(folder, tmp_path / "cache", toml=projects.TOML + BOTH)
    return Desk(folder, tmp_path / "cache", lambda *words: run_here(capsys, *words))


def by_platform(record: Any) -> dict[str, dict[str, str]]:
    """Return the digests of the layers by platform and step."""
    found: dict[str, dict[str, str]] = {}
    for layer in record["layers"]:
        found.setdefault(layer["platform"] or layer["role"], {})[layer["step"]] = layer["digest"]
    return found


def digests(record: Any) -> dict[str, str]:
    return {image["platform"] or image["role"]: image["digest"] for image in record["images"]}


def test_one_index_names_both_images(desk: Desk) -> None:
    record = desk.build()
    index = desk.store.image(desk.store.resolve("1.0.0").digest)

    assert record["digest"] == desk.store.resolve("1.0.0").digest
    assert {str(one.platform): one.digest for one in index.manifests} == digests(record)
    assert projects.damage(desk.store.root) == []
    for platform, digest in digests(record).items():
        config = desk.store.image(digest).config
        assert config is not None
        value = json.loads(desk.store.read(config))
        assert f"{value['os']}/{value['architecture']}" == platform


def test_weights_code_and_meta_are_shared_and_stored_once(desk: Desk, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    layers = by_platform(desk.build("--output", f"oci:{desk.store.root}",
                                    "--output", f"oci-archive:{archive}"))  # fmt: skip

    same = {step for step in layers[AMD64] if layers[AMD64][step] == layers[ARM64][step]}
    assert same == {"weights", "code", "meta", "dependencies"}  # its one wheel is for any machine
    stored = projects.image_blobs(desk.store.root)
    # 2 bases, 4 shared layers, 2 configurations, 2 manifests, 1 index
    assert len(stored) == 11
    with tarfile.open(archive) as tar:
        names = tar.getnames()
    assert len(names) == len(set(names))
    archived = {name.rpartition("/")[2] for name in names if "sha256/" in name}
    assert set(stored) < archived  # and what vouches for the image
    assert "manifest.json" not in names  # `docker load` would take one platform for all


def test_one_platform_is_the_same_image_alone(desk: Desk) -> None:
    both = desk.build()
    for platform in (AMD64, ARM64):
        alone = desk.build("--platform", platform, "--output", f"oci:{desk.folder}/dist/one")
        assert digests(alone) == {platform: digests(both)[platform]}
        assert alone["digest"] == digests(both)[platform]


def test_a_docker_archive_takes_one_platform_and_says_which_to_name(
    desk: Desk, tmp_path: Path
) -> None:
    archive = f"docker-archive:{tmp_path / 'image.tar'}"
    (finding,) = desk.build("--output", archive, status=2)["error"]["findings"]
    assert finding["message"] == "a `docker-archive` holds one platform"
    assert "--platform linux/amd64" in finding["hint"]
    assert not (tmp_path / "image.tar").exists()

    record = desk.build("--platform", ARM64, "--output", archive)
    with tarfile.open(tmp_path / "image.tar") as tar:
        (image,) = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
    assert image["Config"].endswith(record["images"][0]["config"].removeprefix("sha256:"))


def test_a_platform_that_is_not_locked_is_refused(desk: Desk) -> None:
    text = desk.folder.joinpath("modelpack.toml").read_text()
    desk.folder.joinpath("modelpack.toml").write_text(text.replace(', "linux/arm64"', ""))
    projects.write_lock(desk.folder, desk.cache)
    (finding,) = desk.build("--platform", ARM64, status=2)["error"]["findings"]
    assert finding["message"] == "`linux/arm64` is not locked"
    assert "linux/amd64" in finding["hint"]
    assert "unknown platform" in str(desk.build("--platform", "linux/mips", status=2))


def test_two_builds_are_bit_identical(desk: Desk, tmp_path: Path) -> None:
    other = projects.copy_shuffled(desk.folder, tmp_path / "other", seed=5)
    desk.build()
    done = desk.type("build", other, "--locked", "--offline", "--no-cache", "--json")
    assert done.status == 0
    first, second = map(projects.image_blobs, (desk.store.root, other / "dist/image"))
    assert first == second


def test_inspect_and_plan_show_each_platform(desk: Desk) -> None:
    record = desk.build()
    for platform in (AMD64, ARM64):
        shown = desk.type("inspect", desk.folder, "--platform", platform, "--json").document
        assert (shown["digest"], shown["platform"]) == (digests(record)[platform], platform)
        assert shown["index"] == record["digest"]
        assert shown["findings"] == []
        assert {package["purl"].partition("arch=")[2].partition("&")[0]
                for package in shown["packages"] if package["type"] == "deb"} == {
            platform.rpartition("/")[2]
        }  # fmt: skip
    plans = desk.type("plan", desk.folder, "--json").document["plans"]
    assert [plan["platform"] for plan in plans] == [AMD64, ARM64]
    states = {step["state"] for plan in plans for step in plan["steps"] if step["kind"] != "meta"}
    assert states == {"reuse"}


def test_mounted_weights_are_one_image_for_both(desk: Desk) -> None:
    toml = desk.folder / "modelpack.toml"
    toml.write_text(toml.read_text().replace("[weights]", '[weights]\nmode = "mount"'))
    projects.write_lock(desk.folder, desk.cache)
    both = desk.build()
    text = toml.read_text().replace(', "linux/arm64"', "")
    toml.write_text(text)
    projects.write_lock(desk.folder, desk.cache)
    one = desk.build()

    assert list(digests(both)) == [AMD64, ARM64, "weights"]
    assert digests(one)["weights"] == digests(both)["weights"]


# With packages of Debian and wheels of the index.


@dataclass(frozen=True, slots=True)
class Stored:
    """A member of a layer."""

    member: tarfile.TarInfo
    content: bytes

    @property
    def machine(self) -> int | None:
        """`e_machine` of an ELF file; None of any other."""
        elf = self.content.startswith(b"\x7fELF")
        return int.from_bytes(self.content[18:20], "little") if elf else None

    @property
    def metadata(self) -> tuple[object, ...]:
        """What is not content."""
        one = self.member
        return one.type, one.mode, one.uid, one.gid, one.mtime


Trees = Mapping[str, Mapping[str, Stored]]


@pytest.fixture(scope="module")
def digits(
    tmp_path_factory: pytest.TempPathFactory, unavailable: Callable[[str], None]
) -> tuple[Path, Any]:
    """The digits example, locked and built for both platforms: its project, and the record."""
    folder = tmp_path_factory.mktemp("platforms")
    project = folder / "digits"
    shutil.copytree(ROOT / "examples" / "digits", project, ignore=shutil.ignore_patterns("dist"))
    toml = project / "modelpack.toml"
    toml.write_text(toml.read_text("utf-8").replace("[image]\n", BOTH), "utf-8")
    for words in (["lock"], ["build", "--no-cache", "--revision", REVISION, "--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "modelpack", words[0], str(project), *words[1:]],
            capture_output=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode == UNAVAILABLE:
            unavailable(f"building digits: {done.stderr.decode().splitlines()[-1]}")
        assert done.returncode == 0, done.stderr.decode()
    return project, json.loads(done.stdout)


@pytest.fixture(scope="module")
def trees(digits: tuple[Path, Any]) -> Trees:
    """Every file of both images, by platform and path."""
    project, record = digits
    store = Layout(project / "dist" / "image")
    return {image["platform"]: dict(files(store, image["digest"])) for image in record["images"]}


def files(store: Layout, digest: str) -> Iterator[tuple[str, Stored]]:
    for layer in store.image(store.resolve(digest).digest).layers:
        with tarfile.open(store.path_of(layer.digest)) as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isfile() else None
                yield member.name, Stored(member, stream.read() if stream else b"")


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.parametrize("platform", [AMD64, ARM64])
def test_every_native_file_is_for_the_machine(trees: Trees, platform: str) -> None:
    machines = [file.machine for file in trees[platform].values()]
    expected = projects.MACHINES[platform.rpartition("/")[2]]
    assert {machine for machine in machines if machine is not None} == {expected}
    assert len([machine for machine in machines if machine is not None]) > 100


@pytest.mark.integration
@pytest.mark.slow
def test_wheels_are_for_the_machine(digits: tuple[Path, Any]) -> None:
    lock = lock_encoding.parse((digits[0] / "modelpack.lock").read_bytes())
    assert [str(platform.platform) for platform in lock.platforms] == [AMD64, ARM64]
    assert [platform.bytecode for platform in lock.platforms] == ["unchecked-hash"] * 2
    names = [[wheel.name for wheel in platform.wheels] for platform in lock.platforms]
    assert names[0] == names[1]
    for platform in lock.platforms:
        tags = {wheel.filename.rpartition("-")[2] for wheel in platform.wheels}
        native = {tag for tag in tags if tag != "any.whl"}
        assert native
        assert all(platform.platform.machine in tag for tag in native)


@pytest.mark.integration
@pytest.mark.slow
def test_both_trees_are_the_same_but_for_what_is_native(
    trees: Trees,
) -> None:
    amd64 = {path.replace("x86_64", "aarch64"): member for path, member in trees[AMD64].items()}
    arm64 = trees[ARM64]
    # The loader's name and place, an engine of OpenSSL for x86, the hash in OpenBLAS' name.
    expected = ("lib64", "ld-linux", "padlock.so", "libscipy_openblas")
    for path in {*amd64} ^ {*arm64}:
        assert any(part in path for part in expected), path
    both = [path for path in amd64 if path in arm64]
    assert len(both) > 4000
    for path in both:
        one, other = amd64[path], arm64[path]
        assert one.metadata == other.metadata, path
        assert (one.machine is None) is (other.machine is None), path


@pytest.mark.integration
@pytest.mark.slow
def test_equal_modules_have_equal_bytecode(
    trees: Trees,
) -> None:
    amd64, arm64 = trees[AMD64], trees[ARM64]
    compiled = [path for path in arm64 if path.endswith(".pyc")]
    different = []
    for path in compiled:
        folder, _, name = path.rpartition("/__pycache__/")
        source = f"{folder}/{name.partition('.')[0]}.py"
        if path in amd64 and amd64[path].content != arm64[path].content:
            different.append(source)
            assert amd64[source].content != arm64[source].content, source
    assert len(compiled) > 1000
    assert different  # what configures a build of NumPy, say: the comparison sees something


@pytest.mark.integration
@pytest.mark.slow
def test_the_index_is_built_again_bit_for_bit(digits: tuple[Path, Any]) -> None:
    project, record = digits
    done = subprocess.run(
        [sys.executable, "-m", "modelpack", "build", str(project), "--no-cache", "--locked",
         "--revision", REVISION, "--output", f"oci:{project}/dist/again"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == record["digest"], done.stderr

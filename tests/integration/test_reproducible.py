"""One lock gives one image, whoever builds it, where, when and with which Python."""

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import projects
from tests.conftest import missing

REPOSITORY = Path(__file__).resolve().parents[2]
DIGITS = REPOSITORY / "examples" / "digits"
SOMEBODY = 12345
"a user that no machine has"


@dataclass(frozen=True)
class Place:
    """One way to build: what must not matter."""

    folder: str = "project"
    seed: int = 0
    variables: Mapping[str, str] = field(default_factory=dict)
    umask: int = 0o022
    mode: int = 0o644
    modified: int = 1_600_000_000
    one_processor: bool = False


PLACES = {
    "another order of files": Place(seed=1),
    "yet another order of files": Place(seed=2),
    "far east": Place(variables={"TZ": "Pacific/Kiritimati"}),
    "far west": Place(variables={"TZ": "Etc/GMT+12"}),
    "private files": Place(umask=0o077, mode=0o600),
    "files for everybody": Place(umask=0, mode=0o666),
    "no locale": Place(variables={"LC_ALL": "C"}),
    "a UTF-8 locale": Place(variables={"LC_ALL": "C.UTF-8"}),
    "a Turkish locale": Place(variables={"LC_ALL": "tr_TR.UTF-8", "LANGUAGE": "tr"}),
    "hash seed 0": Place(variables={"PYTHONHASHSEED": "0"}),
    "hash seed 4242": Place(variables={"PYTHONHASHSEED": "4242"}),
    "a long path with spaces": Place(folder="a folder/with some spaces/and depth/" + "x" * 100),
    "a path in another script": Place(folder="Übung/模型/проект"),
    "one processor": Place(one_processor=True),
    "files of the future": Place(modified=4_000_000_000),
    "warnings and development mode": Place(variables={"PYTHONDEVMODE": "1"}),
    "everything at once": Place(
        folder="другой путь/x", seed=7, umask=0o077, mode=0o640, modified=1, one_processor=True,
        variables={"TZ": "America/St_Johns", "LC_ALL": "C", "PYTHONHASHSEED": "99", "HOME": "/"},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Original:
    """A project, the cache that holds what it is made of, and what it gives."""

    project: Path
    downloads: Path
    facts: dict[str, object]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    root = tmp_path_factory.mktemp("original")
    files = {
        **projects.CODE,
        **{f"service/data/part_{i}.py": f"VALUE = {i}\n".encode() for i in range(20)},
        "service/Ölçü.py": "NAME = 'İ'\n".encode(),
    }
    project = projects.make_project(root / "project", root / "cache", files=files)
    (project / "service" / "data" / "part_3.py").chmod(0o755)
    projects.build(project, root / "cache")
    return Original(
        project=project, downloads=root / "cache" / "downloads",
        facts=projects.facts(project / "dist" / "image"),
    )  # fmt: skip


@pytest.mark.parametrize("name", PLACES)
def test_the_place_of_a_build_does_not_matter(
    name: str, original: Original, tmp_path: Path
) -> None:
    project = copy_to(tmp_path, original.project, PLACES[name])
    shutil.copytree(original.downloads, tmp_path / "cache" / "downloads")
    build_at(PLACES[name], project, tmp_path / "cache")
    assert projects.facts(project / "dist" / "image") == original.facts


def test_another_file_system_does_not_matter(original: Original) -> None:
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        pytest.skip("no file system in memory that can be written to")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        project = projects.copy_shuffled(original.project, Path(folder, "project"), seed=3)
        shutil.copytree(original.downloads, Path(folder, "cache", "downloads"))
        projects.build(project, Path(folder, "cache"))
        assert projects.facts(project / "dist" / "image") == original.facts


def test_a_cache_of_finished_layers_does_not_matter(original: Original, tmp_path: Path) -> None:
    project = projects.copy_shuffled(original.project, tmp_path / "project", seed=4)
    for options in ((), (), ("--no-cache",)):
        projects.build(project, original.downloads.parent, *options)
        assert projects.facts(project / "dist" / "image") == original.facts


def test_weights_that_are_links_are_the_same_weights(original: Original, tmp_path: Path) -> None:
    project = projects.copy_shuffled(original.project, tmp_path / "project", seed=5)
    hub = tmp_path / "hub" / "blobs"
    hub.mkdir(parents=True)
    for number, path in enumerate(sorted((project / "weights").iterdir())):
        path.rename(hub / str(number))
        path.symlink_to(hub / str(number))
    projects.build(project, original.downloads.parent)
    assert projects.facts(project / "dist" / "image") == original.facts


def test_working_from_within_the_folder_does_not_matter(original: Original, tmp_path: Path) -> None:
    project = projects.copy_shuffled(original.project, tmp_path / "project", seed=6)
    subprocess.run(
        projects.command(Path()), cwd=project, check=True, capture_output=True,
        env=projects.environment(original.downloads.parent),
    )  # fmt: skip
    assert projects.facts(project / "dist" / "image") == original.facts


def test_an_archive_is_the_same_file_everywhere(original: Original, tmp_path: Path) -> None:
    contents = set()
    for seed, place in enumerate((Place(), PLACES["everything at once"])):
        root = tmp_path / str(seed)
        project = copy_to(root, original.project, place)
        archive = root / "image.tar"
        build_at(place, project, original.downloads.parent, "--output", f"docker-archive:{archive}")
        contents.add(archive.read_bytes())
    assert len(contents) == 1


def test_another_user_builds_the_same_image(
    original: Original, require_tool: Callable[[str], str]
) -> None:
    setpriv = require_tool("setpriv")
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        root = Path(folder)
        project = projects.copy_shuffled(original.project, root / "project", seed=8)
        shutil.copytree(original.downloads, root / "cache" / "downloads")
        for path in (root, *root.rglob("*")):
            os.chown(path, SOMEBODY, SOMEBODY)
        # The interpreter may lie in a private folder: this user reads everything, and owns this.
        powers = "-all,+dac_read_search"
        become = [setpriv, f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups",
                  f"--inh-caps={powers}", f"--ambient-caps={powers}"]  # fmt: skip
        if subprocess.run([*become, sys.executable, "-c", ""], check=False).returncode:
            pytest.skip("this machine does not let a user read with `dac_read_search`")
        done = subprocess.run(
            [*become, *projects.command(project)], check=False, capture_output=True, text=True,
            env=projects.environment(root / "cache", HOME=str(root)),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert (project / "dist" / "image").stat().st_uid == SOMEBODY
        assert projects.facts(project / "dist" / "image") == original.facts


@pytest.mark.integration
def test_clones_of_one_commit_give_one_image(
    original: Original, tmp_path: Path, require_tool: Callable[[str], str]
) -> None:
    git = [require_tool("git"), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    first = projects.copy_shuffled(original.project, tmp_path / "first", seed=9)
    (first / ".gitignore").write_text("dist/\n")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *words], cwd=first, check=True, capture_output=True)
    second = tmp_path / "another place" / "second"
    subprocess.run([*git, "clone", "-q", str(first), str(second)], check=True)
    facts = []
    for folder in (first, second):
        projects.build(folder, original.downloads.parent)
        facts.append(projects.facts(folder / "dist" / "image"))
    assert facts[0] == facts[1]
    assert facts[0]["created"] != original.facts["created"]


@pytest.mark.integration
@pytest.mark.slow
def test_every_supported_python_gives_the_same_image(
    original: Original, pythons: Mapping[str, Path], tmp_path: Path
) -> None:
    found = {}
    for minor, python in pythons.items():
        project = projects.copy_shuffled(original.project, tmp_path / minor, seed=10)
        shutil.copytree(original.downloads, tmp_path / f"cache-{minor}" / "downloads")
        projects.build(project, tmp_path / f"cache-{minor}", python=str(python))
        found[minor] = projects.facts(project / "dist" / "image")
    assert found == dict.fromkeys(found, original.facts)


@pytest.mark.integration
@pytest.mark.slow
def test_an_example_is_the_same_everywhere(
    pythons: Mapping[str, Path], tmp_path: Path, downloads_of_this_user: Path
) -> None:
    """Real packages, and bytecode that the base's own interpreter compiles."""
    found: list[dict[str, object]] = []
    for python in (Path(sys.executable), list(pythons.values())[-1]):
        place = PLACES["everything at once"] if found else Place()
        root = tmp_path / str(len(found))
        project = copy_to(root, DIGITS, place)
        (root / "cache").mkdir()
        (root / "cache" / "downloads").symlink_to(downloads_of_this_user)
        build_at(place, project, root / "cache", "--revision", "none", python=python)
        found.append(projects.facts(project / "dist" / "image"))
    assert found[0] == found[1]


@pytest.fixture(scope="session")
def downloads_of_this_user(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of the example, downloaded where other commands keep them too."""
    from modelpack.cli.environment import cache_folder

    lock = DIGITS / "modelpack.lock"
    if not lock.exists():
        pytest.skip("the example has no lock yet")
    project = projects.copy_shuffled(DIGITS, tmp_path_factory.mktemp("warm") / "digits", seed=0)
    done = subprocess.run(
        [sys.executable, "-m", "modelpack", "build", str(project), "--locked", "-q",
         "--revision", "none"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 3:
        missing(f"the example's packages are not to be had: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return cache_folder() / "downloads"


@pytest.fixture(scope="session")
def pythons(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """An environment with the pinned dependencies for each other Python of this machine."""
    found = dict(other_pythons())
    if not found:
        missing("no other Python than this one, 3.11 or newer")
    root = tmp_path_factory.mktemp("pythons")
    return {minor: environment_of(python, root / minor) for minor, python in found.items()}


def other_pythons() -> Iterator[tuple[str, Path]]:
    """Yield each Python 3.11 and newer that is not this one, by its version."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    folders += sorted(Path.home().glob(".pyenv/versions/*/bin"))
    seen = {f"{sys.version_info[0]}.{sys.version_info[1]}"}
    for folder in folders:
        for path in sorted(folder.glob("python3.[1-9][0-9]")):
            ask = "import ensurepip, sys; print('%d.%d' % sys.version_info[:2])"
            done = subprocess.run(
                [path, "-I", "-c", ask], capture_output=True, text=True, check=False
            )
            minor = done.stdout.strip()
            if done.returncode == 0 and int(minor.partition(".")[2]) >= 11 and minor not in seen:
                seen.add(minor)
                yield minor, path


def environment_of(python: Path, folder: Path) -> Path:
    """Return the interpreter of a new environment with what the example needs, all of it pinned."""
    subprocess.run([python, "-m", "venv", folder], check=True, capture_output=True)
    inside = folder / "bin" / "python"
    for wanted in (
        ("-r", REPOSITORY / "requirements.lock"),
        ("-c", REPOSITORY / "requirements-dev.lock", "openapi-spec-validator", "jsonschema"),
    ):
        done = subprocess.run(
            [inside, "-m", "pip", "install", "-q", "--disable-pip-version-check",
             "--require-hashes", *wanted],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            missing(f"{python} cannot have the pinned dependencies: {done.stderr.strip()[-500:]}")
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "project.pth").write_text(f"{REPOSITORY}\n")
    return inside


def copy_to(root: Path, project: Path, place: Place) -> Path:
    """Copy `project` to `place` below `root`."""
    target = projects.copy_shuffled(project, root / place.folder, seed=place.seed)
    times = random.Random(place.seed)
    for path in target.rglob("*"):
        if path.is_file():
            executable = 0o100 if path.stat().st_mode & 0o100 else 0
            path.chmod(place.mode | executable)
            os.utime(path, (0, place.modified + times.random()))
    return target


def build_at(
    place: Place, project: Path, cache: Path, *options: str, python: Path = Path(sys.executable)
) -> None:
    """Build `project` the way that `place` says."""
    command = projects.command(project, *options, python=str(python))
    if place.one_processor and hasattr(os, "sched_setaffinity"):
        narrow = "import os, sys; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        command = [sys.executable, "-c", narrow + "os.execv(sys.argv[1], sys.argv[1:])", *command]
    done = subprocess.run(
        command, env=projects.environment(cache, **place.variables), umask=place.umask,
        capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

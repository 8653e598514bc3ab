"""A build that is stopped at any moment leaves the old image whole, and the next one is as clean.

Killed, interrupted, told to end; a full disk, a file that cannot be read or changes meanwhile.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelpack.oci.layout import Layout
from tests import projects
from tests.forked_builds import ForkedBuilds

ROUNDS = 200
SEED = 20261121
CACHED = ("blobs", "steps", "digests", "contents", "components", "scratch")
PAGE = 4096
Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Image:
    """What a clean build of some files gives."""

    files: Files
    digest: str
    archive: str
    "sha256"


@dataclass
class Site:
    """A project that is built again and again, with its outputs."""

    root: Path

    @property
    def project(self) -> Path:
        return self.root / "project"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def output(self) -> Path:
        return self.project / "dist"

    @property
    def arguments(self) -> list[str]:
        return [*projects.command(self.project)[3:],
                "--output", f"oci:{self.output}/image",
                "--output", f"docker-archive:{self.output}/image.tar"]  # fmt: skip

    def put(self, files: Files) -> None:
        """Make the code, the weights and the lock these; write only what differs."""
        for place in self.project.glob("service/*"):
            if f"service/{place.name}" not in files:
                place.unlink()
        for path, content in files.items():
            place = self.project / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists() or place.read_bytes() != content:
                place.write_bytes(content)

    def forget(self) -> None:
        """Remove the outputs and all that earlier builds remembered."""
        shutil.rmtree(self.output, ignore_errors=True)
        for name in CACHED:
            shutil.rmtree(self.cache / name, ignore_errors=True)

    def digest(self) -> str | None:
        """Return what the layout names."""
        if not (self.output / "image" / "index.json").exists():
            return None
        return Layout(self.output / "image").resolve("").digest

    def archive(self) -> str | None:
        path = self.output / "image.tar"
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None

    def record(self) -> str | None:
        path = self.output / "build.json"
        return json.loads(path.read_bytes())["digest"] if path.exists() else None

    def check_whole(self, *, old: Image | None, new: Image) -> None:
        """Everything that is there is old or new, and whole."""
        known = [old.digest if old else None, new.digest]
        assert projects.damage(self.output / "image") == []
        assert self.digest() in known
        assert self.record() in known
        assert self.archive() in [old.archive if old else None, new.archive]

    def check_clean(self, image: Image) -> None:
        """Everything is `image`, and nothing else is there."""
        layout = self.output / "image"
        assert projects.damage(layout) == []
        assert (self.digest(), self.record(), self.archive()) == (
            image.digest, image.digest, image.archive
        )  # fmt: skip
        assert projects.strangers(self.output, {"image.tar", *projects.DIST}) == []
        assert projects.strangers(layout, {"oci-layout", "index.json", "blobs"}) == []
        facts = projects.facts(layout)
        named = {facts["manifest"], facts["config"], *facts["layers"]}  # type: ignore[misc]
        assert set(facts["blobs"]) == named  # type: ignore[call-overload]
        assert facts["strays"] == []
        allowed = {"modelpack.toml", "modelpack.lock", "service", "weights", "dist"}
        assert projects.strangers(self.project, allowed) == []


def clean_image(root: Path, files: Files) -> Image:
    """Build `files` where nothing was before."""
    site = Site(root)
    weights = {path[8:]: data for path, data in files.items() if path.startswith("weights/")}
    code = {path: data for path, data in files.items() if path.startswith("service/")}
    projects.make_project(site.project, site.cache, weights=weights, files=code)
    lock = (site.project / "modelpack.lock").read_bytes()
    projects.build(site.project, site.cache, *site.arguments[5:])
    digest, archive = site.digest(), site.archive()
    assert digest is not None
    assert archive is not None
    everything = {**files, "modelpack.lock": lock, "modelpack.toml": projects.TOML.encode()}
    return Image(files=everything, digest=digest, archive=archive)


def weights_of(seed: int, size: int) -> dict[str, bytes]:
    noise = random.Random(seed).randbytes(size)
    return {"weights/config.json": b"{}\n",
            "weights/model.safetensors": projects.safetensors({"w": noise})}  # fmt: skip


def images_of(root: Path, size: int) -> list[Image]:
    """Return a project's images: as it is, with another code file, with another shard."""
    code = dict(projects.CODE)
    other = {**code, "service/__main__.py": b'print("other")\n', "service/new.py": b"X = 1\n"}
    states = ({**code, **weights_of(1, size)}, {**other, **weights_of(1, size)},
              {**code, **weights_of(2, size)})  # fmt: skip
    return [clean_image(root / f"clean-{i}", files) for i, files in enumerate(states)]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "site")


@contextmanager
def builds(site: Site, image: Image) -> Iterator[ForkedBuilds]:
    """Yield what runs builds of `site`, whose cache has the packages and nothing else."""
    site.put(image.files)
    projects.write_lock(site.project, site.cache)
    site.put(image.files)
    with ForkedBuilds(site.cache, site.root / "log") as forked:
        yield forked


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rounds", "size"), [(ROUNDS, 9_000_000), (ROUNDS // 10, 64_000_000)], ids=["small", "large"]
)
def test_killed_at_any_moment(site: Site, tmp_path: Path, rounds: int, size: int) -> None:
    images = images_of(tmp_path, size)
    chance = random.Random(SEED)
    lengths: dict[str, float] = {}
    hit = 0
    with builds(site, images[0]) as forked:
        old: Image | None = None
        for number in range(rounds):
            kind = chance.choice(["first", "again", "again", "--no-cache", "--no-cache"])
            if number < 3:
                kind = ["first", "again", "--no-cache"][number]
            if kind == "first":
                site.forget()
                old = None
            new = chance.choice([image for image in images if image is not old])
            site.put(new.files)
            arguments = [*site.arguments, *([kind] if kind.startswith("--") else [])]
            if kind in lengths:
                moment = chance.uniform(0, lengths[kind] * 1.05)
                hit += forked.stop(moment, arguments, signal=signal.SIGKILL) == -signal.SIGKILL
                site.check_whole(old=old, new=new)
            started = time.monotonic()
            assert forked.run(*arguments) == 0, forked.said()
            # The disk and other programs make it slower at times: kills stay spread over all of it.
            length = time.monotonic() - started
            lengths[kind] = (length + lengths.get(kind, length)) / 2
            site.check_clean(new)
            old = new
        assert hit > rounds / 2
        assert forked.run(*site.arguments, "--no-cache") == 0
    check_cache(site)


def test_a_killed_lock_leaves_the_old_lock(site: Site, tmp_path: Path) -> None:
    first, _, other = images_of(tmp_path, 2_000_000)
    chance = random.Random(SEED)
    words = ["lock", str(site.project), "-q", "--upgrade", "weights"]
    path = site.project / "modelpack.lock"
    with builds(site, first) as forked:
        length, now = 1.0, first
        for number in range(40):
            new = other if now is first else first
            site.put({**new.files, "modelpack.lock": now.files["modelpack.lock"]})
            if number > 2:
                forked.stop(chance.uniform(0, length), words, signal=signal.SIGKILL)
                assert path.read_bytes() in [i.files["modelpack.lock"] for i in (now, new)]
            started = time.monotonic()
            assert forked.run(*words) == 0, forked.said()
            length = min(length, time.monotonic() - started)
            assert path.read_bytes() == new.files["modelpack.lock"]
            known = {"modelpack.toml", "modelpack.lock", "service", "weights", "dist"}
            assert projects.strangers(site.project, known) == []
            now = new


def check_cache(site: Site) -> None:
    """What killed builds left in the cache is gone, or goes with `cache prune`."""
    assert list((site.cache / "scratch").iterdir()) == []
    for path in site.cache.rglob("*"):
        os.utime(path, (0, 0), follow_symlinks=False)
    subprocess.run(
        [sys.executable, "-m", "modelpack", "cache", "prune"], check=True, capture_output=True,
        env=projects.environment(site.cache),
    )  # fmt: skip
    left = [path for path in site.cache.rglob("*")
            if path.name.startswith(".") or path.suffix == ".partial"]  # fmt: skip
    assert left == []


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]
)
def test_told_to_end_at_any_moment(
    number: signal.Signals, status: int, site: Site, tmp_path: Path
) -> None:
    old, new, _ = images_of(tmp_path, 9_000_000)
    chance = random.Random(SEED + number)
    with builds(site, old) as forked:
        assert forked.run(*site.arguments) == 0, forked.said()
        length = 1.0
        for _ in range(3):
            started = time.monotonic()
            assert forked.run(*site.arguments, "--no-cache") == 0
            length = min(length, time.monotonic() - started)
        ended = 0
        for _ in range(100):
            if ended == 15:
                break
            before = old if site.digest() == old.digest else new
            after = new if before is old else old
            site.put(after.files)
            moment = chance.uniform(0, length)
            found = forked.stop(moment, [*site.arguments, "--no-cache"], signal=number)
            assert found in (0, status, -number), forked.said()
            assert found != status or "Traceback" not in forked.said()
            site.check_whole(old=before, new=after)
            if found == status:
                ended += 1
                assert projects.strangers(site.output, {"image.tar", *projects.DIST}) == []
                layout = {"oci-layout", "index.json", "blobs"}
                assert projects.strangers(site.output / "image", layout) == []
                assert list((site.cache / "scratch").iterdir()) == []
        assert ended == 15
        site.put(new.files)
        assert forked.run(*site.arguments) == 0, forked.said()
        site.check_clean(new)


@contextmanager
def mounted(folder: Path) -> Iterator[Callable[[str], None]]:
    """Mount a file system in memory at `folder`; yield what gives it other options."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"this machine does not let root mount: {done.stderr.strip()}")

    def limit(options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)

    try:
        yield limit
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def used_pages(folder: Path) -> int:
    status = os.statvfs(folder)
    return (status.f_blocks - status.f_bfree) * status.f_frsize // PAGE


@pytest.mark.slow
def test_a_full_disk_at_any_write_leaves_the_old_image(site: Site, tmp_path: Path) -> None:
    old, new, _ = images_of(tmp_path, 30_000)
    with builds(site, old) as forked, mounted(site.output) as limit:
        assert forked.run(*site.arguments) == 0, forked.said()
        before, failures = used_pages(site.output), 0
        site.put(new.files)
        for pages in range(400):
            limit(f"size={(before + pages) * PAGE}")
            status = forked.run(*site.arguments)
            if status == 0:
                break
            failures += 1
            check_failure(forked, status)
            site.check_whole(old=old, new=new)
            if site.archive() == old.archive:
                site.check_clean(old)
                assert used_pages(site.output) == before
        assert failures > 10
        site.check_clean(new)


@pytest.mark.slow
def test_no_more_files_on_the_disk_leaves_the_old_image(site: Site, tmp_path: Path) -> None:
    old, new, _ = images_of(tmp_path, 30_000)
    with builds(site, old) as forked, mounted(site.output) as limit:
        assert forked.run(*site.arguments) == 0, forked.said()
        status = os.statvfs(site.output)
        used, failures = status.f_files - status.f_ffree, 0
        site.put(new.files)
        for more in range(40):
            limit(f"nr_inodes={used + more}")
            status_found = forked.run(*site.arguments)
            if status_found == 0:
                break
            failures += 1
            check_failure(forked, status_found)
            site.check_whole(old=old, new=new)
        assert failures > 1
        site.check_clean(new)


@pytest.mark.slow
def test_a_full_disk_under_the_cache_is_told(site: Site, tmp_path: Path) -> None:
    (image, *_) = images_of(tmp_path, 30_000)
    failures = 0
    with mounted(site.cache) as limit, builds(site, image) as forked:
        for pages in range(60):
            site.forget()
            limit(f"size={(used_pages(site.cache) + pages) * PAGE}")
            status = forked.run(*site.arguments)
            if status == 0:
                site.check_clean(image)
                continue
            failures += 1
            check_failure(forked, status)
            assert site.digest() is None
            assert not site.output.exists() or projects.strangers(site.output, ()) == []
        assert status == 0, forked.said()
        assert failures > 3


def check_failure(forked: ForkedBuilds, status: int) -> None:
    """A full disk: could not be done, said in a line, and why."""
    assert status == 3, forked.said()
    assert "Traceback" not in forked.said()
    assert "no space left on device" in forked.said().lower()


def unreadable(path: Path) -> None:
    path.chmod(0)


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe_instead(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def loop_instead(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


@pytest.mark.parametrize("spoil", [unreadable, folder_instead, pipe_instead, loop_instead])
def test_a_weight_file_that_cannot_be_read_is_named(
    spoil: Callable[[Path], None],
    site: Site,
    tmp_path: Path,
    require_tool: Callable[[str], str],
) -> None:
    old, new, _ = images_of(tmp_path, 30_000)
    with builds(site, old) as forked:
        assert forked.run(*site.arguments) == 0, forked.said()
    site.put(new.files)
    spoil(site.project / "weights" / "model.safetensors")
    prefix = []
    if spoil is unreadable and os.geteuid() == 0:
        without = "-dac_override,-dac_read_search"
        prefix = [require_tool("setpriv"), f"--bounding-set={without}", f"--inh-caps={without}"]
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "modelpack", *site.arguments, "--no-cache"], check=False,
        capture_output=True, text=True, env=projects.environment(site.cache), timeout=60,
    )  # fmt: skip
    assert done.returncode in (1, 2, 3), done.stderr
    assert "model.safetensors" in done.stderr
    assert "Traceback" not in done.stderr
    site.check_clean(old)


def rewrite(path: Path, chance: random.Random) -> None:
    with path.open("r+b") as file:
        file.seek(chance.randrange(4096, path.stat().st_size))
        file.write(b"?")


def rewrite_secretly(path: Path, chance: random.Random) -> None:
    status = path.stat()
    rewrite(path, chance)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def cut(path: Path, chance: random.Random) -> None:
    os.truncate(path, chance.randrange(4096, path.stat().st_size))


def append(path: Path, chance: random.Random) -> None:
    with path.open("ab") as file:
        file.write(b"?")


@pytest.mark.slow
@pytest.mark.parametrize("change", [rewrite, rewrite_secretly, cut, append])
def test_a_weight_file_that_changes_while_it_is_read_is_named(
    change: Callable[[Path, random.Random], None], tmp_path: Path
) -> None:
    site, chance = Site(tmp_path), random.Random(SEED)
    shard = site.project / "weights" / "large.safetensors"
    noise = random.Random(5).randbytes(1 << 20)
    original = projects.safetensors({"w": noise * 200})
    projects.make_project(
        site.project, site.cache, weights={"small.json": b"{}\n", "large.safetensors": original}
    )
    refused = 0
    for _ in range(4):
        shard.write_bytes(original)
        shutil.rmtree(site.cache / "digests")
        build = subprocess.Popen(
            [sys.executable, "-m", "modelpack", *site.arguments], text=True,
            stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=projects.environment(site.cache),
        )  # fmt: skip
        changer = threading.Thread(target=change_during_reading, args=(site, shard, change, chance))
        changer.start()
        _, said = build.communicate(timeout=120)
        changer.join()
        assert projects.damage(site.output / "image") == []
        assert "Traceback" not in said
        if build.returncode == 0:
            continue
        refused += 1
        assert build.returncode in (1, 2, 3), said
        assert "large.safetensors" in said
        assert not (site.output / "image.tar").exists()
    assert refused > 0


def change_during_reading(
    site: Site, shard: Path, change: Callable[[Path, random.Random], None], chance: random.Random
) -> None:
    """Change `shard` when a good part of it is written to the layout."""
    ingest = site.output / "image" / "ingest"
    for _ in range(2000):
        if any(_blocks(path) > chance.randrange(8 << 20, 100 << 20) for path in _list(ingest)):
            break
        time.sleep(0.002)
    change(shard, chance)


def _list(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _blocks(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512
    except OSError:
        return 0

"""pip as the door to a package index: here a folder of wheels made in code."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from modelpack.errors import InputError, Unavailable
from modelpack.inputs.downloads import Downloads
from modelpack.inputs.python import locked_wheels, package_index
from modelpack.inputs.python.package_index import Selected
from modelpack.inputs.python.pinned import Requirement, Requirements
from modelpack.inputs.python.target import Target
from tests.values import AMD64
from tests.wheel_files import PYTHON_3_13, build
from tests.wheel_server import wheel_server

pytestmark = pytest.mark.integration

TARGET = Target.of(PYTHON_3_13, AMD64)
PIP = {"pypi": None}
NATIVE = "cp313-cp313-manylinux_2_28_x86_64"


@pytest.fixture
def links(tmp_path: Path) -> Path:
    folder = tmp_path / "links"
    folder.mkdir()
    return folder


def surroundings(links: Path, **more: str) -> Mapping[str, str]:
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(links), "PIP_CONFIG_FILE": os.devnull}
    return {**kept, **offline, **more}


def pinned(name: str, *paths: Path, version: str = "1.0", line: int = 1) -> Requirement:
    hashes = tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    return Requirement(name=name, version=version, hashes=hashes or ("0" * 64,), line=line)


def select(links: Path, *wanted: Requirement) -> tuple[Selected, ...]:
    return package_index.select(
        Requirements(path="requirements.lock", requirements=wanted),
        target=TARGET, indexes=PIP, environment=surroundings(links),
    )  # fmt: skip


def test_the_best_fitting_wheel_is_chosen_with_its_metadata(links: Path) -> None:
    _, pure = build(links)
    wheel, native = build(
        links, tag=NATIVE,
        metadata="Requires-Python: >=3.9\nRequires-Dist: lib>=2; extra == 'x'\n"
        "Provides-Extra: x\n",
    )  # fmt: skip
    build(links, tag="cp312-cp312-manylinux_2_28_x86_64")
    build(links, tag="cp313-cp313-manylinux_2_99_x86_64")
    (chosen,) = select(links, pinned("demo", pure, native))
    assert (chosen.wheel.filename, chosen.wheel.sha256) == (native.name, wheel.sha256)
    assert chosen.wheel.index == "pypi"
    assert chosen.requires_python == ">=3.9"
    assert [text.split(";")[0].strip() for text in chosen.requires_dist] == ["lib>=2"]
    assert chosen.provides_extra == ("x",)


def simple_index(folder: Path) -> str:
    """Make an index (PEP 503) of the wheels in `folder` and return its URL."""
    for path in sorted(folder.glob("*.whl")):
        page = folder / "simple" / path.name.partition("-")[0] / "index.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        with page.open("a") as text:
            text.write(f'<a href="../../{path.name}#sha256={digest}">{path.name}</a>\n')
    return (folder / "simple").as_uri()


def test_only_a_locked_wheel_is_chosen_even_if_another_fits_better(links: Path) -> None:
    _, pure = build(links, metadata="Requires-Dist: lib\n")
    build(links, tag=NATIVE)
    (chosen,) = package_index.select(
        Requirements(path="requirements.lock", requirements=(pinned("demo", pure),)),
        target=TARGET, indexes={"own": simple_index(links)},
        environment=surroundings(links, PIP_NO_INDEX="0", PIP_FIND_LINKS=""),
    )  # fmt: skip
    assert chosen.wheel.filename == pure.name
    assert chosen.requires_dist == ("lib",)


def test_the_first_index_that_has_the_locked_wheel_is_named(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    _, one = build(first, "one")
    build(first, "two", files={"two/x.py": b"another file of this version"})
    _, two = build(second, "two")
    chosen = package_index.select(
        Requirements(
            path="requirements.lock", requirements=(pinned("one", one), pinned("two", two))
        ),
        target=TARGET,
        indexes={"own": simple_index(first), "other": simple_index(second)},
        environment=surroundings(tmp_path, PIP_NO_INDEX="0", PIP_FIND_LINKS=""),
    )  # fmt: skip
    assert [(item.wheel.name, item.wheel.index) for item in chosen] == [
        ("one", "own"), ("two", "other"),
    ]  # fmt: skip


def test_every_requirement_that_cannot_be_had_is_explained(links: Path) -> None:
    (links / "source-1.0.tar.gz").write_bytes(b"")
    build(links, "glibc", tag="cp313-cp313-manylinux_2_42_x86_64")
    build(links, "windows", tag="cp313-cp313-win_amd64")
    build(links, "unlocked")
    names = ("absent", "source", "glibc", "windows", "unlocked")
    with pytest.raises(InputError) as caught:
        select(links, *(pinned(name, line=number) for number, name in enumerate(names, 1)))
    said = {finding.at: finding.message for finding in caught.value.findings}
    assert "is on no index" in said["requirements.lock:1"]
    assert "only `source-1.0.tar.gz`" in said["requirements.lock:2"]
    assert "needs glibc 2.42, the base has 2.41" in said["requirements.lock:3"]
    assert "is for `win_amd64`" in said["requirements.lock:4"]
    assert "has a locked hash" in said["requirements.lock:5"]
    assert all(finding.hint and finding.rule for finding in caught.value.findings)


def test_an_index_that_cannot_be_reached_is_no_verdict(links: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        package_index.select(
            Requirements(path="r", requirements=(pinned("demo"),)),
            target=TARGET,
            indexes={"own": "http://user:secret@127.0.0.1:9/simple"},
            environment=surroundings(links, PIP_NO_INDEX="0", PIP_RETRIES="0"),
        )
    assert "secret" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


def test_requires_python_is_reported_not_judged_by_the_python_of_pip(links: Path) -> None:
    _, path = build(links, metadata="Requires-Python: >=3.99\n")
    (chosen,) = select(links, pinned("demo", path))
    assert chosen.requires_python == ">=3.99"


def fetch(links: Path, root: Path, *chosen: Selected, offline: bool = False) -> Mapping[str, Path]:
    return locked_wheels.fetch(
        [one.wheel for one in chosen], downloads=Downloads(root), indexes=PIP,
        environment=surroundings(links), offline=offline,
    )  # fmt: skip


def test_fetched_wheels_are_kept_and_found_offline(links: Path, tmp_path: Path) -> None:
    _, pure = build(links, "one", metadata="Requires-Python: >=3.13\n")
    _, native = build(links, "two", tag=NATIVE)
    chosen = select(links, pinned("one", pure), pinned("two", native))
    content = {one.wheel.sha256: (links / one.wheel.filename).read_bytes() for one in chosen}
    found = fetch(links, tmp_path / "cache", *chosen)
    assert {sha256: path.read_bytes() for sha256, path in found.items()} == content
    shutil.rmtree(links)
    assert fetch(links, tmp_path / "cache", *chosen, offline=True) == found


def test_wheels_for_another_machine_can_be_fetched(links: Path, tmp_path: Path) -> None:
    wheel, _ = build(links, tag="cp311-cp311-manylinux_2_28_aarch64")
    assert set(fetch(links, tmp_path, Selected(wheel=wheel))) == {wheel.sha256}


def test_offline_names_every_wheel_that_is_not_there(links: Path, tmp_path: Path) -> None:
    one, _ = build(links, "one")
    two, _ = build(links, "two")
    with pytest.raises(Unavailable) as caught:
        fetch(links, tmp_path, Selected(wheel=one), Selected(wheel=two), offline=True)
    assert [finding.at for finding in caught.value.findings] == ["one", "two"]


def test_wheels_that_are_gone_or_replaced_are_all_named(links: Path, tmp_path: Path) -> None:
    gone, path = build(links, "gone")
    path.unlink()
    replaced, _ = build(links, "replaced")
    build(links, "replaced", files={"replaced/x.py": b"other"})
    there, _ = build(links, "there")
    with pytest.raises(Unavailable) as caught:
        fetch(links, tmp_path, *(Selected(wheel=one) for one in (gone, replaced, there)))
    assert [finding.at for finding in caught.value.findings] == ["gone", "replaced"]
    assert {finding.hint for finding in caught.value.findings} == {"modelpack lock --upgrade deps"}
    assert there.sha256 in fetch(links, tmp_path, Selected(wheel=there), offline=True)


@pytest.mark.parametrize("ranges", [True, False])
def test_metadata_are_read_without_the_wheel_where_the_server_can(
    links: Path, *, ranges: bool
) -> None:
    noise = {"demo/noise.bin": os.urandom(4 << 20)}
    _, path = build(links, files=noise, metadata="Requires-Dist: lib>=2\n")
    with wheel_server(links, ranges=ranges) as server:
        (chosen,) = package_index.select(
            Requirements(path="requirements.lock", requirements=(pinned("demo", path),)),
            target=TARGET, indexes={"own": server.url},
            environment={**surroundings(links), "PIP_NO_INDEX": "0", "PIP_FIND_LINKS": ""},
        )  # fmt: skip
    assert chosen.requires_dist == ("lib>=2",)
    assert (server.sent < path.stat().st_size // 4) is ranges

"""A build refuses an image that lacks a library, and remembers that one lacks none."""

import os
from pathlib import Path

import pytest

from tests import projects
from tests.debian_archive import library

CUDA = 'device = "cuda"\n'


def project(
    tmp_path: Path, *needed: str, runtime: str = "", machine: int = 62
) -> tuple[Path, Path]:
    """Write a project whose code has a library that needs `needed`; return it and its cache."""
    cache = tmp_path / "cache"
    folder = projects.make_project(
        tmp_path / "project", cache, toml=projects.TOML.replace(
            'include = ["service/**/*.py"]', 'include = ["service/**"]'
        ) + runtime,
        files={**projects.CODE, "service/core.so": library(needed=needed, machine=machine)},
    )  # fmt: skip
    return folder, cache


def test_a_missing_library_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    folder, cache = project(tmp_path, "libc.so.6", "libnone.so.1")
    done = projects.build(folder, cache, check=False)
    assert done.returncode == 1
    assert "error: code: `libnone.so.1` is not in the image" in done.stderr
    assert "`/app/service/core.so`" in done.stderr
    assert 'allow-missing = ["libnone.so.1"]' in done.stderr
    assert not (folder / "dist" / "image" / "index.json").exists()


@pytest.mark.parametrize(
    ("needed", "runtime"),
    [
        (("libc.so.6",), ""),
        (("libnone.so.1",), 'allow-missing = ["libnone.so.1"]\n'),
        (("libcuda.so.1", "libnvidia-ml.so.1"), CUDA),
        (("libnvcuvid.so.1",), CUDA + 'environment = { NVIDIA_DRIVER_CAPABILITIES = "all" }\n'),
    ],
)
def test_what_is_there_allowed_or_the_hosts_is_built(
    tmp_path: Path, needed: tuple[str, ...], runtime: str
) -> None:
    folder, cache = project(tmp_path, *needed, runtime=runtime)
    assert projects.build(folder, cache).stdout.startswith("sha256:")


@pytest.mark.parametrize("runtime", ["", CUDA])
def test_the_hosts_libraries_are_only_there_for_whom_they_are(tmp_path: Path, runtime: str) -> None:
    folder, cache = project(tmp_path, "libnvcuvid.so.1", runtime=runtime)
    assert projects.build(folder, cache, check=False).returncode == 1


def test_a_library_for_another_machine_is_refused(tmp_path: Path) -> None:
    folder, cache = project(tmp_path, machine=183)
    done = projects.build(folder, cache, check=False)
    assert done.returncode == 1
    assert "is for aarch64, the image is linux/amd64" in done.stderr


def test_an_edit_of_the_program_is_judged_again(tmp_path: Path) -> None:
    folder, cache = project(tmp_path, "libc.so.6")
    first = projects.digest_of(folder, cache)
    assert projects.digest_of(folder, cache) == first
    (folder / "service" / "core.so").write_bytes(library(needed=("libnone.so.1",)))
    assert projects.build(folder, cache, check=False).returncode == 1
    os.remove(folder / "service" / "core.so")
    assert projects.build(folder, cache).returncode == 0


def test_a_verdict_for_one_exception_is_none_for_all(tmp_path: Path) -> None:
    folder, cache = project(tmp_path, "libnone.so.1", runtime='allow-missing = ["libnone.so.1"]\n')
    projects.build(folder, cache)
    toml = folder / "modelpack.toml"
    toml.write_text(toml.read_text("utf-8").replace("libnone.so.1", "libother.so.1"), "utf-8")
    assert projects.build(folder, cache, check=False).returncode == 1

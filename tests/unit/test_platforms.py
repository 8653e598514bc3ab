"""Whose interpreter compiles for whom, and what a lock of several platforms settles."""

from dataclasses import replace

import pytest

from modelpack.lock import AssembledBase, ImageBase, Interpreter, PlatformLock
from modelpack.lock.bytecode import compiler
from modelpack.platform import Platform
from modelpack.resolve.bytecode import settle
from modelpack.spec import Runtime
from tests import values

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


def locked(
    platform: Platform, *, package: str = "3.13.5-2", version: str = "3.13.5"
) -> PlatformLock:
    """A platform whose base has one package of Python and one that is not."""
    (other,) = values.platform_lock().base.packages  # type: ignore[union-attr]
    packages = (
        replace(other, version=f"2.41-{platform.architecture}", architecture="x"),
        replace(other, name="python3.13-minimal", version=package),
    )
    base = values.platform_lock().base
    assert isinstance(base, AssembledBase)
    return values.platform_lock(
        platform=platform, base=replace(base, packages=packages),
        interpreter=Interpreter(version=version, path="/usr/bin/python3.13", glibc="2.41"),
    )  # fmt: skip


def image_based(platform: Platform) -> PlatformLock:
    base = ImageBase(
        reference="docker.io/library/python:3.13", digest=values.digest("1"),
        config=values.digest("2"), layers=(),
    )  # fmt: skip
    return replace(locked(platform), base=base)


def test_a_platform_compiles_for_itself_where_it_runs() -> None:
    amd64, arm64 = locked(AMD64), locked(ARM64)
    assert compiler(amd64, (amd64, arm64), AMD64) is amd64
    assert compiler(arm64, (amd64, arm64), ARM64) is arm64


def test_the_twin_of_this_machine_compiles_for_the_other_architecture() -> None:
    amd64, arm64 = locked(AMD64), locked(ARM64)
    assert compiler(arm64, (amd64, arm64), AMD64) is amd64
    assert compiler(amd64, (amd64, arm64), ARM64) is arm64


def test_a_package_that_was_only_built_again_is_the_same_python() -> None:
    amd64, arm64 = locked(AMD64), locked(ARM64, package="3.13.5-2+b1")
    assert compiler(arm64, (amd64, arm64), AMD64) is amd64


@pytest.mark.parametrize(
    "other", [locked(ARM64, package="3.13.5-3"), locked(ARM64, version="3.13.6"),
              image_based(ARM64)]
)  # fmt: skip
def test_another_python_has_no_twin(other: PlatformLock) -> None:
    assert compiler(other, (locked(AMD64), other), AMD64) is None


@pytest.mark.parametrize("host", [None, ARM64])
def test_where_nothing_locked_runs_nothing_compiles(host: Platform | None) -> None:
    assert compiler(locked(AMD64), (locked(AMD64),), host) is None


def test_an_image_is_never_run_to_compile() -> None:
    assert compiler(image_based(AMD64), (image_based(AMD64),), AMD64) is None


def test_auto_compiles_for_both_platforms_on_the_machine_of_one() -> None:
    platforms = (locked(AMD64), locked(ARM64))
    for platform in platforms:
        assert settle(values.spec(), platform, platforms, AMD64) == ("unchecked-hash", ())


def test_auto_compiles_nothing_for_a_platform_alone_that_is_not_this_machine() -> None:
    bytecode, (finding,) = settle(values.spec(), locked(ARM64), (locked(ARM64),), AMD64)
    assert bytecode == "none"
    assert finding.severity == "warning"
    assert "linux/arm64" in finding.message
    assert "image.platforms" in finding.hint


def test_auto_compiles_nothing_on_an_image_and_says_nothing() -> None:
    platform = image_based(AMD64)
    assert settle(values.spec(), platform, (platform,), AMD64) == ("none", ())


@pytest.mark.parametrize("wanted", ["none", "unchecked-hash"])
def test_what_the_author_wrote_holds(wanted: str) -> None:
    spec = values.spec(runtime=Runtime(bytecode=wanted))  # type: ignore[arg-type]
    assert settle(spec, locked(ARM64), (locked(ARM64),), AMD64) == (wanted, ())

"""Marker environment and tags come from the locked interpreter, never from the running one."""

from dataclasses import replace

import pytest
from packaging.markers import Marker
from packaging.tags import Tag, parse_tag

from modelpack.errors import InputError
from modelpack.inputs.python.target import Target
from modelpack.platform import Platform
from tests.values import AMD64
from tests.wheel_files import PYTHON_3_13

ARM64 = Platform("linux", "arm64")


def target(platform: Platform = AMD64, **changes: str) -> Target:
    return Target.of(replace(PYTHON_3_13, **changes), platform)


@pytest.mark.parametrize(
    ("marker", "holds"),
    [
        ("python_version == '3.13'", True),
        ("python_full_version >= '3.13.5'", True),
        ("python_full_version > '3.13.5'", False),
        ("sys_platform == 'linux' and os_name == 'posix'", True),
        ("platform_machine == 'x86_64'", True),
        ("platform_system == 'Windows'", False),
        ("implementation_name == 'cpython'", True),
        ("platform_python_implementation != 'PyPy'", True),
        ("extra == 'standard'", False),
    ],
)
def test_markers_are_judged_for_the_target(marker: str, holds: bool) -> None:
    assert target().applies(Marker(marker)) is holds


def test_an_extra_that_was_asked_for_holds() -> None:
    assert target().applies(Marker("extra == 'standard'"), extra="standard")


def test_the_machine_is_the_platforms() -> None:
    assert target(ARM64).applies(Marker("platform_machine == 'aarch64'"))


def test_platform_tags_go_from_the_bases_glibc_down_to_the_oldest() -> None:
    platforms = target().platforms
    assert platforms[0] == "manylinux_2_41_x86_64"
    assert platforms[-3:] == ("manylinux_2_5_x86_64", "manylinux1_x86_64", "linux_x86_64")
    after = platforms.index("manylinux_2_17_x86_64") + 1
    assert platforms[after] == "manylinux2014_x86_64"


def test_arm_wheels_start_at_manylinux2014() -> None:
    platforms = target(ARM64).platforms
    assert platforms[-3:] == (
        "manylinux_2_17_aarch64", "manylinux2014_aarch64", "linux_aarch64",
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "cp313-cp313-manylinux_2_41_x86_64", "cp313-abi3-manylinux2014_x86_64",
        "cp38-abi3-manylinux_2_17_x86_64", "cp313-none-any", "py3-none-any", "py313-none-any",
        "py2.py3-none-any", "cp313-cp313-linux_x86_64", "py3-none-manylinux1_x86_64",
    ],
)  # fmt: skip
def test_wheels_that_run_there_have_a_tag(text: str) -> None:
    assert not parse_tag(text).isdisjoint(target().tags)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("cp313-cp313-manylinux_2_42_x86_64", "needs glibc 2.42, the base has 2.41"),
        ("cp313-cp313-manylinux_2_17_aarch64", "is for `manylinux_2_17_aarch64`"),
        ("cp313-cp313-musllinux_1_2_x86_64", "is for `musllinux_1_2_x86_64`"),
        ("cp313-cp313-win_amd64", "is for `win_amd64`, the image is linux/amd64"),
        ("cp313-cp313t-manylinux_2_17_x86_64", "is for Python `cp313-cp313t`"),
        ("cp312-cp312-manylinux_2_17_x86_64", "the base has 3.13.5"),
        ("cp314-abi3-manylinux_2_17_x86_64", "is for Python `cp314-abi3`"),
        ("py2-none-any", "is for Python `py2-none`"),
    ],
)
def test_wheels_that_do_not_run_there_are_told_why(text: str, why: str) -> None:
    tags = parse_tag(text)
    assert tags.isdisjoint(target().tags)
    assert why in target().misfit(tags)


def test_more_specific_tags_come_first() -> None:
    tags = list(target().tags)
    order = [
        Tag("cp313", "cp313", "manylinux_2_41_x86_64"), Tag("cp313", "cp313", "manylinux1_x86_64"),
        Tag("cp313", "abi3", "manylinux_2_41_x86_64"), Tag("py3", "none", "any"),
    ]  # fmt: skip
    assert sorted(order, key=tags.index) == order


@pytest.mark.parametrize("glibc", ["", "3.1", "2", "2.x", "musl"])
def test_an_unknown_glibc_is_refused(glibc: str) -> None:
    with pytest.raises(InputError, match="glibc"):
        target(glibc=glibc)

"""Locked wheels must satisfy one another and fit the base."""

import pytest

from modelpack.checks import lockfile
from modelpack.errors import Finding
from modelpack.inputs.python.package_index import Selected
from modelpack.inputs.python.target import Target
from modelpack.lock import Wheel
from tests.values import AMD64
from tests.wheel_files import PYTHON_3_13

TARGET = Target.of(PYTHON_3_13, AMD64)


def one(
    name: str,
    *requires: str,
    version: str = "1.0",
    extras: tuple[str, ...] = (),
    python: str = "",
    tag: str = "py3-none-any",
) -> Selected:
    filename = f"{name.replace('-', '_')}-{version}-{tag}.whl"
    wheel = Wheel(name=name, version=version, filename=filename, size=1, sha256="a" * 64)
    return Selected(wheel=wheel, extras=extras, requires_dist=requires, requires_python=python)


def found(*selected: Selected) -> list[Finding]:
    return list(lockfile.findings(selected, target=TARGET))


def test_a_complete_lock_has_no_findings() -> None:
    assert not found(one("app", "Lib_A>=1", "lib-b"), one("lib-a"), one("lib-b"))


def test_a_missing_requirement_names_both() -> None:
    (finding,) = found(one("app", "lib>=2"))
    assert finding.rule == "dependencies.incomplete"
    assert finding.message == "`app` 1.0 requires `lib>=2`, which is not locked"


def test_a_wrong_version_names_both() -> None:
    (finding,) = found(one("app", "lib>=2"), one("lib"))
    assert finding.message == "`app` 1.0 requires `lib>=2`, but `lib` is locked at 1.0"


def test_a_locked_prerelease_satisfies() -> None:
    assert not found(one("app", "lib>=1"), one("lib", version="2.0rc1"))


@pytest.mark.parametrize(
    "marker", ["sys_platform == 'win32'", "python_version < '3.13'", "extra == 'dev'"]
)
def test_what_does_not_apply_is_not_required(marker: str) -> None:
    assert not found(one("app", f"lib ; {marker}"))


def test_an_extra_of_the_lockfile_is_followed() -> None:
    (finding,) = found(one("app", "lib ; extra == 'fast'", extras=("fast",)))
    assert "with extra `fast` requires `lib`" in finding.message


def test_extras_asked_for_by_others_are_followed_through_themselves() -> None:
    (finding,) = found(
        one("app", "lib[all]"),
        one("lib", "lib[Fast_One] ; extra == 'all'", "speed ; extra == 'fast-one'"),
    )
    assert finding.at == "lib"
    assert "`speed`" in finding.message


def test_circles_end() -> None:
    assert not found(one("a", "b[x]"), one("b", "a[y] ; extra == 'x'"))


def test_a_requirement_is_reported_once_whatever_extras_there_are() -> None:
    assert len(found(one("app", "lib", extras=("a", "b")))) == 1


def test_unreadable_requirements_are_named() -> None:
    (finding,) = found(one("app", "lib >>> 1\x1b[31m"))
    assert "not a requirement" in finding.message
    assert "\x1b" not in finding.message


@pytest.mark.parametrize("python", [">=3.14", "<3", "!=3.13.*", "nonsense"])
def test_another_python_is_refused(python: str) -> None:
    (finding,) = found(one("app", python=python))
    assert finding.rule == "dependencies.python"
    assert "3.13.5" in finding.message


@pytest.mark.parametrize("python", ["", ">=3.9", ">=3.13,<4", "~=3.13"])
def test_this_python_is_fine(python: str) -> None:
    assert not found(one("app", python=python))


def test_a_newer_glibc_is_named() -> None:
    (finding,) = found(one("app", tag="cp313-cp313-manylinux_2_42_x86_64"))
    assert finding.rule == "dependencies.incompatible"
    assert "needs glibc 2.42, the base has 2.41" in finding.message


def test_one_of_several_tags_is_enough() -> None:
    assert not found(one("app", tag="cp313-cp313-manylinux_2_42_x86_64.manylinux_2_28_x86_64"))


def test_what_is_no_wheel_is_refused() -> None:
    (finding,) = found(one("app", tag="nonsense"))
    assert "is not the name of a wheel" in finding.message


def test_a_distribution_twice_is_refused() -> None:
    (finding,) = found(one("app"), one("app", version="2.0"))
    assert finding.rule == "dependencies.duplicate"


def test_the_order_of_wheels_does_not_matter() -> None:
    wheels = [one("a", "x"), one("b", "y", "z>2"), one("z")]
    assert found(*wheels) == found(*reversed(wheels))


def test_what_was_built_for_numpy_1_is_told_beside_numpy_2() -> None:
    torch, newer = one("torch", version="2.2.2"), one("torch", version="2.3.0")
    numpy_2 = one("numpy", version="2.4.6")
    (finding,) = found(torch, numpy_2)
    assert (finding.rule, finding.severity) == ("dependencies.numpy", "warning")
    assert finding.message.startswith("`torch` 2.2.2 was built for NumPy 1, numpy 2.4.6 is locked")
    assert not found(newer, numpy_2)
    assert not found(torch, one("numpy", version="1.26.4"))
    (finding,) = found(one("app", "numpy<2"), numpy_2)
    assert finding.message == "`app` 1.0 requires `numpy<2`, but `numpy` is locked at 2.4.6"

"""A lock is stale when what selects its parts moved, and never for anything else."""

from dataclasses import replace

import pytest

from modelpack import spec as specs
from modelpack.lock import RuntimeLock
from modelpack.lock.staleness import findings, fingerprints, moved
from modelpack.spec import Card, Code, Dependencies, Image, Runtime, Scan, Sign, Weights
from tests import values


def stale(spec, requirements=None, lock=None):
    lock = lock or values.lock()
    return moved(lock, fingerprints(spec, requirements=requirements or {}), lock.runtime)


@pytest.mark.parametrize(
    "change",
    [
        {"image": Image(tags=("9",), repository="ghcr.io/a/b", labels={"a": "b"})},
        {"scan": Scan(fail_on="LOW")},
        {"sign": Sign(require=("scan",))},
        {"test": specs.Test(golden=("x.json",))},
        {"card": Card(limitations="many")},
        {"checks": {"lint": ("ruff",)}},
        {"code": Code(command=("python", "other.py"))},
        {"runtime": replace(values.spec().runtime, environment={"A": "b"}, port=1, user=7)},
    ],
)
def test_what_selects_nothing_makes_no_lock_stale(change):
    assert stale(values.spec(**change)) == {}


@pytest.mark.parametrize(
    ("change", "part", "key"),
    [
        ({"runtime": Runtime(base="debian:12")}, "base", "runtime.base"),
        ({"runtime": Runtime(packages=("libgl1",))}, "base", "runtime.packages"),
        ({"image": Image(platforms=("linux/arm64",))}, "base", "image.platforms"),
        ({"image": Image(compression="zstd")}, "runtime", "image.compression"),
        ({"dependencies": Dependencies(lockfile="r.lock")}, "dependencies",
         "dependencies.lockfile"),
        ({"weights": (Weights(name="digits", path="other", destination="/models/digits"),)},
         "weights", "weights.digits"),
    ],
)  # fmt: skip
def test_each_part_knows_what_moved(change, part, key):
    assert stale(values.spec(**change)) == {part: (key,)}


def test_another_list_of_packages_makes_dependencies_stale():
    found = stale(values.spec(), requirements={"dependencies.lockfile": values.sha("1")})
    assert found == {"dependencies": ("content of dependencies.lockfile",)}


def test_another_guard_makes_the_runtime_stale():
    lock = values.lock()
    other = RuntimeLock(guard=values.digest("0"), probe=values.digest("5"))
    assert list(moved(lock, lock.fingerprints, other)) == ["runtime"]


def test_a_finding_names_the_command_to_type():
    (finding,) = findings({"dependencies": ("dependencies.lockfile",)}, filename="modelpack.lock")
    assert finding.hint == "modelpack lock"
    assert finding.at == "modelpack.lock: dependencies"

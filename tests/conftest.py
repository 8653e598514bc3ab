"""What every test may use."""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from tests.fakes.fake_engine import FakeEngine, fake_engine

# No test asserts a duration, on any machine; CI tries the same examples every time.
settings.register_profile(
    "modelpack",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=os.environ.get("CI") == "true",
)
settings.load_profile("modelpack")


def missing(reason: str) -> NoReturn:
    """Skip with the reason; fail in CI, where everything must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"missing in CI: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def require_tool() -> Callable[[str], str]:
    """Return a program's path; skip with the reason where it is missing, fail in CI."""

    def require(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            missing(f"`{name}` is not installed")
        return str(path)

    return require


@pytest.fixture(scope="session")
def unavailable() -> Callable[[str], None]:
    """Return what gives up for a reason that lies in this machine: skips locally, fails in CI."""
    return missing


@pytest.fixture
def fake() -> Iterator[FakeEngine]:
    """Run a container engine that keeps images and runs scripts."""
    with fake_engine() as engine:
        yield engine

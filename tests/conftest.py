"""What every test may use."""

import os
import shutil
from collections.abc import Callable

import pytest


def _missing(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"missing in CI: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def require_tool() -> Callable[[str], str]:
    """Return a program's path; skip with the reason where it is missing, fail in CI."""

    def require(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            _missing(f"`{name}` is not installed")
        return str(path)

    return require

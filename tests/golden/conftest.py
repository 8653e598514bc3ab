"""The option that writes what is expected anew, for changes of bytes that are meant."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--rewrite-golden`."""
    parser.addoption(
        "--rewrite-golden", action="store_true", default=False,
        help="write what the build gives now as what is expected",
    )  # fmt: skip


@pytest.fixture(scope="session")
def rewrite(request: pytest.FixtureRequest) -> bool:
    """Tell whether expectations are written instead of compared."""
    return bool(request.config.getoption("rewrite_golden", default=False))

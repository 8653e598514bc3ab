"""What the contracts share: each kind of registry, started once."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.registries import RunningRegistry, running


@pytest.fixture(scope="session")
def registries(
    tmp_path_factory: pytest.TempPathFactory,
    go_tool: Callable[[str], str],
    require_tool: Callable[[str], str],
) -> Iterator[Callable[[str], RunningRegistry]]:
    """Start each kind of registry once, when it is wanted."""
    with ExitStack() as stack:
        started: dict[str, RunningRegistry] = {}

        def start(kind: str) -> RunningRegistry:
            if kind not in started:
                started[kind] = stack.enter_context(
                    running(
                        kind, tmp_path_factory.mktemp(kind), go_tool=go_tool,
                        require_tool=require_tool,
                    )
                )  # fmt: skip
            return started[kind]

        yield start

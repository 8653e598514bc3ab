"""What every test may use."""

import gc
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import HealthCheck, settings

from tests.buildkit import BuildKitError, desk, name_builder, running_buildkit
from tests.fakes.fake_engine import FakeEngine, fake_engine

if TYPE_CHECKING:
    from tests.sigstore.real import RealSigstore
    from tests.sigstore.stack import Sigstore
    from tests.software_token import SoftwareToken

ROOT = Path(__file__).parents[1]

# No test asserts a duration, on any machine; CI tries the same examples every time.
settings.register_profile(
    "modelpack",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=os.environ.get("CI") == "true",
)
settings.load_profile("modelpack")

# The tests are the same in whichever CI they run: what a job is told, they say themselves.
for _name in ("GITHUB_ACTIONS", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITLAB_CI"):
    os.environ.pop(_name, None)

# A shell starts what it puts in the background deaf to Ctrl-C, and so would be all that the tests
# start: what a signal does is tested, whoever runs the tests.
signal.signal(signal.SIGINT, signal.default_int_handler)


_LONG_ROOMS = ("integration", "contract", "golden", "property")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the tests, begin with what takes long: all end together."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not set(_LONG_ROOMS).intersection(item.path.parts))


@pytest.fixture(scope="module", autouse=True)
def _no_connection_outlives_a_module() -> Iterator[None]:
    """Close what failed commands left open: one process runs some thousand of them here."""
    yield
    gc.collect()


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


@pytest.fixture(scope="session")
def go_tool(unavailable: Callable[[str], None]) -> Callable[[str], str]:
    """Return the path of a pinned Go program; CI builds it before, here it may be missing."""

    def find(tool: str) -> str:
        script = ROOT / "tests" / "tools" / "build.sh"
        done = subprocess.run(
            ["sh", str(script), "--cached", tool], capture_output=True, check=False
        )
        if done.returncode:
            unavailable(f"`{tool}` is not built: sh tests/tools/build.sh {tool}")
        return done.stdout.decode().strip()

    return find


@pytest.fixture(scope="session")
def buildkit(
    go_tool: Callable[[str], str],
    require_tool: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mapping[str, str]]:
    """Run a BuildKit; return the environment of somebody whose buildx knows it as `far`."""
    buildkitd, buildx, runc = go_tool("buildkitd"), go_tool("buildx"), require_tool("runc")
    if os.geteuid() != 0:
        missing("BuildKit in namespaces of its own needs root")
    with ExitStack() as stack:
        try:
            running = stack.enter_context(running_buildkit(buildkitd, runc))
        except BuildKitError as error:
            missing(str(error))
        variables = desk(tmp_path_factory.mktemp("desk") / "home", docker_buildx=buildx)
        name_builder(variables, running.address)
        yield variables


@pytest.fixture(scope="session")
def sigstore(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Sigstore]":
    """Run a Sigstore on loopback, in this process: issuer, Fulcio, both Rekors, timestamps.

    A test that sets a fault of it makes one of its own: `tests.sigstore.stack.new_sigstore`, or
    `tests.sigstore.server.running_sigstore` where something must reach it by HTTP.
    """
    from tests.sigstore.server import running_sigstore

    with running_sigstore(tmp_path_factory.mktemp("sigstore")) as running:
        yield running


@pytest.fixture(scope="session")
def real_sigstore(
    go_tool: Callable[[str], str],
    require_tool: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> "Iterator[RealSigstore]":
    """Run the real Fulcio, Rekor v2 and timestamp authority, two registries beside them.

    All of them are in a network of their own: `with real_sigstore.inside()` a test is there too.
    """
    from tests.sigstore import real

    if os.geteuid() != 0:
        missing("a network namespace needs root")
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("real-sigstore")
        try:
            running = stack.enter_context(
                real.real_sigstore(folder, go_tool=go_tool, require_tool=require_tool)
            )
        except OSError as error:
            missing(f"no network of its own: {error}")
        yield running


@pytest.fixture(scope="session")
def software_token(
    require_tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[SoftwareToken]":
    """Make a token of SoftHSM with keys on it; programs find it by SOFTHSM2_CONF."""
    require_tool("softhsm2-util")
    from tests.software_token import LIBRARIES, make_token

    library = next(filter(os.path.exists, LIBRARIES), None)
    if library is None:
        missing("the library of SoftHSM is not there")
    before = os.environ.get("SOFTHSM2_CONF")
    try:
        yield make_token(tmp_path_factory.mktemp("softhsm"), str(library))
    finally:
        if before is None:
            os.environ.pop("SOFTHSM2_CONF", None)
        else:
            os.environ["SOFTHSM2_CONF"] = before

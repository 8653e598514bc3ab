"""`modelpack test` in a real Docker engine: both examples pass, and what is broken does not."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docker_engine import PATIENCE, Engine, EngineError
from tests.integration.conftest import REVISION, ROOT, Packed
from tests.podman_engine import running_podman

pytestmark = [pytest.mark.integration, pytest.mark.slow]

# Nothing here asserts a time: limits of time are what no machine misses.
PATIENT = 'limits = { cold-start = "2m", p95 = "1m", memory = "1 GiB", image-size = "2 GiB"'
SHORT = ("--duration", "1s")
UNDESCRIBED = (
    "modelpack.toml", '[interface]\nopenapi = "openapi.json"\nserved = "/openapi.json"\n', "",
)  # fmt: skip
"the example without its interface: what is asked because of it takes seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """An engine, and how to type commands that speak with it."""

    socket: Path

    def type(self, *words: object, status: int) -> tuple[str, str]:
        """Run a command and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "modelpack", *map(str, words)], cwd=ROOT, capture_output=True,
            env={**os.environ, "DOCKER_HOST": f"unix://{self.socket}"}, check=False,
            stdin=subprocess.DEVNULL, timeout=4 * PATIENCE,
        )  # fmt: skip
        assert done.returncode == status, (done.stdout + done.stderr).decode()
        return done.stdout.decode(), done.stderr.decode()

    def test(self, image: object, project: Path, *, status: int) -> dict[str, Any]:
        """Test an image by the rules of a project, and return the checks by name."""
        out, _ = self.type(
            "test", image, "--file", project / "modelpack.toml", *SHORT, "--json", status=status
        )
        return {check["name"]: check for check in json.loads(out)["checks"]}


@pytest.fixture(scope="module")
def desk(engine: Engine) -> Desk:
    """Return the one engine of this module."""
    return Desk(socket=engine.socket)


@pytest.fixture(scope="module")
def digits(packed: Callable[[str], Packed]) -> Packed:
    """Build the example."""
    return packed("digits")


@pytest.fixture
def variant(
    digits: Packed, desk: Desk, tmp_path: Path
) -> Callable[..., tuple[str, Path]]:  # fmt: skip
    """Return a function that builds the example anew with some texts replaced."""

    return lambda *changes: remade(digits, desk, tmp_path, UNDESCRIBED, *changes)


def remade(
    digits: Packed, desk: Desk, folder: Path, *changes: tuple[str, str, str]
) -> tuple[str, Path]:
    """Build the example anew in `folder` with some texts replaced."""
    project = folder / "digits"
    shutil.copytree(digits.project, project, ignore=shutil.ignore_patterns("dist"))
    patient(project)
    for file, old, new in changes:
        text = (project / file).read_text("utf-8")
        assert text.count(old) == 1, (file, old)
        (project / file).write_text(text.replace(old, new), "utf-8")
    layout = f"oci:{folder / 'layout'}"
    desk.type("build", project, "--revision", REVISION, "--output", layout, status=0)
    return layout, project


def patient(project: Path, more: str = "") -> None:
    """Let no limit of time fail on a slow machine."""
    file = project / "modelpack.toml"
    lines = file.read_text("utf-8").splitlines()
    lines = [f"{PATIENT}{more} }}" if line.startswith("limits = ") else line for line in lines]
    file.write_text("\n".join(lines) + "\n", "utf-8")


def failed(checks: dict[str, Any]) -> set[str]:
    """Return the names of what failed."""
    return {name for name, check in checks.items() if check["outcome"] == "failed"}


@pytest.mark.parametrize("example", ["digits", "minilm"])
def test_an_example_passes(
    desk: Desk, packed: Callable[[str], Packed], example: str, tmp_path: Path
) -> None:
    built = packed(example)
    project = tmp_path / example
    shutil.copytree(built.project, project, ignore=shutil.ignore_patterns("dist", "weights"))
    patient(project)

    checks = desk.test(f"oci:{built.layout}", project, status=0)

    assert {check["outcome"] for check in checks.values()} == {"passed"}
    assert any("in a batch of" in name for name in checks)
    assert checks["user"]["found"] == "runs as 54321, declares 10001:0"


def test_an_example_passes_in_podman(
    digits: Packed, require_tool: Callable[[str], str], unavailable: Callable[[str], None],
    tmp_path: Path,
) -> None:  # fmt: skip
    """The same in an engine that is not Docker: exec, statistics, limits and signals are alike."""
    if os.geteuid() != 0:
        unavailable("an engine of one's own needs root")
    project = tmp_path / "digits"
    shutil.copytree(digits.project, project, ignore=shutil.ignore_patterns("dist", "weights"))
    patient(project)
    try:
        with running_podman(require_tool("podman")) as socket:
            out, _ = Desk(socket=socket).type(
                "test", f"oci:{digits.layout}", "--file", project / "modelpack.toml", *SHORT,
                "--json", status=0,
            )  # fmt: skip
    except EngineError as error:
        unavailable(str(error))

    document = json.loads(out)
    assert document["engine"].startswith("podman ")
    assert {check["outcome"] for check in document["checks"]} <= {"passed", "skipped"}
    for measured in (document["measured"], document["calls"]):
        assert 1 << 20 < measured["memory"] < 1 << 30
        assert measured["memory_growth"] is not None
        assert measured["requests"] > 0


def test_an_image_that_needs_more_memory_than_its_limit_is_told_so(
    desk: Desk, digits: Packed, tmp_path: Path
) -> None:
    project = tmp_path / "digits"
    shutil.copytree(digits.project, project, ignore=shutil.ignore_patterns("dist", "weights"))
    patient(project)
    toml = project / "modelpack.toml"
    toml.write_text(toml.read_text("utf-8").replace('memory = "1 GiB"', 'memory = "12 MiB"'))

    checks = desk.test(f"oci:{digits.layout}", project, status=1)

    # Which process the kernel takes, the service or the one that asks beside it, is its choice.
    assert "needed more memory than 12582912 bytes" in checks["runs"]["found"]


def test_a_service_that_leaks_fails(desk: Desk, variant: Any) -> None:
    layout, project = variant(
        ("service/server.py", "        network = self.server.network\n",
         "        LEAK.append(b'x' * 2**16)\n        network = self.server.network\n"),
        ("service/server.py", 'log = logging.getLogger("digits")\n',
         'log = logging.getLogger("digits")\nLEAK: list = []\n'),
    )  # fmt: skip
    patient(project, ', memory-growth = "2 MiB"')

    # Functions are called in a container of their own, whose interpreter grows by as much at times.
    found = failed(desk.test(layout, project, status=1)) - {"calls: limit memory-growth"}
    assert found == {"limit memory-growth"}


def test_tensors_that_were_swapped_fail_though_every_checksum_is_right(
    desk: Desk, packed: Callable[[str], Packed], tmp_path: Path
) -> None:
    project = tmp_path / "minilm"
    shutil.copytree(packed("minilm").project, project, ignore=shutil.ignore_patterns("dist"))
    patient(project)
    swap(project / "weights", "attention.self.query.weight", "attention.self.key.weight")
    layout = f"oci:{tmp_path / 'layout'}"
    desk.type("lock", project, "--upgrade", "weights", status=0)
    desk.type("build", project, "--revision", REVISION, "--output", layout, status=0)

    found = failed(desk.test(layout, project, status=1))

    assert "golden/english.json" in found
    assert not {"version", "ready", "live"} & found  # the guard has nothing to say


def swap(folder: Path, one: str, other: str) -> None:
    """Swap the data of two tensors of the first layer that has both in one file."""
    for file in sorted(folder.glob("*.safetensors")):
        data = file.read_bytes()
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        for name in header:
            if name.endswith(one) and (pair := name.removesuffix(one) + other) in header:
                places = [header[each]["data_offsets"] for each in (name, pair)]
                header[pair]["data_offsets"], header[name]["data_offsets"] = places
                written = json.dumps(header, separators=(",", ":")).encode().ljust(size)
                assert len(written) == size
                file.write_bytes(data[:8] + written + data[8 + size :])
                return
    raise AssertionError(f"no file has {one} and {other}")


def test_a_step_of_preprocessing_that_was_dropped_fails(desk: Desk, variant: Any) -> None:
    layout, project = variant(
        ("service/network.py", " / np.float32(self.brightest)", ""),
    )

    assert "golden/all-digits.json" in failed(desk.test(layout, project, status=1))


def test_a_service_that_is_ready_before_its_weights_are_loaded_fails(
    desk: Desk, variant: Any
) -> None:
    layout, project = variant(
        ("service/server.py", '        self.status = "loading"\n',
         '        self.status = "ready"\n'),
        ("service/server.py", "            network = Network.load(weights)\n",
         "            time.sleep(20)\n            network = Network.load(weights)\n"),
    )  # fmt: skip

    checks = desk.test(layout, project, status=1)

    assert "ready" in failed(checks)
    assert "said ready, and the next request got 503" in checks["ready"]["found"]


def test_a_function_that_answers_in_another_dtype_fails(desk: Desk, variant: Any) -> None:
    layout, project = variant(
        ("service/library.py", '"probabilities": rows, "best"',
         '"probabilities": rows.astype(np.float16), "best"'),
    )  # fmt: skip

    checks = desk.test(layout, project, status=1)

    assert all(name.startswith(("golden/tensors/call", "calls: load")) for name in failed(checks))
    found = checks["golden/tensors/call.json"]["found"]
    assert "`/probabilities`: dtype F16 instead of F32" in found


def test_no_function_is_called_beside_weights_that_were_changed(
    desk: Desk, digits: Packed, tmp_path: Path
) -> None:
    """The guard goes first: a container whose weights are not the packed ones imports nothing."""
    project = tmp_path / "digits"
    shutil.copytree(digits.project, project, ignore=shutil.ignore_patterns("dist"))
    patient(project)
    toml = project / "modelpack.toml"
    text = toml.read_text("utf-8").replace("[weights]\n", '[weights]\nmode = "mount"\n')
    toml.write_text(text.replace("golden/**/*.json", "golden/tensors/call.json"), "utf-8")
    layout = f"oci:{tmp_path / 'layout'}"
    desk.type("lock", project, "--upgrade", "weights", status=0)
    desk.type("build", project, "--revision", REVISION, "--output", layout, status=0)
    other = tmp_path / "other"
    shutil.copytree(project / "weights", other)
    swap(other, "weight", "bias")

    def tested(folder: Path, status: int) -> dict[str, Any]:
        out, _ = desk.type(
            "test", layout, "--file", toml, "--mount-weights", folder, *SHORT, "--json",
            status=status,
        )  # fmt: skip
        return {check["name"]: check for check in json.loads(out)["checks"]}

    right, wrong = tested(project / "weights", 0), tested(other, 1)

    assert right["service"]["outcome"] == "skipped"
    assert right["calls: guard"]["found"].startswith("verified sha256:")
    assert "has other content than was packed" in wrong["calls: runs"]["found"]
    assert "calls: imported" not in wrong


@pytest.fixture(scope="module")
def violating(
    digits: Packed, desk: Desk, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:  # fmt: skip
    """Test a service that is not what its interface says, in three ways."""
    layout, project = remade(
        digits, desk, tmp_path_factory.mktemp("violating"),
        ("service/server.py", '"model": MODEL})\n', '"model": MODEL, "more": 1})\n'),
        ("service/server.py", "INTERFACE.read_bytes()",
         "INTERFACE.read_bytes().replace(b'256', b'255')"),
        ("service/request.py", 'raise Invalid(422, "expected an object',
         'raise Invalid(500, "expected an object'),
    )  # fmt: skip
    return desk.test(layout, project, status=1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("interface golden", "Additional properties are not allowed ('more' was unexpected)"),
        ("interface served", "maxItems`: 255 instead of 256"),
        ("interface malformed", "POST /predict: the whole body is null is answered with 500"),
        ("interface generated", "POST /predict: Response violates schema"),
    ],
)
def test_a_service_that_is_not_what_its_interface_says_fails(
    violating: dict[str, Any], name: str, message: str
) -> None:
    assert name in failed(violating)
    assert message in violating[name]["found"]


def test_a_pipeline_tests_the_image(digits: Packed, desk: Desk, tmp_path: Path) -> None:
    """The lines that pipelines have for it, as they stand there, in the engine that they name."""
    project = tmp_path / "digits"
    shutil.copytree(digits.project, project, ignore=shutil.ignore_patterns("dist"))
    patient(project)
    toml = (project / "modelpack.toml").read_text("utf-8")
    named = toml.replace("[image]\n", '[image]\nrepository = "ghcr.io/acme/digits"\n')
    quick = named.replace("[test]\n", '[test]\nduration = "1s"\n')
    (project / "modelpack.toml").write_text(quick, "utf-8")
    desk.type("build", project, "--revision", REVISION, status=0)

    def written(system: str) -> str:
        return desk.type("ci", system, project, "--output", "-", status=0)[0]

    job = yaml.safe_load(written("gitlab"))["build"]
    assert job["services"] == ["docker:28-dind"]
    (line,) = [line for line in job["script"] if " test " in line]
    steps = yaml.safe_load(written("github"))["jobs"]["build"]["steps"]
    assert [step["run"] for step in steps if step["name"] == "Test"] == [line]
    for script in (line, written("generic").replace('"$@"; do', "test; do")):
        (project / "run.sh").write_text(script)
        done = subprocess.run(
            ["bash", "-e", "./run.sh"], cwd=project, capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL, timeout=4 * PATIENCE,
            env={
                **os.environ, "DOCKER_HOST": f"unix://{desk.socket}", "PROJECT": ".",
                "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            },
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        kept = project / "dist" / "test.json"
        assert json.loads(kept.read_bytes())["predicate"]["result"] == "PASSED"
        kept.unlink()

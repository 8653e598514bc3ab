"""The example for GPUs, built and started where there is none."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from modelpack.checks.elf.gate import Settings, closure, loader_of
from modelpack.checks.elf.objects import LayerFile, Objects, objects
from modelpack.oci.layout import Layout
from modelpack.platform import Platform
from tests.buildkit import NAME
from tests.docker_engine import Engine
from tests.integration.conftest import REVISION, Packed
from tests.running_container import HARDENED, RANDOM_USER, Container, container

pytestmark = [pytest.mark.integration, pytest.mark.slow]

AMD64 = Platform("linux", "amd64")
DRIVER = "libcuda.so.1"


@pytest.fixture(scope="module")
def built(packed: Callable[[str], Packed]) -> Packed:
    return packed("cuda-small")


@pytest.fixture(scope="module")
def served(built: Packed, engine: Engine) -> Iterator[Container]:
    """Run it hardened until it has looked for a GPU."""
    engine.ask("load", "--input", str(built.docker_archive))
    with container(engine, built.tag, *HARDENED, RANDOM_USER) as running:
        running.until("an answer", lambda: running.python(_LISTENS) == "True")
        running.until("a verdict", lambda: status(running) != "loading")
        yield running


_RUNTIME = """
import sys
sys.path.insert(0, "/app")
from service.device import runtime_in_image, version
print(version(runtime_in_image()))
"""
_LISTENS = "import socket; print(socket.socket().connect_ex(('127.0.0.1', 8080)) == 0)"


def status(running: Container) -> str:
    found: str = json.loads(running.request("GET", "/readyz")[1])["status"]
    return found


def test_without_a_driver_it_is_alive_and_says_why_it_is_not_ready(served: Container) -> None:
    code, body = served.request("GET", "/readyz")
    answer = json.loads(body)

    assert code == 503
    assert answer["status"] == "no-device"
    assert DRIVER in answer["reason"]
    assert "--gpus" in answer["reason"]
    assert served.request("GET", "/healthz") == (200, '{"status": "alive"}')
    assert served.request("POST", "/predict", {"points": [[0, 0]]}) == (503, body)


def test_the_runtime_of_the_wheel_is_loaded(served: Container) -> None:
    code = (
        "from service.device import runtime_in_image, version; print(version(runtime_in_image()))"
    )
    assert served.python(f"import sys; sys.path.insert(0, '/app'); {code}") == "12.9"


def test_the_image_says_what_it_requires_and_takes_no_gpu(built: Packed) -> None:
    store = Layout(built.layout)
    config = json.loads(store.read(store.image(built.record["digest"]).config))
    variables = dict(item.split("=", 1) for item in config["config"]["Env"])

    assert variables["NVIDIA_REQUIRE_CUDA"] == "cuda>=12.0,driver>=525"
    assert variables["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    assert not {"NVIDIA_VISIBLE_DEVICES", "CUDA_VERSION"} & set(variables)


@pytest.fixture(scope="module")
def image(built: Packed) -> Objects:
    """Read the programs and libraries of the image."""
    return objects(
        [
            LayerFile(
                path=Layout(built.layout).path_of(layer["digest"]), kind=layer["step"],
                name=layer["name"],
            )
            for layer in built.record["layers"]
            if layer["step"] in ("base", "dependencies", "code")
        ]
    )  # fmt: skip


def test_nothing_is_missing_but_what_the_host_brings(image: Objects) -> None:
    settings = Settings(
        platform=AMD64, interpreter="/usr/bin/python3.13", judge_base=True,
        capabilities=frozenset({"compute", "utility"}),
    )  # fmt: skip
    found = closure(image, settings)

    assert not found.findings
    assert set(found.host) <= {DRIVER}
    assert found.objects > 400
    assert {"cuda-bindings", "nvidia-cuda-runtime-cu12"} <= set(image.owners.values())


def test_the_real_loader_finds_the_same_libraries(served: Container, image: Objects) -> None:
    loader = loader_of(image, platform=AMD64)
    paths = sorted(path for path, info in loader.objects.items() if info.needed)
    real = json.loads(served.python(_LOADER, json.dumps(paths).encode()))

    assert sum(map(len, real.values())) > 500
    for path in paths:
        loaded = loader.process(path).loaded
        found = {name: loaded.get(name) for name in real[path]}
        assert found == real[path], path
        assert not loader.process(path).missing, path


_LOADER = """
import json, os, re, subprocess, sys
loader = "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
found = {}
for path in json.load(sys.stdin):
    done = subprocess.run([loader, "--list", path], capture_output=True, text=True, check=True)
    rows = re.findall(r"^\\s*([^/\\s]+) => (\\S+) \\(0x", done.stdout, re.MULTILINE)
    found[path] = {name: os.path.realpath(place) for name, place in rows}
json.dump(found, sys.stdout)
"""


def test_buildkit_makes_the_same_image(
    built: Packed, buildkit: Mapping[str, str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "modelpack", "build", str(built.project), "--locked", "--json",
         "--builder", NAME, "--revision", REVISION, "--output", f"oci:{tmp_path / 'image'}"],
        env={**os.environ, **buildkit}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    record = json.loads(done.stdout)
    made = {layer["step"]: layer["reused"] for layer in record["layers"]}

    assert record["digest"] == built.record["digest"]
    assert record["builder"] == NAME
    assert not made["dependencies"]


def test_what_it_takes_on_a_gpu_is_told(built: Packed) -> None:
    memory = built.record["gpu_memory"]
    assert memory["weights"] == 4 * 1251
    assert memory["needed"] == memory["weights"] + (512 << 20)
    assert memory["memory"] == 1 << 30

"""Dockerfiles that may change only on purpose: a folder for each case, rewritten by `make golden`.

The lock is made in code, so that a Dockerfile changes with its template and its toml only. The
real hadolint reads them, and those of the examples, with every rule that it has by default.
"""

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from dataclasses import replace as changed
from pathlib import Path

import pytest

from modelpack import dockerfile, plan, project, templates
from modelpack.dockerfile import Options
from modelpack.inputs import weights_image
from modelpack.inputs.python.pip_wheel import PIP
from modelpack.lock import (
    OWN_LAYER,
    Interpreter,
    Lock,
    PlatformLock,
    WeightsLock,
    Wheel,
)
from modelpack.platform import Platform
from modelpack.spec import Spec
from modelpack.spec import decoding as spec_decoding
from tests import values

HERE = Path(__file__).parent / "dockerfiles"
EXAMPLES = Path(__file__).parents[2] / "examples"
USUAL = Options()
UNREADABLE = "hostile"
"hadolint takes the quote in `\\\\\"` for an escaped one; Docker's own parser does not"
ARM64 = Platform("linux", "arm64")
FOREIGN = values.image_base(
    environment=("GREETING=hello world", "PATH=/usr/local/bin:/usr/bin", "PYTHON_VERSION=3.13.5")
)
WHEELS = (
    Wheel(name="nvidia-cuda-runtime-cu12", version="12.9.79", size=1, sha256=values.sha("4"),
          filename="nvidia_cuda_runtime_cu12-12.9.79-py3-none-manylinux2014_x86_64.whl"),
    *values.platform_lock().wheels,
)  # fmt: skip
PYTEST = Wheel(name="pytest", version="9.2.0", size=1, sha256=values.sha("5"),
               filename="pytest-9.2.0-py3-none-any.whl")  # fmt: skip
SHARDS = tuple(
    values.weight_file(f"model-0000{n}-of-00002.safetensors", OWN_LAYER, layer=values.digest("9"))
    for n in (1, 2)
)


@dataclass(frozen=True)
class Case:
    """What of the lock is not as usual, and how to render."""

    platform: Mapping[str, object] = field(default_factory=dict)
    files: tuple[object, ...] = (*SHARDS, values.weight_file("config.json"))
    options: Options = USUAL
    name: str = dockerfile.NAME
    development: tuple[Wheel, ...] = ()


CASES = {
    "checks": Case(options=Options(link=True), development=(PYTEST,)),
    "checks-alone": Case(platform={"base": FOREIGN, "bytecode": "none", "wheels": ()},
                         development=(PYTEST,)),
    "cpu-bake": Case(),
    "cuda": Case(platform={"wheels": WHEELS}),
    "foreign-base": Case(platform={
        "base": FOREIGN, "bytecode": "none",
        "interpreter": Interpreter(version="3.13.5", path="/usr/local/bin/python3.13",
                                   glibc="2.41"),
    }),
    "foreign-cuda": Case(platform={"base": FOREIGN, "wheels": ()}),
    "hostile": Case(platform={"wheels": ()}, files=(values.weight_file('$(id) "[x]".json'),)),
    "link-and-wheels": Case(options=Options(link=True, wheels=True)),
    "mount": Case(),
    "no-dependencies": Case(platform={"wheels": ()}),
    "packages": Case(),
    "second-platform": Case(platform={"platform": ARM64}, name="Dockerfile.arm64"),
    "several-weights": Case(),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_dockerfile_is_the_one_that_was_reviewed(name: str, *, rewrite: bool) -> None:
    text = rendered(name)
    file = HERE / name / dockerfile.NAME
    if rewrite:
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8"), (
        f"{name} changed: if that was meant, `make golden`"
    )


def test_every_folder_is_a_case() -> None:
    assert {path.parent.name for path in HERE.glob("*/modelpack.toml")} == set(CASES)


@pytest.mark.parametrize("name", sorted({*CASES} - {UNREADABLE}))
def test_real_hadolint_finds_nothing(name: str, hadolint: str) -> None:
    assert complaints(hadolint, (HERE / name / dockerfile.NAME).read_text("utf-8")) == ""


@pytest.mark.parametrize(
    "example", sorted(p.parent.name for p in EXAMPLES.glob("*/modelpack.lock"))
)
def test_real_hadolint_finds_nothing_in_an_example(example: str, hadolint: str) -> None:
    this = project.read(EXAMPLES / example)
    assert this.lock is not None
    for platform in this.lock.platforms:
        assert complaints(hadolint, text_of(this.spec, this.lock, platform)) == ""


def test_hadolint_would_find_something(hadolint: str) -> None:
    assert "DL3006" in complaints(hadolint, "FROM debian\n")


@pytest.fixture(scope="module")
def hadolint(unavailable: Callable[[str], None]) -> str:
    """Return the path of hadolint, which the development dependencies install."""
    program = Path(sys.executable).with_name("hadolint")
    if not program.exists():
        unavailable("`hadolint` is not installed")
    return str(program)


def complaints(hadolint: str, text: str) -> str:
    """Return what hadolint says with its defaults, down to matters of style."""
    done = subprocess.run(
        [hadolint, "--no-color", "--failure-threshold=style", "-"],
        input=text, capture_output=True, text=True, check=False, cwd=HERE,
    )  # fmt: skip
    assert (done.returncode == 0) == (not done.stdout), done.stderr
    return done.stdout


def rendered(name: str) -> str:
    """Return the Dockerfile of a case."""
    case = CASES[name]
    spec = spec_decoding.parse((HERE / name / "modelpack.toml").read_bytes())
    lock = values.lock(
        platforms=(values.platform_lock(**case.platform),),
        weights=tuple(
            WeightsLock(
                name=weights.name, destination=weights.destination, digest=values.digest("d"),
                files=case.files, bundle=values.digest("e"),  # type: ignore[arg-type]
            )
            for weights in spec.weights
        ),
    )  # fmt: skip
    return text_of(
        spec, lock, lock.platforms[0], name=case.name, options=case.options,
        development=case.development,
    )  # fmt: skip


def text_of(
    spec: Spec, lock: Lock, platform: PlatformLock, *, name: str = dockerfile.NAME,
    options: Options = USUAL, development: tuple[Wheel, ...] = (),
) -> str:  # fmt: skip
    """Return the Dockerfile of a locked platform; fingerprints are no part of what is looked at."""
    lock = changed(lock, fingerprints=values.lock().fingerprints)
    planned = plan.make(
        spec, lock, values.source(), platform, weights_image=weights_image.digest(spec, lock)
    )
    return dockerfile.render(
        planned, spec, lock, platform, template=templates.text(dockerfile.TEMPLATE), pip=PIP,
        name=name, options=options, development=development,
    ).text  # fmt: skip

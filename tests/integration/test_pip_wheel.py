"""The pinned pip: it can be had, and runs from its wheel with nothing installed."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from modelpack.cli import environment
from modelpack.errors import Unavailable
from modelpack.inputs.python import pip_wheel
from tests import projects

pytestmark = pytest.mark.integration


def test_the_pinned_pip_runs_from_its_wheel(unavailable: Callable[[str], None]) -> None:
    try:
        path = pip_wheel.fetch(environment.machine())
    except Unavailable as error:
        unavailable(str(error))
        raise
    said = subprocess.run(
        [sys.executable, "-I", f"{path}/pip", "--version"], capture_output=True, check=True
    ).stdout.decode()

    assert path.stat().st_size == pip_wheel.PIP.size
    assert said.startswith(f"pip {pip_wheel.PIP.version} from {path}/pip ")


def test_without_a_network_and_a_cache_it_is_named(tmp_path: Path) -> None:
    machine = replace(projects.machine_of(tmp_path), offline=True)

    with pytest.raises(Unavailable, match=f"pip: `{pip_wheel.PIP.filename}`"):
        pip_wheel.fetch(machine)

"""The pip that installs wheels where Docker builds: one wheel, pinned, run without installing it.

`python pip-….whl/pip install …` works with every Python that an image may have (3.9 and newer),
so that a base needs no pip of its own, and what is installed does not depend on the one it has.
"""

from pathlib import Path
from typing import Final

from modelpack.inputs.machine import Machine
from modelpack.lock import Wheel

PIP: Final = Wheel(
    name="pip",
    version="25.3",
    filename="pip-25.3-py3-none-any.whl",
    size=1_778_622,
    sha256="9655943313a94722b7774661c21049070f6bbb0a1516bf02f7c8d5d9201514cd",
)
"the newest pip that runs on Python 3.9"


def fetch(machine: Machine) -> Path:
    """Return the file of PIP, from the cache or the index; raises Unavailable."""
    from modelpack.inputs.python import locked_wheels  # noqa: PLC0415  only when it is needed

    found = locked_wheels.fetch(
        (PIP,), downloads=machine.downloads, indexes=machine.indexes,
        environment=machine.environment, offline=machine.offline, progress=machine.progress,
    )  # fmt: skip
    return found[PIP.sha256]

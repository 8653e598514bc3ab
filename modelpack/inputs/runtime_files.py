"""The programs that are copied into the image, read from this package."""

from functools import cache
from importlib.resources import files


@cache
def guard() -> bytes:
    """Return the guard's source."""
    return (files("modelpack") / "runtime" / "guard.py").read_bytes()


@cache
def probe() -> bytes:
    """Return the probe's source."""
    return (files("modelpack") / "runtime" / "probe.py").read_bytes()

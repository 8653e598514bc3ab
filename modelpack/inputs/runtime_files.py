"""The programs that are copied into the image or its build, read from this package."""

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


@cache
def signature() -> bytes:
    """Return the source of what checks signatures before the guard."""
    return (files("modelpack") / "runtime" / "signature.py").read_bytes()


@cache
def environment() -> bytes:
    """Return the source of what settles a virtual environment that pip has filled."""
    return (files("modelpack") / "runtime" / "environment.py").read_bytes()


@cache
def bytecode_driver() -> bytes:
    """Return the source of what compiles bytecode."""
    return (files("modelpack.inputs.python") / "bytecode_driver.py").read_bytes()

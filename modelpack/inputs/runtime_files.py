"""The programs that are copied into the image or its build, read from this package."""

import os
from functools import cache
from typing import Any

import modelpack


@cache
def guard() -> bytes:
    """Return the guard's source."""
    return _read("runtime", "guard.py")


@cache
def probe() -> bytes:
    """Return the probe's source."""
    return _read("runtime", "probe.py")


@cache
def signature() -> bytes:
    """Return the source of what checks signatures before the guard."""
    return _read("runtime", "signature.py")


@cache
def environment() -> bytes:
    """Return the source of what settles a virtual environment that pip has filled."""
    return _read("runtime", "environment.py")


@cache
def bytecode_driver() -> bytes:
    """Return the source of what compiles bytecode."""
    return _read("inputs", "python", "bytecode_driver.py")


def _read(*path: str) -> bytes:
    """Return a file of this package, which may be a folder or lie in a zip.

    By the loader itself: `importlib.resources` takes longer to import than code to be packed.
    """
    loader: Any = modelpack.__loader__
    data: bytes = loader.get_data(os.path.join(*modelpack.__path__, *path))
    return data

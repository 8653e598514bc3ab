"""Loopback of another network namespace: what is opened or started within belongs there."""

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_SET_FLAGS = 0x8914
"""SIOCSIFFLAGS, netdevice(7)."""
_UP = 1


@contextmanager
def loopback_of(words: str) -> Iterator[None]:
    """Let this thread be in the network of the process with `words` in its command line."""
    with (
        open("/proc/thread-self/ns/net", "rb") as own,
        open(f"/proc/{_process_with(words)}/ns/net", "rb") as other,
    ):
        _enter(other.fileno())
        try:
            _bring_up()
            yield
        finally:
            _enter(own.fileno())


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network with nothing but loopback, which lives as long as something is in it."""

    handle: int

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Let this thread be in it, and what it opens, starts and forks."""
        with open("/proc/thread-self/ns/net", "rb") as own:
            _enter(self.handle)
            try:
                yield
            finally:
                _enter(own.fileno())


@contextmanager
def new_namespace() -> Iterator[Namespace]:
    """Make a network of one's own; raises OSError where this process may not."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net", "rb") as own:
        if libc.unshare(_CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        try:
            handle = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
            _bring_up()
        finally:
            _enter(own.fileno())
    try:
        yield Namespace(handle)
    finally:
        os.close(handle)


def _bring_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_:
        fcntl.ioctl(any_, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP))


def _process_with(words: str) -> int:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if words.encode() in (folder / "cmdline").read_bytes().replace(b"\0", b" "):
                return int(folder.name)
        except OSError:
            continue
    raise AssertionError(f"no process has {words} in its command line")


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

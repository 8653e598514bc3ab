"""Run one command in a folder as if it were the whole machine; this text is run by itself.

Standard library only: it is started as `python -I -S`, so that it has one thread, which is what the
kernel asks of who makes a user namespace. It needs no root. Argument: a JSON file, as
`modelpack.checking.sandbox` writes it; standard output gets what became of the command, as JSON.
Sources: user_namespaces(7), pid_namespaces(7), mount_namespaces(7), mount(2), netdevice(7).
"""

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import warnings  # noqa: F401  os.execvpe imports it, when the host's files are out of sight
from typing import Any

_NEW = 0x10000000 | 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000
"CLONE_NEWUSER, NEWNS, NEWPID, NEWNET, NEWIPC, NEWUTS"
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT = 0x1, 0x2, 0x4, 0x8, 0x20
_BIND, _REC, _PRIVATE = 0x1000, 0x4000, 0x40000
_LOCKED = {2: _NOSUID, 4: _NODEV, 8: _NOEXEC}
"flags of statvfs(3) that whoever is no root may not take off a mount again"
_SET_PDEATHSIG, _SET_NO_NEW_PRIVS = 1, 38
_SIOCSIFFLAGS, _UP = 0x8914, 0x1
_DEVICES = ("null", "zero", "full", "random", "urandom")
_CANNOT_RUN = 127
_LIBC = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: object) -> None:
    """Call a function of the C library; raise OSError where it fails."""
    if getattr(_LIBC, name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """mount(2)."""
    call("mount", *(os.fsencode(text) for text in (source, target, kind)),
         ctypes.c_ulong(flags), os.fsencode(options))  # fmt: skip


def read_only(target: str) -> None:
    """Make the mount at `target` read-only."""
    there = os.statvfs(target).f_flag
    locked = sum(flag for bit, flag in _LOCKED.items() if there & bit)
    mount("none", target, "none", _REMOUNT | _BIND | _RDONLY | locked)


def enter(uid: int, gid: int) -> None:
    """Leave the machine: its users, processes, network and mounts."""
    own_user, own_group = os.geteuid(), os.getegid()
    call("unshare", _NEW)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {own_user} 1"),
        ("gid_map", f"{gid} {own_group} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as loopback:
        fcntl.ioctl(loopback, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _UP))
    mount("none", "/", "none", _REC | _PRIVATE)


def furnish(root: str, binds: "list[list[str]]", writable: "dict[str, str]") -> None:
    """Bring what an engine gives a container, too, and lock the rest."""
    mount(root, root, "none", _BIND | _REC)
    for source, target in binds:
        mount(source, root + target, "none", _BIND)
        read_only(root + target)
    mount("tmpfs", f"{root}/dev", "tmpfs", _NOSUID, "mode=755")
    for name in _DEVICES:
        with open(f"{root}/dev/{name}", "wb"):
            pass
        mount(f"/dev/{name}", f"{root}/dev/{name}", "none", _BIND)
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        os.symlink(f"/proc/self/fd{target}", f"{root}/dev/{name}")
    os.mkdir(f"{root}/dev/shm")  # noqa: S108  of the check alone
    for folder, options in {**writable, "/dev/shm": "mode=1777"}.items():  # noqa: S108
        mount("tmpfs", root + folder, "tmpfs", _NOSUID | _NODEV, options)
    read_only(root)


def live(wanted: "dict[str, Any]", answer: int) -> None:
    """Be the first process of the new machine: start the command, and write how it ends."""
    call("prctl", _SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    root = str(wanted["root"])
    # Where this process is in a container whose /proc has masks, the kernel gives no other one.
    with contextlib.suppress(OSError):
        mount("proc", f"{root}/proc", "proc", _NOSUID | _NODEV | _NOEXEC)
    os.chroot(root)
    os.chdir(str(wanted["workdir"]))
    child = os.fork()
    if child == 0:
        start(wanted)
    while True:
        pid, status = os.wait()
        if pid == child:
            os.write(answer, b"%d" % os.waitstatus_to_exitcode(status))
            os._exit(0)


def start(wanted: "dict[str, Any]") -> None:
    """Become the command, whose output all goes one way."""
    call("prctl", _SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.dup2(2, 1)
    os.closerange(3, 1024)
    argv: list[str] = wanted["argv"]
    environment: dict[str, str] = wanted["environment"]
    try:
        os.execvpe(argv[0], argv, environment)  # noqa: S606
    except OSError as error:
        os.write(2, f"cannot run {argv[0]!r}: {error.strerror}\n".encode())
        os._exit(_CANNOT_RUN)


def main() -> "dict[str, object]":
    """Return what became of the command."""
    with open(sys.argv[1], encoding="utf-8") as file:
        wanted = json.load(file)
    try:
        enter(wanted["uid"], wanted["gid"])
        furnish(wanted["root"], wanted["binds"], wanted["writable"])
    except OSError as error:
        return {"refused": error.strerror or str(error)}
    if not wanted["argv"]:
        return {"status": 0}
    answer, write = os.pipe()
    first = os.fork()
    if first == 0:
        try:
            live(wanted, write)
        except OSError as error:
            os.write(write, f"!{error.strerror}".encode())
        os._exit(1)
    os.close(write)
    ready, _, _ = select.select([answer], [], [], wanted["timeout"])
    if not ready:
        # With the first process of a namespace all others in it end.
        os.kill(first, signal.SIGKILL)
        os.waitpid(first, 0)
        return {"late": True}
    said = os.read(answer, 4096).decode()
    os.waitpid(first, 0)
    if said.startswith("!") or not said:
        return {"refused": said[1:] or "the first process was killed"}
    return {"status": int(said)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main()))

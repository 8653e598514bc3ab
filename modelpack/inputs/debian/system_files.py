"""The files of a base that maintainer scripts would have made, and its account and folders."""

import re

from modelpack.errors import InputError
from modelpack.inputs.debian import ld_cache
from modelpack.oci.tar import Entry, bytes_of, directory, symlink
from modelpack.oci.tree import Tree
from modelpack.platform import Platform

HOME = "home/app"
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
_NOBODY = 65534
_FOLDERS = (
    "dev",
    "etc",
    "home",
    "mnt",
    "opt",
    "proc",
    "run",
    "run/lock",
    "srv",
    "sys",
    "usr",
    "usr/local",
    "usr/local/bin",
    "usr/local/lib",
    "var",
    "var/cache",
    "var/lib",
    "var/log",
)
_NSSWITCH = """\
passwd: files
group: files
shadow: files
hosts: files dns
networks: files
protocols: files
services: files
"""
_PYTHON = re.compile(r"usr/bin/(python3\.[0-9]+)")


def add(tree: Tree, *, platform: Platform, user: int) -> None:
    """Add to the merged packages in `tree` what makes them a system for `user`.

    Raises InputError when a package already has one of these files.
    """
    owner = "the assembled base"
    for path in _FOLDERS:
        tree.add(directory(path), owner=owner)
    tree.put(directory("root", mode=0o700))
    for path in ("tmp", "var/tmp"):
        tree.put(directory(path, mode=0o1777))
    # Group 0 may write, so that any user of this group has a home (OpenShift's convention).
    tree.add(directory(HOME, mode=0o775, uid=user), owner=owner)
    for path in ("var/run", "var/lock"):
        # Debian ships them as folders that a maintainer script makes links.
        if not any(other.startswith(f"{path}/") for other in tree):
            tree.discard(path)
    for path, target in _links(tree, platform):
        if path not in tree:
            tree.add(symlink(path, target), owner=owner)
    for path, content in _texts(user).items():
        tree.add(Entry(path=path, content=content.encode()), owner=owner)
    if bundle := _certificates(tree):
        tree.add(Entry(path=CERTIFICATES, content=bundle), owner=owner)
    if "etc/ld.so.conf" not in tree:
        tree.file("etc/ld.so.conf", b"include /etc/ld.so.conf.d/*.conf\n", owner=owner)
    tree.add(Entry(path=ld_cache.PATH, content=ld_cache.build(tree, platform)), owner=owner)


def _links(tree: Tree, platform: Platform) -> list[tuple[str, str]]:
    loader = [("lib64", "usr/lib64")] if platform.architecture == "amd64" else []
    pythons = [found[1] for path in tree if (found := _PYTHON.fullmatch(path))]
    return [
        ("bin", "usr/bin"),
        ("sbin", "usr/sbin"),
        ("lib", "usr/lib"),
        *loader,
        ("var/run", "/run"),
        ("var/lock", "/run/lock"),
        # Package openssl has these, which is not installed.
        ("etc/ssl/cert.pem", "certs/ca-certificates.crt"),
        ("usr/lib/ssl/cert.pem", f"/{CERTIFICATES}"),
        ("usr/lib/ssl/certs", "/etc/ssl/certs"),
        *(("usr/bin/python3", name) for name in pythons),
        *(("usr/bin/python", "python3") for _ in pythons),
    ]


def _texts(user: int) -> dict[str, str]:
    people = {0: ("root", 0, "/root"), _NOBODY: ("nobody", _NOBODY, "/nonexistent")}
    # The primary group is 0: what root's group may read and write, the service may.
    people.setdefault(user, ("app", 0, f"/{HOME}"))
    groups = {"root": 0, "tty": 5, "staff": 50, "nogroup": _NOBODY}
    return {
        "etc/passwd": "".join(
            f"{name}:x:{number}:{group}:{name}:{home}:/usr/sbin/nologin\n"
            for number, (name, group, home) in people.items()
        ),
        "etc/group": "".join(f"{name}:x:{number}:\n" for name, number in groups.items()),
        "etc/nsswitch.conf": _NSSWITCH,
    }


def _certificates(tree: Tree) -> bytes:
    """Return what `update-ca-certificates` makes: every certificate in the order of the paths."""
    bundle = []
    for path, entry in tree.items():
        if path.startswith("usr/share/ca-certificates/") and path.endswith(".crt"):
            if entry.kind != "file":
                raise InputError("not a certificate", at=path)
            bundle.append(bytes_of(entry.content).rstrip(b"\n") + b"\n")
    return b"".join(bundle)

"""The tree of an assembled base: minimal, owned by root, without shells, the same every time."""

import struct
import tarfile
from pathlib import Path

import pytest
from debian_archive import deb, file, folder, library, locked, special, symlink

from modelpack.errors import InputError, Refused
from modelpack.inputs.debian import base as debian_base
from modelpack.lock import AssembledBase
from modelpack.oci.tar import pieces
from modelpack.oci.tree import Tree
from modelpack.platform import Platform

AMD64 = Platform("linux", "amd64")


def assemble(
    folder_: Path, *, platform: Platform = AMD64, user: int = 10001, **packages: bytes
) -> Tree:
    debs = {}
    for name, content in packages.items():
        debs[name] = folder_ / f"{name}.deb"
        debs[name].write_bytes(content)
    base = AssembledBase(
        distribution="debian:13", releases=(),
        packages=tuple(locked(content, name=name) for name, content in packages.items()),
    )  # fmt: skip
    return debian_base.tree(base, debs, platform=platform, user=user)


def test_set_id_bits_owners_and_foreign_write_bits_are_dropped(tmp_path: Path) -> None:
    tree = assemble(
        tmp_path,
        hello=deb(
            "hello", file("./usr/bin/hello", b"\x7fELF", mode=0o6755, owner=(8, 9)),
            folder("./var/local/", mode=0o2775), folder("./var/spool/", mode=0o1777),
            file("./etc/loose", b"", mode=0o666), file("./etc/tight", b"", mode=0o600),
        ),
    )  # fmt: skip
    modes = {path: oct(tree[path].mode) for path in tree}
    assert modes["usr/bin/hello"] == "0o755"
    assert modes["var/local"] == "0o755"
    assert modes["var/spool"] == "0o1777"
    assert modes["etc/loose"] == "0o644"
    assert modes["etc/tight"] == "0o600"
    assert not [path for path in tree if tree[path].mode & 0o6000]
    assert {tree[path].uid for path in tree if path != "home/app"} == {0}
    assert {tree[path].gid for path in tree} == {0}


def test_only_tmp_and_home_may_be_written_by_the_service(tmp_path: Path) -> None:
    tree = assemble(tmp_path, hello=deb("hello", folder("./var/x/", mode=0o777)))
    writable = {p for p, e in tree.items() if e.kind != "symlink" and e.mode & 0o022}
    assert writable == {"tmp", "var/tmp", "home/app"}
    assert (tree["home/app"].uid, oct(tree["home/app"].mode)) == (10001, "0o775")
    assert (oct(tree["tmp"].mode), oct(tree["var/tmp"].mode)) == ("0o1777", "0o1777")


def test_bin_and_lib_are_merged_into_usr(tmp_path: Path) -> None:
    tree = assemble(
        tmp_path,
        hello=deb(
            "hello", symlink("./bin", "usr/bin"), folder("./lib/"), file("./lib/x/a.txt", b"a"),
            special("./lib/x/b.txt", tarfile.LNKTYPE, target="./lib/x/a.txt"),
        ),
    )  # fmt: skip
    assert tree["usr/lib/x/a.txt"].content == b"a"
    assert tree["usr/lib/x/b.txt"].target == "usr/lib/x/a.txt"
    assert {p: tree[p].target for p in ("bin", "sbin", "lib", "lib64")} == {
        "bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64",
    }  # fmt: skip


def test_what_nobody_reads_is_left_out_and_licences_stay(tmp_path: Path) -> None:
    kept = [
        "usr/share/doc/hello/copyright",
        "usr/share/common-licenses/GPL",
        "usr/share/zoneinfo/U",
    ]
    gone = ["usr/share/doc/hello/README", "usr/share/man/man1/a.1", "usr/share/locale/de/a.mo"]
    tree = assemble(
        tmp_path, hello=deb("hello", *(file(f"./{path}", b"x") for path in kept + gone))
    )
    assert [path in tree for path in kept] == [True] * 3
    assert [path in tree for path in gone] == [False] * 3
    assert "usr/share/man" not in tree


def test_scanners_find_every_package(tmp_path: Path) -> None:
    tree = assemble(tmp_path, hello=deb("hello", control={"md5sums": b"0  usr/a\n"}))
    status = tree["var/lib/dpkg/status.d/hello"].content
    assert isinstance(status, bytes)
    assert status.startswith(b"Package: hello\nVersion: 1.0-1\n")
    assert tree["var/lib/dpkg/status.d/hello.md5sums"].content == b"0  usr/a\n"


def test_of_libc_bin_only_what_is_needed_is_taken(tmp_path: Path) -> None:
    names = ["usr/sbin/ldconfig", "usr/lib/locale/C.utf8/LC_CTYPE", "etc/ld.so.conf.d/libc.conf",
             "usr/bin/ldd", "usr/bin/iconv"]  # fmt: skip
    package = deb("libc-bin", *(file(f"./{name}", b"x") for name in names))
    tree = assemble(tmp_path, **{"libc-bin": package})
    assert [name in tree for name in names] == [True, True, True, False, False]


@pytest.mark.parametrize("path", ["bin/sh", "usr/bin/bash", "usr/sbin/busybox", "usr/bin/dpkg"])
def test_a_shell_under_any_package_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(Refused) as caught:
        assemble(tmp_path, hello=deb("hello", file(f"./{path}", b"x", mode=0o755)))
    assert caught.value.findings[0].at == "hello"
    assert caught.value.findings[0].rule == "base.shell"


def test_scripts_for_a_shell_that_is_not_there_are_left_out(tmp_path: Path) -> None:
    scripts = {"usr/bin/a": b"#!/bin/sh\n", "usr/bin/b": b"#! /usr/bin/python3 -E\n",
               "usr/sbin/c": b"#!/usr/bin/env perl\n", "usr/bin/d": b"#!\n",
               "usr/share/e": b"#!/bin/sh\n", "usr/bin/python3.13": b"\x7fELF"}  # fmt: skip
    members = (file(f"./{path}", content, mode=0o755) for path, content in scripts.items())
    tree = assemble(tmp_path, hello=deb("hello", *members))
    assert {path for path in scripts if path in tree} == {
        "usr/bin/b", "usr/share/e", "usr/bin/python3.13",
    }  # fmt: skip


def test_python_has_its_short_names(tmp_path: Path) -> None:
    tree = assemble(tmp_path, hello=deb("hello", file("./usr/bin/python3.13", b"x", mode=0o755)))
    assert tree["usr/bin/python3"].target == "python3.13"
    assert tree["usr/bin/python"].target == "python3"


def test_certificates_are_bundled_in_the_order_of_their_paths(tmp_path: Path) -> None:
    root = "./usr/share/ca-certificates/mozilla"
    tree = assemble(
        tmp_path,
        hello=deb("hello", file(f"{root}/B.crt", b"B\n\n"), file(f"{root}/A.crt", b"A"),
                  file(f"{root}/note.txt", b"no")),
    )  # fmt: skip
    assert tree["etc/ssl/certs/ca-certificates.crt"].content == b"A\nB\n"
    assert tree["usr/lib/ssl/cert.pem"].target == "/etc/ssl/certs/ca-certificates.crt"


@pytest.mark.parametrize(
    ("user", "line"), [(10001, b"app:x:10001:0:"), (0, b"root:x:0:0:"), (65534, b"nobody:x:65534:")]
)
def test_every_user_has_one_name(tmp_path: Path, user: int, line: bytes) -> None:
    passwd = assemble(tmp_path, user=user, hello=deb())["etc/passwd"].content
    assert isinstance(passwd, bytes)
    assert line in passwd
    numbers = [row.split(b":")[2] for row in passwd.splitlines()]
    assert len(numbers) == len(set(numbers))


def test_two_packages_with_another_file_at_one_path_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="also written by first") as caught:
        assemble(
            tmp_path, first=deb("first", file("./etc/x", b"1")),
            second=deb("second", file("./etc/x", b"2")),
        )  # fmt: skip
    assert caught.value.findings[0].at == "second"


def test_an_equal_file_of_two_packages_is_no_conflict(tmp_path: Path) -> None:
    tree = assemble(
        tmp_path, first=deb("first", file("./etc/x", b"1")),
        second=deb("second", file("./etc/x", b"1")),
    )  # fmt: skip
    assert tree["etc/x"].content == b"1"


@pytest.mark.parametrize(
    "members",
    [
        (symlink("./usr/x", "/etc"), file("./usr/x/passwd", b"x")),
        (file("./usr/x", b""), file("./usr/x/y", b"x")),
        (file("./etc/passwd", b"evil"),),
        (file("./home/app", b"evil"),),
        (special("./usr/a", tarfile.LNKTYPE, target="./usr/missing"),),
        (symlink("./usr/l", "x"), special("./usr/a", tarfile.LNKTYPE, target="./usr/l")),
    ],
)
def test_a_package_that_fights_the_base_is_refused(
    tmp_path: Path, members: tuple[tarfile.TarInfo, ...]
) -> None:
    with pytest.raises(InputError):
        assemble(tmp_path, hello=deb("hello", *members))


@pytest.mark.parametrize(
    "content",
    [deb("other"), deb("hello", version="2.0"), deb("hello", architecture="arm64")],
)
def test_a_package_that_calls_itself_otherwise_than_the_lock_is_refused(
    tmp_path: Path, content: bytes
) -> None:
    with pytest.raises(InputError, match="instead of"):
        assemble(tmp_path, hello=content)


def test_a_package_that_is_no_regular_file_is_never_opened(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "fifo")
    base = AssembledBase(distribution="debian:13", releases=(), packages=(locked(b"x"),))
    with pytest.raises(InputError, match="FIFO"):
        debian_base.tree(base, {"hello": tmp_path / "fifo"}, platform=AMD64, user=1)


def test_the_order_of_files_in_a_package_does_not_change_the_bytes(tmp_path: Path) -> None:
    members = [file("./usr/b", b"b"), file("./etc/a", b"a"), symlink("./usr/c", "b")]
    one = assemble(tmp_path, hello=deb("hello", *members))
    two = assemble(tmp_path, hello=deb("hello", *reversed(members)))
    assert list(pieces(one.entries())) == list(pieces(two.entries()))


def test_the_loaders_cache_lists_the_libraries_of_this_machine_only(tmp_path: Path) -> None:
    multiarch = "./usr/lib/x86_64-linux-gnu"
    tree = assemble(
        tmp_path,
        hello=deb(
            "hello", file(f"{multiarch}/libx.so.1.2", library("libx.so.1")),
            symlink(f"{multiarch}/libx.so.1", "libx.so.1.2"),
            symlink(f"{multiarch}/libx.so", "/usr/lib/x86_64-linux-gnu/libx.so.1"),
            symlink(f"{multiarch}/libgone.so.1", "nowhere"),
            symlink(f"{multiarch}/libloop.so.1", "libloop.so.1"),
            file(f"{multiarch}/libtext.so", b"INPUT(libx.so.1)"),
            file(f"{multiarch}/libarm.so.1", library("libarm.so.1", machine=183)),
            file("./usr/lib/liby.so.10", library("liby.so.10")),
            file("./usr/lib/liby.so.9", library("liby.so.9")),
        ),
    )  # fmt: skip
    cache = tree["etc/ld.so.cache"].content
    assert isinstance(cache, bytes)
    assert cache.startswith(b"glibc-ld.so.cache1.1")
    assert listed(cache) == [
        ("liby.so.10", "/usr/lib/liby.so.10"),
        ("liby.so.9", "/usr/lib/liby.so.9"),
        ("libx.so.1", "/usr/lib/x86_64-linux-gnu/libx.so.1"),
        ("libx.so", "/usr/lib/x86_64-linux-gnu/libx.so"),
    ]
    arm = assemble(
        tmp_path, platform=Platform("linux", "arm64"),
        hello=deb("hello", file("./usr/lib/libarm.so.1", library("libarm.so.1", machine=183)),
                  architecture="arm64"),
    )  # fmt: skip
    assert "lib64" not in arm
    content = arm["etc/ld.so.cache"].content
    assert isinstance(content, bytes)
    assert listed(content) == [("libarm.so.1", "/usr/lib/libarm.so.1")]


def listed(cache: bytes) -> list[tuple[str, str]]:
    """Read names and paths as the loader does."""

    def text(at: int) -> str:
        return cache[at : cache.index(b"\0", at)].decode()

    count, _ = struct.unpack_from("<II", cache, 20)
    rows = (struct.unpack_from("<IIIIQ", cache, 48 + 24 * n) for n in range(count))
    return [(text(key), text(value)) for _, key, value, _, _ in rows]

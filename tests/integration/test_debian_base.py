"""Debian itself: the base is resolved, fetched, made and run on this machine."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from modelpack.errors import Unavailable
from modelpack.inputs.debian import base as debian_base
from modelpack.inputs.debian import index as debian_index
from modelpack.inputs.debian import ld_cache, mirrors
from modelpack.inputs.debian.index import Resolved
from modelpack.inputs.downloads import Downloads
from modelpack.oci.tar import pieces
from modelpack.oci.tree import Tree
from modelpack.platform import Platform

pytestmark = [pytest.mark.integration, pytest.mark.slow]
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
PROBE = """
import bz2, ctypes, curses, decimal, hashlib, lzma, readline, sqlite3, ssl, uuid, zoneinfo
import locale, os, socket
assert os.getuid() == 43210 and os.getgid() == 0
assert len(ssl.create_default_context().get_ca_certs()) > 100
assert locale.setlocale(locale.LC_ALL, "C.UTF-8") == "C.UTF-8"
assert zoneinfo.ZoneInfo("Europe/Zurich") and socket.getservbyname("https") == 443
assert hashlib.sha256(b"").hexdigest().startswith("e3b0") and sqlite3.connect(":memory:")
writable = [p for p, _, _ in os.walk("/") if os.access(p, os.W_OK) and not p.startswith("/proc")]
assert sorted(writable) == ["/home/app", "/tmp", "/var/tmp"], writable
print("all is well")
"""
Bases = Mapping[tuple[str, Platform], tuple[Resolved, Tree]]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", params=["debian:13", "debian:12"])
def made(request: pytest.FixtureRequest, cache: Path) -> tuple[Resolved, Tree]:
    return assembled(request.param, AMD64, cache)


def assembled(distribution: str, platform: Platform, cache: Path) -> tuple[Resolved, Tree]:
    downloads, here = Downloads(cache), mirrors.find(os.environ, {})
    try:
        found = debian_index.resolve(
            distribution, platform=platform, packages=(), mirrors=here, downloads=downloads,
            environment=os.environ, now=int(time.time()),
        )  # fmt: skip
        debs = debian_base.fetch(
            found.base, mirrors=here, downloads=downloads, environment=os.environ
        )
    except Unavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    return found, debian_base.tree(found.base, debs, platform=platform, user=10001)


def test_the_base_is_small_and_holds_neither_shell_nor_package_manager(
    made: tuple[Resolved, Tree],
) -> None:
    found, tree = made
    assert found.findings == ()
    assert len(found.base.packages) <= 40
    assert sum(entry.size for entry in tree.values()) < 60_000_000
    programs = {path for path in tree if path.startswith(("usr/bin/", "usr/sbin/"))}
    minor = found.interpreter.minor
    assert programs == {
        "usr/bin/python", "usr/bin/python3", f"usr/bin/python{minor}", "usr/sbin/ldconfig",
    }  # fmt: skip
    assert not [path for path, entry in tree.items() if entry.mode & 0o6000]
    assert found.interpreter.path.lstrip("/") in tree


@pytest.mark.parametrize("distribution", ["debian:13", "debian:12"])
def test_both_distributions_resolve_for_both_architectures(distribution: str, cache: Path) -> None:
    bases = [assembled(distribution, platform, cache)[0].base for platform in (AMD64, ARM64)]
    assert [p.name for p in bases[0].packages] == [p.name for p in bases[1].packages]
    assert {p.architecture for p in bases[1].packages} == {"arm64", "all"}


def test_python_runs_in_it_as_any_user_of_group_0(
    made: tuple[Resolved, Tree], tmp_path: Path, require_tool: Callable[[str], str]
) -> None:
    chroot = require_tool("chroot")
    if os.geteuid() != 0:
        pytest.skip("chroot needs root")
    root = unpacked(made[1], tmp_path)
    done = subprocess.run(
        [chroot, "--userspec=43210:0", "--groups=", root, "/usr/bin/python", "-BI", "-c", PROBE],
        env={}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "all is well\n", done.stderr


def test_ldconfig_reads_the_cache_that_we_wrote_and_writes_an_equal_list(
    made: tuple[Resolved, Tree], tmp_path: Path
) -> None:
    if os.geteuid() != 0 or sys.platform != "linux":
        pytest.skip("chroot needs root")
    root = unpacked(made[1], tmp_path)
    ldconfig = str(root / "usr/sbin/ldconfig")
    ours = printed([ldconfig, "-C", str(root / ld_cache.PATH), "-p"])
    subprocess.run([ldconfig, "-r", str(root), "-C", "/tmp/cache"], check=True)
    assert ours == printed([ldconfig, "-C", str(root / "tmp/cache"), "-p"])
    assert len(ours) > 40


def test_the_bytes_do_not_depend_on_who_makes_them_where(cache: Path) -> None:
    digests = set()
    for zone, seed in (("Pacific/Kiritimati", "1"), ("America/St_Johns", "2")):
        path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        changes = {"TZ": zone, "PYTHONHASHSEED": seed, "LC_ALL": "C", "PYTHONPATH": path}
        environment = {**os.environ, **changes}
        code = (
            "import os, pathlib, test_debian_base as t; os.umask(0o077)\n"
            f"print(t.digest(t.assembled('debian:13', t.AMD64, pathlib.Path({str(cache)!r}))[1]))"
        )
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True,
                              text=True, check=False)  # fmt: skip
        digests.add(done.stdout or done.stderr)
    assert digests == {digest(assembled("debian:13", AMD64, cache)[1]) + "\n"}


def digest(tree: Tree) -> str:
    total = hashlib.sha256()
    for piece in pieces(tree.entries()):
        assert isinstance(piece, bytes)
        total.update(piece)
    return total.hexdigest()


def unpacked(tree: Tree, folder: Path) -> Path:
    with (folder / "base.tar").open("wb") as file:
        for piece in pieces(tree.entries()):
            assert isinstance(piece, bytes)
            file.write(piece)
    root = folder / "root"
    root.mkdir(mode=0o755)
    tar = shutil.which("tar") or "tar"
    subprocess.run([tar, "-xpf", "../base.tar", "--numeric-owner"], cwd=root, check=True)
    return root


def printed(argv: list[str]) -> list[str]:
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    # The real one finds libraries by /lib, which is a link to /usr/lib.
    return [line.split(" => ")[0] for line in done.stdout.splitlines() if " => " in line]

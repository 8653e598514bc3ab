"""What pip installed elsewhere: taken where a wheel vouches for it, refused where none does."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from modelpack.errors import Refused
from modelpack.inputs.python import pip_installed, wheels
from modelpack.oci.tar import Entry, bytes_of, symlink
from modelpack.oci.tree import Tree
from tests import real_base, wheel_files
from tests.wheel_files import PYTHON_3_13

VENV = "opt/venv"
SITE = f"{VENV}/lib/python3.13/site-packages"
BYTECODE = b"\xf3\x0d\x0d\x0a" + b"\1\0\0\0" + bytes(8) + b"code"
CACHED = f"{SITE}/space/__pycache__/small.cpython-313.pyc"


@pytest.fixture
def built(tmp_path: Path) -> real_base.Wheels:
    return real_base.corners(tmp_path)


@pytest.fixture
def ours(built: real_base.Wheels, tmp_path: Path) -> Tree:
    """The environment that is made without pip."""
    (tmp_path / "ours").mkdir()
    return wheels.tree(
        [wheel for wheel, _ in built], {wheel.sha256: path for wheel, path in built},
        interpreter=PYTHON_3_13, scratch=tmp_path / "ours",
    )  # fmt: skip


@pytest.fixture
def pips(ours: Tree) -> Tree:
    """The same files as pip leaves them: metadata and launchers of its own."""
    result = Tree()
    for path, entry in ours.items():
        own = path.endswith(("/RECORD", "/INSTALLER")) or path.startswith(f"{VENV}/bin/big")
        content = b"pip's own" if own and entry.kind == "file" else bytes_of(entry.content)
        result.add(replace(entry, content=content, mode=0o700))
    return result


@pytest.fixture
def judge(built: real_base.Wheels, tmp_path: Path) -> Callable[..., Tree]:
    def judge(found: Tree, *, bytecode: bool = True) -> Tree:
        return pip_installed.environment(
            found, [wheel for wheel, _ in built], {wheel.sha256: path for wheel, path in built},
            interpreter=PYTHON_3_13, scratch=tmp_path, venv=VENV, bytecode=bytecode,
        )  # fmt: skip

    return judge


def listed(tree: Tree) -> dict[str, tuple[str, int, str, bytes]]:
    return {
        path: (entry.kind, entry.mode, entry.target, bytes_of(entry.content))
        for path, entry in tree.items()
    }


def test_what_pip_installed_becomes_what_is_made_without_it(
    ours: Tree, pips: Tree, judge: Callable[..., Tree]
) -> None:
    assert listed(judge(pips)) == listed(ours)


def test_bytecode_of_a_module_is_taken(pips: Tree, judge: Callable[..., Tree]) -> None:
    pips.file(CACHED, BYTECODE)
    result = judge(pips)
    assert (result[CACHED].mode, result[CACHED].content) == (0o644, BYTECODE)


def changed(found: Tree, path: str, **values: object) -> None:
    found.put(replace(found[path], **values))  # type: ignore[arg-type]


CRIMES: dict[str, tuple[Callable[[Tree], None], str]] = {
    "another byte": (
        lambda t: changed(t, f"{SITE}/big/__init__.py", content=b"def main():\n    return 1\n"),
        "is not what RECORD says",
    ),
    "data of another byte": (
        lambda t: changed(t, f"{VENV}/share/big, really.txt", content=b"TEXT\n"),
        "is not what RECORD says",
    ),
    "a missing member": (lambda t: t.discard(f"{SITE}/space/small.py"), "was not installed"),
    "a missing launcher": (lambda t: t.discard(f"{VENV}/bin/big"), "was not installed"),
    "a missing script": (lambda t: t.discard(f"{VENV}/bin/started"), "was not installed"),
    "a link for a member": (
        lambda t: t.put(symlink(f"{SITE}/space/small.py", "/etc/passwd")), "was not installed",
    ),
    "a link for a launcher": (
        lambda t: t.put(symlink(f"{VENV}/bin/big", "/etc/passwd")), "comes from no wheel",
    ),
    "a file too many": (
        lambda t: t.file(f"{SITE}/sitecustomize.py", b"evil\n"), "comes from no wheel",
    ),
    "a file out of the environment": (
        lambda t: t.file("etc/ld.so.preload", b"/x.so\n"), "comes from no wheel",
    ),
    "a path file": (lambda t: t.file(f"{SITE}/x.pth", b"import x\n"), "comes from no wheel"),
    "another interpreter": (
        lambda t: changed(t, f"{VENV}/bin/python3.13", target="/tmp/python"), "comes from no wheel",
    ),
    "the system's packages": (
        lambda t: changed(t, f"{VENV}/pyvenv.cfg", content=b"home = /tmp\n"), "comes from no wheel",
    ),
    "a launcher of pip without pip": (
        lambda t: t.file(f"{VENV}/bin/pip3.13", b""), "comes from no wheel",
    ),
    "bytecode that is checked": (
        lambda t: t.file(CACHED, BYTECODE[:4] + b"\3" + BYTECODE[5:]), "comes from no wheel",
    ),
    "bytecode with a time": (
        lambda t: t.file(CACHED, BYTECODE[:4] + bytes(4) + BYTECODE[8:]), "comes from no wheel",
    ),
    "bytecode that is cut": (lambda t: t.file(CACHED, BYTECODE[:7]), "comes from no wheel"),
    "bytecode of nothing": (
        lambda t: t.file(f"{SITE}/space/__pycache__/evil.cpython-313.pyc", BYTECODE),
        "comes from no wheel",
    ),
    "bytecode of another Python": (
        lambda t: t.file(f"{SITE}/space/__pycache__/small.cpython-312.pyc", BYTECODE),
        "comes from no wheel",
    ),
    "bytecode of two interpreters": (
        lambda t: [
            t.file(CACHED, BYTECODE),
            t.file(f"{SITE}/big/__pycache__/tool.cpython-313.pyc", b"x" + BYTECODE[1:]),
        ][0],
        "comes from no wheel",
    ),
    "bytecode that is a link": (
        lambda t: t.add(symlink(CACHED, "/etc/passwd")), "comes from no wheel",
    ),
}  # fmt: skip


@pytest.mark.parametrize("crime", CRIMES)
def test_what_no_wheel_vouches_for_is_refused(
    crime: str, pips: Tree, judge: Callable[..., Tree]
) -> None:
    commit, said = CRIMES[crime]
    commit(pips)
    with pytest.raises(Refused, match=said):
        judge(pips)


def test_bytecode_is_refused_where_the_lock_says_none(
    pips: Tree, judge: Callable[..., Tree]
) -> None:
    pips.file(CACHED, BYTECODE)
    with pytest.raises(Refused, match="comes from no wheel"):
        judge(pips, bytecode=False)


def test_the_second_names_of_pip_are_left_out(tmp_path: Path) -> None:
    wheel, path = wheel_files.build(
        tmp_path, "pip", entry_points="[console_scripts]\npip = pip:main\n"
    )
    given = ([wheel], {wheel.sha256: path})
    (tmp_path / "ours").mkdir()
    ours = wheels.tree(*given, interpreter=PYTHON_3_13, scratch=tmp_path / "ours")
    found = Tree()
    for entry in ours.entries():
        found.add(Entry(**{name: getattr(entry, name) for name in Entry.__slots__}))
    for name in ("pip3", "pip3.13"):
        found.file(f"{VENV}/bin/{name}", b"#!x\n")
    result = pip_installed.environment(
        found, *given, interpreter=PYTHON_3_13, scratch=tmp_path, venv=VENV, bytecode=False
    )
    assert list(result) == list(ours)


def test_hostile_wheels_are_refused_before_anything_is_built(tmp_path: Path) -> None:
    one = wheel_files.build(tmp_path, "one", files={"same/x.py": b"1\n"})
    two = wheel_files.build(tmp_path, "two", files={"same/x.py": b"2\n"})
    three = wheel_files.build(tmp_path, "three", files={"../x.py": b""})
    paths = {wheel.sha256: path for wheel, path in (one, two, three)}
    with pytest.raises(Refused) as caught:
        pip_installed.check(
            [one[0], two[0], three[0]], paths, interpreter=PYTHON_3_13, scratch=tmp_path
        )
    said = [finding.message for finding in caught.value.findings]
    assert len(said) == 2
    assert any("is also written by one" in message for message in said)
    assert any("unsafe path" in message for message in said)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_record_of_any_algorithm_is_held_against(algorithm: str, tmp_path: Path) -> None:
    data = b"VALUE = 1\n"
    rows = [wheel_files.row("demo/__init__.py", data, algorithm)]
    info = "demo-1.0.dist-info"
    for name, text in {
        "METADATA": b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
        "WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }.items():
        rows.append(wheel_files.row(f"{info}/{name}", text, algorithm))
    wheel, path = wheel_files.build(
        tmp_path, files={"demo/__init__.py": data},
        record="\n".join([*rows, f"{info}/RECORD,,", ""]),
    )  # fmt: skip
    given = ([wheel], {wheel.sha256: path})
    pip_installed.check(*given, interpreter=PYTHON_3_13, scratch=tmp_path)
    (tmp_path / "ours").mkdir()
    found = wheels.tree(*given, interpreter=PYTHON_3_13, scratch=tmp_path / "ours")
    arguments = {"interpreter": PYTHON_3_13, "scratch": tmp_path, "venv": VENV, "bytecode": False}
    assert listed(pip_installed.environment(found, *given, **arguments)) == listed(found)  # type: ignore[arg-type]
    found.put(Entry(path=f"{SITE}/demo/__init__.py", content=b"VALUE = 2\n"))
    with pytest.raises(Refused, match="is not what RECORD says"):
        pip_installed.environment(found, *given, **arguments)  # type: ignore[arg-type]

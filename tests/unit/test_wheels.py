"""Wheels become a virtual environment; hostile ones are refused, naming wheel and member."""

import csv
import stat
import struct
from pathlib import Path

import pytest

from modelpack.errors import Refused
from modelpack.inputs.python import wheels
from modelpack.lock import Wheel
from modelpack.oci.tar import FileRange
from modelpack.oci.tree import Tree
from tests import wheel_files
from tests.wheel_files import PYTHON_3_13, build, entry, row

SITE = "opt/venv/lib/python3.13/site-packages"


def make(scratch: Path, *built: tuple[Wheel, Path]) -> Tree:
    return wheels.tree(
        [wheel for wheel, _ in built],
        {wheel.sha256: path for wheel, path in built},
        interpreter=PYTHON_3_13,
        scratch=scratch,
    )


def content(tree: Tree, path: str) -> bytes:
    found = tree[path].content
    if isinstance(found, FileRange):
        with open(found.path, "rb") as file:
            file.seek(found.offset)
            return file.read(found.size)
    return found


def refusal(scratch: Path, *built: tuple[Wheel, Path]) -> str:
    with pytest.raises(Refused) as caught:
        make(scratch, *built)
    return str(caught.value)


def test_an_environment_is_laid_out_as_venv_does(tmp_path: Path) -> None:
    tree = make(tmp_path)
    assert content(tree, "opt/venv/pyvenv.cfg") == (
        b"home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.13.5\n"
    )
    assert tree["opt/venv/bin/python3.13"].target == "/usr/bin/python3.13"
    assert tree["opt/venv/bin/python3"].target == "python3.13"
    assert tree["opt/venv/bin/python"].target == "python3.13"


def test_files_scripts_headers_and_data_go_where_they_belong(tmp_path: Path) -> None:
    data = "demo-1.0.data"
    built = build(
        tmp_path,
        files={
            "demo/run.sh": b"echo\n",
            "demo/empty.py": b"",
            f"{data}/scripts/tool": b"#!python3\nprint()\n",
            f"{data}/scripts/shell": b"#!/bin/sh\n",
            f"{data}/headers/demo.h": b"int x;\n",
            f"{data}/data/share/demo.txt": b"text\n",
            f"{data}/platlib/native.py": b"pass\n",
        },
        entry_points="[console_scripts]\nserve = demo.app:main.run\n[other]\nx = y:z\n",
        executable=frozenset({"demo/run.sh"}),
    )
    tree = make(tmp_path, built)
    assert tree[f"{SITE}/demo/run.sh"].mode == 0o755
    assert tree[f"{SITE}/demo/empty.py"].mode == 0o644
    assert content(tree, "opt/venv/bin/tool") == b"#!/opt/venv/bin/python\nprint()\n"
    assert tree["opt/venv/bin/shell"].mode == 0o755
    assert content(tree, "opt/venv/bin/shell") == b"#!/bin/sh\n"
    assert f"{SITE}/native.py" in tree
    assert "opt/venv/include/site/python3.13/demo/demo.h" in tree
    assert content(tree, "opt/venv/share/demo.txt") == b"text\n"
    assert content(tree, "opt/venv/bin/serve") == (
        b"#!/opt/venv/bin/python\nimport sys\nfrom demo.app import main\n"
        b'if __name__ == "__main__":\n    sys.exit(main.run())\n'
    )


def test_a_program_among_the_scripts_is_not_held_in_memory(tmp_path: Path) -> None:
    program = b"\x7fELF" + bytes(3_000_000)
    tree = make(tmp_path, build(tmp_path, files={"demo-1.0.data/scripts/tool": program}))
    assert isinstance(tree["opt/venv/bin/tool"].content, FileRange)
    assert content(tree, "opt/venv/bin/tool") == program


def test_an_endless_script_is_refused(tmp_path: Path) -> None:
    script = b"#!python\n" + bytes(17 << 20)
    message = refusal(tmp_path, build(tmp_path, files={"demo-1.0.data/scripts/tool": script}))
    assert "too large for a script" in message


@pytest.mark.parametrize("start", [b"#!python\n", b"#!/bin/sh\n", b""])
def test_scripts_are_checked_against_record_too(tmp_path: Path, start: bytes) -> None:
    info, path = "demo-1.0.dist-info", "demo-1.0.data/scripts/tool"
    metadata = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"
    wheel = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    rows = [
        row(path, start + b"good"), row(f"{info}/METADATA", metadata),
        row(f"{info}/WHEEL", wheel), f"{info}/RECORD,,",
    ]  # fmt: skip
    built = build(tmp_path, files={path: start + b"evil"}, record="\n".join(rows))
    assert f"`{path}` is not what RECORD says" in refusal(tmp_path, built)


def test_record_lists_exactly_what_was_written_in_order(tmp_path: Path) -> None:
    built = build(
        tmp_path,
        files={"demo/z.py": b"z\n", "demo/a,b.py": b"a\n", "demo/__pycache__/z.pyc": b"old"},
        entry_points="[console_scripts]\nserve = demo:main\n",
    )
    tree = make(tmp_path, built)
    record = content(tree, f"{SITE}/demo-1.0.dist-info/RECORD").decode()
    lines = record.splitlines()
    assert lines[-1] == "demo-1.0.dist-info/RECORD,,"
    paths = [line[0] for line in csv.reader(lines[:-1])]
    assert paths == sorted(paths)
    assert "\r" not in record
    assert row("demo/z.py", b"z\n") in lines
    assert row('"demo/a,b.py"', b"a\n") in lines
    assert any(line.startswith("../../../bin/serve,sha256=") for line in lines)
    assert row("demo-1.0.dist-info/INSTALLER", b"modelpack\n") in lines
    written = {path for path in tree if tree[path].kind == "file"} - {"opt/venv/pyvenv.cfg"}
    assert len(written) == len(lines)
    assert not any("__pycache__" in path for path in tree)


def test_order_of_wheels_does_not_matter(tmp_path: Path) -> None:
    built = [build(tmp_path, name) for name in ("one", "two", "three")]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = make(tmp_path / "a", *built), make(tmp_path / "b", *reversed(built))
    assert list(first) == list(second)
    assert [content(first, path) for path in first] == [content(second, path) for path in second]


def test_two_wheels_that_write_one_path_differently_are_both_named(tmp_path: Path) -> None:
    one = build(tmp_path, "one", files={"shared/x.py": b"1\n"})
    two = build(tmp_path, "two", files={"shared/x.py": b"2\n"})
    message = refusal(tmp_path, one, two)
    assert "one-1.0-py3-none-any.whl" in message
    assert "two-1.0-py3-none-any.whl" in message
    assert "shared/x.py" in message


def test_two_wheels_may_write_equal_bytes_to_one_path(tmp_path: Path) -> None:
    one = build(tmp_path, "one", files={"shared/x.py": b"same\n"})
    two = build(tmp_path, "two", files={"shared/x.py": b"same\n"})
    tree = make(tmp_path, one, two)
    assert content(tree, f"{SITE}/shared/x.py") == b"same\n"
    assert tree.owner(f"{SITE}/shared/x.py") == "one-1.0-py3-none-any.whl"


def test_a_file_where_another_wheel_has_a_folder_is_refused(tmp_path: Path) -> None:
    one = build(tmp_path, "one", files={"shared": b"file"})
    two = build(tmp_path, "two", files={"shared/x.py": b""})
    assert "not a directory" in refusal(tmp_path, one, two)


def test_a_wheel_may_not_replace_the_interpreter(tmp_path: Path) -> None:
    built = build(tmp_path, files={"demo-1.0.data/scripts/python": b"#!python\n"})
    assert "the virtual environment itself" in refusal(tmp_path, built)


@pytest.mark.parametrize(
    "path", ["../evil.py", "/etc/passwd", "demo/../../x", "a//b", "demo/./x", "back\\slash", "a\nb"]
)
def test_unsafe_paths_are_refused(tmp_path: Path, path: str) -> None:
    built = build(tmp_path, members=((entry(path), b"x"),))
    message = refusal(tmp_path, built)
    assert "demo-1.0-py3-none-any.whl" in message
    assert "\n" not in message


@pytest.mark.parametrize("scheme", ["scripts", "data", "headers", "purelib"])
def test_traversal_inside_a_data_folder_is_refused(tmp_path: Path, scheme: str) -> None:
    built = build(tmp_path, members=((entry(f"demo-1.0.data/{scheme}/../../../x"), b""),))
    assert "unsafe path" in refusal(tmp_path, built)


@pytest.mark.parametrize(
    "kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK, stat.S_IFDIR]
)
def test_members_that_are_not_plain_files_are_refused(tmp_path: Path, kind: int) -> None:
    built = build(tmp_path, members=((entry("demo/link", mode=kind | 0o777), b"/etc/passwd"),))
    assert "`demo/link` is not a plain file" in refusal(tmp_path, built)


def test_an_entry_point_with_a_slash_is_refused(tmp_path: Path) -> None:
    built = build(tmp_path, entry_points="[console_scripts]\n../../x = demo:main\n")
    assert "entry point" in refusal(tmp_path, built)


@pytest.mark.parametrize("text", ["[console_scripts]\nx\n", "[console_scripts]\nx = demo\n", "x"])
def test_broken_entry_points_are_refused(tmp_path: Path, text: str) -> None:
    assert "not a wheel that can be installed" in refusal(
        tmp_path, build(tmp_path, entry_points=text)
    )


def test_a_member_that_record_contradicts_is_named(tmp_path: Path) -> None:
    good = row("demo/__init__.py", b"VALUE = 2\n")
    info = "demo-1.0.dist-info"
    metadata = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"
    wheel = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    rest = [row(f"{info}/METADATA", metadata), row(f"{info}/WHEEL", wheel), f"{info}/RECORD,,"]
    built = build(tmp_path, record="\n".join([good, *rest]))
    assert "`demo/__init__.py` is not what RECORD says" in refusal(tmp_path, built)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("demo/__init__.py,,", "no sha256"),
        ("demo/__init__.py,md5=abc,10", "no sha256"),
        (row("demo/__init__.py", b"VALUE = 1\n").replace(",10", ",11"), "RECORD says `11`"),
        ("", "`demo/__init__.py` is not in RECORD"),
        (row("demo/__init__.py", b"VALUE = 1\n") + "\ndemo/gone.py,sha256=a,1", "demo/gone.py"),
        (2 * (row("demo/__init__.py", b"VALUE = 1\n") + "\n"), "twice"),
        ("demo/__init__.py,sha256=abc", "expected 3 elements, got 2"),
    ],
)
def test_a_record_that_does_not_vouch_is_refused(tmp_path: Path, line: str, reason: str) -> None:
    info = "demo-1.0.dist-info"
    metadata = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"
    wheel = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    rest = [row(f"{info}/METADATA", metadata), row(f"{info}/WHEEL", wheel), f"{info}/RECORD,,"]
    record = "\n".join([text for text in (line.strip(), *rest) if text])
    assert reason in refusal(tmp_path, build(tmp_path, record=record))


def test_sha512_in_record_is_checked_and_written_as_sha256(tmp_path: Path) -> None:
    info = "demo-1.0.dist-info"
    metadata = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"
    wheel = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    rows = [
        row("demo/__init__.py", b"VALUE = 1\n", "sha512"), row(f"{info}/METADATA", metadata),
        row(f"{info}/WHEEL", wheel), f"{info}/RECORD,,",
    ]  # fmt: skip
    tree = make(tmp_path, build(tmp_path, record="\n".join(rows)))
    record = content(tree, f"{SITE}/{info}/RECORD").decode()
    assert row("demo/__init__.py", b"VALUE = 1\n") in record.splitlines()


def test_a_name_that_is_twice_in_the_archive_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        built = build(tmp_path, members=((entry("demo/__init__.py"), b"VALUE = 1\n"),))
    assert "in it twice" in refusal(tmp_path, built)


def test_metadata_of_another_distribution_is_refused(tmp_path: Path) -> None:
    _, path = build(tmp_path, "other")
    renamed = path.rename(tmp_path / "demo-1.0-py3-none-any.whl")
    built = (wheel_files.locked(renamed, "demo", "1.0"), renamed)
    assert "`other-1.0.dist-info` is not of `demo`" in refusal(tmp_path, built)


def test_overlapping_members_are_called_a_bomb(tmp_path: Path) -> None:
    wheel, path = build(tmp_path, files={"demo/big": b"0" * 1_000_000})
    data = bytearray(path.read_bytes())
    start = data.index(b"PK\x01\x02")
    while start != -1:
        # The central directory now says that each member's data is as long as the whole file.
        struct.pack_into("<I", data, start + 20, len(data))
        start = data.find(b"PK\x01\x02", start + 4)
    path.write_bytes(data)
    assert "a bomb" in refusal(tmp_path, (wheel, path))


def test_absurd_sizes_are_called_a_bomb(tmp_path: Path) -> None:
    wheel, path = build(tmp_path)
    data = bytearray(path.read_bytes())
    start = data.index(b"PK\x01\x02")
    # ZIP64: a size of all ones is continued in the extra field; here it is simply claimed.
    for _ in range(4):
        struct.pack_into("<I", data, start + 24, 0xFFFFFFFE)
        start = data.find(b"PK\x01\x02", start + 4)
    path.write_bytes(data)
    refusal(tmp_path, (wheel, path))


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip at all", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "demo-1.0-py3-none-any.whl"
    path.write_bytes(data)
    assert path.name in refusal(tmp_path, (wheel_files.locked(path, "demo", "1.0"), path))


def test_a_truncated_archive_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    wheel, path = build(tmp_path)
    data = path.read_bytes()
    for end in range(0, len(data), 37):
        path.write_bytes(data[:end])
        assert wheel.filename in refusal(tmp_path, (wheel, path))


def test_every_bad_wheel_is_reported_at_once(tmp_path: Path) -> None:
    one = build(tmp_path, "one", members=((entry("../x"), b""),))
    two = build(tmp_path, "two", members=((entry("/y"), b""),))
    with pytest.raises(Refused) as caught:
        make(tmp_path, one, two)
    assert [finding.at for finding in caught.value.findings] == [one[1].name, two[1].name]


def test_bytecode_sources_are_grouped_by_wheel(tmp_path: Path) -> None:
    tree = make(tmp_path, build(tmp_path, "two"), build(tmp_path, "one"))
    assert wheels.bytecode_sources(tree) == (
        ("one-1.0-py3-none-any.whl", (f"{SITE}/one/__init__.py",)),
        ("two-1.0-py3-none-any.whl", (f"{SITE}/two/__init__.py",)),
    )

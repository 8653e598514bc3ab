"""Whatever a lockfile's layout is, the same pins come out; whatever it holds, nothing crashes."""

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from modelpack.errors import InputError
from modelpack.inputs.python import requirements
from modelpack.inputs.python.pinned import Requirement
from modelpack.inputs.python.target import Target
from modelpack.inputs.quoting import UNPRINTABLE
from tests.values import AMD64
from tests.wheel_files import PYTHON_3_13

TARGET = Target.of(PYTHON_3_13, AMD64)

hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
pins = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,4})?", fullmatch=True),
    st.tuples(
        st.from_regex(r"[1-9][0-9]?(\.[0-9]{1,2}){0,2}(rc1|\.post1)?", fullmatch=True),
        st.lists(hashes, min_size=1, max_size=3, unique=True),
        st.lists(st.sampled_from(["standard", "all", "x"]), max_size=2, unique=True),
    ),
    max_size=5,
)
breaks = st.sampled_from([" ", " \\\n    ", "\t", " \\\r\n  "])
between = st.sampled_from(["", "\n", "# via x\n", "    # via\n    #   y\n", "\r\n"])
spelling = st.sampled_from([str, str.upper, str.title, lambda name: name.replace("-", "_.")])


@given(pins, st.data())
def test_layout_does_not_matter(
    pinned: dict[str, tuple[str, list[str], list[str]]], data: st.DataObject
) -> None:
    text = ""
    for name, (version, digests, extras) in pinned.items():
        text += data.draw(between) + data.draw(spelling)(name)
        text += f"[{','.join(extras)}]" if extras else ""
        text += f"=={version}"
        for digest in digests:
            text += f"{data.draw(breaks)}--hash=sha256:{digest}"
        text += data.draw(st.sampled_from(["\n", "  # inline\n", " \n"]))
    assert [(one.name, one.version, one.extras, one.hashes) for one in parse(text.encode())] == [
        (name, str(Version(version)), tuple(sorted(extras)), tuple(sorted(digests)))
        for name, (version, digests, extras) in sorted(pinned.items())
    ]


fragments = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.sampled_from(
            ["numpy", "==", "1.0", " --hash=sha256:", "a" * 64, "\\\n", "\n", " ;", "#", "[x]",
             "-r x", " @ ", "https://u:p@h/", "python_version < '4'", "--", "\0", "\r", "${X}"]
        ),
    ),
    max_size=12,
)  # fmt: skip


@given(fragments.map("".join))
def test_anything_is_understood_or_refused(text: str) -> None:
    try:
        found = parse(text.encode(errors="surrogatepass"))
    except InputError as error:
        messages = [finding.message for finding in error.findings]
    else:
        messages = []
        assert all(one.hashes and one.version for one in found)
    assert not any(UNPRINTABLE.search(message) for message in messages)


def parse(data: bytes) -> tuple[Requirement, ...]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "requirements.lock")
        path.write_bytes(data)
        return requirements.parse(path, target=TARGET).requirements

"""Whatever is done to packed weights, the guard names the file and the bytes."""

import contextlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from packed_weights import CHUNK, DIGEST, captured_events, manifest, save, weights_entry

from modelpack.runtime import guard

NAMES = st.from_regex(r"[a-z]{1,3}(/[a-d]{1,2}){0,2}\.json", fullmatch=True)
FILES = st.dictionaries(NAMES, st.binary(max_size=5 * CHUNK + 3), min_size=1, max_size=4)
FULL_FILES = st.dictionaries(
    NAMES, st.binary(min_size=1, max_size=5 * CHUNK + 3), min_size=1, max_size=4
)

Bad = list[tuple[str, str, int | None, int | None]]
Run = Callable[..., tuple[int, Bad]]


@contextmanager
def packed(files: dict[str, bytes]) -> Iterator[tuple[Path, Run]]:
    """Pack `files`; yield their folder and the guard, which returns its status and bad ranges."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "weights"
        entry = weights_entry(root, files)

        def run(mode: str = "full") -> tuple[int, Bad]:
            path = save(manifest(entry, verify=mode), Path(folder) / "weights.json")
            with captured_events() as lines:
                code = guard.main(["--check-only"], {}, path)
            return code, sorted(
                (str(Path(e["file"]).relative_to(root)), e["reason"], e.get("first"), e.get("last"))
                for e in lines
                if e["event"] == "guard.bad"
            )

        yield root, run


@given(files=FILES, mode=st.sampled_from(guard.MODES))
def test_untouched_files_are_verified(files: dict[str, bytes], mode: str):
    with packed(files) as (_, run):
        assert run(mode) == (0, [])


@given(data=st.data(), files=FULL_FILES)
def test_any_flipped_bytes_are_found_in_exactly_their_chunks(
    data: st.DataObject, files: dict[str, bytes]
):
    places = st.sampled_from([(n, i) for n, content in files.items() for i in range(len(content))])
    flips = data.draw(st.dictionaries(places, st.integers(1, 255), min_size=1, max_size=6))
    changed = {name: bytearray(content) for name, content in files.items()}
    for (name, position), mask in flips.items():
        changed[name][position] ^= mask
    wrong = {
        (name, byte)
        for name, position in flips
        for byte in range(position - position % CHUNK, position - position % CHUNK + CHUNK)
        if byte < len(files[name])
    }
    with packed(files) as (root, run):
        for name, content in changed.items():
            (root / name).write_bytes(content)
        code, bad = run()
    assert code == 78
    assert {reason for _, reason, *_ in bad} == {"content"}
    named = [(name, byte) for name, _, first, last in bad for byte in range(first, last + 1)]
    assert sorted(named) == sorted(wrong)
    for (name, _, _, last), (other, _, first, _) in pairwise(bad):
        assert name != other or last + 1 < first, "neighbouring ranges are merged"


@given(data=st.data(), files=FULL_FILES, mode=st.sampled_from(["full", "fast"]))
def test_a_truncated_file_is_refused(data: st.DataObject, files: dict[str, bytes], mode: str):
    name = data.draw(st.sampled_from(sorted(files)))
    size = data.draw(st.integers(0, len(files[name]) - 1))
    with packed(files) as (root, run):
        (root / name).write_bytes(files[name][:size])
        assert run(mode) == (78, [(name, "truncated", size, len(files[name]) - 1)])


@given(
    data=st.data(),
    files=FILES,
    more=st.binary(min_size=1, max_size=40),
    mode=st.sampled_from(["full", "fast"]),
)
def test_a_longer_file_is_refused(
    data: st.DataObject, files: dict[str, bytes], more: bytes, mode: str
):
    name = data.draw(st.sampled_from(sorted(files)))
    size = len(files[name])
    with packed(files) as (root, run):
        (root / name).write_bytes(files[name] + more)
        assert run(mode) == (78, [(name, "too-long", size, size + len(more) - 1)])


@given(data=st.data(), files=FILES, mode=st.sampled_from(["full", "fast"]))
def test_removed_and_added_files_are_refused(
    data: st.DataObject, files: dict[str, bytes], mode: str
):
    removed = data.draw(st.sets(st.sampled_from(sorted(files))))
    added = data.draw(st.sets(NAMES.filter(lambda name: name not in files), min_size=not removed))
    expected = [(name, "missing", None, None) for name in removed]
    expected += [(name, "extra", None, None) for name in added]
    with packed(files) as (root, run):
        for name in removed:
            (root / name).unlink()
        for name in added:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
        assert run(mode) == (78, sorted(expected))


@given(data=st.data(), files=FILES)
def test_a_damaged_manifest_never_crashes_the_guard(data: st.DataObject, files: dict[str, bytes]):
    with tempfile.TemporaryDirectory() as folder:
        text = json.dumps(manifest(weights_entry(Path(folder), files))).encode()
    at = data.draw(st.integers(0, len(text) - 1))
    until = data.draw(st.integers(at, min(len(text), at + 8)))
    put = data.draw(st.binary(max_size=8) | st.sampled_from([b"[", b"{", b"null", b"-1", b"NaN"]))
    with contextlib.suppress(guard.Refusal):
        assert isinstance(guard.parse(text[:at] + put + text[until:]), guard.Manifest)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(sorted(guard._KEYS)), inner, max_size=9)
    ),
    max_leaves=30,
)


@given(value=JSON)
def test_any_json_is_parsed_or_refused(value: Any):
    with contextlib.suppress(guard.Refusal):
        assert isinstance(guard.parse(json.dumps(value).encode()), guard.Manifest)


@given(
    value=JSON
    | st.fixed_dictionaries({"digest": st.just(DIGEST) | JSON, "model": JSON})
    | st.binary(max_size=50)
)
def test_any_nameplate_is_a_claim_or_nothing(value: Any):
    with tempfile.NamedTemporaryFile() as file:
        file.write(value if isinstance(value, bytes) else json.dumps(value).encode())
        file.flush()
        found = guard.read_nameplate(file.name)
    assert found is None or (isinstance(found[0], guard.Model) and found[1].startswith("sha256:"))


def oracle(pattern: str) -> re.Pattern[str]:
    """Say the same as `guard.matches` in another way: one regular expression, no brackets."""
    if "/" not in pattern:
        pattern = "**/" + pattern
    pattern = pattern.removeprefix("/")
    if pattern.endswith("/"):
        pattern += "**"
    out = ""
    parts = pattern.split("/")
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**":
            out += ".+" if last else "(?:[^/]*/)*"
            continue
        for character in part:
            out += {"*": "[^/]*", "?": "[^/]"}.get(character, re.escape(character))
        out += "" if last else "/"
    return re.compile(out, re.DOTALL)


@settings(max_examples=500)
@given(
    path=st.lists(st.text("ab.", min_size=1, max_size=3), min_size=1, max_size=4).map("/".join),
    pattern=st.lists(st.sampled_from(["a", "b", ".", "*", "?", "/", "**", "/**/"]), min_size=1,
                     max_size=6).map("".join).filter(lambda p: "//" not in p and p.strip("/")),
)  # fmt: skip
def test_patterns_mean_what_the_equal_regular_expression_means(path: str, pattern: str):
    assert guard.matches(path, pattern) is (oracle(pattern).fullmatch(path) is not None)

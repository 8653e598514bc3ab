"""Splitting and merging safetensors, held against the library that defines the format."""

import hashlib
import json
import os
from pathlib import Path

import click.testing
import numpy as np
import pytest
from safetensors import numpy as library

from modelpack.cli.shard import command, parse_size
from modelpack.errors import InputError, Unavailable
from modelpack.inputs import safetensors_writer, shards
from modelpack.inputs.safetensors_writer import TensorRange


def model(path: Path, **tensors: np.ndarray) -> Path:
    """Write a file with the library; six tensors of mixed types unless told otherwise."""
    made = tensors or {
        "embed": np.arange(600, dtype=np.float32).reshape(30, 20),
        "half": np.arange(7, dtype=np.float16),
        "flags": np.array([True, False, True]),
        "layer.0": np.full((9, 11), 2.5, dtype=np.float32),
        "ids": np.arange(5, dtype=np.int64),
        "nothing": np.zeros((0, 4), dtype=np.float32),
    }
    library.save_file(made, path, metadata={"format": "pt"})
    return path


def load(*paths: Path) -> dict[str, np.ndarray]:
    """Return all tensors of safetensors files, as the library reads them."""
    return {name: array for path in paths for name, array in library.load_file(path).items()}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """Tell whether both hold equal tensors of equal types."""
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and np.array_equal(one[name], other[name])
        for name in one
    )


def listing(directory: Path) -> list[str]:
    """Return the names in a folder, hidden ones too."""
    return sorted(os.listdir(directory))


def ranges(*sizes: int) -> list[TensorRange]:
    """Return byte tensors of these sizes."""
    return [
        TensorRange(name=str(n), dtype="U8", shape=(size,), path=Path("x"), offset=0, size=size)
        for n, size in enumerate(sizes)
    ]


def sizes(arranged: list[shards.Shard]) -> list[list[int]]:
    """Return the sizes of the tensors in each shard."""
    return [[tensor.size for tensor in shard] for shard in arranged]


@pytest.mark.parametrize("parts", [1, 2, 3, 6])
def test_split_and_merge_give_the_same_bytes_back(tmp_path: Path, parts: int) -> None:
    source = model(tmp_path / "model.safetensors")

    *files, index = shards.split(source, tmp_path / "out", parts=parts)
    merged = shards.merge(index)

    assert len(files) == parts
    assert merged == tmp_path / "out" / "model.safetensors"
    assert merged.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_shards_are_the_very_bytes_that_the_library_writes(tmp_path: Path, parts: int) -> None:
    source = model(tmp_path / "model.safetensors")

    *files, _ = shards.split(source, tmp_path / "out", parts=parts)

    assert same(load(*files), load(source))
    for file in files:
        assert file.read_bytes() == library.save(load(file), metadata={"format": "pt"})


def test_header_with_strange_names_is_the_very_one_of_the_library(tmp_path: Path) -> None:
    names = ['quote"', "back\\slash", "ümläut", "漢字", "a/b", "emoji 🐍", "x" * 300]
    tensors = {name: np.arange(3, dtype=np.float32) for name in names}
    source = model(tmp_path / "model.safetensors", **tensors)

    file, _ = shards.split(source, tmp_path / "out", parts=1)

    assert file.read_bytes() == source.read_bytes()


def test_index_is_what_hugging_face_writes(tmp_path: Path) -> None:
    source = model(
        tmp_path / "model.safetensors",
        a=np.zeros(4, dtype=np.float32),
        b=np.zeros(4, dtype=np.float32),
    )

    files = shards.split(source, tmp_path / "out", parts=2)

    assert [path.name for path in files] == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ]
    assert files[-1].read_text() == (
        '{\n  "metadata": {\n    "total_size": 32\n  },\n  "weight_map": {\n'
        '    "a": "model-00001-of-00002.safetensors",\n'
        '    "b": "model-00002-of-00002.safetensors"\n  }\n}\n'
    )


def test_metadata_is_sorted_and_kept(tmp_path: Path) -> None:
    metadata = {key: key.upper() for key in "zyxwvutsrqponmlkjihgfedcba"}
    source = tmp_path / "model.safetensors"
    library.save_file({"a": np.zeros(1)}, source, metadata=metadata)

    file, index = shards.split(source, tmp_path / "out", parts=1)

    header = file.read_bytes()[8:].split(b"}", 1)[0] + b"}}"
    assert list(json.loads(header)["__metadata__"].items()) == sorted(metadata.items())
    assert shards.merge(index).read_bytes() == file.read_bytes()


def test_tensors_of_many_shards_are_aligned_after_a_merge(tmp_path: Path) -> None:
    names = ["m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors"]
    library.save_file({"odd": np.ones(3, dtype=np.uint8)}, tmp_path / names[0])
    library.save_file({"wide": np.ones(3, dtype=np.float64)}, tmp_path / names[1])
    index = tmp_path / "m.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"odd": names[0], "wide": names[1]}}))

    tensors, _ = shards.read(shards.merge(index))

    assert [tensor.name for tensor in tensors] == ["wide", "odd"]
    assert tensors[0].offset % 8 == 0


def test_size_limit_cuts_in_order_and_a_larger_tensor_stands_alone() -> None:
    arranged = shards.arrange_by_size(ranges(4, 4, 3, 20, 0, 1), 10)

    assert sizes(arranged) == [[4, 4], [3], [20], [0, 1]]


@pytest.mark.parametrize(
    ("given", "parts", "expected"),
    [
        ((1, 1, 1, 1), 2, [[1, 1], [1, 1]]),
        ((50, 1, 1, 1), 4, [[50], [1], [1], [1]]),
        ((1, 1, 1, 50), 2, [[1, 1, 1], [50]]),
        ((0, 0, 0), 3, [[0], [0], [0]]),
        ((1, 46, 15, 14, 14), 4, [[1, 46], [15], [14], [14]]),
    ],
)
def test_count_of_parts_is_exact_and_shares_the_bytes(
    given: tuple[int, ...], parts: int, expected: list[list[int]]
) -> None:
    assert sizes(shards.arrange_by_count(ranges(*given), parts)) == expected


def test_more_parts_than_tensors_are_refused(tmp_path: Path) -> None:
    source = model(tmp_path / "model.safetensors")

    with pytest.raises(InputError, match="6 tensors cannot make 7 shards"):
        shards.split(source, tmp_path / "out", parts=7)

    assert not (tmp_path / "out").exists()


def test_file_without_tensors_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "model.safetensors"
    library.save_file({}, source)

    with pytest.raises(InputError, match="holds no tensors"):
        shards.split(source, tmp_path, parts=1)


def test_file_that_is_not_named_safetensors_is_refused(tmp_path: Path) -> None:
    source = model(tmp_path / "model.bin")

    with pytest.raises(InputError, match=r"does not end with `\.safetensors`"):
        shards.split(source, tmp_path, parts=1)


def test_damaged_header_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    source = model(tmp_path / "model.safetensors")
    source.write_bytes(source.read_bytes()[:-1])

    with pytest.raises(InputError):
        shards.split(source, tmp_path / "out", parts=2)

    assert listing(tmp_path) == ["model.safetensors"]


def test_fifo_is_refused_without_waiting(tmp_path: Path) -> None:
    source = tmp_path / "model.safetensors"
    os.mkfifo(source)

    with pytest.raises(InputError, match="FIFO"):
        shards.split(source, tmp_path, parts=1)


def test_linked_file_is_split_under_the_name_of_the_link(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    link = tmp_path / "model.safetensors"
    link.symlink_to(model(tmp_path / "blobs" / "0123abcd"))

    files = shards.split(link, tmp_path / "out", parts=1)

    assert files[0].name == "model-00001-of-00001.safetensors"


def test_existing_shards_are_all_named_and_left_alone(tmp_path: Path) -> None:
    source = model(tmp_path / "model.safetensors")
    shards.split(source, tmp_path, parts=3)
    before = {name: (tmp_path / name).read_bytes() for name in listing(tmp_path)}

    with pytest.raises(InputError) as refused:
        shards.split(source, tmp_path, parts=2)

    assert len(refused.value.findings) == 4
    assert before == {name: (tmp_path / name).read_bytes() for name in listing(tmp_path)}


def test_force_replaces_shards_and_leaves_none_of_the_old_ones(tmp_path: Path) -> None:
    source = model(tmp_path / "model.safetensors")
    other = model(tmp_path / "model-large.safetensors")
    shards.split(source, tmp_path, parts=3)
    shards.split(other, tmp_path, parts=1)

    shards.split(source, tmp_path, parts=2, force=True)

    assert listing(tmp_path) == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model-large-00001-of-00001.safetensors",
        "model-large.safetensors",
        "model-large.safetensors.index.json",
        "model.safetensors",
        "model.safetensors.index.json",
    ]


def test_merge_does_not_replace_a_file_unasked(tmp_path: Path) -> None:
    source = model(tmp_path / "model.safetensors")
    *_, index = shards.split(source, tmp_path, parts=2)
    source.write_bytes(b"precious")

    with pytest.raises(InputError, match="exists already"):
        shards.merge(index)

    assert source.read_bytes() == b"precious"
    assert shards.merge(index, force=True) == source
    assert source.read_bytes() != b"precious"


def test_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = model(tmp_path / "model.safetensors")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors_writer.os, "fsync", full)
    with pytest.raises(Unavailable, match="no space left on device"):
        shards.split(source, tmp_path, parts=2)

    assert listing(tmp_path) == ["model.safetensors"]


def test_failed_rename_takes_back_the_shards_that_were_new(tmp_path: Path) -> None:
    source = model(tmp_path / "model.safetensors")
    (tmp_path / "out" / "model.safetensors.index.json").mkdir(parents=True)

    with pytest.raises(Unavailable):
        shards.split(source, tmp_path / "out", parts=2, force=True)

    assert listing(tmp_path / "out") == ["model.safetensors.index.json"]


def test_source_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    source = model(tmp_path / "model.safetensors")
    tensors, metadata = shards.read(source)

    def meddle(_: int) -> None:
        os.utime(source, ns=(0, 1))

    with pytest.raises(InputError, match="changed while it was read"):
        safetensors_writer.write(tmp_path / "out", tensors, metadata, meddle)


def test_source_that_was_cut_since_is_refused(tmp_path: Path) -> None:
    source = model(tmp_path / "model.safetensors")
    tensors, metadata = shards.read(source)
    os.truncate(source, tensors[0].offset + 1)

    with pytest.raises(InputError, match="ends inside tensor"):
        safetensors_writer.write(tmp_path / "out", tensors, metadata, lambda _: None)


def test_all_faults_of_an_index_are_told_at_once(tmp_path: Path) -> None:
    *_, index = shards.split(model(tmp_path / "model.safetensors"), tmp_path, parts=3)
    weight_map = json.loads(index.read_text())["weight_map"]
    moved = next(name for name in weight_map if weight_map[name].startswith("model-00003"))
    weight_map[moved] = "model-00001-of-00003.safetensors"
    index.write_text(json.dumps({"weight_map": weight_map}))
    (tmp_path / "model-00002-of-00003.safetensors").unlink()

    with pytest.raises(InputError) as refused:
        shards.merge(index, tmp_path / "merged.safetensors")

    messages = [finding.message for finding in refused.value.findings]
    assert any(message.startswith("does not hold tensor") for message in messages)
    assert any(message.startswith("cannot be read") for message in messages)
    assert not (tmp_path / "merged.safetensors").exists()


def test_metadata_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    for name, value in (("a", "pt"), ("b", "tf")):
        tensors = {name: np.zeros(1)}
        library.save_file(tensors, tmp_path / f"{name}.safetensors", metadata={"format": value})
    index = tmp_path / "m.safetensors.index.json"
    index.write_text('{"weight_map": {"a": "a.safetensors", "b": "b.safetensors"}}')

    with pytest.raises(InputError, match="`format` differs"):
        shards.merge(index)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "{}",
        '{"weight_map": {}}',
        '{"weight_map": {"a": 1}}',
        '{"weight_map": {"a": "../a.safetensors"}}',
        '{"weight_map": {"a": "/etc/passwd"}}',
        '{"weight_map": {"a": "x.bin"}}',
        '{"weight_map": {"a": "a\\u0000.safetensors"}}',
        '{"weight_map": {"a": "a.safetensors", "a": "b.safetensors"}}',
        "[" * 100_000,
    ],
)
def test_hostile_index_is_refused(tmp_path: Path, text: str) -> None:
    index = tmp_path / "m.safetensors.index.json"
    index.write_text(text)

    with pytest.raises(InputError):
        shards.merge(index)


def test_split_is_the_same_from_another_folder(tmp_path: Path) -> None:
    def digests(folder: str) -> list[str]:
        (tmp_path / folder).mkdir()
        source = model(tmp_path / folder / "model.safetensors")
        files = shards.split(source, tmp_path / folder, parts=3)
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]

    assert digests("one") == digests("two")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("5GB", 5_000_000_000),
        ("500 MiB", 500 << 20),
        ("1.5 kB", 1500),
        ("2TiB", 2 << 40),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "0", "0.4", "-1", "5 XB", "1e9", "٣GB", "٣", "9" * 19, "1_000", "0B"]
)
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"not a size|holds nothing"):
        parse_size(text)


def test_command_prints_the_files_it_made(tmp_path: Path) -> None:
    source = model(tmp_path / "model.safetensors")
    runner = click.testing.CliRunner()

    made = runner.invoke(command, [str(source), "--max-size", "1kB", "--json"])
    merged = runner.invoke(
        command,
        [
            str(tmp_path / "model.safetensors.index.json"),
            "--merge",
            "--output",
            str(tmp_path / "whole.safetensors"),
        ],
    )

    document = json.loads(made.stdout)
    assert document["schema"] == 1
    assert all(Path(file).is_file() for file in document["files"])
    assert merged.stdout == f"{tmp_path / 'whole.safetensors'}\n"
    assert (tmp_path / "whole.safetensors").read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    "options",
    [["--parts", "2", "--max-size", "1GB"], ["--merge", "--parts", "2"], ["--parts", "0"]],
)
def test_command_refuses_options_that_contradict(tmp_path: Path, options: list[str]) -> None:
    source = model(tmp_path / "model.safetensors")

    assert click.testing.CliRunner().invoke(command, [str(source), *options]).exit_code == 2

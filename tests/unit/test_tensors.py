"""The tensors of an image: from the lock's words, by block and by pattern."""

import pytest

from modelpack.inspection import tensors
from modelpack.inspection.reading import read
from modelpack.lock.tensors import Tensor, listed
from tests import values
from tests.described_image import described, shelf_of


def tensor(name: str, *shape: int, dtype: str = "F32") -> Tensor:
    return Tensor(name=name, dtype=dtype, shape=shape)


DEEP = [
    tensor("embed.weight", 1000, 8),
    *(tensor(f"model.layers.{n}.{part}.weight", 8, 8) for n in (0, 1, 10, 11, 2)
      for part in ("q", "k")),
    tensor("model.layers.2.extra", 4),
    tensor("norm", dtype="BF16"),
]  # fmt: skip


def test_a_line_of_the_lock_is_a_tensor() -> None:
    file = values.weight_file(tensors=("BF16 [4096,11008] model.a [1] b", "F32 [] scale"))
    first, second = listed(file)
    assert (first.name, first.dtype, first.shape) == ("model.a [1] b", "BF16", (4096, 11008))
    assert first.parameters == 4096 * 11008
    assert (second.shape, second.parameters) == ((), 1)


@pytest.mark.parametrize(
    "line", ["", "F32", "F32 [1] ", "f32 [1] x", "F32 [-1] x", f"F32 [{9**18},{9**18}] x"]
)
def test_of_a_file_with_a_line_that_is_none_nothing_is_listed(line: str) -> None:
    found = listed(values.weight_file(tensors=("F32 [2] a", line)))
    assert found == () or line == "F32 [1] "  # a tensor may have no name


def test_blocks_stand_in_the_order_of_their_numbers_and_others_last() -> None:
    found = tensors.blocks(DEEP)
    assert [block.name for block in found] == [
        "model.layers.0", "model.layers.1", "model.layers.2", "model.layers.10",
        "model.layers.11", "",
    ]  # fmt: skip
    assert [one.name for one in found[-1].tensors] == ["embed.weight", "norm"]
    assert found[2].parameters == 64 + 64 + 4
    assert sum(len(block.tensors) for block in found) == len(DEEP)


def test_blocks_that_are_alike_are_one_pattern() -> None:
    found = tensors.patterns(DEEP)
    assert [(one.name, one.count, one.parameters) for one in found] == [
        ("embed.weight", 1, 8000),
        ("model.layers.*.q.weight", 5, 320),
        ("model.layers.*.k.weight", 5, 320),
        ("model.layers.*.extra", 1, 4),
        ("norm", 1, 1),
    ]


def test_other_shapes_and_dtypes_are_other_patterns() -> None:
    found = tensors.patterns(
        [tensor("a.0", 1), tensor("a.1", 2), tensor("a.2", 1, dtype="F16"), tensor("a.x2", 1)]
    )
    assert [(one.name, one.count) for one in found] == [("a.*", 1)] * 3 + [("a.x2", 1)]


def test_an_image_says_the_tensors_of_each_of_its_files() -> None:
    image = described().image()
    found = tensors.of(read(shelf_of(image), image.manifest_blob.descriptor))
    assert {path: [one.name for one in each] for path, each in found.items()} == {
        "/models/digits/model-00001-of-00002.safetensors": ["model.embed", "scale", "bias"],
        "/models/digits/model-00002-of-00002.safetensors": ["ids"],
    }


def test_an_image_that_says_nothing_has_none() -> None:
    made = described()
    image = made.image(files={**made.files, "lock.json": b"{"})
    assert tensors.of(read(shelf_of(image), image.manifest_blob.descriptor)) == {}

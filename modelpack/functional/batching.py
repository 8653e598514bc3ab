"""The same examples alone, and together with others: pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from modelpack import canonical_json
from modelpack.digest import of as digest_of
from modelpack.functional.comparing import differences, elements, matching
from modelpack.functional.golden import Batch, Form, Golden, Request
from modelpack.functional.tolerance import Tolerance
from modelpack.inputs.array import Array

_ALONE: Final = 16
"examples of a file that are asked alone"

Rows = tuple[Any, ...]
"of one example: what stands for it in each list"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A request made of golden ones, and what must be in the lists of its answer."""

    name: str
    request: Request
    status: int
    form: Form
    output: tuple[str, ...]
    wanted: tuple[tuple[Rows, Tolerance], ...]


def variants(golden: Sequence[Golden]) -> Iterator[Variant]:
    """Yield each example alone, then all that can be asked together in one request."""
    for one in golden:
        if one.batch is not None:
            yield from _alone(one, one.batch)
    groups: dict[bytes, list[tuple[Golden, Batch]]] = {}
    for one in golden:
        if one.batch is not None:
            groups.setdefault(_frame(one, one.batch), []).append((one, one.batch))
    for group in groups.values():
        yield _together(group)


def complaints(variant: Variant, answer: Any) -> Iterator[str]:  # noqa: ANN401  any JSON value
    """Yield where the lists in `answer` are not what is wanted."""
    for position, pointer in enumerate(variant.output):
        found = [elements(one) for _, one in matching(answer, pointer)]
        if len(found) != 1 or found[0] is None:
            yield f"`{pointer}`: there is no such list"
        elif len(found[0]) != len(variant.wanted):
            yield f"`{pointer}`: {len(found[0])} elements instead of {len(variant.wanted)}"
        else:
            for index, (one, (wanted, tolerance)) in enumerate(
                zip(found[0], variant.wanted, strict=True)
            ):
                yield from differences(one, wanted[position], tolerance, f"{pointer}/{index}")


def _alone(golden: Golden, batch: Batch) -> Iterator[Variant]:
    for index, (asked, wanted) in enumerate(_examples(golden, batch)[:_ALONE]):
        yield _variant(f"{golden.name} example {index} alone", golden, batch, [asked],
                       [(wanted, golden.tolerance)])  # fmt: skip


def _together(group: Sequence[tuple[Golden, Batch]]) -> Variant:
    """Return one request with the examples of all; the last ones first, one alone twice."""
    examples = [
        (asked, (wanted, golden.tolerance))
        for golden, batch in group
        for asked, wanted in _examples(golden, batch)
    ]
    first, batch = group[0]
    most = min(batch.most for _, batch in group)
    chosen = [*reversed(examples[:most])] if len(examples) > 1 else examples * 2
    name = f"{first.name} and {len(group) - 1} more in a batch of {len(chosen)}"
    return _variant(name, first, batch, [asked for asked, _ in chosen],
                    [wanted for _, wanted in chosen])  # fmt: skip


def _variant(
    name: str,
    golden: Golden,
    batch: Batch,
    asked: Sequence[Rows],
    wanted: Sequence[tuple[Rows, Tolerance]],
) -> Variant:
    return Variant(
        name=name, request=_with(golden.request, batch.input, asked), status=golden.status,
        form=golden.form or "json", output=batch.output, wanted=tuple(wanted),
    )  # fmt: skip


def _examples(golden: Golden, batch: Batch) -> list[tuple[Rows, Rows]]:
    asked = _rows(golden.request.value, batch.input)
    return list(zip(asked, _rows(golden.value, batch.output), strict=True))


def _rows(value: Any, pointers: Sequence[str]) -> list[Rows]:  # noqa: ANN401
    """Return what stands at `pointers` for each example."""
    columns = []
    for pointer in pointers:
        ((_, found),) = matching(value, pointer)
        columns.append(elements(found) or [])
    return list(zip(*columns, strict=True))


def _frame(golden: Golden, batch: Batch) -> bytes:
    """Return what must be the same of two requests whose examples can be asked together.

    Of tensors also the dtype and what is beyond the first axis: others make no one tensor.
    """
    request = _with(golden.request, batch.input, [])
    return canonical_json.dumps([
        request.method, request.path, dict(request.headers), request.call, golden.form,
        _named(request.value), [*batch.input], [*batch.output], golden.status,
    ])  # fmt: skip


def _named(value: Any) -> Any:  # noqa: ANN401  any JSON value
    """Return `value` with a digest for each tensor."""
    if isinstance(value, Array):
        return [value.dtype, [*value.shape], digest_of(value.data)]
    if isinstance(value, Mapping):
        return {key: _named(one) for key, one in value.items()}
    return [_named(one) for one in value] if isinstance(value, list) else value


def _with(request: Request, pointers: Sequence[str], examples: Sequence[Rows]) -> Request:
    value = request.value
    for position, pointer in enumerate(pointers):
        rows = [one[position] for one in examples]
        value = _replaced(value, pointer.split("/")[1:], rows)
    return request.with_value(value)


def _replaced(value: Any, words: Sequence[str], rows: list[Any]) -> Any:  # noqa: ANN401  JSON
    if not words:
        return value.with_rows(rows) if isinstance(value, Array) else rows
    word, *rest = words
    if isinstance(value, Mapping):
        key = word.replace("~1", "/").replace("~0", "~")
        return {**value, key: _replaced(value[key], rest, rows)}
    index = int(word)
    return [*value[:index], _replaced(value[index], rest, rows), *value[index + 1 :]]

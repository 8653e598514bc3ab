"""The same examples alone, and together with others: pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from modelpack import canonical_json
from modelpack.functional.comparing import Tolerance, differences, matching
from modelpack.functional.golden import Batch, Golden, Request

_ALONE: Final = 16
"examples of a file that are asked alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A request made of golden ones, and what must be in the list of its answer."""

    name: str
    request: Request
    status: int
    output: str
    wanted: tuple[tuple[Any, Tolerance], ...]


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
    """Yield where the list in `answer` is not what is wanted."""
    found = [one for _, one in matching(answer, variant.output)]
    if len(found) != 1 or not isinstance(found[0], list):
        yield f"`{variant.output}`: there is no such list"
    elif len(found[0]) != len(variant.wanted):
        yield f"`{variant.output}`: {len(found[0])} elements instead of {len(variant.wanted)}"
    else:
        for index, (one, (wanted, tolerance)) in enumerate(
            zip(found[0], variant.wanted, strict=True)
        ):
            yield from differences(one, wanted, tolerance, f"{variant.output}/{index}")


def _alone(golden: Golden, batch: Batch) -> Iterator[Variant]:
    for index, (asked, wanted) in enumerate(_examples(golden, batch)[:_ALONE]):
        yield Variant(
            name=f"{golden.name} example {index} alone",
            request=_with(golden.request, batch.input, [asked]),
            status=golden.status, output=batch.output, wanted=((wanted, golden.tolerance),),
        )  # fmt: skip


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
    return Variant(
        name=f"{first.name} and {len(group) - 1} more in a batch of {len(chosen)}",
        request=_with(first.request, batch.input, [asked for asked, _ in chosen]),
        status=first.status, output=batch.output, wanted=tuple(wanted for _, wanted in chosen),
    )  # fmt: skip


def _examples(golden: Golden, batch: Batch) -> list[tuple[Any, Any]]:
    ((_, asked),) = matching(golden.request.json, batch.input)
    ((_, wanted),) = matching(golden.json, batch.output)
    return list(zip(asked, wanted, strict=True))


def _frame(golden: Golden, batch: Batch) -> bytes:
    """Return what must be the same of two requests whose examples can be asked together."""
    request = _with(golden.request, batch.input, [])
    return canonical_json.dumps(
        [request.method, request.path, dict(request.headers), request.json, batch.input,
         batch.output, golden.status]
    )  # fmt: skip


def _with(request: Request, pointer: str, examples: list[Any]) -> Request:
    return replace(request, json=_replaced(request.json, pointer.split("/")[1:], examples))


def _replaced(value: Any, words: Sequence[str], new: Any) -> Any:  # noqa: ANN401  any JSON value
    if not words:
        return new
    word, *rest = words
    if isinstance(value, Mapping):
        key = word.replace("~1", "/").replace("~0", "~")
        return {**value, key: _replaced(value[key], rest, new)}
    index = int(word)
    return [*value[:index], _replaced(value[index], rest, new), *value[index + 1 :]]

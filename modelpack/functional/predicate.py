"""A functional test as an in-toto statement: what `sign` signs and a policy asks for.

Source: in-toto attestation framework, `spec/predicates/test-result.md` (v0.1). `metadata` and
`modelpack` are members of ours beside those of the type.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from modelpack import __version__, canonical_json
from modelpack.canonical_json import rfc3339
from modelpack.digest import Digest, hex_of
from modelpack.digest import of as digest_of
from modelpack.functional.value import Measured, Tested
from modelpack.trust.predicate_types import TEST
from modelpack.trust.statement import Statement, about

_RESULTS: Final = {"passed": "PASSED", "failed": "FAILED", "unknown": "WARNED"}


def statement(tested: Tested, name: str, digest: Digest) -> Statement:
    """Return what was found out of the image `name` with `digest`."""
    return Statement(
        subjects=about(name, digest),
        predicate_type=TEST,
        predicate=predicate(tested),
    )


def predicate(tested: Tested) -> Mapping[str, Any]:
    """Return what was found out; nothing that the service said is in it."""
    return {
        "result": _RESULTS[tested.outcome],
        "configuration": list(_configuration(tested)),
        "passedTests": tested.named("passed"),
        "warnedTests": tested.named("unknown"),
        "failedTests": tested.named("failed"),
        "metadata": {
            "startedOn": rfc3339(tested.started), "finishedOn": rfc3339(tested.finished),
        },
        "modelpack": {
            "version": __version__,
            "engine": tested.engine,
            "skippedTests": tested.named("skipped"),
            "measured": canonical_json.plain(rounded(tested.measured)),
            **({"calls": canonical_json.plain(rounded(tested.calls))} if tested.calls else {}),
        },
    }  # fmt: skip


def rounded(measured: Measured) -> Mapping[str, Any]:
    """Return the numbers, seconds to the microsecond."""
    plain: Mapping[str, Any] = canonical_json.plain(measured)
    return {
        key: round(value, 6) if isinstance(value, float) else value for key, value in plain.items()
    }


def _configuration(tested: Tested) -> Iterator[Mapping[str, Any]]:
    """Yield what was asked and what was allowed, as in-toto's resource descriptors."""
    for path, digest in tested.golden.items():
        yield {"name": path, "digest": {"sha256": hex_of(digest)}}
    if tested.interface is not None:
        yield {"name": "interface", "digest": {"sha256": hex_of(tested.interface)}}
    rules = {
        "concurrency": tested.concurrency, "duration": f"{tested.duration:g}s",
        "limits": dict(tested.limits),
    }  # fmt: skip
    yield {
        "name": "test",
        "digest": {"sha256": hex_of(digest_of(canonical_json.dumps(rules)))},
        "annotations": rules,
    }

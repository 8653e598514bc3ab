"""What must hold between the values of `[[weights]]`, and between them and the rest of a Spec."""

from collections.abc import Sequence

from modelpack.errors import InputError
from modelpack.spec import Spec, Weights, WeightsSignature, weight_source
from modelpack.spec.folders import check_free, overlap
from modelpack.spec.problems import Problems


def check(spec: Spec, problems: Problems, *, weights_at: Sequence[str]) -> None:
    """Note what does not hold; `weights_at` has the dotted path of each weights."""
    for at, weights in zip(weights_at, spec.weights, strict=True):
        _check_weights(weights, at, spec, problems)
    _check_apart(spec, weights_at, problems)


def _check_weights(weights: Weights, at: str, spec: Spec, problems: Problems) -> None:
    if bool(weights.path) == bool(weights.source) and not problems.known(f"{at}.source"):
        problems.add(
            f"{at}.path",
            "stands beside `source`" if weights.path else "is missing, and so is `source`",
            hint='give one of them, such as `path = "weights"`',
            rule="weights.origin",
        )
    if weights.source and not problems.known(f"{at}.source"):
        _check_source(weights, at, problems)
    hint = f"such as `/models/{weights.name or '<name>'}`"
    check_free(weights.destination, f"{at}.destination", problems, hint=hint)
    if weights.destination and overlap(weights.destination, spec.code.workdir):
        problems.add(
            f"{at}.destination",
            f"`{weights.destination}` overlaps `code.workdir`, `{spec.code.workdir}`",
            hint=hint,
            rule="overlap",
        )
    _check_signature(weights.signature, f"{at}.signature", problems)


def _check_signature(signature: WeightsSignature, at: str, problems: Problems) -> None:
    if signature == WeightsSignature():
        return
    if not signature.file:
        problems.add(
            f"{at}.file", "is missing", hint='such as `file = "weights/model.sig"`',
            rule="missing-key",
        )  # fmt: skip
    keyless = bool(signature.identity or signature.issuer or signature.trusted_root)
    if bool(signature.key) == keyless:
        problems.add(
            f"{at}.key",
            "stands beside `identity`, `issuer` or `trusted-root`" if keyless
            else "is missing, and so are `identity` and `issuer`",
            hint="say who must have signed: a `key`, or an `identity` and its `issuer`",
            rule="signature",
        )  # fmt: skip
    elif keyless and not (signature.identity and signature.issuer):
        missing = "issuer" if signature.identity else "identity"
        problems.add(
            f"{at}.{missing}", "is missing",
            hint="an identity is worth what its issuer is: name both", rule="signature",
        )  # fmt: skip


def _check_source(weights: Weights, at: str, problems: Problems) -> None:
    try:
        weight_source.parse(weights.source)
    except InputError as error:
        finding = error.findings[0]
        problems.add(f"{at}.source", finding.message, hint=finding.hint, rule="weights.source")


def _check_apart(spec: Spec, weights_at: Sequence[str], problems: Problems) -> None:
    names: dict[str, str] = {}
    places: dict[str, str] = {}
    for at, weights in zip(weights_at, spec.weights, strict=True):
        if not weights.name and not problems.known("model.name"):
            problems.add(f"{at}.name", "is missing", hint='add `name = "…"`', rule="missing-key")
        if first := names.get(weights.name):
            problems.add(
                f"{at}.name",
                f"`{weights.name}` is also the name of `{first}`",
                hint='give each `[[weights]]` its own `name = "…"`',
                rule="duplicate",
            )
            continue
        for other, place in places.items():
            if overlap(weights.destination, place):
                problems.add(
                    f"{at}.destination",
                    f"`{weights.destination}` overlaps `{place}` of `{other}`",
                    rule="overlap",
                )
        if weights.name:
            names[weights.name] = at
        if weights.destination:
            places[at] = weights.destination

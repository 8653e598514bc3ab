"""A TOML file becomes a Policy, or one error that holds everything that is wrong with it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from modelpack import reference
from modelpack.errors import Finding, InputError
from modelpack.spec.decoding import load
from modelpack.spec.problems import Problems, dotted, similar
from modelpack.spec.structure import decode_as
from modelpack.trust import expected
from modelpack.trust.policy import Policy, Signer
from modelpack.trust.policy.grammar import GRAMMAR

SCHEMA: Final = 1
_TABLES: Final = (
    "signature", "provenance", "sbom", "scan", "malware", "test", "checks", "evaluation",
    "rebuild", "weights",
)  # fmt: skip
_SIGNED: Final = (*_TABLES, "statements")
"tables that ask for something signed"


def parse(data: bytes, *, filename: str = "policy.toml") -> Policy:
    """Return the Policy that `data` writes; raises InputError with a finding for each problem."""
    document = load(data, filename=filename)
    schema = document.get("schema")
    if isinstance(schema, int) and schema != SCHEMA:
        raise InputError(
            f"schema {str(schema)[:20]} is not known to this modelpack", at="schema",
            hint=f"write `schema = {SCHEMA}`, or install a newer modelpack",
        )  # fmt: skip
    problems = Problems(rules=GRAMMAR.rules)
    policy = decode_as(Policy, document, problems, GRAMMAR)
    _check(policy, document, problems)
    if problems.left_out:
        problems.findings.append(Finding(message=f"and {problems.left_out} more problems"))
    if problems.findings:
        raise InputError(*problems.findings)
    return policy


def _check(policy: Policy, document: Mapping[str, Any], problems: Problems) -> None:
    """Note what does not hold between the values."""
    for name, signer in policy.signers.items():
        _check_signer(signer, dotted("signers", name), problems)
    if not any(key in document for key in _SIGNED):
        problems.add(
            "signature", "is missing: the policy asks for nothing that is signed",
            hint='add `[signature]` with `signers = ["…"]`', rule="empty",
        )  # fmt: skip
    for at, names in _uses(policy):
        _check_names(policy, at, names, problems)
    for name, stage in policy.stages.items():
        if stage.after and stage.after not in policy.stages:
            problems.add(f"{dotted('stages', name)}.after", f"there is no stage `{stage.after}`",
                         hint=similar(stage.after, list(policy.stages)), rule="stage")  # fmt: skip
        elif _comes_back(policy, name):
            problems.add(f"{dotted('stages', name)}.after", "the stages wait for each other",
                         rule="stage")  # fmt: skip
        _check_repository(stage.repository, f"{dotted('stages', name)}.repository", problems)
    for index, waiver in enumerate(policy.waivers):
        if waiver.id and waiver.requirement not in ("scan", "licenses"):
            problems.add(f"waivers[{index}].id", "only scans and licences have ids",
                         hint="leave it out: the whole requirement is waived", rule="waiver",
                         )  # fmt: skip


def _check_repository(text: str, at: str, problems: Problems) -> None:
    if not text or problems.known(at):
        return
    try:
        found = reference.registry(text)
    except InputError as error:
        problems.add(at, error.findings[0].message, hint=error.findings[0].hint, rule="reference")
        return
    if text != found.name:
        problems.add(at, "is not a repository with its host, without tag and digest",
                     hint=f'write `repository = "{found.name}"`', rule="reference")  # fmt: skip


def _check_signer(signer: Signer, at: str, problems: Problems) -> None:
    identity = (signer.identity, signer.identity_regexp)
    issuer = (signer.issuer, signer.issuer_regexp)
    if signer.key:
        if any((*identity, *issuer)):
            problems.add(at, "has a key and an identity", hint="make two signers", rule="signer")
        return
    if not any(identity) and not any(issuer):
        hint = 'give `identity` and `issuer`, or `key = "FILE"`'
        problems.add(at, "says nobody", hint=hint, rule="signer")
        return
    for key, (exact, regexp) in (("identity", identity), ("issuer", issuer)):
        if problems.known(f"{at}.{key}") or problems.known(f"{at}.{key}-regexp"):
            continue
        if not exact and not regexp:
            hint = f"add `{key} = …` or `{key}-regexp = …`: one without the other proves nothing"
            problems.add(f"{at}.{key}", "is missing", hint=hint, rule="signer")
        elif exact and regexp:
            problems.add(f"{at}.{key}-regexp", f"stands beside `{key}`", hint="give one of them",
                         rule="signer")  # fmt: skip
        elif regexp and (wrong := expected.wrong_with(regexp)):
            problems.add(f"{at}.{key}-regexp", wrong, rule="regexp")


def _uses(policy: Policy) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield every list of signers that must be right, and where it stands."""
    sections = {key: getattr(policy, key) for key in _TABLES}
    for at, section in (
        *((key, section) for key, section in sections.items() if section is not None),
        *((f"statements[{index}]", one) for index, one in enumerate(policy.statements)),
        *((dotted("stages", name), stage) for name, stage in policy.stages.items()),
    ):
        if section.signers or policy.signature is None:
            yield f"{at}.signers", section.signers


def _check_names(policy: Policy, at: str, names: tuple[str, ...], problems: Problems) -> None:
    if problems.known(at):
        return
    if not names:
        problems.add(at, "is missing", hint="name who may say so: there is no `[signature]`",
                     rule="missing-key")  # fmt: skip
    for name in names:
        if name not in policy.signers and not problems.known(dotted("signers", name)):
            known = list(policy.signers)
            hint = similar(name, known) or f"add a table `[signers.{name}]`"
            problems.add(at, f"there is no signer `{name}`", hint=hint, rule="unknown-signer")


def _comes_back(policy: Policy, name: str) -> bool:
    """Tell whether the stages before `name` lead back to it."""
    at, seen = policy.stages[name].after, set[str]()
    while at in policy.stages and at not in seen:
        if at == name:
            return True
        seen.add(at)
        at = policy.stages[at].after
    return False

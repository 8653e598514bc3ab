"""Each table of a policy about an image: met, or not and why."""

from collections.abc import Iterator

from modelpack.inputs.quoting import quoted
from modelpack.inspection.json_values import array, text
from modelpack.trust.policy import (
    TYPES,
    Base,
    Checks,
    Formats,
    Licenses,
    Provenance,
    Rebuild,
    Scan,
    Test,
)
from modelpack.trust.policy.expecting import seconds
from modelpack.verifying import licensing, scans, times
from modelpack.verifying import provenance as origins
from modelpack.verifying.bench import Bench, met, unmet
from modelpack.verifying.facts import Facts
from modelpack.verifying.patterns import any_matches, matches
from modelpack.verifying.proving import Accepted
from modelpack.verifying.report import Requirement

_DAY = 86_400


def statement(
    bench: Bench, facts: Facts, *, name: str, types: tuple[str, ...], signers: tuple[str, ...],
    max_age: str,
) -> Requirement:  # fmt: skip
    """Judge that somebody made a statement, whatever it says."""
    sought = bench.seek(name, facts.digest, types, signers, max_age)
    wanted = f"there is one by {bench.named(signers)}"
    if sought.accepted:
        return met(name, wanted, sought.accepted[0])
    return unmet(name, wanted, sought.why, outcome=sought.otherwise)


def provenance(bench: Bench, facts: Facts, rules: Provenance) -> Requirement:
    """Judge where the image comes from: one build that is allowed is enough."""
    sought = bench.seek(
        "provenance", facts.digest, TYPES["provenance"], rules.signers, rules.max_age
    )
    wanted = f"{_listed(rules)}, says {bench.named(rules.signers)}"
    wrong: list[str] = []
    for one in sought.accepted:
        known, disagreements = origins.origin(one.proof)
        complaints = [*disagreements, *origins.complaints(known, rules)]
        if not complaints:
            return met("provenance", wanted, one, str(known))
        wrong += complaints
    if wrong:
        return unmet("provenance", wanted, "; ".join(dict.fromkeys(wrong)), one=sought.accepted[0])
    return unmet("provenance", wanted, sought.why, outcome=sought.otherwise)


def _listed(rules: Provenance) -> str:
    parts = (
        ("from", (*rules.repositories, *rules.refs)),
        ("by", (*rules.builders, *rules.build_types)),
    )
    return " ".join(f"{word} {', '.join(some)}" for word, some in parts if some) or "it is known"


def scan(bench: Bench, facts: Facts, rules: Scan) -> Requirement:
    """Judge what the newest scan found."""
    waivers, now = bench.waivers("scan", facts), bench.judge.now

    def complaints(one: Accepted) -> Iterator[str]:
        said = one.proof.statement.predicate if one.proof.statement else {}
        return scans.complaints(said, rules, age_from=one.proof.time, waivers=waivers, now=now)

    return bench.newest(
        "scan", facts, rules.signers, "",
        wanted=f"nothing of {rules.fail_on} or above at most {rules.max_age} ago",
        complaints=complaints,
    )  # fmt: skip


def test(bench: Bench, facts: Facts, rules: Test) -> Requirement:
    """Judge what the newest test says."""

    def complaints(one: Accepted) -> Iterator[str]:
        yield from _result(one, "test")
        yield from _age(one, rules.max_age, bench.judge.now)

    return bench.newest(
        "test", facts, rules.signers, "", wanted="it passed",
        complaints=complaints, counts=lambda one: _said(one, "metadata", "kind") != "checks",
    )  # fmt: skip


def checks(bench: Bench, facts: Facts, rules: Checks) -> Requirement:
    """Judge what the newest run of the author's checks says: all that was run must have passed."""

    def complaints(one: Accepted) -> Iterator[str]:
        said = one.proof.statement.predicate if one.proof.statement else {}
        yield from _result(one, "run of checks")
        passed, failed = array(said, "passedTests"), array(said, "failedTests")
        for name in rules.required:
            if name in failed or name not in passed:
                yield f"{quoted(name)} {'did not pass' if name in failed else 'was not run'}"
        yield from _age(one, rules.max_age, bench.judge.now)

    return bench.newest(
        "checks", facts, rules.signers, "",
        wanted=f"{', '.join(rules.required) or 'all that were run'} passed", complaints=complaints,
    )  # fmt: skip


def _result(one: Accepted, what: str) -> Iterator[str]:
    result = _said(one, "result")
    if result != "PASSED":
        yield f"the newest {what} says {quoted(result or 'nothing')}"


def _age(one: Accepted, max_age: str, now: int) -> Iterator[str]:
    """Yield that a result is too old, by its own word or by the time of its signature."""
    limit = seconds(max_age)
    finished = times.moment(_said(one, "metadata", "finishedOn"))
    known = [time for time in (one.proof.time, finished) if time is not None]
    if limit is not None and not known:
        yield "it does not say when it was made"
    elif limit is not None and now - min(known) > limit:
        yield f"it is {(now - min(known)) // _DAY} days old, more than {max_age}"


def rebuild(bench: Bench, facts: Facts, rules: Rebuild) -> Requirement:
    """Judge whether somebody has made the image again."""

    def complaints(one: Accepted) -> Iterator[str]:
        verdict = _said(one, "verdict")
        if verdict != "reproduced":
            yield f"the newest verdict is {quoted(verdict or 'nothing')}"

    return bench.newest(
        "rebuild", facts, rules.signers, rules.max_age, wanted="made again, bit for bit",
        complaints=complaints,
    )  # fmt: skip


def licenses(bench: Bench, facts: Facts, rules: Licenses) -> Requirement:
    """Judge the licences of the model and, by a signed bill of materials, of all packages."""
    wanted = "; ".join(
        f"{word} {', '.join(names)}"
        for word, names in (("model", rules.model), ("allow", rules.allow), ("deny", rules.deny))
        if names
    )
    wrong = list(licensing.of_model(facts.license, rules))
    if not rules.allow and not rules.deny:
        return _by_itself("licenses", wanted, wrong, quoted(facts.license))
    section = bench.policy.sbom
    sought = bench.seek("licenses", facts.digest, TYPES["sbom"], section.signers if section else ())
    if not sought.accepted:
        wrong.append(f"no bill of materials: {sought.why}")
        outcome = "failed" if len(wrong) > 1 else sought.otherwise
        return unmet("licenses", wanted, "; ".join(wrong), outcome=outcome)
    one = sought.accepted[0]
    for other in sought.accepted:  # whichever is right: none may name what is not allowed
        bom = other.proof.statement.predicate if other.proof.statement else {}
        wrong += licensing.of_packages(bom, rules, bench.waivers("licenses", facts))
    wrong = list(dict.fromkeys(wrong))
    if wrong:
        return unmet("licenses", wanted, "; ".join(wrong), one=one)
    if not sought.sure:  # what could not be read may name more
        return unmet("licenses", wanted, sought.why, outcome="unknown", one=one)
    return met("licenses", wanted, one, f"{quoted(facts.license or 'none')}; packages as allowed")


def base(facts: Facts, rules: Base) -> Requirement:
    """Judge what the image says that it is built on."""
    allowed = any(any_matches(rules.allow, name) for name in facts.base)
    found = quoted(facts.base[min(1, len(facts.base) - 1)], 200) if facts.base else ""
    wrong = [f"it is {found}" if found else "the image does not say"]
    return _by_itself("base", ", ".join(rules.allow), [] if allowed else wrong, found)


def labels(bench: Bench, facts: Facts) -> Requirement:
    """Judge the labels of the image."""
    wanted = bench.policy.labels
    wrong = [
        f"{quoted(key)} is {quoted(facts.labels[key])}" if key in facts.labels
        else f"there is no {quoted(key)}"
        for key, pattern in wanted.items()
        if key not in facts.labels or not matches(pattern, facts.labels[key])
    ]  # fmt: skip
    shown = ", ".join(f"{key} = {pattern}" for key, pattern in wanted.items())
    return _by_itself("labels", shown, wrong, "as wanted")


def formats(facts: Facts, rules: Formats) -> Requirement:
    """Judge the exceptions for weights that can carry code."""
    bad = [one for one in facts.unsafe if any_matches(rules.forbid, one.partition(" ")[0])]
    wrong = [f"it has {', '.join(map(quoted, bad))}"] if bad else []
    if not facts.states_weights:
        wrong.append("the image does not say what its weights are")
    return _by_itself("formats", f"no {', '.join(rules.forbid)}", wrong, "none")


def _by_itself(name: str, wanted: str, wrong: list[str], found: str) -> Requirement:
    """Return what the image itself says, which who signs it vouches for."""
    if wrong:
        return unmet(name, wanted, "; ".join(wrong))
    return Requirement(name=name, outcome="met", wanted=wanted, found=found)


def _said(one: Accepted, *keys: str) -> str:
    return text(one.proof.statement.predicate, *keys) if one.proof.statement else ""

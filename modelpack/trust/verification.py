"""Whether one bundle proves what is expected of it: twelve steps, the first failure ends it.

Source: sigstore `client spec`, "Verification"; DSSE; in-toto. Steps are taken in an order in which
each can rely on those before it: time is proved before a certificate is judged by it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from modelpack.canonical_json import rfc3339
from modelpack.digest import Digest
from modelpack.errors import InputError
from modelpack.oci.manifest import printable
from modelpack.trust import (
    certificates,
    public_keys,
    second_opinion,
    simple_signing,
    timestamps,
    transparency,
)
from modelpack.trust import statement as statements
from modelpack.trust.bundle import Bundle, Certificate, Chain, PublicKey
from modelpack.trust.case import Case
from modelpack.trust.dsse import Envelope
from modelpack.trust.expected import Expected, Identity, Key
from modelpack.trust.proof import STEPS, Proof, Step, Unproved
from modelpack.trust.trusted_root import TrustedRoot

_SKEW: Final = 300
"seconds by which a clock may be ahead of ours"


def verify(
    bundle: Bundle, *, subject: Digest, trusted: TrustedRoot, expected: Expected, now: int,
    payload: bytes = b"",
) -> Proof:  # fmt: skip
    """Return the proof that somebody of `expected` signed this about `subject`, or where it ends.

    `payload` is what a bundle without an envelope has signed: cosign's older signatures.
    """
    case = Case(
        bundle=bundle, subject=subject, trusted=trusted, expected=expected, now=now, payload=payload
    )
    steps: list[Step] = []
    for number, name in enumerate(STEPS, start=1):
        step = Step(number=number, name=name, outcome="not reached", found="")
        if not any(one.outcome == "failed" for one in steps):
            step = _taken(step, case)
        steps.append(step)
    return case.proof(tuple(steps))


def _taken(step: Step, case: Case) -> Step:
    try:
        found = _TAKEN[step.name](case)
    except Unproved as error:
        return replace(step, outcome="failed", found=error.reason, hint=error.hint)
    except InputError as error:
        return replace(step, outcome="failed", found=str(error))
    if isinstance(found, NotNeeded):
        return replace(step, outcome="not needed", found=found.why)
    return replace(step, outcome="passed", found=found)


@dataclass(frozen=True, slots=True)
class NotNeeded:
    """What a step finds where there is nothing for it to look at."""

    why: str


def _envelope(case: Case) -> str:
    content = case.bundle.content
    if not isinstance(content, Envelope):
        if not case.payload:
            raise Unproved("a signature over something that is not in the bundle")
        case.data = case.payload
        return "a signature over a payload of cosign's older form"
    if content.payload_type != statements.MEDIA_TYPE:
        raise Unproved(f"the payload is of type `{printable(content.payload_type)}`")
    case.payload, case.data = content.payload, content.signed
    return content.payload_type


def _statement(case: Case) -> str:
    if case.data == case.payload:
        case.statement = simple_signing.parse(case.payload)
        return "what cosign's older signatures say"
    case.statement = statements.parse(case.payload)
    return f"{len(case.payload)} bytes"


def _subject(case: Case) -> str:
    if case.statement is None or not case.statement.is_about(case.subject):
        raise Unproved(f"it is not about {case.subject}", hint="it was made for another image")
    return case.subject


def _predicate_type(case: Case) -> str:
    found = case.statement.predicate_type if case.statement else ""
    if found != case.expected.predicate_type:
        raise Unproved(f"it is `{printable(found)}`, not `{case.expected.predicate_type}`")
    return found


def _signature(case: Case) -> str:
    match case.bundle.material:
        case PublicKey():
            return _signature_by_key(case)
        case Certificate(der=der):
            case.der = der
        case Chain(certificates=chain):
            case.der = chain[0]
    case.certificate = certificates.load(case.der)
    case.key = case.certificate.public_key()
    if not public_keys.has_signed(case.key, case.bundle.signature, case.data):
        raise Unproved("the key of the certificate has not signed this")
    return "by the key of the certificate"


def _signature_by_key(case: Case) -> str:
    keys = [signer for signer in case.expected.signers if isinstance(signer, Key)]
    if not keys:
        raise Unproved("signed with a key, and no key is trusted", hint="give it with `--key`")
    for signer in keys:
        key = public_keys.load(signer.spki)
        if public_keys.has_signed(key, case.bundle.signature, case.data):
            case.key, case.signed_by = key, signer
            return f"by {signer}"
    names = ", ".join(signer.name for signer in keys)
    raise Unproved(f"no trusted key has signed this (tried: {names})")


def _transparency_log(case: Case) -> str | NotNeeded:
    if not case.expected.log and not case.certificate:
        return NotNeeded("not looked at, as was asked for")
    entries = case.bundle.entries
    if not entries:
        raise Unproved("no transparency log has it", hint=_without_log(case))
    if len(entries) > 1:
        raise Unproved("entries of several transparency logs")
    entry = entries[0]
    log = transparency.log_of(entry, case.trusted.logs)
    if case.key is None:
        raise Unproved("nobody is known to have signed it")
    signed = transparency.Signed(
        data=case.data, payload=case.payload, signature=case.bundle.signature, key=case.key,
        certificate=case.der,
    )  # fmt: skip
    is_old = not case.bundle.media_type or not isinstance(case.bundle.content, Envelope)
    if transparency.check(entry, log, signed, promise_is_enough=is_old):
        case.times.append(entry.integrated_time)
    case.logs.append(log)
    how = "included" if entry.proof else "promised"
    return f"{how} in {log.url or log.id.hex()[:16]} as number {entry.log_index}"


def _without_log(case: Case) -> str:
    return "" if case.certificate else "`--no-log` takes a signature by key without one"


def _time(case: Case) -> str | NotNeeded:
    stamps = case.bundle.timestamps
    if len(set(stamps)) != len(stamps):
        raise Unproved("the same timestamp twice")
    sources = ["the log"] * len(case.times)
    if stamps and (case.trusted.timestamp_authorities or case.certificate):
        for stamp in stamps:
            found = timestamps.proved(
                stamp, case.bundle.signature, case.trusted.timestamp_authorities
            )
            case.times.append(found)
            sources.append("a timestamp authority")
    late = [time for time in case.times if time > case.now + _SKEW]
    if late:
        raise Unproved(f"it is said to be of {rfc3339(int(late[0]))}, which is yet to come")
    if not case.times and case.certificate:
        raise Unproved("nobody says when it was made, so that its certificate cannot be judged")
    for log in case.logs:
        if not all(log.valid.covers(time) for time in case.times or [case.now]):
            raise Unproved("the key of the transparency log was not to be relied on at that time")
    if not case.times:
        return NotNeeded("nobody says when it was made")
    return f"{rfc3339(int(min(case.times)))}, says {' and '.join(dict.fromkeys(sources))}"


def _certificate(case: Case) -> str | NotNeeded:
    if case.certificate is None:
        return NotNeeded("signed with a bare key")
    case.authority, case.issuer = certificates.issuer_of(
        case.certificate, case.trusted.authorities, case.times
    )
    certificates.check_usage(case.certificate)
    start = case.certificate.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    end = case.certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"by {case.authority.uri or 'an authority of the trusted root'}, from {start} to {end}"


def _certificate_log(case: Case) -> str | NotNeeded:
    if case.certificate is None or case.issuer is None:
        return NotNeeded("signed with a bare key")
    case.certificate_logged = certificates.logged_at(
        case.certificate, case.issuer, case.trusted.certificate_logs
    )
    return rfc3339(int(case.certificate_logged))


def _signer(case: Case) -> str:
    if case.signed_by is not None:
        case.signer = case.signed_by.name
        return str(case.signed_by)
    if case.certificate is None:
        raise Unproved("nobody is known to have signed it")
    case.identity = certificates.identity(case.certificate)
    case.extensions = certificates.extensions(case.certificate)
    issuer = case.extensions.get("issuer", "")
    who = f"{printable(case.identity)} (issuer {printable(issuer)})"
    wanted = [signer for signer in case.expected.signers if isinstance(signer, Identity)]
    for signer in wanted:
        if issuer and signer.identity.matches(case.identity) and signer.issuer.matches(issuer):
            case.signer = signer.name
            return who
    if not wanted:
        raise Unproved(f"signed by {who}, and only keys are trusted")
    raise Unproved(f"signed by {who}, who is not {' nor '.join(map(str, wanted))}")


def _freshness(case: Case) -> str | NotNeeded:
    limit = case.expected.max_age
    if limit is None:
        return NotNeeded("any age will do")
    if not case.times:
        raise Unproved("nobody says when it was made, and it must not be old")
    age = case.now - int(min(case.times))
    if age > limit:
        raise Unproved(f"made {_span(age)} ago, more than {_span(limit)}", hint="sign it again")
    return f"made {_span(max(age, 0))} ago, at most {_span(limit)}"


def _second_opinion(case: Case) -> str | NotNeeded:
    if case.certificate is None or case.authority is None:
        return NotNeeded("sigstore-python knows no bare keys")
    if not case.bundle.media_type or not isinstance(case.bundle.content, Envelope):
        return NotNeeded("sigstore-python does not read cosign's older form")
    logged = case.certificate_logged
    relied_on = TrustedRoot(
        authorities=(case.authority,),
        logs=tuple(case.logs),
        certificate_logs=tuple(
            log for log in case.trusted.certificate_logs if log.valid.covers(logged)
        ),
        timestamp_authorities=case.trusted.timestamp_authorities,
    )
    payload = second_opinion.ask(
        case.bundle, relied_on, identity=case.identity, issuer=case.extensions["issuer"]
    )
    if payload != case.payload:
        raise Unproved("sigstore-python reads another payload")
    return "sigstore-python says the same"


def _span(seconds: int) -> str:
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} seconds"


_TAKEN: Mapping[str, Callable[[Case], str | NotNeeded]] = dict(
    zip(
        STEPS,
        (
            _envelope, _statement, _subject, _predicate_type, _signature, _transparency_log, _time,
            _certificate, _certificate_log, _signer, _freshness, _second_opinion,
        ),
        strict=True,
    )
)  # fmt: skip

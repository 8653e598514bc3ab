"""How single values of a policy are written, what each is, and the JSON Schema of both."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from modelpack import quantity
from modelpack.spec import schema as spec_schema
from modelpack.spec.grammar import FORMS, KEY_FORMS, Form, Grammar
from modelpack.trust.policy import Policy

_NAME = Form(
    r"(?=.{1,128}$)[a-z0-9]+(?:[._-][a-z0-9]+)*", "a name",
    "lowercase letters and digits, joined by single `.`, `_` or `-`",
)  # fmt: skip
_DURATION = Form(quantity.DURATION, "a duration", "a number and ms, s, m, h, d or w, such as `7d`")
_LICENSE = FORMS["scan.deny-licenses"]
_URI = Form(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]{1,2000}", "a URI", "such as `https://example.com/t/v1`")
_GLOB = Form(r"[!-~]{1,2000}", "a pattern", "printable ASCII; `*` stands for any characters")
_WITH_AGE = (
    "signature", "provenance", "sbom", "scan", "malware", "test", "checks", "evaluation",
    "rebuild", "statements",
)  # fmt: skip
_WITH_SIGNERS = (*_WITH_AGE, "weights", "stages.*")

GRAMMAR: Final = Grammar(
    rules="policy",
    forms=MappingProxyType({
        **{f"{place}.signers": _NAME for place in _WITH_SIGNERS},
        **{f"{place}.max-age": _DURATION for place in _WITH_AGE},
        "signers.*.issuer": Form(r"[!-~]{1,2000}", "an issuer", "such as `https://gitlab.com`"),
        "signers.*.key": FORMS["weights.path"],
        "provenance.builders": _GLOB,
        "provenance.build-types": _GLOB,
        "provenance.repositories": _GLOB,
        "provenance.refs": _GLOB,
        "base.allow": _GLOB,
        "scan.database-max-age": _DURATION,
        "malware.database-max-age": _DURATION,
        "malware.may-skip": _GLOB,
        "checks.required": KEY_FORMS["checks"],
        "evaluation.require.*": FORMS["evaluation.require.*"],
        "licenses.model": _LICENSE,
        "licenses.allow": _LICENSE,
        "licenses.deny": _LICENSE,
        "formats.forbid": _GLOB,
        "statements.type": _URI,
        "stages.*.after": _NAME,
        "stages.*.scan-max-age": _DURATION,
        "stages.*.repository": Form(
            r"[!-~]{1,512}", "a repository", "HOST/NAME without a tag, such as `ghcr.io/acme/model`"
        ),
        "waivers.id": FORMS["scan.ignore.id"],
        "waivers.image": Form(
            r"sha256:[0-9a-f]{64}", "a digest", "`sha256:` and 64 hexadecimal digits"
        ),
    }),
    key_forms=MappingProxyType({
        "signers": _NAME,
        "stages": _NAME,
        "evaluation.require": KEY_FORMS["evaluation.require"],
        "labels": Form(
            r"[A-Za-z0-9][A-Za-z0-9._/-]{0,254}", "a label's key", "such as `com.example.team`"
        ),
    }),
    limits=MappingProxyType({}),
    ranges=MappingProxyType({}),
    not_empty=frozenset({
        "signature.signers", "weights.signers", "stages.*.signers", "base.allow", "formats.forbid",
    }),
    repeatable=frozenset({"statements", "waivers"}),
    not_blank=frozenset({"statements.type", "waivers.reason", "labels.*"}),
)  # fmt: skip

_SIGNERS = "Who may say so, by the names in `signers`; default: who may sign the image."
_AGE = "How old the signature may be, such as `90d`."
DESCRIPTIONS: Mapping[str, str] = MappingProxyType({
    "schema": "Version of this file's format: 1.",
    "signers": "Who may vouch for something, each under a name that the other tables use.",
    "signers.*.identity": "Exactly whom the certificate is for: an address, or a workflow's URI.",
    "signers.*.identity-regexp": "Regular expression that the whole identity matches.",
    "signers.*.issuer": "Exactly who knows that identity: the OpenID Connect issuer's URL.",
    "signers.*.issuer-regexp": "Regular expression that the whole issuer matches.",
    "signers.*.key": "Instead of an identity: file with the public key, PEM.",
    "log": "Whether a transparency log must have all that is signed; else keys can do without.",
    "signature": "Who must have signed the image.",
    "signature.signers": "Any one of them is enough.",
    "signature.max-age": _AGE,
    "provenance": "Where the image must come from (SLSA provenance).",
    "provenance.signers": _SIGNERS,
    "provenance.max-age": _AGE,
    "provenance.builders": "What may have built it; `*` stands for any characters.",
    "provenance.build-types": "How it may have been built.",
    "provenance.repositories": "Source repositories that it may come from.",
    "provenance.refs": "Branches and tags, such as `refs/heads/main`.",
    "provenance.clean": "Whether every packed file must be as in its commit.",
    "base": "What the image may be built on.",
    "base.allow": "Names, with a digest or without, such as `debian:13`.",
    "sbom": "A bill of materials must be there.",
    "sbom.signers": _SIGNERS,
    "sbom.max-age": _AGE,
    "scan": "What a vulnerability scan may not have found; the newest one counts.",
    "scan.signers": _SIGNERS,
    "scan.max-age": "How old the newest scan may be.",
    "scan.fail-on": "Least severity that is refused.",
    "scan.fixed-only": "Only count vulnerabilities that have a fix.",
    "scan.database-max-age": "How old the vulnerability database may have been.",
    "malware": "What no look for malware may have found; the newest one counts.",
    "malware.signers": _SIGNERS,
    "malware.max-age": "How old the newest look may be.",
    "malware.database-max-age": "How old ClamAV's database may have been.",
    "malware.scanners": "Each of them must have looked.",
    "malware.may-skip": "Files that may have been left out; `*` stands for any characters.",
    "test": "The functional test must have passed; the newest one counts.",
    "test.signers": _SIGNERS,
    "test.max-age": "How old the newest test may be.",
    "checks": "The author's own checks (`[checks]` of a project) must have passed.",
    "checks.required": "Names of checks that must be among them.",
    "checks.signers": _SIGNERS,
    "checks.max-age": "How old the newest may be.",
    "evaluation": "An evaluation of exactly these weights must be stated; the newest one counts.",
    "evaluation.require": 'Bounds on its metrics, such as `accuracy = ">= 0.9"`.',
    "evaluation.signers": _SIGNERS,
    "evaluation.max-age": _AGE,
    "licenses": "Of the model, and of every package in its signed bill of materials.",
    "licenses.model": "SPDX identifiers that the model may have.",
    "licenses.allow": "SPDX identifiers that packages may have.",
    "licenses.deny": "SPDX identifiers that neither may have.",
    "labels": "What each label must be; `*` stands for any characters.",
    "formats": "Exceptions for weights that can carry code.",
    "formats.forbid": "Those that the image may not have, such as `weights.pickle`, or `*`.",
    "rebuild": "Somebody must have made the image again, bit for bit; the newest verdict counts.",
    "rebuild.signers": _SIGNERS,
    "rebuild.max-age": _AGE,
    "weights": "Who must have signed the model itself (OpenSSF Model Signing).",
    "weights.signers": "Any one of them is enough.",
    "statements": "Further statements that must be there.",
    "statements.type": "Predicate type, exactly.",
    "statements.signers": _SIGNERS,
    "statements.max-age": _AGE,
    "stages": "Who may promote to a stage, and what must be there before.",
    "stages.*.signers": "Who may promote; any one of them is enough.",
    "stages.*.after": "Stage that the image must have been promoted to before.",
    "stages.*.statements": "What must be there, each as this policy asks for it.",
    "stages.*.scan-max-age": "How old the newest scan may be at the promotion.",
    "stages.*.repository": "Whose stage it is, HOST/NAME; default: the repository that is asked. "
    "For mirrors, archives and folders.",
    "stages.*.approver-not-builder": "Whether who promotes must be another than who built.",
    "waivers": "What is accepted until a day, with the reason.",
    "waivers.requirement": "The table that is not insisted on.",
    "waivers.reason": "Why it does not matter.",
    "waivers.expires": "The last day.",
    "waivers.id": "Only this vulnerability, misconfiguration or licence.",
    "waivers.image": "Only for the image with this digest.",
})  # fmt: skip


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a policy, for editors."""
    return {
        "$schema": spec_schema.DIALECT,
        "title": "modelpack policy",
        "description": "What must be true of an image, for `modelpack verify --policy`.",
        **spec_schema.properties_of(Policy, GRAMMAR, DESCRIPTIONS),
    }

"""A policy: what parses, and that everything wrong with it is said at once."""

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

import jsonschema
import pytest
import tomli

from modelpack.errors import InputError
from modelpack.spec.structure import table_fields
from modelpack.trust import policy_file
from modelpack.trust.policy import Policy, grammar
from modelpack.trust.policy.decoding import parse
from tests.command_line import run_here
from tests.sigstore.certificates import new_key, private_pem, public_pem

ROOT = Path(__file__).parents[2]
WHOLE = """
schema = 1
log = false

[signers.ci]
identity = "https://github.com/acme/minilm/.github/workflows/release.yml@refs/heads/main"
issuer = "https://token.actions.githubusercontent.com"
[signers.people]
identity-regexp = '.+@acme\\.example'
issuer-regexp = 'https://(accounts\\.google\\.com|github\\.com/login/oauth)'
[signers.hsm]
key = "release.pub"

[signature]
signers = ["ci", "hsm"]
max-age = "90d"
[provenance]
signers = ["ci"]
max-age = "90d"
builders = ["https://github.com/acme/*"]
build-types = ["https://modelpack.dev/build-types/v1"]
repositories = ["https://github.com/acme/minilm"]
refs = ["refs/heads/main", "refs/tags/v*"]
clean = true
[base]
allow = ["debian:13", "docker.io/library/python*"]
[sbom]
signers = ["ci"]
max-age = "1w"
[scan]
signers = ["ci"]
fail-on = "CRITICAL"
fixed-only = false
max-age = "1d"
database-max-age = "12h"
[malware]
signers = ["ci"]
max-age = "1d"
database-max-age = "2d"
scanners = ["clamav", "yara"]
may-skip = ["/models/*.safetensors"]
[test]
signers = ["people"]
max-age = "30d"
[checks]
required = ["lint", "unit"]
signers = ["ci"]
max-age = "30d"
[evaluation]
require = { accuracy = ">= 0.9", "slices.en.f1" = "> 0.5" }
signers = ["people"]
max-age = "30d"
[licenses]
model = ["Apache-2.0"]
allow = ["MIT"]
deny = ["AGPL-3.0-only"]
[labels]
"org.opencontainers.image.vendor" = "acme*"
[formats]
forbid = ["weights.pickle"]
[rebuild]
signers = ["people"]
max-age = "30d"
[weights]
signers = ["people"]
[[statements]]
type = "https://acme.example/review/v1"
signers = ["people"]
max-age = "30d"
[stages.staging]
signers = ["ci"]
[stages.production]
signers = ["people"]
after = "staging"
statements = ["signature", "scan", "test", "checks", "evaluation"]
scan-max-age = "2d"
approver-not-builder = true
repository = "ghcr.io/acme/minilm"
[[waivers]]
requirement = "scan"
id = "CVE-2026-0001"
reason = "not reachable"
expires = 2027-01-31
image = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
"""
LEAST = """
schema = 1
[signers.ci]
key = "ci.pub"
[signature]
signers = ["ci"]
"""


def found(text: str) -> dict[str, str]:
    with pytest.raises(InputError) as caught:
        parse(text.encode())
    assert all(finding.rule.startswith("policy.") for finding in caught.value.findings)
    return {finding.at: finding.message for finding in caught.value.findings}


def test_the_whole_file_parses_to_its_values() -> None:
    policy = parse(WHOLE.encode())
    assert policy.log is False
    assert policy.signature is not None
    assert policy.signature.signers == ("ci", "hsm")
    assert policy.scan is not None
    assert policy.scan.fail_on == "CRITICAL"
    assert policy.labels == {"org.opencontainers.image.vendor": "acme*"}
    assert policy.stages["production"].after == "staging"
    assert policy.waivers[0].expires.year == 2027


def test_what_is_left_out_asks_for_nothing() -> None:
    policy = parse(LEAST.encode())
    assert policy.log is True
    sections = [field.name for field in fields(Policy) if field.name not in ("schema", "log")]
    assert [name for name in sections if getattr(policy, name)] == ["signers", "signature"]
    assert policy.signers_of(()) == ("ci",)
    assert policy.signers_of(("other",)) == ("other",)


@pytest.mark.parametrize("text", ["", "schema = 1", "schema = 1\n[signers]\n[labels]\na = 'b'"])
def test_an_empty_policy_is_an_error(text: str) -> None:
    assert found(text)["signature"] == "is missing: the policy asks for nothing that is signed"


def test_everything_wrong_is_said_at_once() -> None:
    text = """
schema = 1
unknown = 1
[signers.nobody]
[signers.half]
identity = "a@acme.example"
[signers.twice]
identity = "a"
identity-regexp = "a"
issuer = "b"
[signers.both]
key = "a.pub"
issuer = "b"
[signers.broken]
identity-regexp = "("
issuer-regexp = ".*"
[signature]
signers = ["hall"]
max-age = "90"
[scan]
signers = ["nowhere"]
fail-on = "high"
max-ages = "1d"
[base]
allow = []
[stages.a]
signers = ["half"]
after = "b"
[stages.b]
signers = ["half"]
after = "a"
[stages.c]
signers = ["half"]
after = "prod"
[[waivers]]
requirement = "signature"
reason = ""
expires = "2027-13-01"
[[waivers]]
requirement = "test"
reason = "x"
expires = 2027-01-01
id = "CVE-2026-1"
"""
    assert sorted(found(text)) == sorted([
        "unknown", "signers.nobody", "signers.half.issuer", "signers.twice.identity-regexp",
        "signers.both", "signers.broken.identity-regexp", "signers.broken.issuer-regexp",
        "signature.signers", "signature.max-age", "scan.signers", "scan.fail-on", "scan.max-ages",
        "base.allow", "stages.a.after", "stages.b.after", "stages.c.after",
        "waivers[0].requirement", "waivers[0].reason", "waivers[0].expires", "waivers[1].id",
    ])  # fmt: skip


def test_a_regular_expression_for_everybody_is_none() -> None:
    text = LEAST.replace('key = "ci.pub"', "identity-regexp = '.*'\nissuer = 'https://a.example'")
    assert found(text) == {
        "signers.ci.identity-regexp": "a regular expression that matches even nothing"
    }


def test_without_a_signature_each_table_says_who() -> None:
    text = LEAST.replace("[signature]", "[sbom]") + "[scan]\n"
    assert found(text) == {"scan.signers": "is missing"}


def test_another_schema_is_not_guessed_at() -> None:
    with pytest.raises(InputError, match="schema 2 is not known"):
        parse(b"schema = 2\nwhatever = true")


def test_keys_are_read_from_beside_the_policy(tmp_path: Path) -> None:
    (tmp_path / "ci.pub").write_bytes(public_pem(new_key().public_key()))
    (tmp_path / "policy.toml").write_text(LEAST)
    policy = policy_file.read(tmp_path / "policy.toml")
    assert policy.signers["ci"].key.startswith("-----BEGIN PUBLIC KEY-----")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot read"), (b"x", "not a public key"), (private_pem(new_key()), "a private key")],
)
def test_a_key_that_cannot_be_used(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "ci.pub").write_bytes(content)
    (tmp_path / "policy.toml").write_text(LEAST)
    with pytest.raises(InputError, match=message) as caught:
        policy_file.read(tmp_path / "policy.toml")
    assert b"PRIVATE" not in str(caught.value).encode()


def test_the_example_is_accepted_and_stands_in_the_guide() -> None:
    example = ROOT / "templates" / "policy" / "policy.toml"
    policy = policy_file.read(example)
    assert policy.provenance is not None
    jsonschema.validate(_plain(tomli.loads(example.read_text("utf-8"))), grammar.schema())
    guide = (ROOT / "docs" / "guides" / "verifying.md").read_text("utf-8")
    assert f"```toml\n{example.read_text('utf-8')}```" in guide


def test_the_schema_takes_what_the_decoder_takes() -> None:
    schema = grammar.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for text in (WHOLE, LEAST):
        jsonschema.validate(_plain(tomli.loads(text)), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"schema": 1, "signers": {}, "unknown": 1}, schema)


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(capsys, "schema", "--policy").document == grammar.schema()


def test_every_key_is_described() -> None:
    assert set(grammar.DESCRIPTIONS) == set(_places(Policy, ""))


def test_the_whole_file_has_every_key() -> None:
    written = set[str]()
    _collect(tomli.loads(WHOLE), "", written)
    known = {place for place in grammar.DESCRIPTIONS if not place.startswith("labels")}
    assert known - {"signers", "stages"} <= written


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | bool) else str(value)


def _places(table: type, place: str) -> list[str]:
    found = []
    for key, (_, kind) in table_fields(table).items():
        here = f"{place}.{key}" if place else key
        found.append(here)
        of_tuple = get_origin(kind) is tuple
        inner = get_args(kind)[0 if of_tuple else -1] if get_args(kind) else kind
        if isinstance(inner, type) and is_dataclass(inner):
            free_keys = inner is not kind and not of_tuple
            found += _places(inner, f"{here}.*" if free_keys else here)
    return found


def _collect(value: Any, place: str, into: set[str]) -> None:
    if isinstance(value, list):
        for item in value:
            _collect(item, place, into)
    if isinstance(value, dict):
        for key, item in value.items():
            inner = "*" if place in ("signers", "stages") else key
            here = f"{place}.{inner}" if place else inner
            into.add(here)
            _collect(item, here, into)

"""Policies and what comes of them, as people read it: `make golden` writes both anew.

A folder for each case, with its `policy.toml`. Who signs has a new key each time, so digests of
bundles are written as what they are.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from modelpack.canonical_json import plain, pretty
from modelpack.cli.display import verify_report
from modelpack.oci.layout import Layout
from modelpack.oci.referrers import Referrer
from modelpack.trust import statement as statements
from modelpack.trust import trusted_root
from modelpack.trust.policy import Policy
from modelpack.trust.policy.decoding import parse
from modelpack.verifying.gathering import gather
from modelpack.verifying.judging import judge
from tests import signed_images as made
from tests.described_image import complete
from tests.sigstore.attaching import attached, statement
from tests.sigstore.certificates import DAY, new_key, public_pem
from tests.sigstore.stack import Sigstore, new_sigstore

HERE = Path(__file__).parent / "verifying"
NOW = 1_795_000_000
IMAGE = complete().image()
KEY = new_key()
_DIGEST = re.compile(r"sha256:[0-9a-f]{12,64}")


def all_is_well(sigstore: Sigstore) -> Iterator[Referrer]:
    """Yield what a release makes: all that the example of a policy asks for."""
    token = sigstore.job_token("acme/minilm")
    said = made.provenance(uri=f"git+{made.REPOSITORY}@refs/heads/main", commit="")
    for kind, predicate in (
        (made.SIGNATURE, {}), (made.PROVENANCE, said), (made.SBOM, made.bom(numpy="BSD-3-Clause")),
        (made.SCAN, made.scan(("CVE-2026-1", "LOW", "1.3"), finished=NOW)),
    ):  # fmt: skip
        bundle = sigstore.sign(statement(IMAGE.digest, kind, predicate), token=token)
        yield attached(bundle, kind)


def most_is_not(sigstore: Sigstore) -> Iterator[Referrer]:
    """Yield what is old, of others, about others, or not what is asked for."""
    digest = IMAGE.digest
    with sigstore.at(NOW - 2 * DAY):
        yield made.signed(sigstore, digest)
        yield made.signed(sigstore, digest, made.TEST, {"result": "PASSED"})
    eve = sigstore.token("eve@evil.example")
    yield attached(sigstore.sign(statement(digest), token=eve))
    yield attached(sigstore.sign_with(statement(digest), KEY, log=2))
    yield attached(b"junk")
    yield made.signed(sigstore, digest, made.SBOM, made.bom(tool="AGPL-3.0-only"))
    yield made.signed(sigstore, digest, made.TEST, {"result": "FAILED"})
    elsewhere = made.provenance(uri="git+https://github.com/eve/minilm@refs/heads/x")
    yield made.signed(sigstore, digest, made.PROVENANCE, elsewhere)
    found = (("CVE-2026-1", "CRITICAL", ""), ("CVE-2026-2", "HIGH", ""))
    yield made.signed(sigstore, digest, made.SCAN, made.scan(*found, finished=NOW - 9 * DAY))
    bare = statements.parse(statement(digest, made.REBUILD, {"verdict": "reproduced"}))
    yield statements.referrer(bare, kind="rebuild")


def keys_alone(sigstore: Sigstore) -> Iterator[Referrer]:
    """Yield what a key has signed, without anybody who says when."""
    yield attached(sigstore.sign_with(statement(IMAGE.digest), KEY))
    review = "https://acme.example/review/v1"
    yield attached(sigstore.sign_with(statement(IMAGE.digest, review), KEY), review)


@dataclass(frozen=True)
class Case:
    """What stands beside the image."""

    beside: Callable[[Sigstore], Iterator[Referrer]]


CASES: Mapping[str, Case] = {
    "all-is-well": Case(all_is_well),
    "most-is-not": Case(most_is_not),
    "keys-alone": Case(keys_alone),
}


@pytest.mark.parametrize("name", CASES)
def test_reports_are_those_that_were_reviewed(name: str, tmp_path: Path, *, rewrite: bool) -> None:
    folder = HERE / name
    policy = parse((folder / "policy.toml").read_bytes())
    sigstore = new_sigstore(moment=NOW)
    made.layout_with(tmp_path / "image", IMAGE, *_ordered(CASES[name].beside(sigstore)))
    layout = Layout(tmp_path / "image")
    gathered = gather(layout, layout.resolve(IMAGE.digest))
    root = trusted_root.parse(pretty(sigstore.trusted_root()))
    report = judge(gathered, _with_keys(policy), trusted=root, now=NOW + 60)
    texts = {
        "policy.json": pretty(plain(policy)).decode(),
        "report.txt": verify_report.text(report, verbose=False),
        "verbose.txt": verify_report.text(report, verbose=True),
    }
    for file, text in texts.items():
        path, found = folder / file, _without_digests(text) + "\n" * (not text.endswith("\n"))
        if rewrite:
            path.write_text(found, "utf-8")
        assert found == path.read_text("utf-8")


def _with_keys(policy: Policy) -> Policy:
    pem = public_pem(KEY.public_key()).decode()
    signers: dict[str, Any] = {
        name: replace(signer, key=pem) if signer.key else signer
        for name, signer in policy.signers.items()
    }
    return replace(policy, signers=signers)


def _ordered(referrers: Iterator[Referrer]) -> Sequence[Referrer]:
    return tuple(referrers)


def _without_digests(text: str) -> str:
    """Replace the digests of bundles, which are new each time, but not that of the image."""
    return _DIGEST.sub(lambda m: m[0] if m[0] == IMAGE.digest else "sha256:…", text)

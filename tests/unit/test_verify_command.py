"""`modelpack verify`: who signed an image, what a policy says of it, and why it says no."""

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelpack.digest import Digest
from modelpack.inspection import vouching
from modelpack.metadata import weights_digest
from modelpack.oci.archive import Streamed
from modelpack.oci.image import Index
from modelpack.oci.layer import INDEX, blob_of
from modelpack.oci.layout import Layout
from modelpack.oci.referrers import Referrer
from modelpack.oci.store import Root
from modelpack.platform import Platform
from modelpack.trust import bundle as bundles
from modelpack.trust.predicate_types import PROMOTED, SUPERSEDED
from tests import signed_images as made
from tests.command_line import Done, run_here
from tests.described_image import complete, described
from tests.fakes.fake_engine import FakeEngine
from tests.images import image as small_image
from tests.images import nothing
from tests.sigstore.attaching import attached, statement
from tests.sigstore.certificates import new_key, public_pem
from tests.sigstore.identity import SOMEBODY
from tests.sigstore.stack import BUNDLE, Sigstore, new_sigstore

DAY = 86_400
IMAGE = complete().image()
DIGEST = IMAGE.digest
ATTESTATION = small_image("an SBOM that nobody has signed")
BUILDKIT = {
    "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": DIGEST,
}  # fmt: skip


@pytest.fixture(scope="module")
def sigstore() -> Sigstore:
    return new_sigstore()


class Desk:
    """Somebody who verifies images in a folder."""

    def __init__(
        self, folder: Path, capsys: pytest.CaptureFixture[str], sigstore: Sigstore
    ) -> None:
        self.folder, self._capsys, self.sigstore = folder, capsys, sigstore
        self.root = made.trusted_root(sigstore, folder)

    def put(self, *referrers: Referrer) -> None:
        shutil.rmtree(self.folder / "image", ignore_errors=True)
        made.layout_with(self.folder / "image", IMAGE, *referrers)

    def verify(self, *options: object, image: str = "", who: str = SOMEBODY) -> Done:
        signer = [] if "--policy" in options or "--key" in options else [
            "--certificate-identity", who, "--certificate-oidc-issuer", self.sigstore.url,
        ]  # fmt: skip
        return run_here(
            self._capsys, "verify", image or f"oci:{self.folder}/image:1.0.0",
            "--trusted-root", self.root, *signer, *options,
        )  # fmt: skip

    def judged(
        self, policy: str, *options: object, image: str = "", log: bool = True
    ) -> tuple[Done, dict[str, Any]]:
        """Verify with a policy whose signer `ci` is somebody; return the requirements by name."""
        path = self.folder / "policy.toml"
        path.write_text(
            f'schema = 1\nlog = {str(log).lower()}\n[signers.ci]\nidentity = "{SOMEBODY}"\n'
            f'issuer = "{self.sigstore.url}"\n{policy}'
        )
        done = self.verify("--policy", path, "--json", *options, image=image)
        if "judged" not in done.document:
            return done, {}
        return done, {
            one["name"]: one
            for judged in done.document["judged"]
            for one in judged["requirements"]
        }  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], sigstore: Sigstore) -> Desk:
    return Desk(tmp_path, capsys, sigstore)


def signed(desk: Desk, kind: str = made.SIGNATURE, predicate: Any = None, **how: Any) -> Referrer:
    return made.signed(desk.sigstore, DIGEST, kind, predicate, **how)


# ---- signatures


def test_a_signature_is_proved_and_the_digest_printed(desk: Desk) -> None:
    desk.put(signed(desk))
    done = desk.verify()
    assert done.status == 0
    assert f"image  {DIGEST}" in done.out
    assert done.out.rstrip().endswith("verified")


def test_each_step_can_be_seen(desk: Desk) -> None:
    desk.put(signed(desk))
    out = desk.verify("-v").out
    for number, name in ((1, "envelope"), (6, "transparency log"), (12, "second opinion")):
        assert any(line.split()[1:3] == [str(number), name.split()[0]] for line in out.splitlines())


def test_json_has_the_proof(desk: Desk) -> None:
    desk.put(signed(desk))
    document = desk.verify("--json").document
    assert (document["schema"], document["answer"], document["digest"]) == (1, "verified", DIGEST)
    (requirement,) = document["judged"][0]["requirements"]
    proof = requirement["proof"]
    assert (proof["identity"], proof["issuer"]) == (SOMEBODY, desk.sigstore.url)
    assert [step["number"] for step in proof["steps"]] == list(range(1, 13))


def test_a_tag_and_a_digest_name_the_same(desk: Desk) -> None:
    desk.put(signed(desk))
    assert desk.verify(image=f"oci:{desk.folder}/image@{DIGEST}").status == 0


def test_nothing_beside_the_image_is_a_no(desk: Desk) -> None:
    desk.put()
    done = desk.verify()
    assert done.status == 1
    assert "nothing that is signed says so" in done.out
    assert "hint: who may sign it does so with `modelpack sign IMAGE`" in done.out


def test_somebody_else_is_a_no_that_says_who(desk: Desk) -> None:
    desk.put(signed(desk))
    done = desk.verify(who="other@acme.example")
    assert done.status == 1
    assert f"signed by {SOMEBODY}" in done.out


def test_an_sbom_that_is_signed_is_no_signature(desk: Desk) -> None:
    desk.put(signed(desk, made.SBOM, made.bom()))
    done = desk.verify()
    assert done.status == 1
    assert desk.verify("--statement", "sbom").status == 0
    document = desk.verify("--json").document
    assert document["refused"] == []  # nobody gave it for a signature
    (image,) = document["judged"]
    assert "1 of other types" in image["requirements"][0]["found"]


def test_a_bundle_that_calls_itself_a_signature_is_judged_by_what_it_says(desk: Desk) -> None:
    bom = desk.sigstore.sign(statement(DIGEST, made.SBOM, made.bom()))
    desk.put(attached(bom, made.SIGNATURE))
    assert desk.verify().status == 1


def test_the_bundle_of_another_image_is_a_no(desk: Desk) -> None:
    other = Digest("sha256:" + "ab" * 32)
    desk.put(made.signed(desk.sigstore, other))
    done = desk.verify()
    assert done.status == 1
    assert f"it is not about {DIGEST}" in done.out


JUNK: Sequence[bytes] = (b"", b"{", b"[]", b'{"mediaType": "x"}', b"\xff" * 100, b"{" * 100_000)


@pytest.mark.parametrize("junk", JUNK, ids=range(len(JUNK)))
def test_junk_beside_a_good_signature_does_no_harm(desk: Desk, junk: bytes) -> None:
    desk.put(attached(junk), signed(desk), attached(b"more" + junk))
    assert desk.verify().status == 0


@pytest.mark.parametrize("junk", JUNK, ids=range(len(JUNK)))
def test_junk_alone_is_a_no_without_a_traceback(desk: Desk, junk: bytes) -> None:
    desk.put(attached(junk))
    assert desk.verify().status == 1


def test_what_is_too_large_is_not_read(desk: Desk) -> None:
    desk.put(attached(b" " * (17 << 20)), signed(desk))
    done = desk.verify("-v")
    assert done.status == 0
    assert "larger than 16 MiB" in done.out


def test_a_referrer_that_is_gone_does_no_harm(desk: Desk) -> None:
    extra = attached(b"gone")
    desk.put(extra, signed(desk))
    (desk.folder / "image" / "blobs" / "sha256" / extra.content.digest[7:]).unlink()
    assert desk.verify().status == 0


def test_statements_that_nobody_signed_count_for_nothing(desk: Desk) -> None:
    from modelpack.trust import statement as statements

    bare = statements.referrer(statements.parse(statement(DIGEST)), kind="signature")
    desk.put(bare)
    done = desk.verify()
    assert done.status == 1
    assert "1 statement beside it, signed by nobody" in done.out


def test_what_is_signed_as_well_is_not_called_unsigned(desk: Desk) -> None:
    from modelpack.trust import statement as statements

    bare = statements.referrer(statements.parse(statement(DIGEST)), kind="signature")
    desk.put(bare, signed(desk))
    done = desk.verify()
    assert done.status == 0
    assert "signed by nobody" not in done.out


def test_an_archive_brings_what_vouches_for_its_image(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.put(signed(desk))
    archive = f"oci-archive:{desk.folder}/image.tar"
    assert run_here(capsys, "copy", f"oci:{desk.folder}/image:1.0.0", archive).status == 0
    assert desk.verify(image=archive).status == 0


def test_an_engine_keeps_nothing_that_vouches(
    desk: Desk, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", fake.url)
    fake.keep(b"".join(Streamed(IMAGE.manifest_blob, IMAGE.blobs, names=["acme/minilm:1.0"])))
    done = desk.verify(image="docker-daemon:acme/minilm:1.0")
    assert done.status == 3
    assert "engines keep no signatures" in done.err
    assert "hint: verify it under its name in the registry" in done.err


# ---- keys


def test_a_key_with_a_log_and_without(desk: Desk) -> None:
    key = new_key()
    public = desk.folder / "release.pub"
    public.write_bytes(public_pem(key.public_key()))
    desk.put(attached(desk.sigstore.sign_with(statement(DIGEST), key)))
    assert desk.verify("--key", public).status == 1
    assert desk.verify("--key", public, "--no-log").status == 0
    desk.put(attached(desk.sigstore.sign_with(statement(DIGEST), key, log=2, timestamp=True)))
    assert desk.verify("--key", public, "--max-age", "1d").status == 0
    public.write_bytes(public_pem(new_key().public_key()))
    assert desk.verify("--key", public).status == 1


def test_a_key_without_a_log_needs_no_trusted_root(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    key = new_key()
    public = desk.folder / "release.pub"
    public.write_bytes(public_pem(key.public_key()))
    desk.put(attached(desk.sigstore.sign_with(statement(DIGEST), key)))
    done = run_here(
        capsys, "verify", f"oci:{desk.folder}/image:1.0.0", "--key", public, "--no-log"
    )  # fmt: skip
    assert done.status == 0


# ---- cosign's older form


def older(sigstore: Sigstore, digest: Digest = DIGEST) -> Referrer:
    payload = json.dumps({
        "critical": {
            "identity": {"docker-reference": "registry.test/acme"},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        },
        "optional": None,
    }).encode()  # fmt: skip
    bundle = sigstore.sign_artifact(payload, timestamp=False)
    material = bundle["verificationMaterial"]
    entry, der = material["tlogEntries"][0], material["certificate"]["rawBytes"]
    import base64

    log = {
        "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
        "Payload": {
            "body": entry["canonicalizedBody"],
            "integratedTime": int(entry["integratedTime"]),
            "logIndex": int(entry["logIndex"]),
            "logID": base64.b64decode(entry["logId"]["keyId"]).hex(),
        },
    }
    content = blob_of(payload, "application/vnd.dev.cosign.simplesigning.v1+json")
    annotations = {
        "dev.cosignproject.cosign/signature": bundle["messageSignature"]["signature"],
        "dev.sigstore.cosign/certificate":
            f"-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n",
        "dev.sigstore.cosign/bundle": json.dumps(log),
    }  # fmt: skip
    described = replace(content, descriptor=replace(content.descriptor, annotations=annotations))
    return Referrer(artifact_type="application/vnd.dev.cosign.artifact.sig.v1+json",
                    content=described)  # fmt: skip


def test_cosigns_older_form_is_read(desk: Desk) -> None:
    desk.put(older(desk.sigstore))
    done = desk.verify("-v")
    assert done.status == 0, done.out
    assert "promised in" in done.out


def test_cosigns_older_form_of_another_image_is_a_no(desk: Desk) -> None:
    desk.put(older(desk.sigstore, Digest("sha256:" + "ab" * 32)))
    assert desk.verify().status == 1


# ---- indexes


def index() -> Index:
    other = replace(IMAGE, platform=Platform("linux", "arm64"))
    return Index(images=(IMAGE, other))


def test_the_signature_of_an_index_covers_its_images(desk: Desk) -> None:
    whole = index()
    made.index_with(
        desk.folder / "image", whole, {whole.digest: [made.signed(desk.sigstore, whole.digest)]},
        tag="1.0.0",
    )  # fmt: skip
    done = desk.verify("--json")
    assert done.status == 0, done.out
    roles = [(one["role"], one["requirements"][0]["outcome"]) for one in done.document["judged"]]
    assert roles == [("index", "met"), ("image", "met"), ("image", "met")]


def test_images_that_are_signed_do_not_make_their_index_so(desk: Desk) -> None:
    whole = index()
    vouching = {one.digest: [made.signed(desk.sigstore, one.digest)] for one in whole.images}
    made.index_with(desk.folder / "image", whole, vouching, tag="1.0.0")
    done = desk.verify("--json")
    assert done.status == 1
    outcomes = [one["requirements"][0]["outcome"] for one in done.document["judged"]]
    assert outcomes == ["failed", "met", "met"]


def test_a_statement_about_one_platform_is_none_about_another(desk: Desk) -> None:
    whole = index()
    first, second = whole.images
    vouching: dict[Digest, Sequence[Referrer]] = {
        whole.digest: [made.signed(desk.sigstore, whole.digest)],
        first.digest: [made.signed(desk.sigstore, first.digest, made.SBOM, made.bom())],
    }
    made.index_with(desk.folder / "image", whole, vouching, tag="1.0.0")
    done, _ = desk.judged('[signature]\nsigners = ["ci"]\n[sbom]\n')
    assert done.status == 1
    outcomes = {
        judged["digest"]: [one["outcome"] for one in judged["requirements"]]
        for judged in done.document["judged"]
    }
    assert outcomes[first.digest] == ["met", "met"]
    assert outcomes[second.digest] == ["met", "failed"]


def test_what_buildkit_puts_into_an_index_is_never_verified(desk: Desk) -> None:
    entry = ATTESTATION.manifest_blob.descriptor.as_json() | {
        "platform": {"os": "unknown", "architecture": "unknown"}, "annotations": BUILDKIT,
    }  # fmt: skip
    digest = index_of(desk, IMAGE.manifest_blob.descriptor.as_json(), entry)
    done = desk.verify("--json")
    assert done.status == 0, done.out
    roles = [(one["role"], one["digest"]) for one in done.document["judged"]]
    assert roles == [("index", digest), ("image", DIGEST)]
    assert "signed by nobody" in done.document["findings"][0]["message"]
    assert desk.verify("--statement", "sbom").status == 1


def index_of(desk: Desk, *entries: Any) -> Digest:
    """Write an index with these entries, signed by somebody."""
    value = {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(entries)}
    whole = blob_of(json.dumps(value).encode(), INDEX)
    beside = made.signed(desk.sigstore, whole.digest)
    shutil.rmtree(desk.folder / "image", ignore_errors=True)
    with Layout(desk.folder / "image") as layout:
        for image in (IMAGE, ATTESTATION):
            for blob in (*image.blobs, image.manifest_blob):
                layout.write(blob, nothing)
        for blob in beside.blobs(whole.descriptor):
            layout.write(blob, nothing)
        layout.commit([Root(manifest=whole, tags=("1.0.0",), referrers=(beside,))])
    return whole.digest


def test_an_index_without_an_image_is_a_no(desk: Desk) -> None:
    """Though it is signed: nothing of what a policy asks was looked at."""
    index_of(desk)
    done = desk.verify()
    assert done.status == 1
    assert "the index names no image" in done.out


def test_what_an_engine_would_run_is_no_attestation(desk: Desk) -> None:
    """An index of anybody, in which an image calls itself BuildKit's."""
    entry = IMAGE.manifest_blob.descriptor.as_json() | {
        "platform": {"os": "linux", "architecture": "amd64"}, "annotations": BUILDKIT,
    }  # fmt: skip
    index_of(desk, entry)
    done = desk.verify("--statement", "sbom", "--json")
    assert done.status == 1
    assert [one["digest"] for one in done.document["judged"]] == [DIGEST]


def test_what_is_not_read_is_no_answer(desk: Desk) -> None:
    odd = ATTESTATION.manifest_blob.descriptor.as_json() | {"mediaType": "application/vnd.acme"}
    index_of(desk, IMAGE.manifest_blob.descriptor.as_json(), odd)
    done = desk.verify()
    assert done.status == 3
    assert "application/vnd.acme" in done.err


# ---- policies

SIGNED = '[signature]\nsigners = ["ci"]\n'


def test_a_policy_that_is_met(desk: Desk) -> None:
    now = time.time()
    desk.put(
        signed(desk),
        signed(desk, made.PROVENANCE, made.provenance()),
        signed(desk, made.SBOM, made.bom(numpy="BSD-3-Clause", tool="MIT OR AGPL-3.0-only")),
        signed(desk, made.SCAN, made.scan(("CVE-2026-1", "LOW", "2"), finished=now)),
        signed(desk, made.MALWARE, made.malware(finished=now, skipped=["/models/m/a.bin"])),
        signed(desk, made.TEST, {"result": "PASSED"}),
        signed(desk, made.CHECKS, made.checks("lint", "unit", "slow")),
        signed(desk, made.EVALUATION, made.evaluation(WEIGHTS, accuracy="0.90", en__f1="0.8")),
        signed(desk, made.REBUILD, {"verdict": "reproduced"}),
        signed(desk, "https://acme.example/review/v1", {}),
    )
    done, found = desk.judged(f"""{SIGNED}max-age = "1d"
[provenance]
builders = ["https://github.com/acme/*"]
build-types = ["https://modelpack.dev/build-types/v1"]
repositories = ["https://github.com/acme/minilm"]
refs = ["refs/heads/main"]
clean = true
[base]
allow = ["debian:13"]
[sbom]
[scan]
[malware]
may-skip = ["/models/*.bin"]
[test]
max-age = "1d"
[checks]
required = ["lint", "unit"]
max-age = "1d"
[evaluation]
require = {{ accuracy = ">= 0.9", "slices.en.f1" = "> 0.5" }}
max-age = "1d"
[licenses]
model = ["Apache-2.0"]
deny = ["AGPL-3.0-only"]
[labels]
"dev.modelpack.model.name" = "*"
[formats]
forbid = ["*"]
[rebuild]
[[statements]]
type = "https://acme.example/review/v1"
""")
    assert done.status == 0, done.out
    assert set(found) == {
        "signature", "provenance", "base", "sbom", "scan", "test", "licenses", "labels", "formats",
        "rebuild", "https://acme.example/review/v1", "checks", "evaluation",
        "malware",
    }  # fmt: skip
    assert {one["outcome"] for one in found.values()} == {"met"}


def vulnerable(severity: str, fixed: str) -> dict[str, Any]:
    return made.scan(("CVE-2026-1", severity, fixed), finished=time.time())


WEIGHTS = weights_digest(complete().lock)
Case = tuple[str, Callable[[Desk], Sequence[Referrer]], str]
CASES: dict[str, Case] = {
    "no provenance": ("[provenance]", lambda _: [], "nothing that is signed"),
    "another repository": (
        '[provenance]\nrepositories = ["https://github.com/acme/other"]',
        lambda d: [signed(d, made.PROVENANCE, made.provenance())],
        "repository `https://github.com/acme/minilm` is not allowed",
    ),
    "another ref": (
        '[provenance]\nrefs = ["refs/tags/*"]',
        lambda d: [signed(d, made.PROVENANCE, made.provenance())],
        "ref `refs/heads/main` is not allowed",
    ),
    "another builder": (
        '[provenance]\nbuilders = ["https://gitlab.example/*"]',
        lambda d: [signed(d, made.PROVENANCE, made.provenance())],
        "builder",
    ),
    "another build type": (
        '[provenance]\nbuild-types = ["https://slsa.dev/container-based-build/v0.1"]',
        lambda d: [signed(d, made.PROVENANCE, made.provenance())],
        "build type",
    ),
    "a changed source": (
        "[provenance]\nclean = true",
        lambda d: [signed(d, made.PROVENANCE, made.provenance(state="changed"))],
        "not known to be as in its commit (changed)",
    ),
    "nothing said of the ref": (
        '[provenance]\nrefs = ["*"]',
        lambda d: [signed(d, made.PROVENANCE, made.provenance(uri="git+https://github.com/a/b"))],
        "does not say its ref",
    ),
    "another base": ('[base]\nallow = ["debian:12"]', lambda _: [], "it is `debian:13`"),
    "no sbom": ("[sbom]", lambda _: [], "nothing that is signed"),
    "a vulnerability": (
        "[scan]",
        lambda d: [signed(d, made.SCAN, vulnerable("HIGH", "2"))],
        "HIGH `CVE-2026-1` in `zlib` 1.2, fixed in 2",
    ),
    "a severity of no known name": (
        '[scan]\nfail-on = "CRITICAL"',
        lambda d: [signed(d, made.SCAN, vulnerable("SEVERE", "2"))],
        "`CVE-2026-1`",
    ),
    "one without a fix": (
        "[scan]\nfixed-only = false",
        lambda d: [signed(d, made.SCAN, vulnerable("HIGH", ""))],
        "`CVE-2026-1`",
    ),
    "an old scan": (
        "[scan]",
        lambda d: [signed(d, made.SCAN, made.scan(finished=time.time() - 8 * DAY))],
        "8 days old, more than 7d",
    ),
    "a scan without a time": (
        "[scan]",
        lambda d: [signed(d, made.SCAN, {"scanner": {"result": {"Results": []}}})],
        "does not say when",
    ),
    "a scan that is not Trivy's": (
        "[scan]",
        lambda d: [signed(d, made.SCAN, made.scan(finished=time.time()) | {"scanner": {}})],
        "not written as Trivy does",
    ),
    "a scan that could not ask": (
        "[scan]",
        lambda d: [signed(d, made.SCAN, made.scan(finished=time.time(), outcome="unknown"))],
        "not all could be asked",
    ),
    "a test that failed": (
        "[test]",
        lambda d: [signed(d, made.TEST, {"result": "FAILED"})],
        "the newest test says `FAILED`",
    ),
    "no look for malware": (
        "[malware]",
        lambda d: [signed(d, made.SCAN, made.scan(finished=time.time()))],
        "nothing that is signed says so",
    ),
    "malware": (
        "[malware]",
        lambda d: [signed(d, made.MALWARE, made.malware("/app/x", finished=time.time()))],
        "`Test.Sig` in `/app/x`",
    ),
    "malware that it denies": (
        "[malware]",
        lambda d: [
            signed(d, made.MALWARE, made.malware("/app/x", finished=time.time(), result="PASSED"))
        ],
        "`Test.Sig` in `/app/x`",
    ),
    "malware that it does not name": (
        "[malware]",
        lambda d: [signed(d, made.MALWARE, made.malware(finished=time.time(), result="FAILED"))],
        "something was found, and not what",
    ),
    "a look that says nothing": (
        "[malware]",
        lambda d: [signed(d, made.MALWARE, {"result": "PASSED"})],
        "it does not say: scanners, found, notScanned, skipped",
    ),
    "a file that was not scanned": (
        "[malware]",
        lambda d: [signed(d, made.MALWARE, made.malware(unseen=["/m/big"], finished=time.time()))],
        "1 files were not scanned, such as `/m/big`",
    ),
    "a file that was left out": (
        '[malware]\nmay-skip = ["/m/*.safetensors"]',
        lambda d: [
            signed(d, made.MALWARE, made.malware(
                skipped=["/m/a.safetensors", "/app/x.so"], finished=time.time()
            ))
        ],
        "1 files were left out, such as `/app/x.so`",
    ),
    "a look with an old database": (
        "[malware]",
        lambda d: [
            signed(d, made.MALWARE, made.malware(
                finished=time.time(), database=time.time() - 9 * DAY
            ))
        ],
        "the database of ClamAV was 9 days old",
    ),
    "an old look": (
        "[malware]",
        lambda d: [signed(d, made.MALWARE, made.malware(finished=time.time() - 8 * DAY))],
        "the newest look is 8 days old, more than 7d",
    ),
    "a look without the scanner that is asked for": (
        '[malware]\nscanners = ["clamav", "yara"]',
        lambda d: [signed(d, made.MALWARE, made.malware(finished=time.time()))],
        "yara was not asked",
    ),
    "a look by nobody": (
        "[malware]\nscanners = []",
        lambda d: [signed(d, made.MALWARE, made.malware(finished=time.time(), scanners=()))],
        "nobody looked",
    ),
    "no checks": (
        "[checks]",
        lambda d: [signed(d, made.TEST, made.checks("unit"))],
        "nothing that is signed says so",
    ),
    "a check that failed": (
        "[checks]",
        lambda d: [signed(d, made.CHECKS, made.checks("lint", failed=["unit"]))],
        "the newest run of checks says `FAILED`",
    ),
    "another check that failed": (
        '[checks]\nrequired = ["lint"]',
        lambda d: [signed(d, made.CHECKS, made.checks("lint", failed=["unit"]))],
        "the newest run of checks says `FAILED`",
    ),
    "a check that was not run": (
        '[checks]\nrequired = ["lint", "unit"]',
        lambda d: [signed(d, made.CHECKS, made.checks("lint"))],
        "`unit` was not run",
    ),
    "a check whose name is a part of another": (
        '[checks]\nrequired = ["unit"]',
        lambda d: [signed(d, made.CHECKS, {**made.checks(), "passedTests": "unit-tests"})],
        "`unit` was not run",
    ),
    "old checks": (
        '[checks]\nmax-age = "7d"',
        lambda d: [signed(d, made.CHECKS, made.checks(finished=time.time() - 8 * DAY))],
        "it is 8 days old, more than 7d",
    ),
    "no evaluation": ("[evaluation]", lambda _: [], "nothing that is signed says so"),
    "an evaluation of other weights": (
        "[evaluation]",
        lambda d: [signed(d, made.EVALUATION, made.evaluation("sha256:" + "0" * 64))],
        "about other weights: `sha256:000",
    ),
    "a metric that is not enough": (
        '[evaluation]\nrequire = { accuracy = ">= 0.9" }',
        lambda d: [signed(d, made.EVALUATION, made.evaluation(WEIGHTS, accuracy="0.8999"))],
        "`accuracy` is `0.8999`, and must be >= 0.9",
    ),
    "a metric that is not there": (
        '[evaluation]\nrequire = { f1 = ">= 0.9" }',
        lambda d: [signed(d, made.EVALUATION, made.evaluation(WEIGHTS, en__f1="1"))],
        "it has no `f1`",
    ),
    "a metric of a slice": (
        '[evaluation]\nrequire = { "slices.en.f1" = ">= 0.9" }',
        lambda d: [signed(d, made.EVALUATION, made.evaluation(WEIGHTS, f1="1", en__f1="0.1"))],
        "`slices.en.f1` is `0.1`",
    ),
    "a metric without end": (
        '[evaluation]\nrequire = { accuracy = ">= 0.9" }',
        lambda d: [signed(d, made.EVALUATION, made.evaluation(WEIGHTS, accuracy="Infinity"))],
        "`accuracy` is `Infinity`",
    ),
    "a model's licence": ('[licenses]\nmodel = ["MIT"]', lambda _: [], "`Apache-2.0` of the model"),
    "a package's licence": (
        '[licenses]\ndeny = ["AGPL-3.0-only"]',
        lambda d: [signed(d, made.SBOM, made.bom(tool="AGPL-3.0-only"))],
        "licence `AGPL-3.0-only` of `tool` is denied",
    ),
    "a package's licence that is not allowed": (
        '[licenses]\nallow = ["MIT"]',
        lambda d: [signed(d, made.SBOM, made.bom(good="MIT", tool="MIT AND BSD-2-Clause"))],
        "licence `MIT AND BSD-2-Clause` of `tool` is not allowed",
    ),
    "licences that nobody states": ('[licenses]\nallow = ["MIT"]', lambda _: [], "no bill of"),
    "a label": ('[labels]\n"com.acme.x" = "search"', lambda _: [], "there is no `com.acme.x`"),
    "a label's value": (
        '[labels]\n"dev.modelpack.model.name" = "other"', lambda _: [], "model.name` is"
    ),
    "another verdict": (
        "[rebuild]",
        lambda d: [signed(d, made.REBUILD, {"verdict": "different"})],
        "the newest verdict is `different`",
    ),
    "a review": (
        '[[statements]]\ntype = "https://acme.example/review/v1"', lambda _: [], "nothing that is"
    ),
    "a model's signature": ('[weights]\nsigners = ["ci"]', lambda _: [], "nothing that is signed"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_a_policy_refuses(desk: Desk, name: str) -> None:
    policy, beside, reason = CASES[name]
    desk.put(signed(desk), *beside(desk))
    done, found = desk.judged(f"{SIGNED}{policy}\n")
    assert done.status == 1
    failed = [one for one in found.values() if one["outcome"] == "failed"]
    assert len(failed) == 1, done.out
    assert reason in failed[0]["found"]


def test_a_newer_no_is_not_hidden_by_an_older_yes(desk: Desk) -> None:
    now = time.time()
    with desk.sigstore.at(now - 3600):
        yes = signed(desk, made.SCAN, made.scan(finished=now - 3600))
        passed = signed(desk, made.TEST, {"result": "PASSED"})
    no = signed(desk, made.SCAN, made.scan(("CVE-2026-1", "HIGH", "2"), finished=now))
    desk.put(signed(desk), no, yes, passed, signed(desk, made.TEST, {"result": "FAILED"}))
    done, found = desk.judged(f"{SIGNED}[scan]\n[test]\n")
    assert done.status == 1
    assert (found["scan"]["outcome"], found["test"]["outcome"]) == ("failed", "failed")


def test_a_newer_no_of_checks_or_of_an_evaluation_is_not_hidden(desk: Desk) -> None:
    with desk.sigstore.at(time.time() - 3600):
        passed = signed(desk, made.CHECKS, made.checks("unit"))
        good = signed(desk, made.EVALUATION, made.evaluation(WEIGHTS, f1="0.9"))
    failed = signed(desk, made.CHECKS, made.checks(failed=["unit"]))
    bad = signed(desk, made.EVALUATION, made.evaluation(WEIGHTS, f1="0.1"))
    desk.put(signed(desk), failed, passed, bad, good)
    policy = f'{SIGNED}[checks]\n[evaluation]\nrequire = {{ f1 = ">= 0.5" }}\n'
    done, found = desk.judged(policy)
    assert done.status == 1
    assert (found["checks"]["outcome"], found["evaluation"]["outcome"]) == ("failed", "failed")


def test_a_stage_asks_for_checks_and_evaluation_that_the_policy_has_no_table_for(
    desk: Desk,
) -> None:
    stage = (
        '[stages.live]\nsigners = ["ci"]\nstatements = ["checks", "evaluation"]\n'
        "approver-not-builder = false\n"
    )
    beside = [signed(desk), signed(desk, PROMOTED, moved(1))]
    desk.put(*beside, signed(desk, made.CHECKS, made.checks(failed=["unit"])))
    done, found = desk.judged(f"{SIGNED}{stage}", "--stage", "live")
    assert done.status == 1
    assert (found["checks"]["outcome"], found["evaluation"]["outcome"]) == ("failed", "failed")
    desk.put(
        *beside, signed(desk, made.CHECKS, made.checks("unit")),
        signed(desk, made.EVALUATION, made.evaluation(WEIGHTS, f1="0.9")),
    )  # fmt: skip
    done, found = desk.judged(f"{SIGNED}{stage}", "--stage", "live")
    assert done.status == 0, done.out
    assert {one["outcome"] for one in found.values()} == {"met"}


def test_the_authors_checks_are_no_functional_test(desk: Desk) -> None:
    checks = {"result": "PASSED", "metadata": {"kind": "checks"}}
    desk.put(signed(desk), signed(desk, made.TEST, checks))
    done, found = desk.judged(f"{SIGNED}[test]\n")
    assert done.status == 1
    assert found["test"]["outcome"] == "failed"
    passed = signed(desk, made.TEST, {"result": "PASSED"})
    desk.put(signed(desk), signed(desk, made.TEST, checks), passed)
    done, found = desk.judged(f"{SIGNED}[test]\n")
    assert found["test"]["outcome"] == "met", done.out


def test_what_could_not_be_read_may_be_a_newer_no(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may push fills the room beside an image: that is no yes to what the newest says."""
    desk.put(
        signed(desk), signed(desk, made.TEST, {"result": "PASSED"}),
        signed(desk, made.SCAN, made.scan(finished=time.time())),
        signed(desk, made.SBOM, made.bom(numpy="BSD-3-Clause")),
        signed(desk, PROMOTED, moved(1)), signed(desk, SUPERSEDED, moved(2, previous=DIGEST)),
    )  # fmt: skip
    policy = f"""{SIGNED}[test]
[scan]
[licenses]
deny = ["AGPL-3.0-only"]
[stages.live]
signers = ["ci"]
approver-not-builder = false
"""
    done, found = desk.judged(policy, "--stage", "live")
    assert (done.status, found["stage"]["outcome"]) == (1, "failed")
    assert found["test"]["outcome"] == "met"
    monkeypatch.setattr(vouching, "_MANIFESTS", 5)
    done, found = desk.judged(policy, "--stage", "live")
    assert done.status == 3, done.out
    assert {name: one["outcome"] for name, one in found.items()} == {
        "signature": "met", "test": "unknown", "scan": "unknown", "licenses": "unknown",
        "stage": "unknown",
    }  # fmt: skip


def moved(sequence: int, *, previous: Digest | None = None) -> dict[str, Any]:
    """Return that this image got the stage `live`, or lost it to another."""
    image = DIGEST if previous is None else ATTESTATION.digest
    return {"stage": "live", "sequence": sequence, "image": image, "previous": previous,
            "reason": ""}  # fmt: skip


def test_what_is_too_large_may_be_a_newer_no(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    now, bad = time.time(), [(f"CVE-2026-{number}", "HIGH", "2") for number in range(400)]
    yes, no = made.scan(finished=now - 60), made.scan(*bad, finished=now)
    desk.put(signed(desk), signed(desk, made.SCAN, yes), signed(desk, made.SCAN, no))
    assert desk.judged(f"{SIGNED}[scan]\n")[0].status == 1
    monkeypatch.setattr(vouching, "CONTENT_LIMIT", 16 << 10)
    done, found = desk.judged(f"{SIGNED}[scan]\n")
    assert (done.status, found["scan"]["outcome"]) == (3, "unknown"), done.out


def test_who_built_it_is_not_known_where_not_all_could_be_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key()
    (desk.folder / "boss.pub").write_bytes(public_pem(key.public_key()))

    def by_boss(kind: str, said: Any) -> Referrer:
        return attached(desk.sigstore.sign_with(statement(DIGEST, kind, said), key), kind)

    desk.put(signed(desk), by_boss(PROMOTED, moved(1)), by_boss(made.SIGNATURE, {}))
    policy = """[signers.boss]
key = "boss.pub"
[signature]
signers = ["ci", "boss"]
[stages.live]
signers = ["boss"]
"""
    _, found = desk.judged(policy, "--stage", "live", log=False)
    assert "did both" in found["approver"]["found"]
    monkeypatch.setattr(vouching, "_MANIFESTS", 2)
    done, found = desk.judged(policy, "--stage", "live", log=False)
    assert (done.status, found["approver"]["outcome"]) == (3, "unknown"), done.out


def test_a_scan_after_the_promotion_is_none_before_it(desk: Desk) -> None:
    with desk.sigstore.at(time.time() - 3600):
        beside = [signed(desk), signed(desk, PROMOTED, moved(1))]
    desk.put(*beside, signed(desk, made.SCAN, made.scan(finished=time.time())))
    policy = f"""{SIGNED}[stages.live]
signers = ["ci"]
approver-not-builder = false
scan-max-age = "1d"
"""
    done, found = desk.judged(policy, "--stage", "live")
    assert (done.status, found["scan age"]["outcome"]) == (1, "failed")


@pytest.mark.parametrize("swap", [False, True])
def test_without_a_log_the_statement_says_which_is_newer(desk: Desk, swap: bool) -> None:
    """Whoever keeps the list may put it in any order."""
    now, key = time.time(), new_key()
    (desk.folder / "release.pub").write_bytes(public_pem(key.public_key()))

    def by_key(kind: str, said: Any) -> Referrer:
        return attached(desk.sigstore.sign_with(statement(DIGEST, kind, said), key), kind)

    beside = [
        by_key(made.SCAN, made.scan(finished=now - DAY)),
        by_key(made.SCAN, vulnerable("HIGH", "2")),
        by_key(made.TEST, {"result": "PASSED"}),
        by_key(made.TEST, {"result": "FAILED"}),
    ]
    desk.put(*(reversed(beside) if swap else beside))
    done, found = desk.judged(
        """[signers.key]
key = "release.pub"
[scan]
signers = ["key"]
[test]
signers = ["key"]
""",
        log=False,
    )
    assert done.status == 1
    assert (found["scan"]["outcome"], found["test"]["outcome"]) == ("failed", "failed")


def test_what_somebody_else_says_counts_for_nothing(desk: Desk) -> None:
    other = desk.sigstore.token("other@acme.example")
    desk.put(
        signed(desk),
        attached(desk.sigstore.sign(statement(DIGEST, made.TEST, {"result": "PASSED"}),
                                    token=other), made.TEST),
    )  # fmt: skip
    done, found = desk.judged(f"{SIGNED}[test]\n")
    assert done.status == 1
    assert "other@acme.example" in found["test"]["found"]


JOB = """[signers.job]
identity-regexp = "https://github.com/acme/.*"
issuer = "{url}"
[signature]
signers = ["ci"]
[provenance]
signers = ["job"]
"""


def of_job(desk: Desk, predicate: Any, **words: Any) -> Referrer:
    token = desk.sigstore.job_token("acme/minilm", **words)
    bundle = desk.sigstore.sign(statement(DIGEST, made.PROVENANCE, predicate), token=token)
    return attached(bundle, made.PROVENANCE)


def certified(desk: Desk) -> dict[str, str]:
    """Return what the certificate of a job says."""
    desk.put(signed(desk), of_job(desk, {"runDetails": {}, "buildDefinition": {}}))
    done, found = desk.judged(JOB.format(url=desk.sigstore.url))
    assert done.status == 0, done.out
    extensions: dict[str, str] = found["provenance"]["proof"]["extensions"]
    return extensions


def test_a_certificate_says_where_an_image_comes_from(desk: Desk) -> None:
    said = certified(desk)
    good = made.provenance(
        builder=said["build-signer-uri"], commit=said["source-repository-digest"],
        uri=f"git+{said['source-repository-uri']}@{said['source-repository-ref']}",
    )  # fmt: skip
    desk.put(signed(desk), of_job(desk, good))
    policy = JOB.format(url=desk.sigstore.url) + (
        f'repositories = ["{said["source-repository-uri"]}"]\n'
        f'refs = ["{said["source-repository-ref"]}"]\nbuilders = ["{said["build-signer-uri"]}"]\n'
    )
    done, found = desk.judged(policy)
    assert done.status == 0, done.out
    assert said["source-repository-uri"] in found["provenance"]["found"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"commit": "0" * 40}, "commit"),
        ({"uri": "git+https://github.com/acme/other@refs/heads/main"}, "repository"),
        ({"uri": "git+https://github.com/acme/minilm@refs/heads/evil"}, "ref"),
        ({"builder": "https://github.com/acme/minilm/.github/workflows/other.yml@x"}, "builder"),
    ],
)
def test_provenance_that_disagrees_with_the_certificate(
    desk: Desk, change: dict[str, str], word: str
) -> None:
    said = certified(desk)
    good = {
        "builder": said["build-signer-uri"], "commit": said["source-repository-digest"],
        "uri": f"git+{said['source-repository-uri']}@{said['source-repository-ref']}",
    }  # fmt: skip
    desk.put(signed(desk), of_job(desk, made.provenance(**(good | change))))
    done, found = desk.judged(JOB.format(url=desk.sigstore.url))
    assert done.status == 1
    assert f"the statement says {word}" in found["provenance"]["found"]


def test_what_is_waived_until_a_day(desk: Desk) -> None:
    desk.put(
        signed(desk),
        signed(desk, made.SCAN, vulnerable("HIGH", "2")),
    )
    waiver = '[[waivers]]\nrequirement = "{}"\nreason = "known"\nexpires = {}\n'
    policy = f"{SIGNED}[test]\n[scan]\n" + waiver.format("test", "2100-01-01")
    policy += waiver.format("scan", "2100-01-01") + 'id = "CVE-2026-1"\n'
    done, found = desk.judged(policy)
    assert done.status == 0, done.out
    assert (found["test"]["outcome"], found["scan"]["outcome"]) == ("waived", "met")
    assert "accepted until 2100-01-01: known" in found["test"]["found"]
    done, found = desk.judged(policy.replace("2100-", "2026-"))
    assert done.status == 1
    assert (found["test"]["outcome"], found["scan"]["outcome"]) == ("failed", "failed")
    elsewhere = waiver.format("test", "2100-01-01") + f'image = "sha256:{"0" * 64}"\n'
    assert desk.judged(f"{SIGNED}[test]\n" + elsewhere)[0].status == 1


def test_formats_that_can_carry_code(desk: Desk) -> None:
    desk.put(signed(desk))
    done, _ = desk.judged(f'{SIGNED}[formats]\nforbid = ["weights.pickle"]\n')
    assert done.status == 0
    other = small_image("no model")
    made.layout_with(desk.folder / "other", other, made.signed(desk.sigstore, other.digest))
    done, found = desk.judged(
        f'{SIGNED}[formats]\nforbid = ["*"]\n[base]\nallow = ["*"]\n',
        image=f"oci:{desk.folder}/other:1.0.0",
    )
    assert done.status == 1
    assert "does not say what its weights are" in found["formats"]["found"]
    assert found["base"]["found"] == "the image does not say"


def test_a_model_that_its_maker_signed(desk: Desk) -> None:
    import hashlib

    from modelpack.trust import model_signature

    parts = complete()
    said = model_signature.statement(parts.lock.weights[0], mounted=False)
    bundle = desk.sigstore.sign(said.as_bytes())
    desk.put(signed(desk), attached(bundle, made.OMS))
    done, found = desk.judged(f'{SIGNED}[weights]\nsigners = ["ci"]\n')
    assert done.status == 0, done.out
    assert found["weights"]["proof"]["predicate_type"] == made.OMS

    assert desk.verify("--weights").status == 0
    assert desk.verify("--weights", who="other@acme.example").status == 1
    neutral = model_signature.referrer(bundles.parse(json.dumps(bundle).encode()), kind="oms")
    desk.put(neutral)
    assert desk.verify("--weights").status == 0
    assert desk.verify("--weights", "--statement", "signature").status == 1

    other = described()
    foreign = model_signature.statement(other.lock.weights[0], mounted=False)
    desk.put(signed(desk), attached(desk.sigstore.sign(foreign.as_bytes()), made.OMS))
    done, found = desk.judged(f'{SIGNED}[weights]\nsigners = ["ci"]\n')
    assert done.status == 1
    assert "are not the weights of the image" in found["weights"]["found"]

    lying = said.as_json()
    lying["subject"][0]["digest"]["sha256"] = hashlib.sha256(b"other").hexdigest()
    desk.put(signed(desk), attached(desk.sigstore.sign(json.dumps(lying).encode()), made.OMS))
    done, found = desk.judged(f'{SIGNED}[weights]\nsigners = ["ci"]\n')
    assert done.status == 1
    assert "its subject is not the digest over its files" in found["weights"]["found"]


# ---- usage, and what cannot be found out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "nobody is said to have signed it"),
        (["--certificate-identity", "a"], "give it either exactly or as a regular expression"),
        (["--certificate-identity", "a", "--certificate-identity-regexp", "a"], "give it either"),
        (["--certificate-identity-regexp", "(", "--certificate-oidc-issuer", "b"],
         "not a regular expression"),
        (["--certificate-identity-regexp", ".*", "--certificate-oidc-issuer", "b"],
         "matches even nothing"),
        (["--key", "missing.pub"], "cannot read"),
        (["--policy", "missing.toml"], "cannot read"),
        (["--no-log", "--certificate-identity", "a", "--certificate-oidc-issuer", "b"],
         "a certificate proves nothing without a log"),
        (["--certificate-identity", "a", "--certificate-oidc-issuer", "b", "--statement", "x"],
         "not a statement that is known"),
        (["--certificate-identity", "a", "--certificate-oidc-issuer", "b", "--max-age", "9"],
         "not a duration"),
    ],
)  # fmt: skip
def test_wrong_usage(
    desk: Desk, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    done = run_here(capsys, "verify", f"oci:{desk.folder}/image", "--trusted-root", desk.root,
                    *options)  # fmt: skip
    assert done.status == 2
    assert message in done.err


def test_a_policy_and_a_signer_on_the_command_line(desk: Desk) -> None:
    (desk.folder / "policy.toml").write_text("")
    done = desk.verify("--policy", desk.folder / "policy.toml", "--no-log")
    assert done.status == 2
    assert "leave out --no-log" in done.err


@pytest.mark.parametrize("content", [b"", b"{}", b'{"mediaType": "x"}', b"\xff"])
def test_a_trusted_root_that_is_none(desk: Desk, content: bytes) -> None:
    desk.root.write_bytes(content)
    done = desk.verify()
    assert done.status == 2
    assert str(desk.root) in done.err


def test_an_image_that_is_not_there_is_no_answer(desk: Desk) -> None:
    done = desk.verify(image="localhost:1/acme/minilm:1.0")
    assert done.status == 3


def test_the_trusted_root_of_a_clients_configuration(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.put(signed(desk))
    path = desk.folder / "config.json"
    path.write_text(json.dumps(desk.sigstore.trust_config()))
    done = run_here(
        capsys, "verify", f"oci:{desk.folder}/image:1.0.0", "--trust-config", path,
        "--certificate-identity", SOMEBODY, "--certificate-oidc-issuer", desk.sigstore.url,
    )  # fmt: skip
    assert done.status == 0


def test_a_flipped_byte_in_the_store_is_noticed(desk: Desk) -> None:
    """Bundle and manifest are named by digest: what is not as its name says is not read."""
    good = signed(desk)
    desk.put(good)
    blobs = desk.folder / "image" / "blobs" / "sha256"
    path = blobs / good.content.digest[7:]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    done = desk.verify()
    assert done.status in (1, 3)
    assert done.status == 1 or "could not find out" in done.out
    assert Layout(desk.folder / "image").manifests()[0].digest == DIGEST
    assert BUNDLE in good.artifact_type

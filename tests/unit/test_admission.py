"""Policies of clusters: what is demanded, how it is rendered, what is refused or left out."""

import base64
import json
from pathlib import Path

import pytest

from tests import admission, command_line

SIGNATURE = "https://sigstore.dev/cosign/sign/v1"
CONTROLLERS = ("kyverno", "policy-controller")
IMAGES = "--images=registry.test/acme/*"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(admission.POLICY, "utf-8")
    return path


def rendered(capsys: pytest.CaptureFixture[str], controller: str, *words: object) -> str:
    done = command_line.run_here(capsys, "deploy", "policy", controller, IMAGES, *words)
    assert done.status == 0, done.err
    return done.out


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_the_controllers_schemas_take_it(
    capsys: pytest.CaptureFixture[str], policy: Path, controller: str
) -> None:
    text = rendered(capsys, controller, f"--policy={policy}")
    kinds = [item["kind"] for item in admission.resources(text)]
    assert kinds == (
        ["ImageValidatingPolicy"] if controller == "kyverno" else ["ClusterImagePolicy"] * 10
    )


def test_a_schema_refuses_a_member_that_it_does_not_know(
    capsys: pytest.CaptureFixture[str], policy: Path
) -> None:
    text = rendered(capsys, "kyverno", f"--policy={policy}")
    changed = text.replace("verifyDigest: true", "verifyDigests: true")
    with pytest.raises(Exception, match="verifyDigests"):
        admission.resources(changed)


def test_exactly_these_signers_and_statements(
    capsys: pytest.CaptureFixture[str], policy: Path
) -> None:
    (found,) = admission.resources(rendered(capsys, "kyverno", f"--policy={policy}"))
    spec = found["spec"]
    assert spec["matchImageReferences"] == [{"glob": "registry.test/acme/*"}]
    assert [item["cosign"]["keyless"]["identities"] for item in spec["attestors"]] == [
        [{"issuer": "https://issuer.modelpack.test", "subject": "ci@modelpack.test"}],
        [{"issuer": "https://token.actions.githubusercontent.com",
          "subjectRegExp": r"^(?:https://github\.com/acme/[a-z]+/.*)$"}],
    ]  # fmt: skip
    assert {item["name"]: item["intoto"]["type"] for item in spec["attestations"]} == {
        "signature": SIGNATURE,
        "provenance": "https://slsa.dev/provenance/v1",
        "sbom": "https://cyclonedx.org/bom",
        "scan": "https://cosign.sigstore.dev/attestation/vuln/v1",
        "test": "https://in-toto.io/attestation/test-result/v0.1",
        "malware": "https://modelpack.dev/predicates/malware/v1",
        "checks": "https://modelpack.dev/predicates/checks/v1",
        "evaluation": "https://modelpack.dev/predicates/evaluation/v1",
        "rebuild": "https://modelpack.dev/predicates/rebuild/v1",
        "statement0": "https://acme.example/review/v1",
    }
    by_message = {item["message"]: item["expression"] for item in spec["validations"]}
    assert (
        "attestors.sci, attestors.sreleasebot]" in by_message["no signature by ci or release-bot"]
    )
    assert "attestors.sci])" in by_message["no provenance by ci"]


@pytest.mark.parametrize(
    ("pattern", "kyverno", "controller"),
    [
        ("ghcr.io/acme/*", ["ghcr.io/acme/*"], ["ghcr.io/acme/**"]),
        ("ghcr.io/acme/minilm",
         ["ghcr.io/acme/minilm", "ghcr.io/acme/minilm:*", "ghcr.io/acme/minilm@*"],
         ["ghcr.io/acme/minilm:**", "ghcr.io/acme/minilm@**"]),
        ("localhost:5000/a/*/b",
         ["localhost:5000/a/*/b", "localhost:5000/a/*/b:*", "localhost:5000/a/*/b@*"],
         ["localhost:5000/a/**/b:**", "localhost:5000/a/**/b@**"]),
        ("docker.io/acme/*", ["docker.io/acme/*"], ["index.docker.io/acme/**"]),
    ],
)  # fmt: skip
def test_every_tag_and_digest_of_an_image_is_asked(
    capsys: pytest.CaptureFixture[str], policy: Path, pattern: str, kyverno: list[str],
    controller: list[str],
) -> None:  # fmt: skip
    """A controller lets in unasked what its pattern does not match, tag and digest included."""
    for name, wanted in (("kyverno", kyverno), ("policy-controller", controller)):
        words = ("deploy", "policy", name, f"--policy={policy}", f"--images={pattern}")
        done = command_line.run_here(capsys, *words)
        assert done.status == 0, done.err
        for item in admission.resources(done.out):
            spec = item["spec"]
            globs = spec["matchImageReferences"] if name == "kyverno" else spec["images"]
            assert [each["glob"] for each in globs] == wanted


def test_a_private_sigstore(
    capsys: pytest.CaptureFixture[str], policy: Path, tmp_path: Path
) -> None:
    from tests.sigstore.stack import new_sigstore

    root = new_sigstore(folder=tmp_path).trusted_root_file()
    (found,) = admission.resources(
        rendered(capsys, "kyverno", f"--policy={policy}", f"--trusted-root={root}")
    )
    given = found["spec"]["attestors"][0]["cosign"]["trustedRoot"]["value"]
    assert json.loads(given) == json.loads(root.read_bytes())
    (tmp_path / "root.json").write_text("{}", "utf-8")
    private = [f"--policy={policy}", f"--trusted-root={root}", "--tuf-mirror=https://tuf.test",
               f"--tuf-root={tmp_path / 'root.json'}"]  # fmt: skip
    (found,) = admission.resources(rendered(capsys, "kyverno", *private))
    tuf = {"mirror": "https://tuf.test", "root": base64.b64encode(b"{}").decode()}
    for item in found["spec"]["attestors"]:
        assert item["cosign"]["tuf"] == {"mirror": tuf["mirror"], "root": {"data": tuf["root"]}}
    trust, *policies = admission.resources(rendered(capsys, "policy-controller", *private))
    assert (trust["kind"], trust["spec"]) == ("TrustRoot", {"remote": tuf})
    for item in policies:
        for authority in item["spec"]["authorities"]:
            assert authority["keyless"]["trustRootRef"] == trust["metadata"]["name"]
    done = command_line.run_here(
        capsys, "deploy", "policy", "policy-controller", IMAGES, *private[:2]
    )
    assert done.status == 2
    assert "--trusted-root: policy-controller finds no log" in done.err


def test_what_is_not_judged_there_is_said(capsys: pytest.CaptureFixture[str], policy: Path) -> None:
    more = '\n[base]\nallow = ["debian:13"]\n[labels]\n"com.acme.team" = "*"\n'
    policy.write_text(admission.POLICY.replace("[sbom]", '[sbom]\nmax-age = "9d"') + more, "utf-8")
    done = command_line.run_here(
        capsys, "deploy", "policy", "kyverno", IMAGES, f"--policy={policy}", "--json"
    )
    messages = [item["message"] for item in done.document["findings"]]
    assert messages == [
        "not judged at admission: sbom.max-age, the age of a signature",
        "not judged at admission: malware.database-max-age",
        "not judged at admission: evaluation: whether it is of the weights in the image",
        "not judged at admission: base",
        "not judged at admission: labels",
    ]
    for message in messages:
        assert message.partition(": ")[2] in done.document["text"]


def test_keys_are_for_kyverno(
    capsys: pytest.CaptureFixture[str], policy: Path, tmp_path: Path
) -> None:
    from tests.sigstore.certificates import new_key, public_pem

    (tmp_path / "release.pub").write_bytes(public_pem(new_key().public_key()))
    signed = '[signers.us]\nkey = "release.pub"\n[signature]\nsigners = ["us"]\n'
    policy.write_text(f"schema = 1\nlog = false\n{signed}", "utf-8")
    (found,) = admission.resources(rendered(capsys, "kyverno", f"--policy={policy}"))
    assert found["spec"]["attestors"] == [
        {"name": "sus", "cosign": {"key": {"data": (tmp_path / "release.pub").read_text("utf-8")},
                                   "ctlog": {"insecureIgnoreTlog": True}}}
    ]  # fmt: skip
    done = command_line.run_here(
        capsys, "deploy", "policy", "policy-controller", IMAGES, f"--policy={policy}"
    )
    assert done.status == 2
    assert "signers.us.key: policy-controller verifies no bundles" in done.err


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["--name=Not_A_Name"], "--name: not a name of a Kubernetes resource"),
        (["--images=*"], "--images: not a pattern of image names"),
        (["--images=acme/minilm"], "--images: not a pattern of image names"),
        (["--images=ghcr.io/acme/minilm:1"], "--images: not a pattern of image names"),
        (["--images=ghcr.io/acme/minilm@sha256:ab"], "--images: not a pattern of image names"),
        (['--images=a"\n- x'], "--images: not a pattern of image names"),
        (["--tuf-mirror=https://tuf.test"], "--tuf-mirror: a TUF repository is its address"),
    ],
)
def test_what_cannot_be_rendered_is_refused(
    capsys: pytest.CaptureFixture[str], policy: Path, words: list[str], wrong: str
) -> None:
    done = command_line.run_here(
        capsys, "deploy", "policy", "kyverno", IMAGES, f"--policy={policy}", *words
    )
    assert (done.status, done.out) == (2, "")
    assert wrong in done.err


def test_texts_of_a_policy_stay_texts(
    capsys: pytest.CaptureFixture[str], policy: Path, tmp_path: Path
) -> None:
    """Nothing that a policy says can end a string, neither of YAML nor of CEL nor of Rego."""
    sharp = """https://x.test/"]}.|:#{{%"""
    policy.write_text(
        admission.POLICY.replace("https://modelpack.dev/build-types/*", sharp.replace('"', '\\"')),
        "utf-8",
    )
    (found,) = admission.resources(rendered(capsys, "kyverno", f"--policy={policy}"))
    text = json.dumps(found)
    assert "https://x" in text
    kinds = admission.resources(rendered(capsys, "policy-controller", f"--policy={policy}"))
    assert len(kinds) == 10

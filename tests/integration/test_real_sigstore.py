"""The real programs of Sigstore agree with the tests' own, and with each other.

Signed by sigstore-python or cosign at Fulcio, Rekor and the timestamp authority, or without any
client in this process; believed by cosign, sigstore-python and sigstore-js, from both kinds of
registries. Nothing here was signed by the code under test.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sigstore.dsse import Statement
from sigstore.models import ClientTrustConfig
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext

from modelpack.digest import Digest
from modelpack.oci.layout import Layout
from tests import command_line
from tests.images import image, put
from tests.sigstore.attaching import PROVENANCE, SIGNATURE, attached, statement
from tests.sigstore.certificates import new_key, public_pem
from tests.sigstore.identity import SOMEBODY
from tests.sigstore.real import REGISTRIES, RealSigstore
from tests.sigstore.stack import Sigstore, Version
from tests.sigstore.verifiers import Expected, RefusedError, sigstore_js, sigstore_python

pytestmark = pytest.mark.integration

JOB = "https://github.com/acme/minilm/.github/workflows/release.yml@refs/heads/main"


def signed(real: RealSigstore, payload: bytes, token: str, *, rekor: Version = 2) -> bytes:
    """Let sigstore-python sign a statement."""
    text = real.trust_config_file(rekor=rekor).read_text("utf-8")
    context = SigningContext.from_trust_config(ClientTrustConfig.from_json(text))
    with real.inside(), context.signer(IdentityToken(token)) as signer:
        return signer.sign_dsse(Statement(payload)).to_json().encode()


def pushed(real: RealSigstore, layout: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Copy the image of a layout, and what vouches for it, into a registry; return its name."""
    repository = real.registries[kind].repository()
    with real.inside():
        done = command_line.run_here(capsys, "copy", f"oci:{layout}", f"{repository}:1")
    assert done.status == 0, done.err
    return f"{repository}@{done.out.strip()}"


def keyless(real: RealSigstore, identity: str = SOMEBODY, issuer: str = "") -> list[str]:
    return [
        f"--trusted-root={real.trusted_root_file()}", f"--certificate-identity={identity}",
        f"--certificate-oidc-issuer={issuer or real.issuer}",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def digest() -> Digest:
    return image("what is signed").manifest_blob.descriptor.digest


@pytest.fixture(scope="module")
def layout(
    real_sigstore: RealSigstore, digest: Digest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a layout with an image that somebody signed: Rekor v2, and a statement at Rekor v1."""
    folder = tmp_path_factory.mktemp("signed") / "layout"
    token = real_sigstore.token()
    signature = signed(real_sigstore, statement(digest), token)
    build = {"buildDefinition": {"buildType": "https://modelpack.test/build"}}
    provenance = signed(real_sigstore, statement(digest, PROVENANCE, build), token, rekor=1)
    with Layout(folder) as opened:
        put(opened, image("what is signed"), "1",
            vouching=[attached(signature), attached(provenance, PROVENANCE)])  # fmt: skip
    return folder


@pytest.mark.parametrize("kind", REGISTRIES)
def test_cosign_believes_sigstore_python(
    real_sigstore: RealSigstore, layout: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = pushed(real_sigstore, layout, kind, capsys)
    for command in (["verify"], ["verify-attestation", "--type=slsaprovenance1"]):
        done = real_sigstore.cosign(*command, *keyless(real_sigstore), name)
        assert done.returncode == 0, done.stderr
        for other in (
            keyless(real_sigstore, "somebody@else.test"),
            keyless(real_sigstore, issuer=real_sigstore.jobs),
        ):
            refused = real_sigstore.cosign(*command, *other, name)
            assert refused.returncode == 1, refused.stderr
            assert "no matching CertificateIdentity found" in refused.stderr


@pytest.mark.parametrize("kind", REGISTRIES)
def test_others_believe_cosign(
    real_sigstore: RealSigstore, kind: str, go_tool: Callable[[str], str], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    plain = tmp_path / "plain"
    with Layout(plain) as opened:
        put(opened, image("for cosign", kind), "1")
    name = pushed(real_sigstore, plain, kind, capsys)
    token = real_sigstore.token_file(real_sigstore.token())
    config = real_sigstore.signing_config_file()
    done = real_sigstore.cosign(
        "sign", "--yes", f"--signing-config={config}", f"--identity-token={token}",
        f"--trusted-root={real_sigstore.trusted_root_file()}", name,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    pulled = tmp_path / "pulled"
    with real_sigstore.inside():
        assert command_line.run_here(capsys, "copy", name, f"oci:{pulled}:1").status == 0
    (bundle,) = bundles(pulled)
    text = tmp_path / "bundle.json"
    text.write_bytes(bundle)
    trusted = real_sigstore.trusted_root_file()
    program = go_tool("sigstore-js")
    expected = Expected(identity=SOMEBODY, issuer=real_sigstore.issuer)
    wanted = {"sha256": name.rpartition(":")[2]}
    assert sigstore_python(trusted, bundle, expected)["subject"][0]["digest"] == wanted
    assert sigstore_js(program, trusted, text, expected)["subject"][0]["digest"] == wanted


def bundles(layout: Path) -> list[bytes]:
    """Return the bundles in a layout."""
    contents = [path.read_bytes() for path in sorted((layout / "blobs" / "sha256").iterdir())]
    return [content for content in contents if b'"dsseEnvelope"' in content]


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize("wrong", ["identity", "issuer"])
def test_javascript_and_python_refuse_another(
    real_sigstore: RealSigstore, go_tool: Callable[[str], str], tmp_path: Path, digest: Digest,
    rekor: Version, wrong: str,
) -> None:  # fmt: skip
    bundle = real_sigstore.own.sign(statement(digest), log=rekor, timestamp=False)
    bundle = json.loads(
        signed(real_sigstore, statement(digest), real_sigstore.token(), rekor=rekor)
    )
    path = tmp_path / "bundle.json"
    path.write_text(json.dumps(bundle), "utf-8")
    trusted, program = real_sigstore.trusted_root_file(), go_tool("sigstore-js")
    right = {"identity": SOMEBODY, "issuer": real_sigstore.issuer}
    expected = Expected(**{**right, wrong: "https://else.test"})
    assert sigstore_js(program, trusted, path, Expected(**right))["predicateType"] == SIGNATURE
    with pytest.raises(RefusedError):
        sigstore_js(program, trusted, path, expected)
    with pytest.raises(RefusedError):
        sigstore_python(trusted, path.read_bytes(), expected)


def test_a_job_has_the_same_certificate_everywhere(
    real_sigstore: RealSigstore, digest: Digest
) -> None:
    """What our own Fulcio writes about a job is what the real one does."""
    real = signed(real_sigstore, statement(digest), real_sigstore.job_token())
    own = real_sigstore.own
    issuer, own.fulcio.issuer = own.fulcio.issuer, own.jobs
    try:
        ours = own.sign(statement(digest), token=real_sigstore.job_token())
    finally:
        own.fulcio.issuer = issuer
    assert extensions(json.loads(real)) == extensions(ours)


def extensions(bundle: dict[str, object]) -> dict[str, object]:
    """Return what a certificate says beside its key and its times."""
    from sigstore.models import Bundle

    certificate = Bundle.from_json(json.dumps(bundle)).signing_certificate
    own = {"2.5.29.14", "1.3.6.1.4.1.11129.2.4.2"}
    found = {item.oid.dotted_string: item for item in certificate.extensions}
    assert own <= set(found), "the key's identifier and the promise of the log"
    return {oid: (item.critical, item.value) for oid, item in found.items() if oid not in own}


@pytest.mark.parametrize("logged", [True, False])
def test_cosign_and_javascript_believe_a_key(
    real_sigstore: RealSigstore, sigstore: Sigstore, tmp_path: Path, logged: bool,
    go_tool: Callable[[str], str], capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    what = image("signed with a key", str(logged))
    key, public = new_key(), tmp_path / "key.pub"
    public.write_bytes(public_pem(key.public_key()))
    bundle = sigstore.sign_with(
        statement(what.manifest_blob.descriptor.digest), key, log=2 if logged else None,
        timestamp=logged,
    )  # fmt: skip
    layout = tmp_path / "layout"
    with Layout(layout) as opened:
        put(opened, what, "1", vouching=[attached(bundle)])
    name = pushed(real_sigstore, layout, "olareg", capsys)
    trusted = sigstore.trusted_root_file()
    how = [f"--trusted-root={trusted}"] if logged else ["--insecure-ignore-tlog=true"]
    done = real_sigstore.cosign("verify", f"--key={public}", *how, name)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "bundle.json"
    path.write_text(json.dumps(bundle), "utf-8")
    expected = Expected(key=public, logged=logged, timed=logged)
    assert sigstore_js(go_tool("sigstore-js"), trusted, path, expected)["predicate"] == {}

    other = tmp_path / "other.pub"
    other.write_bytes(public_pem(new_key().public_key()))
    refused = real_sigstore.cosign("verify", f"--key={other}", *how, name)
    assert refused.returncode == 1, refused.stderr
    with pytest.raises(RefusedError):
        sigstore_js(
            go_tool("sigstore-js"), trusted, path,
            Expected(key=other, logged=logged, timed=logged),
        )  # fmt: skip

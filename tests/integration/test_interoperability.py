"""What this program signs, everybody verifies; what cosign signs, this program verifies.

{keyless with Rekor v1, keyless with Rekor v2 and timestamps, key, key and log, PKCS#11} x
{modelpack, `cosign verify`, `cosign verify-attestation`, sigstore-python, sigstore-js} x {referrers
API, tag of referrers}, with the real programs. Cells that cannot be: sigstore-python verifies no
signature by key, and it is asserted that it says so.
"""

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from modelpack.oci.layout import Layout
from tests import command_line, projects
from tests.command_line import Done
from tests.sigstore.attaching import PROVENANCE, SIGNATURE
from tests.sigstore.certificates import new_key, private_pem, public_pem
from tests.sigstore.cosigning import WAYS, Cosigning
from tests.sigstore.identity import SOMEBODY
from tests.sigstore.real import REGISTRIES, RealSigstore
from tests.sigstore.stack import BUNDLE
from tests.sigstore.verifiers import Expected, RefusedError, sigstore_js, sigstore_python
from tests.software_token import PIN, SoftwareToken

pytestmark = pytest.mark.integration

BOM = "https://cyclonedx.org/bom"
MODES = ("keyless-rekor-1", "keyless-rekor-2", "key", "key-log", "pkcs11")
PUBLIC = {"key": "key.pub", "key-log": "key.pub", "pkcs11": "pkcs11.pub"}
SOMEBODY_ELSE = "somebody@else.test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Who must have signed, for each of the verifiers."""

    modelpack: tuple[str, ...]
    cosign: tuple[str, ...]
    expected: Expected
    "of the others"


@dataclass(kw_only=True)
class Site:
    """A built image, the services, the keys; and what was signed where."""

    real: RealSigstore
    layout: Path
    folder: Path
    hsm: SoftwareToken
    cosigning: Cosigning
    capture: pytest.CaptureFixture[str] | None = None
    signed: dict[tuple[str, str], str] = field(default_factory=dict)

    def modelpack(self, *words: object) -> Done:
        """Run a command where the services are."""
        assert self.capture is not None
        with self.real.inside():
            return command_line.run_here(self.capture, *words)

    def copied(self, source: str, kind: str) -> str:
        """Copy an image, with what vouches for it, into a fresh repository; return its name."""
        name = self.real.registries[kind].repository()
        done = self.modelpack("copy", source, f"{name}:1")
        assert done.status == 0, done.err
        return f"{name}@{done.out.strip()}"

    def image(self, mode: str, kind: str) -> str:
        """Return the name of an image that this program has signed, in the registry `kind`.

        Signed in one of them, and copied with its signatures into the other.
        """
        if (mode, kind) not in self.signed:
            first, second = sorted(REGISTRIES, reverse=MODES.index(mode) % 2 == 1)
            name = self.copied(f"oci:{self.layout}", first)
            done = self.modelpack("sign", name, *self.how(mode), "--yes")
            assert done.status == 0, done.err
            self.signed[mode, first] = name
            self.signed[mode, second] = self.copied(name, second)
        return self.signed[mode, kind]

    def how(self, mode: str) -> list[object]:
        """Return the options of `modelpack sign`."""
        if mode.startswith("keyless"):
            config = self.real.trust_config_file(rekor=1 if mode.endswith("1") else 2)
            token = self.real.token_file(self.real.token())
            return [f"--trust-config={config}", f"--identity-token-file={token}"]
        if mode == "key":
            return [f"--key={self.folder / 'key.pem'}", "--no-log"]
        key = self.hsm.uri("release") if mode == "pkcs11" else self.folder / "key.pem"
        return [f"--key={key}", f"--trust-config={self.real.trust_config_file()}"]

    def who(self, mode: str, *, wrong: str = "") -> Who:
        """Return who has signed in a mode; with `wrong`, somebody who has not."""
        root = f"--trusted-root={self.real.trusted_root_file()}"
        if "keyless" in mode:
            identity = SOMEBODY_ELSE if wrong == "identity" else SOMEBODY
            issuer = self.real.jobs if wrong == "issuer" else self.real.issuer
            options = (
                root, f"--certificate-identity={identity}", f"--certificate-oidc-issuer={issuer}",
            )  # fmt: skip
            expected = Expected(identity=identity, issuer=issuer)
            return Who(modelpack=options, cosign=options, expected=expected)
        logged = mode not in ("key", "cosign-key", "cosign-legacy-key")
        public = self.folder / ("other.pub" if wrong else PUBLIC.get(mode, "cosign.pub"))
        return Who(
            modelpack=(f"--key={public}", root if logged else "--no-log"),
            cosign=(f"--key={public}", root if logged else "--insecure-ignore-tlog=true"),
            expected=Expected(key=public, logged=logged, timed=logged),
        )

    def bundles(self, name: str) -> Mapping[str, Path]:
        """Return files with the bundles of an image, by the type of what they state."""
        folder = self.folder / "pulled" / re.sub(r"[^a-z0-9]", "-", name)
        if not folder.exists():
            done = self.modelpack("copy", name, f"oci:{folder}:1")
            assert done.status == 0, done.err
        return dict(_bundles(folder))


def _bundles(folder: Path) -> Iterator[tuple[str, Path]]:
    store = Layout(folder)
    for entry in store.referrers(store.resolve("1").digest):
        if entry.artifact_type == BUNDLE:
            (layer,) = store.image(entry.digest).layers
            bundle = json.loads(store.read(layer))
            statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
            yield statement["predicateType"], store.path_of(layer.digest)


@pytest.fixture(scope="module")
def ready(
    real_sigstore: RealSigstore, software_token: SoftwareToken,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:  # fmt: skip
    """Build an image, and make keys."""
    folder = tmp_path_factory.mktemp("interoperability")
    project, cache = folder / "project", folder / "cache"
    projects.make_project(project, cache, wheels=False)
    projects.build(project, cache)
    key = new_key()
    (folder / "key.pem").write_bytes(private_pem(key))
    (folder / "key.pem").chmod(0o600)
    cosigning = Cosigning(real=real_sigstore, folder=folder / "cosign")
    for name, content in (
        ("key.pub", public_pem(key.public_key())),
        ("cosign.pub", cosigning.public_key.read_bytes()),
        ("other.pub", public_pem(new_key().public_key())),
        ("pkcs11.pub", software_token.public_pem("release")),
    ):
        (folder / name).write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODELPACK_CACHE", str(cache))
        patch.setenv("MODELPACK_PIN", PIN)
        yield Site(
            real=real_sigstore, layout=project / "dist" / "image", folder=folder,
            hsm=software_token, cosigning=cosigning,
        )  # fmt: skip


@pytest.fixture
def site(ready: Site, capsys: pytest.CaptureFixture[str]) -> Site:
    ready.capture = capsys
    return ready


WRONG = {
    **dict.fromkeys(("keyless-rekor-1", "keyless-rekor-2"), ("identity", "issuer")),
    **dict.fromkeys(("key", "key-log", "pkcs11"), ("key",)),
}


@pytest.mark.parametrize("kind", REGISTRIES)
@pytest.mark.parametrize("mode", MODES)
def test_everybody_believes_what_we_sign(
    site: Site, mode: str, kind: str, go_tool: Callable[[str], str]
) -> None:
    name = site.image(mode, kind)
    who = site.who(mode)
    done = site.modelpack("verify", name, *who.modelpack)
    assert done.status == 0, done.err + done.out
    for command in COSIGN:
        verified = site.real.cosign(*command, *who.cosign, name)
        assert verified.returncode == 0, verified.stderr
    wanted = {"sha256": name.rpartition(":")[2]}
    bundles = site.bundles(name)
    assert {SIGNATURE, PROVENANCE, BOM} <= set(bundles)
    for kind_of, path in bundles.items():
        for verifier in (javascript(go_tool), python):
            if verifier is python and who.expected.key:
                with pytest.raises(RefusedError, match="expected certificate in bundle"):
                    verifier(site, path, who.expected)
            else:
                statement = verifier(site, path, who.expected)
                assert statement["predicateType"] == kind_of
                assert statement["subject"][0]["digest"] == wanted


@pytest.mark.parametrize("mode", MODES)
def test_nobody_believes_another_signer(
    site: Site, mode: str, go_tool: Callable[[str], str]
) -> None:
    name = site.image(mode, "olareg")
    path = site.bundles(name)[SIGNATURE]
    for wrong in WRONG[mode]:
        who = site.who(mode, wrong=wrong)
        assert site.modelpack("verify", name, *who.modelpack).status == 1
        for command in COSIGN:
            assert site.real.cosign(*command, *who.cosign, name).returncode == 1
        for verifier in (javascript(go_tool), python):
            with pytest.raises(RefusedError):
                verifier(site, path, who.expected)


@pytest.mark.parametrize("mode", MODES)
def test_cosign_believes_a_layout(site: Site, mode: str, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    done = site.modelpack("copy", site.image(mode, "olareg"), f"oci:{layout}:1")
    assert done.status == 0, done.err
    local = [*site.who(mode).cosign, "--local-image", str(layout)]
    for command in COSIGN:
        verified = site.real.cosign(*command, *local)
        assert verified.returncode == 0, verified.stderr
    other = site.who(mode, wrong=WRONG[mode][0])
    assert site.real.cosign("verify", *other.cosign, *local[-2:]).returncode == 1


@pytest.mark.parametrize("kind", REGISTRIES)
@pytest.mark.parametrize("mode", ["keyless-rekor-1", "key"])
def test_cosign_believes_its_older_form(site: Site, mode: str, kind: str) -> None:
    name = site.copied(f"oci:{site.layout}", kind)
    done = site.modelpack("sign", name, *site.how(mode), "--legacy", "--yes")
    assert done.status == 0, done.err
    older = ("verify", "--new-bundle-format=false")
    verified = site.real.cosign(*older, *site.who(mode).cosign, name)
    assert verified.returncode == 0, verified.stderr
    for wrong in WRONG[mode]:
        refused = site.real.cosign(*older, *site.who(mode, wrong=wrong).cosign, name)
        assert refused.returncode != 0, refused.stdout


@pytest.mark.parametrize("kind", REGISTRIES)
@pytest.mark.parametrize("way", WAYS)
def test_we_believe_cosign(site: Site, way: str, kind: str) -> None:
    name = site.copied(f"oci:{site.layout}", kind)
    site.cosigning.sign(name, way)
    who = site.who(f"cosign-{way}").modelpack
    done = site.modelpack("verify", name, *who)
    assert done.status == 0, done.err + done.out
    both = ("--statement=signature", "--statement=provenance")
    assert site.modelpack("verify", name, *who, *both).status == 1, "nobody has attested it"
    site.cosigning.attest(name, way, {"buildDefinition": {}, "runDetails": {}})
    done = site.modelpack("verify", name, *who, *both)
    assert done.status == 0, done.err + done.out
    for wrong in ("identity", "issuer") if "keyless" in way else ("key",):
        other = site.who(f"cosign-{way}", wrong=wrong)
        refused = site.modelpack("verify", name, *other.modelpack, *both)
        assert refused.status == 1, refused.err


COSIGN = (
    ("verify",),
    ("verify-attestation", "--type=slsaprovenance1"),
    ("verify-attestation", "--type=cyclonedx"),
)

Verify = Callable[[Site, Path, Expected], Mapping[str, Any]]


def javascript(go_tool: Callable[[str], str]) -> Verify:
    """Return the verifier of sigstore-js."""
    program = go_tool("sigstore-js")

    def verify(site: Site, bundle: Path, expected: Expected) -> Mapping[str, Any]:
        return sigstore_js(program, site.real.trusted_root_file(), bundle, expected)

    return verify


def python(site: Site, bundle: Path, expected: Expected) -> Mapping[str, Any]:
    """Verify with sigstore-python."""
    return sigstore_python(site.real.trusted_root_file(), bundle.read_bytes(), expected)

"""`modelpack sign` and `build --sign` as typed: what is signed, what is not, and who may ask."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from model_signing import verifying

from modelpack.digest import Digest
from modelpack.digest import of as digest_of
from modelpack.oci.layer import Descriptor
from modelpack.oci.layout import Layout
from modelpack.oci.referrers import EMPTY, KIND, Referrer
from modelpack.trust import bundle as bundles
from modelpack.trust import public_keys, statement, verification
from modelpack.trust.bundle import Bundle
from modelpack.trust.expected import Expected, Key
from modelpack.trust.keys.key import pem
from modelpack.trust.made_here import MadeHere
from modelpack.trust.statement import Statement, about
from modelpack.trust.trusted_root import TrustedRoot
from tests import projects
from tests.command_line import Done, run_here
from tests.sigstore.certificates import new_key, private_pem, public_pem
from tests.sigstore.server import running_sigstore

if TYPE_CHECKING:
    from tests.sigstore.stack import Sigstore

SIGNATURE = "https://sigstore.dev/cosign/sign/v1"
SBOM = "https://cyclonedx.org/bom"
PROVENANCE = "https://slsa.dev/provenance/v1"
SCAN = "https://cosign.sigstore.dev/attestation/vuln/v1"
TEST = "https://in-toto.io/attestation/test-result/v0.1"
OMS = "https://model_signing/signature/v1.0"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
OF_MODEL = "application/vnd.modelpack.oms.v1+json"
"the artifact type of a bundle that is about weights, which clients of bundles pass over"


class Desk:
    """A built project, a key, and how to type commands about them."""

    def __init__(self, root: Path, type_: Callable[..., Done]) -> None:
        self.root, self.folder, self.cache = root, root / "project", root / "cache"
        self.key = root / "key.pem"
        self._type = type_
        private = new_key()
        self.key.write_bytes(private_pem(private))
        self.spki = public_keys.of_pem(public_pem(private.public_key()), at="key")

    def type(self, *words: object, status: int = 0) -> Done:
        done = self._type(*words)
        assert done.status == status, done.err
        return done

    def build(self, *options: object, status: int = 0) -> Done:
        form = ("--json",) if status == 0 else ()
        return self.type("build", self.folder, "--locked", *form, *options, status=status)

    def sign(self, *options: object, status: int = 0) -> Any:
        """Sign the project with the key and without a log; return the report."""
        form = ("--json",) if status == 0 else ()
        done = self.type(
            "sign", self.folder, "--key", self.key, "--no-log", *form, *options, status=status
        )
        return done.document if status == 0 else done

    @property
    def layout(self) -> Layout:
        return Layout(self.folder / "dist" / "image")

    @property
    def image(self) -> Descriptor:
        return self.layout.manifests()[0]

    def bundles(self, subject: Digest | None = None) -> list[tuple[Descriptor, Bundle]]:
        """Return what stands beside an image, signed."""
        layout = self.layout
        return [
            (entry, bundles.parse(layout.read(layout.image(entry.digest).layers[0], limit=1 << 26)))
            for entry in layout.referrers(subject or self.image.digest)
            if entry.artifact_type in (BUNDLE, OF_MODEL)
        ]

    def types(self, subject: Digest | None = None) -> list[str]:
        """Return the predicate types of all that is signed, sorted."""
        return sorted(
            statement.parse(bundle.envelope.payload).predicate_type
            for _, bundle in self.bundles(subject)
        )

    def say(self, kind: str, predicate_type: str, predicate: dict[str, Any], *, here: bool) -> None:
        """Let a statement about the image stand beside it, made here or not."""
        said = Statement(
            subjects=about("tiny", self.image.digest), predicate_type=predicate_type,
            predicate=predicate,
        )  # fmt: skip
        with self.layout as layout:
            layout.attach(self.image, [statement.referrer(said, kind=kind)])
        if here:
            MadeHere(self.cache).keep([said.as_blob().digest])


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MODELPACK_CONFIG", str(tmp_path / "none.toml"))
    for name in ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "BUILDKITE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    projects.make_project(tmp_path / "project", tmp_path / "cache")
    return Desk(tmp_path, lambda *words: run_here(capsys, *words))


@pytest.fixture
def built(desk: Desk) -> Desk:
    desk.build("--offline")
    return desk


def scan(outcome: str) -> dict[str, Any]:
    return {"scanner": {"result": {"modelpack": {"outcome": outcome}}}}


class TestWhatIsSigned:
    def test_the_image_and_what_was_said_of_it_here(self, built: Desk) -> None:
        report = built.sign()
        (image,) = report["images"]
        assert (report["digest"], image["digest"]) == (built.image.digest, built.image.digest)
        assert sorted(item["predicate_type"] for item in image["statements"]) == built.types()
        assert built.types() == sorted([SIGNATURE, SBOM, PROVENANCE, OMS])
        assert report["signer"]["key"] == digest_of(built.spki)

    def test_each_is_a_referrer_as_clients_look_for_it(self, built: Desk) -> None:
        built.sign()
        for entry, bundle in built.bundles():
            manifest = json.loads(built.layout.read(entry.digest))
            said = statement.parse(bundle.envelope.payload)
            of_model = said.predicate_type == OMS
            assert said.is_about(built.image.digest) is not of_model
            kind = OF_MODEL if of_model else BUNDLE
            assert manifest["artifactType"] == kind
            assert manifest["config"] == EMPTY.descriptor.as_json()
            assert [layer["mediaType"] for layer in manifest["layers"]] == [kind]
            assert manifest["subject"] == {
                "mediaType": built.image.media_type, "digest": built.image.digest,
                "size": built.image.size,
            }  # fmt: skip
            word = manifest["annotations"].pop(KIND).partition(".")[0]
            assert word in ("signature", "sbom", "provenance", "oms")
            for_clients = {
                "dev.sigstore.bundle.content": "dsse-envelope",
                "dev.sigstore.bundle.predicateType": said.predicate_type,
            }
            assert manifest["annotations"] == {
                "in-toto.io/predicate-type": said.predicate_type,
                **({} if of_model else for_clients),
            }

    def test_every_bundle_is_proof_to_others(self, built: Desk) -> None:
        built.sign()
        for _, bundle in built.bundles():
            said = statement.parse(bundle.envelope.payload)
            expected = Expected(
                predicate_type=said.predicate_type, signers=(Key(name="k", spki=built.spki),),
                log=False,
            )  # fmt: skip
            about = said.subjects[0].sha256 if said.predicate_type == OMS else built.image.digest
            assert about is not None
            proof = verification.verify(
                bundle, subject=about, trusted=TrustedRoot(), expected=expected, now=0
            )
            assert proof.holds, proof.failure

    def test_the_model_is_signed_as_the_reference_implementation_reads_it(
        self, built: Desk
    ) -> None:
        built.sign()
        (of_model,) = [one for entry, one in built.bundles() if entry.artifact_type == OF_MODEL]
        signature, public = built.root / "model.sig", built.root / "key.pub"
        signature.write_bytes(of_model.as_bytes())
        public.write_text(pem(built.spki))
        reference = verifying.Config().use_elliptic_key_verifier(public_key=public)
        reference.verify(built.folder / "weights", signature)
        (built.folder / "weights" / "config.json").write_bytes(b"{}")
        with pytest.raises(ValueError, match="mismatch"):
            reference.verify(built.folder / "weights", signature)

    def test_the_image_does_not_change(self, built: Desk) -> None:
        before = built.image
        built.sign()
        assert built.image == before

    def test_again_adds_nothing(self, built: Desk) -> None:
        built.sign()
        before = (built.layout.root / "index.json").read_bytes()
        report = built.sign()
        assert not any(item["new"] for item in report["images"][0]["statements"])
        assert (built.layout.root / "index.json").read_bytes() == before

    def test_somebody_else_adds_theirs(self, built: Desk) -> None:
        built.sign()
        built.key.write_bytes(private_pem(new_key()))
        built.sign()
        assert len(built.bundles()) == 8

    def test_a_new_scan_takes_the_place_of_the_old(self, built: Desk) -> None:
        built.say("scan", SCAN, scan("failed"), here=True)
        built.sign()
        built.say("scan", SCAN, scan("passed"), here=True)
        report = built.sign()
        assert len(report["superseded"]) == 1
        assert built.types().count(SCAN) == 1
        (last,) = [
            said.predicate
            for _, bundle in built.bundles()
            if (said := statement.parse(bundle.envelope.payload)).predicate_type == SCAN
        ]
        assert last == scan("passed")

    def test_platforms_and_mounted_weights(
        self, desk: Desk, capsys: pytest.CaptureFixture[str]
    ) -> None:
        toml = projects.TOML.replace('path = "weights"', 'path = "weights"\nmode = "mount"')
        toml += '[image]\nplatforms = ["linux/amd64", "linux/arm64"]\n'
        projects.make_project(desk.folder, desk.cache, toml=toml)
        desk.build("--offline")
        report = desk.sign()
        assert [image["role"] for image in report["images"]] == [
            "index", "serve", "serve", "weights",
        ]  # fmt: skip
        for image in report["images"]:
            wanted = {SIGNATURE, PROVENANCE}
            wanted |= {SBOM, OMS} if image["role"] != "index" else set()
            assert set(desk.types(Digest(image["digest"]))) == wanted
        one = {
            item["digest"]
            for image in report["images"]
            for item in image["statements"]
            if item["kind"] == "provenance"
        }
        assert len(one) == 1, "one text is signed once"


class TestWhatIsNotSigned:
    def test_statements_from_elsewhere(self, built: Desk) -> None:
        built.say("scan", SCAN, scan("passed"), here=False)
        report = built.sign()
        assert report["left_alone"] == 1
        assert SCAN not in built.types()

    def test_of_a_build_on_another_machine(self, built: Desk, tmp_path: Path) -> None:
        """Unless somebody vouches for the record of that build."""
        (built.cache / "statements").rename(tmp_path / "gone")
        assert built.sign()["left_alone"] == 3
        assert built.types() == [SIGNATURE]
        built.sign("--record", built.folder / "dist" / "build.json")
        assert len(built.types()) == 4

    def test_a_record_that_is_none(self, built: Desk) -> None:
        done = built.sign("--record", built.folder / "dist" / "provenance.json", status=2)
        assert "not a record of a build" in done.err
        assert not built.bundles()

    def test_what_others_claim_to_have_signed(self, built: Desk) -> None:
        """A bundle with our hint that proves nothing does not count as ours."""
        built.sign()
        with built.layout as layout:
            for entry, bundle in built.bundles():
                value = bundle.as_json()
                value["dsseEnvelope"]["signatures"][0]["sig"] = "AAAA"
                broken = bundles.parse(json.dumps(value).encode())
                layout.attach(
                    built.image,
                    [
                        Referrer(
                            artifact_type=entry.artifact_type, content=broken.as_blob(),
                            annotations=entry.annotations,
                        )
                    ],
                )  # fmt: skip
        report = built.sign()
        assert all(item["new"] for item in report["images"][0]["statements"])


class TestGates:
    @pytest.fixture
    def gated(self, desk: Desk) -> Desk:
        toml = projects.TOML + '[sign]\nrequire = ["scan", "test"]\n'
        projects.make_project(desk.folder, desk.cache, toml=toml)
        desk.build("--offline")
        return desk

    def test_what_was_not_run(self, gated: Desk) -> None:
        done = gated.sign(status=1)
        assert [line.partition(" for ")[0] for line in done.messages] == [
            "error: sign.require: `scan` was not run here",
            "error: sign.require: `test` was not run here",
        ]
        assert "modelpack scan" in done.err
        assert not gated.bundles()

    def test_what_did_not_pass(self, gated: Desk) -> None:
        gated.say("scan", SCAN, scan("failed"), here=True)
        gated.say("test", TEST, {"result": "FAILED"}, here=True)
        assert gated.sign(status=1).err.count("did not pass") == 2

    def test_what_others_say_has_passed(self, gated: Desk) -> None:
        gated.say("scan", SCAN, scan("passed"), here=False)
        gated.say("test", TEST, {"result": "PASSED"}, here=True)
        assert "`scan` was not run here" in gated.sign(status=1).err

    def test_what_has_passed(self, gated: Desk) -> None:
        gated.say("scan", SCAN, scan("passed"), here=True)
        gated.say("test", TEST, {"result": "PASSED"}, here=True)
        gated.sign()
        assert {SCAN, TEST} <= set(gated.types())

    def test_another_layout_has_no_gates_but_those_of_a_file(self, gated: Desk) -> None:
        name = f"oci:{gated.layout.root}"
        key = ("--key", gated.key, "--no-log")
        gated.type("sign", name, *key, "--file", gated.folder / "modelpack.toml", status=1)
        gated.type("sign", name, *key)


class TestKeyless:
    @pytest.mark.parametrize("rekor", [1, 2])
    def test_as_the_holder_of_a_token(self, built: Desk, sigstore: "Sigstore", rekor: Any) -> None:
        token = built.root / "token"
        token.write_text(sigstore.token())
        options = ("--trust-config", sigstore.trust_config_file(rekor=rekor), "--json")
        signed = built.type("sign", built.folder, "--identity-token-file", token, *options)
        assert signed.document["signer"] == {
            "identity": "ci@modelpack.test", "issuer": sigstore.url, "key": None,
        }  # fmt: skip
        assert all(len(bundle.entries) == 1 for _, bundle in built.bundles())
        again = built.type("sign", built.folder, "--identity-token-file", token, *options)
        assert not any(item["new"] for item in again.document["images"][0]["statements"])
        assert len(built.bundles()) == 4

    def test_two_files_as_well_as_one(self, built: Desk, sigstore: "Sigstore") -> None:
        token = built.root / "token"
        token.write_text(sigstore.token())
        built.type(
            "sign", built.folder, "--identity-token-file", token,
            "--signing-config", sigstore.signing_config_file(),
            "--trusted-root", sigstore.trusted_root_file(),
        )  # fmt: skip
        assert len(built.bundles()) == 4

    def test_a_key_in_a_log(self, built: Desk, sigstore: "Sigstore") -> None:
        options = ("--key", built.key, "--trust-config", sigstore.trust_config_file())
        built.type("sign", built.folder, *options)
        assert all(bundle.entries and bundle.timestamps for _, bundle in built.bundles())
        built.sign()  # what is in a log is good enough for who asks for none
        assert len(built.bundles()) == 4

    def test_a_time_without_a_log(self, built: Desk, sigstore: "Sigstore") -> None:
        built.sign("--trust-config", sigstore.trust_config_file())
        assert all(bundle.timestamps and not bundle.entries for _, bundle in built.bundles()), (
            "`--no-log` leaves out the log, and nothing else"
        )

    def test_a_log_is_wanted_where_there_is_none_yet(
        self, built: Desk, sigstore: "Sigstore"
    ) -> None:
        built.sign()
        built.type(
            "sign", built.folder, "--key", built.key, "--trust-config",
            sigstore.trust_config_file(),
        )  # fmt: skip
        assert [len(bundle.entries) for _, bundle in built.bundles()] == [1, 1, 1, 1]

    def test_a_service_that_is_not_trusted(
        self, built: Desk, sigstore: "Sigstore", tmp_path: Path
    ) -> None:
        """Nothing is attached when what was signed does not verify."""
        with running_sigstore(tmp_path) as other:
            done = built.type(
                "sign", built.folder, "--key", built.key,
                "--signing-config", sigstore.signing_config_file(),
                "--trusted-root", other.trusted_root_file(), status=1,
            )  # fmt: skip
        assert "does not verify, and goes nowhere" in done.err
        assert not built.bundles()

    def test_a_log_that_lies(self, built: Desk, tmp_path: Path) -> None:
        with running_sigstore(tmp_path) as lying:
            lying.rekor_v2.log.stale = True
            done = built.type(
                "sign", built.folder, "--key", built.key, "--trust-config",
                lying.trust_config_file(), status=1,
            )  # fmt: skip
        assert "goes nowhere" in done.err
        assert not built.bundles()

    def test_an_authority_for_time_that_does_not_answer(self, built: Desk, tmp_path: Path) -> None:
        with running_sigstore(tmp_path) as silent:
            silent.timestamps.works = False
            done = built.type(
                "sign", built.folder, "--key", built.key, "--trust-config",
                silent.trust_config_file(), status=1,
            )  # fmt: skip
        assert "no time from the timestamp authority" in done.err
        assert not built.bundles()

    def test_a_token_is_repeated_nowhere(self, built: Desk, sigstore: "Sigstore") -> None:
        token = sigstore.token(aud="sigstore", sub="x")[:-8] + "AAAAAAAA"
        path = built.root / "token"
        path.write_text(token)
        done = built.type(
            "sign", built.folder, "--identity-token-file", path, "-v",
            "--trust-config", sigstore.trust_config_file(), status=1,
        )  # fmt: skip
        assert "no certificate from Fulcio" in done.err
        assert not any(part in done.err + done.out for part in token.split(".") if len(part) > 12)


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


class TestWhatBecomesPublic:
    """The public Sigstore is never asked here: what is asked first is refused."""

    @pytest.fixture
    def looks_public(self, built: Desk) -> Path:
        """A configuration with a log that everybody sees."""
        service = {
            "url": "https://rekor.sigstore.dev", "majorApiVersion": 1, "operator": "sigstore.dev",
            "validFor": {"start": "2020-01-01T00:00:00Z"},
        }  # fmt: skip
        path = built.root / "signing.json"
        path.write_text(
            json.dumps({
                "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
                "rekorTlogUrls": [service],
            })
        )  # fmt: skip
        return path

    def test_nobody_is_there_to_agree(self, built: Desk) -> None:
        for words in ((), ("--key", built.key)):
            done = built.type("sign", built.folder, *words, status=2)
            assert "nobody is there to agree" in done.err
            assert "rekor.sigstore.dev show everybody, for ever" in done.err
            assert "`--yes`" in done.err

    def test_somebody_does_not_agree(
        self, built: Desk, looks_public: Path, sigstore: "Sigstore", monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
        with pytest.raises(AssertionError, match="Go on"):  # ends as after Ctrl-C
            built.type(
                "sign", built.folder, "--key", built.key, "--signing-config", looks_public,
                "--trusted-root", sigstore.trusted_root_file(),
            )  # fmt: skip
        assert not built.bundles()

    def test_without_an_identity(self, built: Desk, sigstore: "Sigstore") -> None:
        done = built.type(
            "sign", built.folder, "--trust-config", sigstore.trust_config_file(), status=2
        )
        assert "there is no identity" in done.err
        assert "--identity-token-file" in done.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--no-log"], "without a log"),
        (["--key", "k.pem", "--identity-token-file", "t"], "either with a key"),
        (["--trust-config", "a", "--trusted-root", "b"], "both where to sign"),
        (["--signing-config", "a"], "give both"),
        (["--key", "none.pem", "--no-log"], "no such file"),
        (["--key", "pkcs11:object=a?pin-value=918273", "--no-log"], "seen by everybody"),
        (["--key", "KEY", "--no-log", "--legacy"], "in registries only"),
        (["--key", "KEY", "--no-log", "--password-file", "none"], ""),
    ],
)
def test_what_contradicts_itself(built: Desk, options: list[str], message: str) -> None:
    words = [str(built.key) if word == "KEY" else word for word in options]
    done = built.type("sign", built.folder, *words, status=2 if message else 0)
    assert message in done.err
    assert "918273" not in done.err


class TestPasswords:
    @pytest.fixture
    def locked(self, built: Desk) -> Desk:
        built.key.write_bytes(private_pem(new_key(), b"correct horse"))
        return built

    def test_of_the_environment(self, locked: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MODELPACK_KEY_PASSWORD", "correct horse")
        locked.sign()

    def test_of_a_file(self, locked: Desk) -> None:
        path = locked.root / "password"
        path.write_text("correct horse\n")
        locked.sign("--password-file", path)

    def test_of_somebody_at_the_terminal(
        self, locked: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []

        def typed(prompt: str, **_: object) -> str:
            asked.append(prompt)
            return "correct horse"

        monkeypatch.setattr(sys, "stdin", Terminal())
        monkeypatch.setattr("click.prompt", typed)
        locked.sign()
        assert asked == [f"password of {locked.key}"]

    def test_wrong_or_none(self, locked: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "MODELPACK_KEY_PASSWORD" in locked.sign(status=2).err
        monkeypatch.setenv("MODELPACK_KEY_PASSWORD", "battery staple")
        done = locked.sign("-v", status=2)
        assert "does not open the key" in done.err
        assert "staple" not in done.err


class TestBuild:
    def test_what_is_built_is_signed(self, desk: Desk) -> None:
        record = desk.build("--offline", "--sign", "--key", desk.key, "--no-log").document
        assert sorted(item["predicate_type"] for item in record["signed"]) == desk.types()
        assert len(desk.types()) == 4
        report = desk.sign()
        assert not any(item["new"] for item in report["images"][0]["statements"])

    def test_nothing_has_a_name_when_signing_fails(
        self, desk: Desk, sigstore: "Sigstore", tmp_path: Path
    ) -> None:
        with running_sigstore(tmp_path) as other:
            trusted = other.trusted_root_file()
        done = desk.build(
            "--sign", "--key", desk.key, "--signing-config", sigstore.signing_config_file(),
            "--trusted-root", trusted, status=1,
        )  # fmt: skip
        assert "goes nowhere" in done.err
        assert not (desk.folder / "dist" / "image" / "index.json").exists()

    def test_gates(self, desk: Desk) -> None:
        toml = projects.TOML + '[sign]\nrequire = ["scan"]\n'
        projects.make_project(desk.folder, desk.cache, toml=toml)
        done = desk.build("--offline", "--sign", "--key", desk.key, "--no-log", status=1)
        assert "`scan` was not run here" in done.err
        assert not (desk.folder / "dist" / "image" / "index.json").exists()

    def test_options_that_need_another(self, desk: Desk, sigstore: "Sigstore") -> None:
        assert "add `--sign`" in desk.build("--key", desk.key, status=2).err
        config = sigstore.trust_config_file()
        done = desk.build(
            "--offline", "--sign", "--key", desk.key, "--trust-config", config, status=2
        )
        assert "`--offline` rules out" in done.err


def test_digests_of_the_report_are_those_of_the_layout(built: Desk) -> None:
    report = built.sign()
    listed = {entry.digest for entry, _ in built.bundles()}
    assert {item["referrer"] for item in report["images"][0]["statements"]} == listed
    payloads = {digest_of(bundle.envelope.payload) for _, bundle in built.bundles()}
    assert {item["digest"] for item in report["images"][0]["statements"]} == payloads

"""Weights that their publisher signed: what holds is built and told, all else is refused."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from modelpack.oci.layout import Layout
from modelpack.trust import bundle, model_signature
from tests import projects, values
from tests.command_line import Done, run_here
from tests.sigstore.certificates import new_key, public_pem, spki
from tests.sigstore.identity import SOMEBODY
from tests.sigstore.stack import Sigstore

KEY = new_key()
BY_KEY = '{ file = "weights/model.sig", key = "publisher.pub" }'


def statement(weights: dict[str, bytes]) -> bytes:
    """Return what a publisher says of a folder with these files."""
    files = (
        values.weight_file(path, size=len(data), sha256=hashlib.sha256(data).hexdigest())
        for path, data in weights.items()
    )
    return model_signature.statement(values.weights_lock(*files), mounted=False).as_bytes()


class Desk:
    """A project whose weights are signed, and how to type commands about it."""

    def __init__(self, folder: Path, cache: Path, type_: Callable[..., Done]) -> None:
        self.folder, self.cache, self._type = folder, cache, type_

    def make(self, signature: str, bundle: Any, *, runtime: str = "") -> None:
        toml = projects.TOML.replace(
            'path = "weights"', f'path = "weights"\nsignature = {signature}'
        )
        files = {**projects.CODE, "publisher.pub": public_pem(KEY.public_key())}
        projects.make_project(self.folder, self.cache, toml=toml + runtime, files=files)
        self.sign(bundle)

    def sign(self, bundle: Any) -> None:
        (self.folder / "weights" / "model.sig").write_text(json.dumps(bundle))

    def type(self, *words: object, status: int = 0) -> Done:
        done = self._type(*words)
        assert done.status == status, done.err
        return done

    def build(self, *, status: int = 0) -> Done:
        return self.type("build", self.folder, "--locked", "--offline", "--json", status=status)

    def dist(self, name: str) -> Any:
        return json.loads((self.folder / "dist" / name).read_bytes())


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    cache = tmp_path / "cache"
    monkeypatch.setenv("MODELPACK_CACHE", str(cache))
    monkeypatch.setenv("MODELPACK_CONFIG", str(tmp_path / "none.toml"))
    return Desk(tmp_path / "project", cache, lambda *words: run_here(capsys, *words))


def signers(desk: Desk) -> set[str]:
    """Return who signed, as the provenance has it for each weight file."""
    predicate = desk.dist("provenance.json")["predicate"]
    return {
        item["annotations"].get("signedBy", "")
        for item in predicate["buildDefinition"]["resolvedDependencies"]
        if item["annotations"].get("role") == "weights"
    }


def test_what_a_key_signed_is_built_told_and_kept_beside_the_image(
    desk: Desk, sigstore: Sigstore
) -> None:
    signed = sigstore.sign_with(statement(dict(projects.WEIGHTS)), KEY)
    desk.make(BY_KEY, signed)
    desk.build()
    fingerprint = hashlib.sha256(spki(KEY.public_key())).hexdigest()
    assert signers(desk) == {f"key sha256:{fingerprint}"}
    layout = Layout(desk.folder / "dist" / "image")
    image = layout.manifests()[0].digest
    types = [entry.artifact_type for entry in layout.referrers(image)]
    assert types.count(model_signature.ARTIFACT_TYPE) == 1
    kept = bundle.parse((desk.folder / "dist" / "oms-signature.json").read_bytes())
    assert kept == bundle.parse(json.dumps(signed).encode())
    assert desk.type("check", desk.folder).status == 0


def test_the_signature_moves_neither_image_nor_lock(desk: Desk, sigstore: Sigstore) -> None:
    signed = sigstore.sign_with(statement(dict(projects.WEIGHTS)), KEY)
    desk.make(BY_KEY, signed)
    desk.build()
    first, lock = desk.dist("build.json")["digest"], desk.folder / "modelpack.lock"
    before = lock.read_bytes()
    desk.sign(sigstore.sign_with(statement(dict(projects.WEIGHTS)), KEY))  # ECDSA: other bytes
    desk.build()
    assert (desk.dist("build.json")["digest"], lock.read_bytes()) == (first, before)


@pytest.mark.parametrize("rekor", [1, 2])
def test_what_an_identity_signed_is_built_and_told(
    desk: Desk, sigstore: Sigstore, rekor: Any
) -> None:
    root = sigstore.trusted_root_file()
    by_identity = (
        f'{{ file = "weights/model.sig", identity = "{SOMEBODY}", issuer = "{sigstore.url}", '
        f'trusted-root = "{root}" }}'
    )
    desk.make(by_identity, sigstore.sign(statement(dict(projects.WEIGHTS)), log=rekor))
    desk.build()
    assert signers(desk) == {f"{SOMEBODY} (issuer {sigstore.url})"}
    desk.sign(sigstore.sign(statement(dict(projects.WEIGHTS)), token=sigstore.token("else@x.test")))
    assert "signer" in desk.build(status=1).out


def test_a_part_of_the_signed_files_may_be_packed(desk: Desk, sigstore: Sigstore) -> None:
    more = {**projects.WEIGHTS, "pytorch_model.bin": b"left out by `include`"}
    desk.make(BY_KEY, sigstore.sign_with(statement(more), KEY))
    desk.build()


def other_bytes(sigstore: Sigstore) -> Any:
    changed = {**projects.WEIGHTS, "config.json": b"{}\n"}
    return sigstore.sign_with(statement(changed), KEY)


def one_file_less(sigstore: Sigstore) -> Any:
    less = {path: data for path, data in projects.WEIGHTS.items() if path != "config.json"}
    return sigstore.sign_with(statement(less), KEY)


def another_key(sigstore: Sigstore) -> Any:
    return sigstore.sign_with(statement(dict(projects.WEIGHTS)), new_key(ec.SECP256R1))


def an_identity(sigstore: Sigstore) -> Any:
    return sigstore.sign(statement(dict(projects.WEIGHTS)))


def changed_afterwards(sigstore: Sigstore) -> Any:
    signed = sigstore.sign_with(statement(dict(projects.WEIGHTS)), KEY)
    signed["dsseEnvelope"]["payload"] = one_file_less(sigstore)["dsseEnvelope"]["payload"]
    return signed


def something_else(sigstore: Sigstore) -> Any:
    other = values.spec().model.name.join(["{", "}"])
    return {"dsseEnvelope": other}


@pytest.mark.parametrize(
    ("signed", "message"),
    [
        (other_bytes, "`config.json` is not the signed file"),
        (one_file_less, "`config.json` is packed and was not signed"),
        (another_key, "the signature does not hold: signature"),
        (an_identity, "the signature does not hold"),
        (changed_afterwards, "the signature does not hold: signature"),
        (something_else, "weights/model.sig"),
    ],
)
@pytest.mark.parametrize("command", ["build", "check", "lock"])
def test_what_does_not_hold_is_refused_by_every_command(
    desk: Desk, sigstore: Sigstore, command: str, signed: Callable[[Sigstore], Any], message: str
) -> None:
    desk.make(BY_KEY, signed(sigstore))
    words = {"build": ("--locked", "--offline"), "check": (), "lock": ("--upgrade", "weights")}
    done = desk._type(command, desk.folder, *words[command])
    assert done.status in (1, 2)
    assert message in done.err + done.out
    assert not (desk.folder / "dist" / "image").exists()


def test_a_signature_that_is_not_there_is_named(desk: Desk, sigstore: Sigstore) -> None:
    desk.make(BY_KEY, {})
    (desk.folder / "weights" / "model.sig").unlink()
    assert "weights.tiny.signature.file" in desk.build(status=2).out


def test_an_image_that_could_check_no_signature_is_refused(desk: Desk, sigstore: Sigstore) -> None:
    signed = sigstore.sign_with(statement(dict(projects.WEIGHTS)), KEY)
    desk.make(BY_KEY, signed, runtime="require-signature = true\n")
    done = desk.build(status=1)
    assert "runtime.require-signature" in done.err + done.out
    assert "add `cryptography`" in done.err + done.out

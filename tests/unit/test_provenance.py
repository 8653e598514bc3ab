"""Provenance and the model's digests: every input by digest, and who proved it."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from modelpack import canonical_json
from modelpack.digest import of as digest_of
from modelpack.evidence import provenance
from modelpack.evidence.provenance import (
    BuiltImage,
    Byproduct,
    Invocation,
    Parameters,
    Proofs,
    Record,
)
from modelpack.lock import BaseLayer, ImageBase
from modelpack.lock import encoding as lock_encoding
from modelpack.spec import Training, TrainingData
from modelpack.trust import model_signature
from tests import values
from tests.described_image import Described, described

SPEC = values.spec(training=Training(run="https://runs.example/1", data=(
    TrainingData(name="s2orc", digest=values.digest("a")),
)))  # fmt: skip
INVOCATION = Invocation(builder="https://ci.example/build", id="7", started=1_700_000_000)


def record(of: Described, proofs: Proofs | None = None, **changes: Any) -> Record:
    """Return what a build of `of` records."""
    hashed = {(w.name, f.path): "hashed" for w in of.lock.weights for f in w.files}
    values_: dict[str, Any] = {
        "spec": of.spec, "lock": of.lock, "platforms": of.lock.platforms, "source": of.source,
        "parameters": Parameters(), "proofs": {**hashed, **(proofs or {})},
        "images": [BuiltImage(role="serve", plan=of.plan, digest=values.digest("f"))],
        "byproducts": [
            Byproduct(name="sbom.cdx.json", digest=values.digest("e"), media_type="a/b")
        ],
    }  # fmt: skip
    return Record(**{**values_, **changes})


def predicate(of: Record) -> dict[str, Any]:
    found = provenance.predicate(of, INVOCATION, finished=1_700_000_060)
    canonical_json.dumps(found)
    return found


def dependencies(of: Record) -> dict[str, dict[str, Any]]:
    found = predicate(of)["buildDefinition"]["resolvedDependencies"]
    assert len({item["name"] for item in found}) == len(found)
    return {item["name"]: item for item in found}


def test_what_was_asked_for_stands_apart_from_what_followed() -> None:
    of = described(spec=SPEC)
    asked = Parameters(builder="docker", revision="none", source_date_epoch=5,
                       platforms=("linux/amd64",))  # fmt: skip
    found = predicate(record(of, parameters=asked))["buildDefinition"]
    assert found["buildType"] == "https://modelpack.dev/build-types/v1"
    external = found["externalParameters"]
    assert external["spec"]["training"]["data"][0]["name"] == "s2orc"
    assert external["spec"]["training"]["run"] == "https://runs.example/1"
    assert {key: external[key] for key in external if key != "spec"} == {
        "builder": "docker", "revision": "none", "sourceDateEpoch": 5,
        "platforms": ["linux/amd64"],
    }  # fmt: skip
    assert set(predicate(record(of))["buildDefinition"]["externalParameters"]) == {
        "spec", "builder",
    }  # fmt: skip
    internal = found["internalParameters"]
    assert internal["lock"] == lock_encoding.digest(of.lock)
    assert internal["images"] == [{
        "role": "serve", "platform": "linux/amd64", "digest": values.digest("f"),
        "plan": of.plan.digest,
    }]  # fmt: skip


def test_who_built_and_when() -> None:
    found = predicate(record(described()))["runDetails"]
    assert found["builder"]["id"] == "https://ci.example/build"
    assert found["metadata"] == {
        "invocationId": "7",
        "startedOn": "2023-11-14T22:13:20Z",
        "finishedOn": "2023-11-14T22:14:20Z",
    }
    assert found["byproducts"] == [
        {"name": "sbom.cdx.json", "digest": {"sha256": values.sha("e")}, "mediaType": "a/b"}
    ]


def test_every_input_is_there_by_digest() -> None:
    of = described()
    found = dependencies(record(of))
    lock = digest_of(lock_encoding.dump(of.lock)).removeprefix("sha256:")
    assert found["modelpack.lock"]["digest"] == {"sha256": lock}
    assert found["revision"]["digest"] == {"gitCommit": of.source.revision}
    assert found["revision"]["annotations"]["state"] == "clean"
    assert found["code"]["digest"] == {"sha256": of.source.digest.removeprefix("sha256:")}
    libc = found["libc6_2.41-12_amd64.deb"]
    assert libc["uri"] == "pkg:deb/debian/libc6@2.41-12?arch=amd64&distro=debian-13"
    assert libc["digest"] == {"sha256": values.sha("1")}
    assert found["debian trixie InRelease"]["annotations"]["snapshot"] == "20260101T000000Z"
    numpy = found["numpy-2.4.0-cp313-cp313-any.whl"]
    assert numpy["uri"].startswith("pkg:pypi/numpy@2.4.0?file_name=")
    assert numpy["digest"] == {"sha256": values.sha("3")}
    assert {"guard.py", "probe.py"} <= set(found)


def test_who_proved_a_weight_is_said_for_each() -> None:
    found = dependencies(record(described(), {("digits", "config.json"): "lock"}))
    proofs = {
        name: item["annotations"]["proof"]
        for name, item in found.items()
        if item["annotations"]["role"] == "weights"
    }
    assert proofs == {
        "digits/config.json": "lock",
        "digits/model-00001-of-00002.safetensors": "hashed",
        "digits/model-00002-of-00002.safetensors": "hashed",
    }
    assert found["digits/config.json"]["digest"] == {"sha256": values.sha("b")}


@pytest.mark.parametrize(
    ("dirty", "state"), [(True, "changed"), (False, "clean"), (None, "not compared")]
)
def test_the_state_of_the_code_is_said(dirty: bool | None, state: str) -> None:
    of = described()
    found = dependencies(record(of, source=replace(of.source, dirty=dirty)))
    assert found["revision"]["annotations"]["state"] == state


def test_a_revision_that_is_no_commit_is_no_digest() -> None:
    of = described()
    found = dependencies(record(of, source=replace(of.source, revision="v1.2")))
    assert "digest" not in found["revision"]
    assert found["revision"]["annotations"]["revision"] == "v1.2"
    assert "revision" not in dependencies(record(of, source=replace(of.source, revision="")))


def test_a_base_image_is_there_with_its_layers() -> None:
    layer = BaseLayer(digest=values.digest("8"), diff_id=values.digest("9"), size=1,
                      media_type="application/vnd.oci.image.layer.v1.tar+gzip")  # fmt: skip
    base = ImageBase(
        reference="docker.io/library/python:3.12-slim", digest=values.digest("b"),
        config=values.digest("c"), layers=(layer,),
    )  # fmt: skip
    found = dependencies(record(described(), platforms=[values.platform_lock(base=base)]))
    top = found["docker.io/library/python:3.12-slim"]
    assert top["uri"] == (
        f"pkg:oci/python@{values.digest('b')}?arch=amd64"
        "&repository_url=docker.io/library/python&tag=3.12-slim"
    )
    assert found["docker.io/library/python:3.12-slim layer 1"]["digest"] == {
        "sha256": values.sha("8")
    }


def test_a_model_is_named_as_openssf_model_signing_names_it() -> None:
    """The digest is what model_signing 1.1.1 gives for a folder with these two files."""
    files = {"config.json": b"{}", "b/model.safetensors": b"weights"}
    locked = [
        values.weight_file(path, sha256=hashlib.sha256(data).hexdigest())
        for path, data in files.items()
    ]
    found = model_signature.statement(values.weights_lock(*locked), mounted=False)
    assert found.subjects[0].name == "digits"
    assert found.subjects[0].digest == {
        "sha256": "785c42476c67e6f05a4bd7ffce1bbc4fd8ff782c44cfe43aa1775619681fa70a"
    }
    assert found.predicate_type == "https://model_signing/signature/v1.0"
    assert [item["name"] for item in found.predicate["resources"]] == sorted(files)
    assert found.predicate["serialization"] == {
        "method": "files", "hash_type": "sha256", "allow_symlinks": False,
        "ignore_paths": [".git", ".gitattributes", ".github", ".gitignore"],
    }  # fmt: skip
    mounted = model_signature.statement(values.weights_lock(*locked), mounted=True)
    assert ".modelpack.json" in mounted.predicate["serialization"]["ignore_paths"]

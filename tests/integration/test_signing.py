"""Signed images in real registries, and what the real cosign says of them."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from modelpack.digest import Digest
from modelpack.trust import statement
from modelpack.trust.made_here import MadeHere
from modelpack.trust.statement import Statement, about
from tests import projects
from tests.command_line import Done, run
from tests.registries import RunningRegistry, running
from tests.sigstore.certificates import new_key, private_pem, public_pem
from tests.sigstore.identity import SOMEBODY
from tests.software_token import PIN

if TYPE_CHECKING:
    from tests.sigstore.stack import Sigstore
    from tests.software_token import SoftwareToken

SCAN = "https://cosign.sigstore.dev/attestation/vuln/v1"
NO_JOB = dict.fromkeys(("CI", "GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "BUILDKITE"), "")


@pytest.fixture(scope="module", params=["distribution-2", "olareg"])
def registry(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    go_tool: Callable[[str], str],
    require_tool: Callable[[str], str],
) -> Iterator[RunningRegistry]:
    """One with a list of referrers under a tag, and one that lists them itself."""
    folder = tmp_path_factory.mktemp(request.param)
    with running(request.param, folder, go_tool=go_tool, require_tool=require_tool) as started:
        yield started


@dataclass
class Site:
    """A built project, a key, and somebody who types."""

    root: Path
    cosign_program: str
    trusted_root: Path
    environment: dict[str, str] = field(default_factory=lambda: dict(NO_JOB))

    @property
    def project(self) -> Path:
        return self.root / "project"

    @property
    def key(self) -> Path:
        return self.root / "key.pem"

    def type(self, *words: object, status: int = 0, cache: str = "cache") -> Done:
        done = run(*words, cache=self.root / cache, **self.environment)
        assert done.status == status, done.err
        return done

    def cosign(self, *words: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self.cosign_program, *map(str, words)], check=False, capture_output=True, text=True,
            timeout=60, env={**os.environ, "HOME": str(self.root)},
        )  # fmt: skip

    def verified(self, name: str, *who: object, types: tuple[str, ...] = ()) -> None:
        """Fail unless cosign verifies the image, and statements of `types`."""
        commands = [("verify",), *(("verify-attestation", "--type", kind) for kind in types)]
        for words in commands:
            done = self.cosign(*words, *who, name)
            assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, go_tool: Callable[[str], str], sigstore: "Sigstore"
) -> Site:
    root = tmp_path_factory.mktemp("signing")
    projects.make_project(root / "project", root / "cache")
    private = new_key()
    (root / "key.pem").write_bytes(private_pem(private))
    (root / "key.pub").write_bytes(public_pem(private.public_key()))
    made = Site(root, go_tool("cosign"), sigstore.trusted_root_file())
    made.type("build", made.project, "--locked", "--offline")
    return made


def pushed(site: Site, registry: RunningRegistry) -> str:
    """Push the image into a new repository; return its name."""
    name = f"{registry.repository()}:1.0.0"
    site.type("push", site.project, name)
    return name


def test_with_a_key(site: Site, registry: RunningRegistry) -> None:
    name = pushed(site, registry)
    first = site.type("sign", name, "--key", site.key, "--no-log", "--json").document
    assert len(first["images"][0]["statements"]) == 4
    who = ("--key", site.root / "key.pub", "--insecure-ignore-tlog=true")
    site.verified(name, *who, types=("slsaprovenance1", "cyclonedx"))
    again = site.type("sign", name, "--key", site.key, "--no-log", "--json").document
    assert not any(item["new"] for item in again["images"][0]["statements"])
    listed = site.type("inspect", name, "--json").document["referrers"]
    assert sum("sigstore.bundle" in item["artifact_type"] for item in listed) == 3


@pytest.mark.parametrize("rekor", [1, 2])
def test_keyless(site: Site, registry: RunningRegistry, sigstore: "Sigstore", rekor: Any) -> None:
    name = pushed(site, registry)
    token = site.root / "token"
    token.write_text(sigstore.token())
    options = [
        "--identity-token-file", token, "--trust-config", sigstore.trust_config_file(rekor=rekor),
    ]  # fmt: skip
    if rekor == 1:
        options.append("--legacy")
    site.type("sign", name, *options)
    who = (
        "--trusted-root", site.trusted_root, "--certificate-identity", SOMEBODY,
        "--certificate-oidc-issuer", sigstore.url,
    )  # fmt: skip
    site.verified(name, *who, types=("slsaprovenance1", "cyclonedx"))
    wrong = site.cosign(
        "verify", *who[:2], "--certificate-identity", "x@example.org", *who[4:], name
    )
    assert wrong.returncode != 0
    if rekor == 1:
        site.verified(name, "--new-bundle-format=false", *who)
        before = site.type("sign", name, *options, "--json").document
        assert [image["legacy"] for image in before["images"]] == [None]


def test_with_a_token(
    site: Site, registry: RunningRegistry, sigstore: "Sigstore", software_token: "SoftwareToken"
) -> None:
    name = pushed(site, registry)
    site.environment |= {**software_token.environment, "MODELPACK_PIN": PIN}
    done = site.type(
        "sign", name, "--key", software_token.uri("release"), "--trust-config",
        sigstore.trust_config_file(), "--legacy", "--json",
    )  # fmt: skip
    assert done.document["signer"]["key"].startswith("sha256:")
    assert PIN not in done.out + done.err


def test_several_signers_share_a_tag(
    site: Site, registry: RunningRegistry, sigstore: "Sigstore"
) -> None:
    name = pushed(site, registry)
    other = site.root / "other.pem"
    private = new_key()
    other.write_bytes(private_pem(private))
    (site.root / "other.pub").write_bytes(public_pem(private.public_key()))
    for key in (site.key, other, site.key):
        site.type(
            "sign", name, "--key", key, "--trust-config", sigstore.trust_config_file(rekor=1),
            "--legacy",
        )  # fmt: skip
    for public in ("key.pub", "other.pub"):
        site.verified(
            name, "--new-bundle-format=false", "--key", site.root / public,
            "--trusted-root", site.trusted_root,
        )  # fmt: skip


def test_a_new_scan_takes_the_place_of_the_old(site: Site, registry: RunningRegistry) -> None:
    name = pushed(site, registry)
    layout = f"oci:{site.root / 'copy'}"
    site.type("pull", name, "--output", layout)
    digest = site.type("inspect", name, "--json").document["digest"]
    for outcome in ("failed", "passed"):
        _attach_scan(site, name, digest, outcome)
        report = site.type("sign", name, "--key", site.key, "--no-log", "--json").document
    assert len(report["superseded"]) == 1
    assert report["findings"] == [], "it could be removed"
    listed = site.type("inspect", name, "--json").document["referrers"]
    scans = [
        item
        for item in listed
        if "bundle" in item["artifact_type"] and item["predicate_type"] == SCAN
    ]
    assert len(scans) == 1


def _attach_scan(site: Site, name: str, digest: str, outcome: str) -> None:
    said = Statement(
        subjects=about(name, Digest(digest)), predicate_type=SCAN,
        predicate={"scanner": {"result": {"modelpack": {"outcome": outcome}}}},
    )  # fmt: skip
    path = site.root / f"{outcome}.json"
    path.write_bytes(said.as_bytes())
    site.type("attach", name, path, "--type", "statement")
    MadeHere(site.root / "cache").keep([statement.parse(path.read_bytes()).as_blob().digest])


def test_what_was_pulled_is_not_signed(site: Site, registry: RunningRegistry) -> None:
    """On a machine that did not make them, statements are left alone."""
    name = pushed(site, registry)
    layout = site.root / f"pulled-{registry.kind}"
    site.type("pull", name, "--output", f"oci:{layout}", cache="empty")
    for place in (name, f"oci:{layout}"):
        report = site.type(
            "sign", place, "--key", site.key, "--no-log", "--json", cache="empty"
        ).document
        assert report["left_alone"] == 3
        kinds = [item["kind"] for image in report["images"] for item in image["statements"]]
        assert kinds == ["signature"]
    site.verified(
        str(layout), "--local-image", "--key", site.root / "key.pub",
        "--insecure-ignore-tlog=true",
    )  # fmt: skip


def test_built_and_pushed_signed(site: Site, registry: RunningRegistry) -> None:
    name = f"{registry.repository()}:1.0.0"
    done = site.type(
        "build", site.project, "--locked", "--tag", name, "--push", "--sign", "--key", site.key,
        "--no-log", "--json",
    )  # fmt: skip
    assert len(done.document["signed"]) == 4
    who = ("--key", site.root / "key.pub", "--insecure-ignore-tlog=true")
    site.verified(name, *who, types=("slsaprovenance1",))
    found = site.cosign("verify", *who, name)
    assert re.search(done.document["digest"], json.dumps(json.loads(found.stdout)))


@pytest.mark.parametrize("password", ["correct horse", ""])
def test_with_a_key_that_cosign_made(site: Site, tmp_path: Path, password: str) -> None:
    made = subprocess.run(
        [site.cosign_program, "generate-key-pair"], check=False, capture_output=True, cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "COSIGN_PASSWORD": password},
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    (tmp_path / "password").write_text(f"{password}\n")
    site.type(
        "sign", site.project, "--key", tmp_path / "cosign.key", "--no-log", "--password-file",
        tmp_path / "password",
    )  # fmt: skip
    layout = site.project / "dist" / "image"
    site.verified(
        str(layout), "--local-image", "--key", tmp_path / "cosign.pub",
        "--insecure-ignore-tlog=true",
    )  # fmt: skip

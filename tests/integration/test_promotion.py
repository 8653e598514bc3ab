"""Promotion in real registries: who may, after what; nothing old passes for the current one."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from modelpack import reference
from modelpack.oci.registry.settings import Settings
from modelpack.oci.registry.writing import WritableRepository
from modelpack.promoting import promote
from tests import projects
from tests.command_line import Done, run_here
from tests.registries import RunningRegistry, running
from tests.sigstore.certificates import new_key, private_pem, public_pem

pytestmark = pytest.mark.integration

DAY = 86_400
POLICY = """
schema = 1
log = false

[signers.builder]
key = "builder.pub"
[signers.approver]
key = "approver.pub"

[signature]
signers = ["builder"]
[provenance]

[stages.staging]
signers = ["approver", "builder"]
approver-not-builder = false

[stages.production]
signers = ["approver", "builder"]
after = "staging"
"""


@pytest.fixture(scope="module", params=["distribution-2", "olareg"])
def registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory,
    go_tool: Callable[[str], str], require_tool: Callable[[str], str],
) -> Iterator[RunningRegistry]:  # fmt: skip
    """Run a registry without the referrers API, and one with it."""
    folder = tmp_path_factory.mktemp(request.param)
    with running(request.param, folder, go_tool=go_tool, require_tool=require_tool) as one:
        yield one


class Desk:
    """Two versions of a model in a repository, two keys, a policy, and somebody who types."""

    def __init__(self, root: Path, repository: str, type_: Callable[..., Done]) -> None:
        self.root, self.repository, self._type = root, repository, type_
        for who in ("builder", "approver", "stranger"):
            key = new_key()
            (root / f"{who}.pem").write_bytes(private_pem(key))
            (root / f"{who}.pub").write_bytes(public_pem(key.public_key()))
        (root / "policy.toml").write_text(POLICY, "utf-8")

    def type(self, *words: object, status: int = 0) -> Done:
        done = self._type(*words)
        assert done.status == status, f"{done.err}\n{done.out}"
        return done

    def release(self, version: str, *, day: int = 0) -> str:
        """Build, push and sign a version that was committed on a day; return its digest."""
        os.environ["SOURCE_DATE_EPOCH"] = str(projects.EPOCH + day * DAY)
        toml = projects.TOML.replace('version = "1.0.0"', f'version = "{version}"')
        folder = projects.make_project(self.root / version, self.root / "cache", toml=toml)
        name = f"{self.repository}:{version}"
        self.type("build", folder, "--locked", "--offline")
        self.type("push", folder, name)
        done = self.type("sign", name, "--json", *self.as_("builder"))
        return str(done.document["digest"])

    def as_(self, who: str) -> tuple[object, ...]:
        return ("--key", self.root / f"{who}.pem", "--no-log")

    def promote(
        self, what: str, stage: str, *options: object, who: str = "approver", status: int = 0
    ) -> Any:
        done = self.type(
            "promote", f"{self.repository}{what}", "--to", stage, "--policy",
            self.root / "policy.toml", "--json", *self.as_(who), *options, status=status,
        )  # fmt: skip
        return done.document

    def verify(self, what: str, stage: str, *options: object, status: int = 0) -> Any:
        done = self.type(
            "verify", f"{self.repository}{what}", "--policy", self.root / "policy.toml", "--json",
            "--stage", stage, *options, status=status,
        )  # fmt: skip
        return done.document

    def reasons(self, what: str, stage: str) -> dict[str, str]:
        """Return what is not met when somebody verifies, by requirement."""
        return unmet(self.verify(what, stage, status=1))


def unmet(report: Any) -> dict[str, str]:
    return {
        one["name"]: one["found"]
        for judged in report["judged"]
        for one in judged["requirements"]
        if one["outcome"] == "failed"
    }


@pytest.fixture
def desk(
    tmp_path: Path, registry: RunningRegistry, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Desk:  # fmt: skip
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MODELPACK_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "")
    return Desk(tmp_path, registry.repository(), lambda *words: run_here(capsys, *words))


def test_from_stage_to_stage_and_back(desk: Desk) -> None:
    first, second = desk.release("1.0.0"), desk.release("2.0.0")

    early = desk.promote(":1.0.0", "production", status=1)
    assert list(unmet(early["report"])) == ["after staging"]

    assert desk.promote(":1.0.0", "staging", who="builder")["sequence"] == 1
    done = desk.promote(":1.0.0", "production", "--reason", "it is good")
    assert (done["digest"], done["sequence"], done["previous"]) == (first, 1, None)
    assert desk.verify(":production", "production")["digest"] == first

    desk.promote(":2.0.0", "staging")
    done = desk.promote(f"@{second}", "production")
    assert (done["sequence"], done["previous"]) == (2, first)
    assert desk.verify(":production", "production")["digest"] == second
    assert "superseded: number 2" in desk.reasons(":1.0.0", "production")["stage"]

    back = desk.promote(f"@{first}", "production", "--reason", "rolled back")
    assert (back["sequence"], back["previous"]) == (3, second)
    assert desk.verify(":production", "production")["digest"] == first

    shown = desk.type("inspect", f"{desk.repository}:production", "--json").document
    history = [item["summary"] for item in shown["referrers"] if "production" in item["summary"]]
    assert any("number 3" in line and "rolled back" in line for line in history)
    assert any("number 2" in line for line in history)


def test_who_may_not_promote_is_refused_and_nothing_moves(desk: Desk) -> None:
    desk.release("1.0.0")
    refused = desk.promote(":1.0.0", "staging", who="stranger", status=1)
    message = refused["error"]["findings"][0]["message"]
    assert "approver or builder may promote to staging" in message
    desk.promote(":1.0.0", "staging")
    refused = desk.promote(":1.0.0", "production", who="builder", status=1)
    assert "did both" in unmet(refused["report"])["approver"]
    desk.type("inspect", f"{desk.repository}:production", status=2)


def test_an_old_image_behind_the_tag_is_refused(desk: Desk, tmp_path: Path) -> None:
    first, second = desk.release("1.0.0"), desk.release("2.0.0")
    for digest in (first, second):
        desk.promote(f"@{digest}", "staging")
        desk.promote(f"@{digest}", "production")

    desk.type("copy", f"{desk.repository}@{first}", f"{desk.repository}:production", "--replace",
              "--no-referrers")  # fmt: skip
    assert "superseded" in desk.reasons(":production", "production")["stage"]


def test_what_only_a_tag_says_is_no_promotion(desk: Desk) -> None:
    first = desk.release("1.0.0")
    desk.type("copy", f"{desk.repository}@{first}", f"{desk.repository}:staging", "--no-referrers")
    assert "stage" in desk.reasons(":staging", "staging")

    second = desk.release("2.0.0")
    desk.promote(f"@{second}", "staging", status=1)
    adopted = desk.promote(f"@{second}", "staging", "--adopt")
    assert adopted["previous"] == first
    assert [one["rule"] for one in adopted["findings"]] == ["promote.adopted"]


def test_a_number_that_was_seen_never_counts_back(desk: Desk) -> None:
    first, second = desk.release("1.0.0"), desk.release("2.0.0")
    desk.promote(f"@{first}", "staging")
    desk.promote(f"@{second}", "staging")
    # Somebody with the right to write removes what says that the first was replaced.
    shown = desk.type("inspect", f"{desk.repository}@{first}", "--json").document
    (notice,) = [one["digest"] for one in shown["referrers"] if "no more" in one["summary"]]
    name = reference.parse(f"{desk.repository}@{first}", at="IMAGE")
    assert isinstance(name, reference.Registry)
    WritableRepository(name, Settings(environment={}), deletes=True).delete_manifest(notice)
    desk.type("copy", f"{desk.repository}@{first}", f"{desk.repository}:staging",
              "--no-referrers", "--replace")  # fmt: skip

    reason = desk.reasons(":staging", "staging")["stage"]
    assert "replayed: its number is 1, and number 2 has been seen here" in reason


def test_a_stage_of_another_repository_is_none_of_this_one(
    desk: Desk, registry: RunningRegistry, tmp_path: Path
) -> None:
    first, second = desk.release("1.0.0"), desk.release("2.0.0")
    desk.promote(f"@{first}", "staging")
    own, other, layout = desk.repository, registry.repository(), tmp_path / "copied"
    # Somebody who may write to the other repository brings image and statements there.
    desk.type("copy", f"{own}:staging", f"{other}:staging")
    desk.type("copy", f"{own}:staging", f"oci:{layout}:staging")
    desk.repository = other
    found = desk.reasons(":staging", "staging")["stage"]
    assert found.startswith(f"staging is of `{own}`, not of `{other}`")
    assert "`stages.staging.repository` says" in found

    # A mirror is one by the policy, and nothing is promoted in it.
    policy = desk.root / "policy.toml"
    rules = POLICY.replace("[stages.staging]", f'[stages.staging]\nrepository = "{own}"')
    policy.write_text(rules, "utf-8")
    assert desk.verify(":staging", "staging")["digest"] == first
    refused = desk.promote(f"@{first}", "staging", status=2)
    assert f"is a stage of `{own}`" in refused["error"]["findings"][0]["message"]
    policy.write_text(POLICY, "utf-8")

    # With a stage of its own the other counts from 1 on, whatever happens in the first.
    done = desk.promote(f"@{first}", "staging")
    assert (done["sequence"], done["findings"][0]["rule"]) == (1, "promote.adopted")
    desk.repository = own
    desk.promote(f"@{second}", "staging")
    desk.type("copy", f"{own}@{first}", f"{other}:1.0.0")  # which its own repository replaced
    desk.repository = other
    assert desk.verify(":staging", "staging")["digest"] == first

    # Where there is no repository, it is the only one that there is, or nobody knows.
    verify = ("verify", f"oci:{layout}:staging", "--policy", policy, "--stage", "staging", "--json")
    assert desk.type(*verify).document["digest"] == first
    desk.type("copy", f"{other}:staging", f"oci:{layout}:staging")
    found = unmet(desk.type(*verify, status=1).document)["stage"]
    assert f"staging is of `{min(own, other)}` and `{max(own, other)}`" in found


@contextmanager
def listening(answer: bytes, status: int = 200) -> Iterator[tuple[str, list[bytes]]]:
    """Answer every request alike; yield the address and the bodies that came."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.do_GET()

        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/version", bodies
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_whoever_wants_it_is_told(desk: Desk) -> None:
    first = desk.release("1.0.0")
    with listening(b"") as (url, bodies):
        desk.promote(":1.0.0", "staging", "--notify", url)
    (event,) = [json.loads(body) for body in bodies]
    assert (event["event"], event["digest"], event["stage"]) == ("promoted", first, "staging")
    second = desk.release("2.0.0")
    with listening(b"", status=500) as (url, _):
        done = desk.promote(":2.0.0", "staging", "--notify", url)
    assert (done["digest"], done["findings"][0]["rule"]) == (second, "promote.notify")


def test_what_is_served_is_compared(desk: Desk) -> None:
    desk.release("1.0.0")
    desk.promote(":1.0.0", "staging")
    shown = desk.type("inspect", f"{desk.repository}:staging", "--json").document
    weights = shown["claims"]["weights"]
    right = json.dumps({"weights_digest": weights, "model": "tiny", "version": "1.0.0"}).encode()
    with listening(right) as (url, _):
        desk.verify(":staging", "staging", "--running", url)
    with listening(right.replace(b"1.0.0", b"0.9.0")) as (url, _):
        report = desk.verify(":staging", "staging", "--running", url, status=1)
    assert "version is `0.9.0`, not `1.0.0`" in unmet(report)["running"]
    with listening(b"{}") as (url, _):
        desk.verify(":staging", "staging", "--running", url, status=1)


def versions(desk: Desk, *options: object) -> dict[str, Any]:
    """Return what `prune` says, by the first tag of each version."""
    done = desk.type("prune", desk.repository, "--json", *options)
    return {one["tags"][0]: one for one in done.document["versions"]}


def test_old_versions_go_with_what_vouches_for_them_and_nothing_else(desk: Desk) -> None:
    digests = [desk.release(f"{number}.0.0", day=number) for number in range(1, 6)]
    desk.promote(f"@{digests[0]}", "staging")
    desk.promote(f"@{digests[1]}", "staging")

    said = versions(desk, "--keep", "1")
    stays = {tag: one["stays"] for tag, one in said.items() if one["stays"]}
    assert stays == {
        "1.0.0": "staging would be rolled back to it",
        "2.0.0": "it is staging",
        "5.0.0": "one of the newest 1",
    }
    assert [tag for tag, one in said.items() if not one["stays"]] == ["4.0.0", "3.0.0"]
    assert versions(desk, "--keep", "1") == said  # nothing went

    done = desk.type("prune", desk.repository, "--keep", "1", "--yes", "--json").document
    assert {*digests[2:4]} < {*done["removed"]}
    assert len(done["removed"]) > 2 * 4  # signature, provenance, SBOM, model: signed and bare
    assert sorted(versions(desk, "--keep", "1")) == ["1.0.0", "2.0.0", "5.0.0"]
    desk.verify(":staging", "staging")
    desk.type("verify", f"{desk.repository}:5.0.0", "--key", desk.root / "builder.pub", "--no-log")
    for gone in digests[2:4]:
        desk.type("inspect", f"{desk.repository}@{gone}", status=2)


def test_every_stage_of_an_image_can_be_rolled_back(desk: Desk) -> None:
    digests = [desk.release(f"{number}.0.0", day=number) for number in range(1, 5)]
    desk.promote(f"@{digests[0]}", "staging")
    desk.promote(f"@{digests[0]}", "production")
    desk.promote(f"@{digests[1]}", "staging")
    desk.promote(f"@{digests[2]}", "staging")
    desk.promote(f"@{digests[2]}", "production")  # after fewer moves than staging has had

    stays = {tag: one["stays"] for tag, one in versions(desk, "--keep", "1").items()}
    assert stays["1.0.0"] == "production would be rolled back to it"
    assert stays["2.0.0"] == "staging would be rolled back to it"


def test_who_promotes_sees_that_another_did_meanwhile(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = desk.release("1.0.0"), desk.release("2.0.0")
    sign = promote.sign

    def slowly(*words: Any, **options: Any) -> Any:
        monkeypatch.setattr(promote, "sign", sign)
        desk.promote(f"@{first}", "staging")
        return sign(*words, **options)

    monkeypatch.setattr(promote, "sign", slowly)
    refused = desk.promote(f"@{second}", "staging", status=1)
    assert "moved by another meanwhile" in refused["error"]["findings"][0]["message"]
    assert desk.verify(":staging", "staging")["digest"] == first
    assert desk.promote(f"@{second}", "staging")["sequence"] == 2


def test_what_is_young_stays_and_what_is_asked_for_must_be_said(desk: Desk) -> None:
    desk.release("1.0.0")
    assert versions(desk, "--older-than", "1d")["1.0.0"]["stays"] is None
    assert versions(desk, "--older-than", "99999d")["1.0.0"]["stays"] == "it is young"
    assert "--keep N" in desk.type("prune", desk.repository, status=2).err
    assert "HOST/NAME" in desk.type("prune", f"{desk.repository}:1", "--keep", "1", status=2).err

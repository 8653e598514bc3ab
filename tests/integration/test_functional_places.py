"""`modelpack test` of images in a registry and in an engine: the result is about their manifest."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelpack import reference
from modelpack.digest import Digest
from modelpack.oci.layout import Layout
from modelpack.trust import predicate_types, statement
from tests import projects
from tests.command_line import Done, run_here
from tests.fakes.fake_engine import FakeEngine, Script
from tests.functional_desk import GOLDEN, VERIFIED, in_process
from tests.registries import RunningRegistry, running
from tests.scripted_model import Model, served
from tests.sigstore.certificates import new_key, private_pem, public_pem

pytestmark = pytest.mark.integration

TEST = '[sign]\nrequire = ["test"]\n[test]\ngolden = ["golden/*.json"]\nduration = "60ms"\n'
POLICY = """\
schema = 1
log = false
[signers.us]
key = "key.pub"
[signature]
signers = ["us"]
[test]
"""


@pytest.fixture(scope="module")
def registry(
    tmp_path_factory: pytest.TempPathFactory, go_tool: Callable[[str], str],
    require_tool: Callable[[str], str],
) -> Iterator[RunningRegistry]:  # fmt: skip
    folder = tmp_path_factory.mktemp("registry")
    with running("distribution-3", folder, go_tool=go_tool, require_tool=require_tool) as started:
        yield started


class Desk:
    """A built project, an engine that runs scripts, a key, and commands about them."""

    def __init__(self, root: Path, fake: FakeEngine, type_: Callable[..., Done]) -> None:
        self.root, self.folder, self.fake, self._type = root, root / "project", fake, type_
        (self.folder / "golden").mkdir()
        (self.folder / "golden" / "one.json").write_text(json.dumps(GOLDEN))
        key = new_key()
        (root / "key.pem").write_bytes(private_pem(key))
        (root / "key.pub").write_bytes(public_pem(key.public_key()))
        (root / "policy.toml").write_text(POLICY)
        self.toml(8080)
        self.built = self.type("build", self.folder, "--locked", "--offline", "--json").document

    def toml(self, port: int) -> None:
        whole = projects.TOML.replace("[runtime]\n", f"[runtime]\nport = {port}\n")
        (self.folder / "modelpack.toml").write_text(whole + TEST)

    def type(self, *words: object, status: int = 0) -> Done:
        done = self._type(*words)
        assert done.status == status, done.err + done.out
        return done

    def test(
        self, image: str, *options: object, status: int = 0, model: Model | None = None
    ) -> Done:
        with served(model or Model()) as port:
            self.toml(port)
            self.fake.script = Script(serves=True, stderr=VERIFIED + b"\n", answers=in_process)
            file = self.folder / "modelpack.toml"
            done = self._type("test", image, "--file", file, *options)
        assert done.status == status, done.err + done.out
        return done

    def archive(self) -> bytes:
        place = self.root / "image.tar"
        self.type("copy", self.folder, f"docker-archive:{place}")
        return place.read_bytes()


@pytest.fixture
def desk(
    tmp_path: Path, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Desk:  # fmt: skip
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MODELPACK_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    monkeypatch.setenv("DOCKER_HOST", fake.url)
    projects.make_project(tmp_path / "project", tmp_path / "cache")
    return Desk(tmp_path, fake, lambda *words: run_here(capsys, *words))


def test_an_image_in_a_registry_is_tested_signed_and_verified(
    desk: Desk, registry: RunningRegistry
) -> None:
    digest = desk.built["digest"]
    name = f"{registry.repository()}:1.0.0"
    desk.type("push", desk.folder, name)
    place = reference.parse(name)
    assert isinstance(place, reference.Registry)
    desk.fake.pullable[f"{place.name}@{digest}"] = desk.archive()
    key = ("--key", desk.root / "key.pem", "--no-log")
    file = ("--file", desk.folder / "modelpack.toml")
    desk.type("sign", name, *key, *file, status=1)  # nobody has tested it

    without = desk.test(name, "--json")
    assert "`--attach` does" in without.err
    assert without.document["digest"] == digest
    desk.type("sign", name, *key, *file, status=1)

    kept = desk.test(name, "--json", "--attach").document
    signed = desk.type("sign", name, *key, *file, "--json").document
    proved = desk.type("verify", name, "--policy", desk.root / "policy.toml", "--json").document

    assert kept["statement"] in {
        one["digest"] for image in signed["images"] for one in image["statements"]
    }
    met = {one["name"]: one for one in proved["judged"][0]["requirements"]}
    assert met["test"]["outcome"] == "met"
    pulls = [one for one in desk.fake.requests if one == "POST /images/create"]
    assert len(pulls) == 1  # by digest, once: what the tag stands for in the engine is not asked

    # What fails takes its place, is signed neither here nor taken for a yes.
    desk.test(name, "--attach", status=1, model=Model(factor=3.0))
    assert "`test` did not pass" in desk.type("sign", name, *key, *file, status=1).err


def test_another_image_under_the_name_in_the_engine_is_not_mistaken_for_it(
    desk: Desk, registry: RunningRegistry
) -> None:
    name = f"{registry.repository()}:1.0.0"
    desk.type("push", desk.folder, name)
    right = desk.archive()
    place = reference.parse(name)
    assert isinstance(place, reference.Registry)
    (desk.folder / "service" / "__main__.py").write_bytes(b'print("other")\n')
    desk.type("build", desk.folder, "--locked", "--offline", "--tag", name, "--load")
    (other,) = desk.fake.images
    desk.fake.pullable[f"{place.name}@{desk.built['digest']}"] = right

    done = desk.test(name, "--json")

    assert done.document["digest"] == desk.built["digest"]
    assert done.document["image"] != other
    assert done.document["image"] == desk.built["images"][0]["config"]

    desk.fake.pullable[f"{place.name}@{desk.built['digest']}"] = desk.fake.images[other]
    del desk.fake.names[f"{place.name}@{desk.built['digest']}"]
    refused = desk.test(name, status=3)
    assert "the engine has another image as" in refused.err


def test_an_image_of_an_engine_is_known_by_the_record_of_its_build(desk: Desk) -> None:
    desk.type("build", desk.folder, "--locked", "--offline", "--load")
    digest = Digest(desk.built["digest"])

    done = desk.test("docker-daemon:tiny:1.0.0", "--json")

    assert done.document["digest"] == digest
    kept = Layout(desk.folder / "dist" / "image").referrers(digest)
    types = {one.annotations.get(statement.PREDICATE_TYPE) for one in kept}
    assert predicate_types.TEST in types
    desk.type("sign", desk.folder, "--key", desk.root / "key.pem", "--no-log")


def test_an_image_of_an_engine_that_nobody_knows_gets_a_report_and_no_statement(
    desk: Desk,
) -> None:
    desk.type("build", desk.folder, "--locked", "--offline", "--load")
    (desk.folder / "dist" / "build.json").unlink()

    done = desk.test("docker-daemon:tiny:1.0.0", "--json")
    refused = desk.test("docker-daemon:tiny:1.0.0", "--attach", status=2)

    assert done.document["digest"] is None
    assert done.document["statement"] is None
    for err in (done.err, refused.err):
        assert "nothing here says which manifest that belongs to: no statement is made" in err


def test_an_engine_with_containerds_store_tells_the_manifest_itself(desk: Desk) -> None:
    desk.type("build", desk.folder, "--locked", "--offline", "--load")
    (desk.folder / "dist" / "build.json").unlink()
    manifest = Layout(desk.folder / "dist" / "image").resolve(desk.built["digest"])
    desk.fake.descriptors = {desk.built["images"][0]["config"]: manifest.as_json()}

    document = desk.test("docker-daemon:tiny:1.0.0", "--json").document

    assert document["digest"] == desk.built["digest"]
    assert document["statement"] is not None

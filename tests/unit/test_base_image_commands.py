"""`lock`, `build`, `check`, `plan` and `inspect` of a project whose base is in a registry."""

import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from base_images import PATH, debian, file, image, layer
from command_line import Done, run_here
from fakes.registry_server import RegistryServer, running_registry
from projects import CODE, TOML, WEIGHTS

from modelpack.digest import of as digest_of
from modelpack.oci.layer import TAR_GZIP
from modelpack.oci.layout import Layout

FIRST = image(debian(), layer(file("usr/bin/bash")), run={"Env": [PATH, "FOO=bar"]})
SECOND = image(debian("3.13.6"), layer(file("usr/bin/bash")))

Command = Callable[..., Done]


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with running_registry() as running:
        FIRST.put(running, "acme/python", "3.13")
        yield running


@pytest.fixture
def folder(tmp_path: Path, registry: RegistryServer) -> Path:
    folder = tmp_path / "project"
    for name, data in {**CODE, **{f"weights/{k}": v for k, v in WEIGHTS.items()}}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    write(folder, registry)
    return folder


def write(
    folder: Path, registry: RegistryServer, *, bytecode: str = "auto", more: str = ""
) -> None:
    text = TOML.partition("[runtime]")[0]
    base = f"{registry.address}/acme/python:3.13"
    text += f'[runtime]\nbase = "{base}"\nbytecode = "{bytecode}"\n{more}'
    (folder / "modelpack.toml").write_text(text, "utf-8")


@pytest.fixture
def command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MODELPACK_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    def run(*arguments: object) -> Done:
        return run_here(capsys, *arguments)

    return run


def config_of(folder: Path) -> Any:
    layout = Layout(folder / "dist" / "image")
    manifest = layout.image(layout.resolve("").digest)
    assert manifest.config is not None
    return json.loads(layout.read(manifest.config))


def test_a_base_is_locked_and_built_with_its_own_layers(
    command: Command, folder: Path, registry: RegistryServer
) -> None:
    locked = command("lock", folder)
    assert locked.status == 0, locked.err
    assert f"base {registry.address}/acme/python:3.13@{FIRST.digest} added" in locked.out
    assert len(locked.messages) == 2
    built = command("build", folder, "--json", "--no-cache").document
    layers = built["layers"]
    assert [one["digest"] for one in layers[:2]] == [digest_of(data) for data in FIRST.layers]
    assert [one["step"] for one in layers] == ["base", "base", "weights", "code", "meta"]
    assert layers[0]["media_type"] == TAR_GZIP
    config = config_of(folder)
    assert [step["created_by"] for step in config["history"]][:3] == [
        "modelpack base", "modelpack base", "modelpack weights",
    ]  # fmt: skip
    variables = dict(item.split("=", 1) for item in config["config"]["Env"])
    assert variables["PATH"] == f"/opt/venv/bin:{PATH.removeprefix('PATH=')}"
    assert variables["SSL_CERT_FILE"] == "/etc/ssl/certs/ca-certificates.crt"
    assert variables["LOGNAME"] == "app"
    assert "FOO" not in variables
    assert config["config"]["Entrypoint"][0] == "/usr/bin/python3.13"
    labels = config["config"]["Labels"]
    assert labels["org.opencontainers.image.base.digest"] == FIRST.digest


def test_a_tag_that_moves_changes_nothing_until_the_base_is_upgraded(
    command: Command, folder: Path, registry: RegistryServer
) -> None:
    command("lock", folder)
    before = command("build", folder, "--no-cache").out
    SECOND.put(registry, "acme/python", "3.13")
    assert command("build", folder, "--no-cache").out == before
    assert command("lock", folder).out == "nothing moved\n"
    moved = command("lock", folder, "--upgrade", "base").out.splitlines()
    name = f"{registry.address}/acme/python:3.13"
    assert moved == [
        f"linux/amd64 base {name} {FIRST.digest} -> {SECOND.digest}",
        "linux/amd64 base python 3.13.5 -> 3.13.6",
    ]
    assert command("build", folder, "--no-cache").out != before


def test_a_code_only_build_asks_for_no_layer_of_the_base(
    command: Command, folder: Path, registry: RegistryServer, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    command("lock", folder)
    assert command("build", folder).status == 0
    (folder / "service" / "__main__.py").write_text("print('other')\n", "utf-8")
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "empty"))
    registry.asked.clear()
    done = command(
        "build", folder, "--offline", "--output", f"oci:{folder}/dist/image",
        "--output", f"docker-archive:{tmp_path}/image.tar",
    )  # fmt: skip
    assert done.status == 0, done.err
    assert registry.asked == []
    alone = command("build", folder, "--offline", "--output", f"oci:{tmp_path}/other")
    assert alone.status == 3
    assert "is not in the cache" in alone.err
    assert "run once without `--offline`" in alone.err


def test_a_damaged_download_is_had_again(
    command: Command, folder: Path, registry: RegistryServer, tmp_path: Path
) -> None:
    command("lock", folder)
    (path,) = tmp_path.glob(f"cache/downloads/sha256/{digest_of(FIRST.layers[0])[7:]}")
    path.write_bytes(b"damaged")
    assert command("build", folder).status == 0
    assert path.read_bytes() == FIRST.layers[0]


def test_a_missing_layer_and_a_missing_image_are_one_clear_message(
    command: Command, folder: Path, registry: RegistryServer
) -> None:
    digest = digest_of(FIRST.layers[1])
    blob = registry.content.pop(f"acme/python/blobs/{digest}")
    done = command("lock", folder)
    assert done.status == 3
    (message,) = done.messages
    assert message == (
        f"error: {registry.address}/acme/python:3.13: `{registry.address}` has no blob {digest}: "
        "UNKNOWN there is no such thing"
    )
    registry.content[f"acme/python/blobs/{digest}"] = blob
    registry.content.pop("acme/python/manifests/3.13")
    done = command("lock", folder)
    assert done.status == 2
    assert "has no image `3.13`" in done.messages[0]


def test_who_is_not_let_in_is_told_once(
    command: Command, folder: Path, registry: RegistryServer
) -> None:
    registry.auth = "basic"
    done = command("lock", folder)
    assert done.status == 3
    assert len(done.messages) == 1
    assert "without credentials (status 401)" in done.messages[0]
    assert f"modelpack login {registry.address}, or docker login" in done.err


def test_check_tells_again_what_is_in_the_base(
    command: Command, folder: Path, registry: RegistryServer, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    command("lock", folder)
    registry.asked.clear()
    found = command("check", folder, "--json").document["findings"]
    assert [one["rule"] for one in found] == ["base.shell"]
    monkeypatch.setenv("MODELPACK_CACHE", str(tmp_path / "empty"))
    found = command("check", folder, "--json").document["findings"]
    assert [one["rule"] for one in found] == ["base.unknown"]
    assert registry.asked == []


@pytest.mark.parametrize("arguments", [("lock",), ("build",), ("check",), ("build", "--locked")])
def test_a_base_that_is_not_allowed_is_refused_before_anything_is_asked(
    command: Command, folder: Path, registry: RegistryServer, tmp_path: Path,
    arguments: tuple[str, ...],
) -> None:  # fmt: skip
    if "--locked" in arguments:
        command("lock", folder)
    (tmp_path / "config.toml").write_text(
        '[bases]\nallow = ["docker.io/library/python"]\n', "utf-8"
    )
    registry.asked.clear()
    done = command(*arguments, folder)
    assert done.status == 1
    assert [line for line in done.messages if line.startswith("error: ")] == done.messages[:1]
    assert "is not among the bases that this machine allows" in done.messages[0]
    assert registry.asked == []


def test_docker_hub_is_read_from_a_mirror(
    command: Command, folder: Path, registry: RegistryServer, tmp_path: Path
) -> None:
    FIRST.put(registry, "hub/library/python", "3.13")
    (tmp_path / "config.toml").write_text(
        f'[registries.mirrors]\n"docker.io" = "{registry.address}/hub"\n', "utf-8"
    )
    write(folder, registry)
    text = (folder / "modelpack.toml").read_text("utf-8")
    text = text.replace(f"{registry.address}/acme/python:3.13", "python:3.13")
    (folder / "modelpack.toml").write_text(text, "utf-8")
    locked = command("lock", folder)
    assert f"base docker.io/library/python:3.13@{FIRST.digest} added" in locked.out


def test_bytecode_of_a_foreign_interpreter_is_for_another_builder(
    command: Command, folder: Path, registry: RegistryServer
) -> None:
    command("lock", folder)
    assert '"bytecode": "none"' in (folder / "modelpack.lock").read_text("utf-8")
    write(folder, registry, bytecode="unchecked-hash")
    assert "bytecode none -> unchecked-hash" in command("lock", folder).out
    # Nothing is compiled without wheels: the base is as it is.
    assert command("build", folder).status == 0


def test_packages_are_for_assembled_bases(
    command: Command, folder: Path, registry: RegistryServer
) -> None:
    write(folder, registry, more='packages = ["libgomp1"]\n')
    done = command("lock", folder)
    assert done.status == 2
    assert "are for a base that is assembled from packages" in done.err


def test_what_is_in_the_way_of_ours_is_refused(
    command: Command, folder: Path, registry: RegistryServer
) -> None:
    image(debian(), layer(file("models/tiny/x"))).put(registry, "acme/python", "3.13")
    done = command("lock", folder)
    assert done.status == 2
    assert "has files of its own in `/models/tiny`" in done.messages[0]


def test_plan_and_inspect_name_the_layers_of_the_base(
    command: Command, folder: Path, registry: RegistryServer
) -> None:
    command("lock", folder)
    name = f"{registry.address}/acme/python:3.13"
    steps = command("plan", folder, "--json").document["plans"][0]["steps"]
    assert [(one["name"], one["state"]) for one in steps[:2]] == [
        (f"{name} 1/2", "write"), (f"{name} 2/2", "write"),
    ]  # fmt: skip
    command("build", folder)
    steps = command("plan", folder, "--json").document["plans"][0]["steps"]
    assert [one["state"] for one in steps[:2]] == ["reuse", "reuse"]
    shown = command("inspect", folder, "--json").document
    assert [one["content"] for one in shown["layers"][:2]] == [f"{name}, 1 of 2", f"{name}, 2 of 2"]
    assert shown["findings"] == []
    assert shown["claims"]["base_digest"] == FIRST.digest


def test_the_last_layer_makes_a_home(command: Command, folder: Path) -> None:
    command("lock", folder)
    command("build", folder, "--output", f"oci-archive:{folder}/a.tar")
    with tarfile.open(folder / "a.tar") as archive:
        index = json.load(archive.extractfile("index.json"))  # type: ignore[arg-type]
        manifest = json.load(
            archive.extractfile(f"blobs/sha256/{index['manifests'][0]['digest'][7:]}")  # type: ignore[arg-type]
        )
        meta = archive.extractfile(f"blobs/sha256/{manifest['layers'][-1]['digest'][7:]}")
        with tarfile.open(fileobj=meta) as inner:
            home = inner.getmember("home/app")
    assert (home.mode, home.uid, home.gid) == (0o775, 10001, 0)


STATUS = (
    b"Package: zlib1g\nStatus: install ok installed\nVersion: 1:1.3\nArchitecture: amd64\n"
    b"Source: zlib\n\nPackage: gone\nStatus: install ok installed\nVersion: 1\n"
)
COPYRIGHT = (
    b"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"
    b"Files: *\nLicense: Zlib\n"
)
PIP = "usr/local/lib/python3.13/site-packages/pip-25.0.dist-info/METADATA"
DESCRIBED = image(
    debian(),
    layer(
        file("var/lib/dpkg/status", STATUS), file("usr/share/doc/zlib1g/copyright", COPYRIGHT),
        file(PIP, b"Name: pip\nVersion: 25.0\nLicense-Expression: MIT\n"),
        file("etc/os-release", b"ID=debian\nVERSION_ID=13\n"),
    ),
    layer(file("var/lib/dpkg/status", STATUS.partition(b"\n\n")[0])),
)  # fmt: skip


def test_the_sbom_lists_what_the_base_says_that_it_holds(
    command: Command, folder: Path, registry: RegistryServer
) -> None:
    DESCRIBED.put(registry, "acme/python", "3.13")
    assert command("lock", folder).status == 0
    assert command("build", folder).status == 0
    bom = command("sbom", folder).document
    found = {component["bom-ref"]: component for component in bom["components"]}

    zlib = found["pkg:deb/debian/zlib1g@1:1.3?arch=amd64&distro=debian-13"]
    assert [item["license"]["id"] for item in zlib["licenses"]] == ["Zlib"]
    assert not [ref for ref in found if "gone" in ref]
    assert found[f"pkg:pypi/pip@25.0#{PIP}"]["version"] == "25.0"
    assert found["base"]["version"] == DESCRIBED.digest
    assert found["base"]["name"] == f"{registry.address}/acme/python"
    assert bom["compositions"] == []
    again = command("sbom", folder, "--format", "spdx").document
    assert {"zlib1g", "pip"} <= {package["name"] for package in again["packages"]}


def test_the_sbom_says_that_it_is_not_whole_where_the_base_lists_nothing(
    command: Command, folder: Path
) -> None:
    command("lock", folder)
    assert command("build", folder).status == 0
    bom = command("sbom", folder).document
    assert bom["compositions"] == [{"aggregate": "incomplete", "assemblies": ["image"]}]


APK = (
    b"P:glibc\nV:2.41-r1\nA:x86_64\nL:LGPL-2.1-or-later\no:glibc\np:so:libc.so.6=6\n\n"
    b"P:zlib\nV:1.3.1-r2\nA:x86_64\nL:Zlib\no:zlib-src\nD:so:libc.so.6\n"
)


def test_the_sbom_lists_what_apk_says_that_a_base_holds(
    command: Command, folder: Path, registry: RegistryServer
) -> None:
    wolfi = image(debian(), layer(
        file("usr/lib/apk/db/installed", APK),
        file("etc/os-release", b"ID=wolfi\nVERSION_ID=20230201\n"),
    ))  # fmt: skip
    wolfi.put(registry, "acme/python", "3.13")
    command("lock", folder)
    assert command("build", folder).status == 0
    bom = command("sbom", folder).document
    found = {component["bom-ref"]: component for component in bom["components"]}
    zlib = found["pkg:apk/wolfi/zlib@1.3.1-r2?arch=x86_64&distro=wolfi-20230201"]
    assert [item["license"]["id"] for item in zlib["licenses"]] == ["Zlib"]
    said = {item["name"]: item["value"] for item in zlib["properties"]}
    assert said["aquasecurity:trivy:SrcName"] == "zlib-src"
    (needs,) = [one["dependsOn"] for one in bom["dependencies"] if one["ref"] == zlib["bom-ref"]]
    assert needs == ["pkg:apk/wolfi/glibc@2.41-r1?arch=x86_64&distro=wolfi-20230201"]
    assert bom["compositions"] == []


def test_packages_of_rpm_are_not_listed_and_that_is_said(
    command: Command, folder: Path, registry: RegistryServer
) -> None:
    database = "var/lib/rpm/rpmdb.sqlite"
    rpm = image(debian(), layer(file(database), file("etc/os-release", b"ID=rhel\n")))
    rpm.put(registry, "acme/python", "3.13")
    command("lock", folder)
    done = command("build", folder, "--json")
    assert done.status == 0
    (finding,) = [one for one in done.document["findings"] if one["rule"] == "sbom.unread"]
    assert (finding["at"], finding["severity"]) == (f"/{database}", "warning")
    bom = command("sbom", folder).document
    assert bom["compositions"] == [{"aggregate": "incomplete", "assemblies": ["image"]}]
    said = bom["metadata"]["component"]["properties"]
    assert {"name": "modelpack:unread", "value": f"/{database}"} in said
    spdx = command("sbom", folder, "--format", "spdx").document
    assert f"/{database}" in spdx["creationInfo"]["comment"]
    shown = command("inspect", folder, "--json").document["referrers"]
    assert [one["sbom"]["complete"] for one in shown if one["what"] == "sbom"] == [False]


def test_the_provenance_names_the_base_and_its_layers(command: Command, folder: Path) -> None:
    command("lock", folder)
    assert command("build", folder).status == 0
    said = json.loads((folder / "dist" / "provenance.json").read_bytes())
    inputs = said["predicate"]["buildDefinition"]["resolvedDependencies"]
    base = [item["digest"]["sha256"] for item in inputs if item["annotations"]["role"] == "base"]
    assert f"sha256:{base[0]}" == FIRST.digest
    assert len(base) == 2 + len(config_of(folder)["rootfs"]["diff_ids"]) - 3

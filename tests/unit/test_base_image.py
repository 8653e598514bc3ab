"""An image from a registry becomes a base: pinned by digest, looked into, or refused in words."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from base_images import (
    PATH,
    MadeImage,
    debian,
    elf,
    file,
    folder,
    image,
    index,
    layer,
    libc,
    link,
    packed,
)
from fakes.registry_server import Fault, RegistryServer, running_registry
from projects import machine_of

from modelpack.digest import of as digest_of
from modelpack.errors import Finding, InputError, ModelpackError, Refused, Unavailable
from modelpack.inputs.base_image import files
from modelpack.inputs.base_image.resolving import Lookup, Resolved
from modelpack.inputs.machine import Machine
from modelpack.oci.layer import TAR, TAR_GZIP, TAR_ZSTD
from modelpack.platform import Platform

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
PLACES = ("/opt/venv", "/app", "/models/digits")
PYTHON = debian()


@pytest.fixture
def registry() -> Iterator[RegistryServer]:
    with running_registry() as running:
        yield running


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return replace(machine_of(tmp_path / "cache"), offline=False)


def resolve(
    name: str, machine: Machine, *, platform: Platform = AMD64, python: str = "",
    places: tuple[str, ...] = PLACES,
) -> Resolved:  # fmt: skip
    return Lookup(name, machine=machine).resolve(platform, python=python, places=places)


def refusal(made: MadeImage, registry: RegistryServer, machine: Machine, **how: Any) -> Finding:
    """Return what is said of an image that cannot be a base."""
    name = made.put(registry, "acme/base", "1")
    with pytest.raises(ModelpackError) as caught:
        resolve(name, machine, **how)
    return caught.value.findings[0]


@pytest.mark.parametrize("docker", [True, False])
def test_an_image_is_pinned_with_its_layers_and_its_python(
    registry: RegistryServer, machine: Machine, docker: bool
) -> None:
    empty = bytes(1024)
    compress = packed if docker else bytes
    made = image(PYTHON, empty, docker=docker, compress=compress)
    name = made.put(registry, "library/python", "3.13")
    found = resolve(name, machine)
    assert found.base.reference == name
    assert found.base.digest == made.digest
    assert found.base.config == digest_of(made.config)
    assert [(one.digest, one.diff_id, one.size, one.media_type) for one in found.base.layers] == [
        (digest_of(compress(data)), digest_of(data), len(compress(data)),
         TAR_GZIP if docker else TAR)
        for data in (PYTHON, empty)
    ]  # fmt: skip
    assert found.base.environment == (
        PATH, "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"
    )  # fmt: skip
    assert found.interpreter.version == "3.13.5"
    assert found.interpreter.path == "/usr/bin/python3.13"
    assert found.interpreter.glibc == "2.41"
    assert found.epoch == 1_767_323_045
    assert found.findings == ()


def test_the_platform_is_taken_from_an_index_and_the_tag_asked_for_once(
    registry: RegistryServer, machine: Machine
) -> None:
    made = {
        name: image(debian(architecture=name), architecture=name) for name in ("arm64", "amd64")
    }
    for one in made.values():
        one.put(registry, "acme/base", "none")
    attestation = {
        **json.loads(index({"unknown": made["amd64"]}))["manifests"][0],
        "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
    }
    registry.put("acme/base", index(made, extra=[attestation]), "1", blobs=())
    lookup = Lookup(f"{registry.address}/acme/base:1", machine=machine)
    for platform in (AMD64, ARM64):
        found = lookup.resolve(platform, python="3.13", places=PLACES)
        assert found.base.digest == made[platform.architecture].digest
    assert [path for path in registry.paths() if path.endswith("manifests/1")] == [
        "/v2/acme/base/manifests/1"
    ]


def test_a_platform_that_is_not_there_is_said_with_those_that_are(
    registry: RegistryServer, machine: Machine
) -> None:
    made = image(PYTHON)
    made.put(registry, "acme/base", "amd64")
    registry.put("acme/base", index({"amd64": made}), "1", blobs=())
    for tag, words in (("1", "has no image for linux/arm64"), ("amd64", "is for linux/amd64, not")):
        with pytest.raises(InputError, match=words):
            resolve(f"{registry.address}/acme/base:{tag}", machine, platform=ARM64)


def test_nothing_is_looked_into_or_loaded_twice(registry: RegistryServer, machine: Machine) -> None:
    name = image(PYTHON).put(registry, "acme/base", "1")
    first = resolve(name, machine)
    registry.asked.clear()
    assert resolve(name, machine) == first
    assert registry.paths() == ["/v2/acme/base/manifests/1"]
    pinned = f"{name}@{first.base.digest}"
    registry.asked.clear()
    offline = replace(machine, offline=True)
    assert resolve(pinned, offline).base.layers == first.base.layers
    assert registry.asked == []
    with pytest.raises(Unavailable, match="not locked"):
        resolve(name, offline)


def test_a_locked_base_is_had_again_as_files(registry: RegistryServer, machine: Machine) -> None:
    made = image(PYTHON, layer(file("a")))
    base = resolve(made.put(registry, "acme/base", "1"), machine).base
    found = files.fetch(base, machine=replace(machine, offline=True))
    assert found.config == made.config
    assert [found.layers[one.digest].read_bytes() for one in base.layers] == list(made.layers)
    # On another machine: by digest, whatever became of the tag.
    registry.content["acme/base/manifests/1"] = ("text/plain", b"moved")
    other = replace(machine_of(machine.cache / "other"), offline=False)
    assert files.fetch(base, machine=other).config == made.config
    wanted = [base.layers[1].digest]
    third = replace(machine_of(machine.cache / "third"), offline=False)
    registry.asked.clear()
    assert list(files.layers(base, machine=third, wanted=wanted)) == wanted
    assert [path.rpartition("/")[2] for path in registry.paths()] == wanted


def test_every_layer_that_is_missing_offline_is_named(
    registry: RegistryServer, machine: Machine
) -> None:
    base = resolve(image(PYTHON, layer(file("a"))).put(registry, "acme/base", "1"), machine).base
    with pytest.raises(Unavailable) as caught:
        files.layers(base, machine=machine_of(machine.cache / "empty"))
    for one, found in zip(base.layers, caught.value.findings, strict=True):
        assert one.digest in found.message
    assert "without `--offline`" in caught.value.findings[0].hint


def test_a_layer_that_is_another_one_is_refused(registry: RegistryServer, machine: Machine) -> None:
    made = image(PYTHON)
    name = made.put(registry, "acme/base", "1")
    digest = digest_of(made.layers[0])
    registry.faults[f"acme/base/blobs/{digest}"] = Fault(content=made.layers[0][:-1] + b"?")
    with pytest.raises(Refused, match=f"instead of `{digest.removeprefix('sha256:')}`"):
        resolve(name, machine)
    del registry.content[f"acme/base/blobs/{digest}"]
    with pytest.raises(Unavailable, match=f"has no blob {digest}"):
        resolve(name, machine)


def test_diff_ids_that_lie_are_refused(registry: RegistryServer, machine: Machine) -> None:
    rootfs = {"type": "layers", "diff_ids": [digest_of(b"other")]}
    found = refusal(image(PYTHON, rootfs=rootfs), registry, machine)
    assert "the configuration says" in found.message
    found = refusal(image(PYTHON, rootfs={"diff_ids": []}), registry, machine)
    assert "1 layers and 0 diff_ids" in found.message


@pytest.mark.parametrize(
    ("members", "message", "hint"),
    [
        ((), "holds no CPython in its PATH", "python:3.13-slim"),
        ((file("usr/bin/python3.13", elf(b"3.13.5")),), "lacks its standard library", "whole"),
        ((file("lib/ld-musl-x86_64.so.1"),), "has musl", "not `-alpine`"),
        ((file("usr/bin/python3.13", elf()), file("usr/lib/python3.13/os.py")),
         "no C library", ""),
        ((file("usr/bin/python3.13", elf()), file("usr/lib/python3.13/os.py"),
          file("lib64/libc.so.6", libc())), "which version", "not changed"),
        ((file("usr/bin/python3.8", elf(b"3.8.1")), file("usr/lib/python3.8/os.py"),
          file("lib64/libc.so.6", libc())), "3.9 or newer", ""),
        ((file("usr/bin/python3.13", elf(b"3.13.5", "arm64")), file("usr/lib/python3.13/os.py"),
          file("lib64/libc.so.6", libc())), "is for aarch64, the image is linux/amd64", ""),
        ((file("usr/bin/python3.13", b"#!"), file("usr/lib/python3.13/os.py"),
          file("usr/include/python3.13/patchlevel.h", b'#define PY_VERSION "3.13.5"'),
          file("lib64/libc.so.6", libc())), "is for no machine that we know", ""),
    ],
)  # fmt: skip
def test_an_image_that_cannot_be_a_base_says_why(
    registry: RegistryServer, machine: Machine, members: Any, message: str, hint: str
) -> None:
    found = refusal(image(layer(folder("etc"), *members)), registry, machine)
    assert message in found.message
    assert hint in found.hint
    assert found.at == "runtime.base"


def test_a_cuda_base_without_python_gets_a_hint_of_its_own(
    registry: RegistryServer, machine: Machine
) -> None:
    name = image(layer(file("lib64/libc.so.6", libc()))).put(registry, "nvidia/cuda", "12.8.1")
    with pytest.raises(InputError) as caught:
        resolve(name, machine)
    assert "wheels that bring CUDA" in caught.value.findings[0].hint


def several() -> bytes:
    return layer(
        *(item for minor in (11, 13) for item in (
            file(f"usr/bin/python3.{minor}", elf(f"3.{minor}.2".encode())),
            file(f"usr/lib/python3.{minor}/os.py"),
        )),
        file("lib64/libc.so.6", libc()),
    )  # fmt: skip


def test_of_several_pythons_the_wanted_one_is_taken(
    registry: RegistryServer, machine: Machine
) -> None:
    name = image(several()).put(registry, "acme/base", "1")
    assert resolve(name, machine, python="3.11").interpreter.version == "3.11.2"
    for python, message, hint in (
        ("", "has several Pythons, 3.11.2, 3.13.2", 'python = "3.11"'),
        ("3.12", "has Python 3.11.2, 3.13.2, not 3.12", 'python = "3.11"'),
    ):
        with pytest.raises(InputError, match=message) as caught:
            resolve(name, machine, python=python)
        assert hint in caught.value.findings[0].hint


def test_of_several_pythons_python3_is_taken(registry: RegistryServer, machine: Machine) -> None:
    made = image(several(), layer(link("usr/local/bin/python3", "/usr/bin/python3.13")))
    assert resolve(made.put(registry, "acme/base", "1"), machine).interpreter.version == "3.13.2"


@pytest.mark.parametrize(
    ("member", "place"),
    [
        (file("opt/venv/lib/python3.13/site-packages/evil.py"), "/opt/venv"),
        (file("app/service/__init__.py"), "/app"),
        (link("models", "/data"), "/models/digits"),
        (file("models/digits/extra/x.safetensors"), "/models/digits"),
    ],
)
def test_what_lies_where_ours_will_be_is_refused(
    registry: RegistryServer, machine: Machine, member: Any, place: str
) -> None:
    found = refusal(image(PYTHON, layer(member)), registry, machine)
    assert found.rule == "base.occupied"
    assert place in found.message


def test_empty_folders_and_neighbours_are_not_in_the_way(
    registry: RegistryServer, machine: Machine
) -> None:
    more = layer(
        folder("app"), folder("models/digits"), file("models/other/x"), file("opt/venv2/x"),
        file("application/x"),
    )  # fmt: skip
    assert resolve(image(PYTHON, more).put(registry, "acme/base", "1"), machine)


def test_what_helps_intruders_is_a_warning(registry: RegistryServer, machine: Machine) -> None:
    more = layer(
        *(file(f"usr/bin/{name}") for name in ("bash", "dash", "rbash", "zsh", "fish", "gcc")),
        file("usr/bin/apt"), file("usr/bin/su", mode=0o4755), folder("var/x", mode=0o777),
    )  # fmt: skip
    found = resolve(image(PYTHON, more).put(registry, "acme/base", "1"), machine).findings
    assert {one.rule: one.severity for one in found} == dict.fromkeys(
        ("base.shell", "base.package-manager", "base.compiler", "base.setuid", "base.writable"),
        "warning",
    )
    assert "`/usr/bin/rbash` and 1 more" in found[0].message


def test_the_environment_goes_through_an_allow_list(
    registry: RegistryServer, machine: Machine
) -> None:
    run = {
        "Env": [
            PATH, "LANG=de_CH.UTF-8", "LC_ALL=C", "LD_LIBRARY_PATH=/usr/local/cuda/lib64",
            "NVIDIA_REQUIRE_CUDA=cuda>=12.8", "NVIDIA_VISIBLE_DEVICES=all", "CUDA_VERSION=12.8.1",
            "NV_CUDNN_VERSION=9", "PYTHON_VERSION=3.13.5", "GPG_KEY=x", "HOME=/root",
            "LD_PRELOAD=/evil.so", "PYTHONPATH=/evil", "SSL_CERT_FILE=/missing", "TZ=UTC",
            "1x=odd", "NOVALUE", "PIP_INDEX_URL=https://me:secret@index",
        ],
        "Labels": {"maintainer": "x"}, "Volumes": {"/data": {}}, "User": "app",
        "Entrypoint": ["/entry.sh", "run"], "Cmd": ["python3"], "ExposedPorts": {"1/tcp": {}},
    }  # fmt: skip
    found = resolve(image(PYTHON, run=run).put(registry, "acme/base", "1"), machine)
    assert found.base.environment == (
        "CUDA_VERSION=12.8.1", "LANG=de_CH.UTF-8", "LC_ALL=C",
        "LD_LIBRARY_PATH=/usr/local/cuda/lib64", "NVIDIA_REQUIRE_CUDA=cuda>=12.8", PATH,
        "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt", "TZ=UTC",
    )  # fmt: skip
    told = {one.rule: one.message for one in found.findings if one.rule != "base.environment"}
    assert set(told) == {"base.volume", "base.entrypoint"}
    assert "`/data`" in told["base.volume"]
    assert "`/entry.sh run`" in told["base.entrypoint"]
    variables = [one.message for one in found.findings if one.rule == "base.environment"]
    assert "NVIDIA_VISIBLE_DEVICES" in variables[0]
    assert variables[1].endswith("dropped: `LD_PRELOAD`, `PIP_INDEX_URL`, `PYTHONPATH`")
    assert "secret" not in str(found.findings)


def test_onbuild_is_refused(registry: RegistryServer, machine: Machine) -> None:
    found = refusal(image(PYTHON, run={"OnBuild": ["RUN make"]}), registry, machine)
    assert found.rule == "base.onbuild"
    assert "RUN make" in found.message


@pytest.mark.parametrize(
    "changes",
    [{"os": 5}, {"architecture": None}, {"config": [1]}, {"config": {"Env": {"a": 1}}},
     {"rootfs": 1}, {"rootfs": {"diff_ids": ["md5:x"]}}, {"config": {"Env": ["PATH=\x1b[2J"]}},
     {"os": "windows"}, {"config": {"Volumes": 5}}],
)  # fmt: skip
def test_a_damaged_configuration_is_refused(
    registry: RegistryServer, machine: Machine, changes: Any
) -> None:
    name = image(PYTHON, **changes).put(registry, "acme/base", "1")
    with pytest.raises(InputError):
        resolve(name, machine)


@pytest.mark.parametrize(
    ("kind", "message"),
    [("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "of the kind"),
     ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "of the kind"),
     ("text/plain", "of the kind")],
)  # fmt: skip
def test_layers_that_are_none_are_refused(
    registry: RegistryServer, machine: Machine, kind: str, message: str
) -> None:
    made = image(PYTHON)
    manifest = json.loads(made.manifest)
    manifest["layers"][0]["mediaType"] = kind
    changed = replace(made, manifest=json.dumps(manifest).encode())
    assert message in refusal(changed, registry, machine).message


def test_a_time_that_is_none_is_the_beginning(registry: RegistryServer, machine: Machine) -> None:
    for created in ("0001-01-01T00:00:00Z", "yesterday", None, 5):
        name = image(PYTHON, created=created).put(registry, "acme/base", "1")
        assert resolve(name, machine).epoch == 0


def test_an_absurd_size_is_refused_before_anything_is_loaded(
    registry: RegistryServer, machine: Machine
) -> None:
    made = image(PYTHON)
    manifest = json.loads(made.manifest)
    manifest["layers"][0]["size"] = 1 << 40
    changed = replace(made, manifest=json.dumps(manifest).encode())
    assert (
        "says that a layer has 1099511627776 bytes" in refusal(changed, registry, machine).message
    )
    assert not [path for path in registry.paths() if digest_of(made.layers[0]) in path]


def test_zstd_is_read_and_told(registry: RegistryServer, machine: Machine) -> None:
    zstandard = pytest.importorskip("zstandard")
    made = image(PYTHON, docker=False, compress=zstandard.compress)
    manifest = json.loads(made.manifest)
    manifest["layers"][0]["mediaType"] = TAR_ZSTD
    changed = replace(made, manifest=json.dumps(manifest).encode())
    found = resolve(changed.put(registry, "acme/base", "1"), machine)
    assert found.base.layers[0].media_type == TAR_ZSTD
    assert [one.rule for one in found.findings] == ["base.zstd"]

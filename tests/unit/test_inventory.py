"""What is in an image: what was locked, with what the layers say of it, and what they add."""

from dataclasses import replace

from modelpack.evidence import inventory
from modelpack.evidence.inventory import Inventory, Model, Package
from modelpack.evidence.python_graph import requirements
from modelpack.inputs.layer_contents import InstalledPackage, LayerContents
from modelpack.inputs.licenses import Licenses
from modelpack.inputs.python.core_metadata import Distribution
from modelpack.lock import BaseLayer, ImageBase, Interpreter, PlatformLock, Wheel
from tests import values

SITE = "opt/venv/lib/python3.13/site-packages"
PYTHON = Interpreter(version="3.13.5", path="/usr/bin/python3.13", glibc="2.41")
MIT = Licenses(expression="MIT")


def distribution(name: str, *requires: str, version: str = "1.0") -> Distribution:
    return Distribution(name=name, version=version, licenses=MIT, requires=requires)


def graph(*distributions: Distribution) -> dict[str, tuple[str, ...]]:
    installed = {one.name: one for one in distributions}
    return dict(requirements(installed, PYTHON, values.AMD64))


def test_requirements_count_for_the_image_and_not_for_this_machine() -> None:
    found = graph(
        distribution("a", "B.b>=1", 'c; sys_platform == "win32"', 'd; python_version >= "3.13"',
                     'e; platform_machine == "aarch64"', "f; extra == 'x'", "absent", "not a !! r"),
        *(distribution(name) for name in ("b-b", "c", "d", "e", "f")),
    )  # fmt: skip
    assert found["a"] == ("b-b", "d")
    assert found["b-b"] == ()


def test_an_extra_counts_where_somebody_asks_for_it() -> None:
    found = graph(
        distribution("app", "server[fast]"),
        distribution("server", 'loop; extra == "fast"', 'tls; extra == "secure"', "server[fast]"),
        distribution("loop", "server[secure]"),
        distribution("tls"),
    )
    assert found == {
        "app": ("server",), "server": ("loop", "tls"), "loop": ("server",), "tls": (),
    }  # fmt: skip


def of_image(platform: PlatformLock, *contents: LayerContents | None) -> Inventory:
    weights = values.lock().weights[0]
    return inventory.of_image(
        values.spec(), platform, contents, models=[Model(weights=weights, mounted=False)],
        metrics={},
    )  # fmt: skip


BASE = LayerContents(
    packages={"var/lib/dpkg/status.d/libc6": (InstalledPackage(
        name="libc6", version="2.41-12", architecture="amd64", source="glibc",
        source_version="2.41-12", depends=("libgcc-s1", "libc6"),
    ),)},
    licenses={"libc6": Licenses(expression="LGPL-2.1-or-later")},
    system={"ID": "debian", "VERSION_ID": "13", "PRETTY_NAME": "Debian GNU/Linux 13 (trixie)"},
)  # fmt: skip
DEPENDENCIES = LayerContents(
    distributions={
        f"{SITE}/numpy-2.4.0.dist-info/METADATA": distribution("numpy", version="2.4.0"),
        f"{SITE}/numpy/_vendor/six-1.0.dist-info/METADATA": distribution("six"),
        "usr/lib/python3/dist-packages/apt-1.dist-info/METADATA": distribution("apt"),
    }
)


def test_an_assembled_base_with_wheels() -> None:
    found = of_image(values.platform_lock(), BASE, DEPENDENCIES)
    assert found.complete
    assert [(p.kind, p.name, p.version, p.sha256[:1], p.path) for p in found.packages] == [
        ("deb", "libc6", "2.41-12", "1", ""),
        ("pypi", "numpy", "2.4.0", "3", ""),
        ("pypi", "six", "1.0", "", f"{SITE}/numpy/_vendor/six-1.0.dist-info/METADATA"),
    ]
    libc, numpy, six = found.packages
    assert libc.purl == "pkg:deb/debian/libc6@2.41-12?arch=amd64&distro=debian-13"
    assert libc.licenses == Licenses(expression="LGPL-2.1-or-later")
    assert (libc.source, libc.source_version, libc.needs) == ("glibc", "2.41-12", ())
    assert numpy.licenses == MIT
    assert numpy.ref == "pkg:pypi/numpy@2.4.0"
    assert six.ref.startswith("pkg:pypi/six@1.0#opt/venv")


def test_without_the_layers_what_is_locked_stands_and_the_rest_is_unknown() -> None:
    found = of_image(values.platform_lock(), None, None)
    assert not found.complete
    assert [(p.name, bool(p.licenses)) for p in found.packages] == [
        ("libc6", False), ("numpy", False),
    ]  # fmt: skip
    assert found.system == {"ID": "debian", "VERSION_ID": "13"}


def test_dependencies_between_debian_packages_and_wheels() -> None:
    lock = values.platform_lock()
    libgcc = replace(lock.base.packages[0], name="libgcc-s1")  # type: ignore[union-attr]
    base = replace(lock.base, packages=(*lock.base.packages, libgcc))  # type: ignore[union-attr]
    wheels = (*lock.wheels, Wheel(name="app", version="1", filename="app.whl", size=1,
                                  sha256=values.sha("9")))  # fmt: skip
    contents = replace(DEPENDENCIES, distributions={
        **DEPENDENCIES.distributions,
        f"{SITE}/app-1.dist-info/METADATA": distribution("app", "numpy", version="1"),
    })  # fmt: skip
    found = of_image(replace(lock, base=base, wheels=wheels), BASE, contents)
    needs = {package.name: package.needs for package in found.packages}
    assert needs["libc6"] == ("pkg:deb/debian/libgcc-s1@2.41-12?arch=amd64&distro=debian-13",)
    assert needs["app"] == ("pkg:pypi/numpy@2.4.0",)


def image_base() -> ImageBase:
    layer = BaseLayer(digest=values.digest("8"), diff_id=values.digest("9"), size=1,
                      media_type="application/vnd.oci.image.layer.v1.tar+gzip")  # fmt: skip
    return ImageBase(
        reference="docker.io/library/python:3.12-slim", digest=values.digest("b"),
        config=values.digest("c"), layers=(layer,),
    )  # fmt: skip


def test_a_base_image_is_listed_by_what_its_layers_say() -> None:
    platform = values.platform_lock(base=image_base())
    ubuntu = replace(BASE, system={"ID": "ubuntu", "VERSION_ID": "24.04"}, distributions={
        "usr/local/lib/python3.12/site-packages/pip-25.dist-info/METADATA": distribution("pip"),
    })  # fmt: skip
    found = of_image(platform, ubuntu, DEPENDENCIES)
    assert found.complete
    assert found.base == platform.base
    assert [package.purl for package in found.packages] == [
        "pkg:deb/ubuntu/libc6@2.41-12?arch=amd64&distro=ubuntu-24.04",
        "pkg:pypi/numpy@2.4.0",
        "pkg:pypi/six@1.0",
        "pkg:pypi/pip@1.0",
    ]


def test_a_base_image_of_another_kind_is_not_called_complete() -> None:
    found = of_image(values.platform_lock(base=image_base()), LayerContents(), DEPENDENCIES)
    assert not found.complete


def test_equal_records_are_one_package() -> None:
    one = Package(kind="pypi", name="a", version="1", purl="pkg:pypi/a@1", path="x")
    assert one.ref == "pkg:pypi/a@1#x"

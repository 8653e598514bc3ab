"""Libraries that an image needs: found as its loader would find them, or named."""

from pathlib import Path

import pytest

from modelpack.checks.elf.objects import objects
from modelpack.errors import InputError
from modelpack.oci.tar import Entry
from modelpack.platform import Platform
from tests.debian_archive import library
from tests.elf_images import SITE, SYSTEM, Files, judge, layer_file, missing, read, wheel

EXTENSION = "demo/core.cpython-313-x86_64-linux-gnu.so"
CUDA = {"capabilities": frozenset({"compute", "utility"})}


def extension(*needed: str, **folders: str) -> bytes:
    return library(needed=(*needed, "libc.so.6"), **folders)  # type: ignore[arg-type]


def test_a_closed_image_has_no_findings(tmp_path: Path) -> None:
    image = read(tmp_path, wheel("demo", {EXTENSION: extension("libz.so.1")}))
    found = judge(image)
    assert not found.findings
    assert found.objects == 4
    assert found.host == ()


def test_a_missing_library_is_named_with_who_needs_it_and_what_to_do(tmp_path: Path) -> None:
    files = {EXTENSION: extension("libGL.so.1"), "demo/more.so": extension("libGL.so.1")}
    (finding,) = judge(read(tmp_path, wheel("demo", files))).findings
    assert (finding.at, finding.rule, finding.severity) == ("demo 1.0", "elf.missing", "error")
    assert "`libGL.so.1` is not in the image" in finding.message
    assert f"`/{SITE}/{EXTENSION}`, `/{SITE}/demo/more.so`" in finding.message
    assert 'packages = ["libgl1"]' in finding.hint
    assert 'allow-missing = ["libGL.so.1"]' in finding.hint


def test_a_library_that_the_author_allows_to_be_missing_is_none(tmp_path: Path) -> None:
    image = read(tmp_path, wheel("demo", {EXTENSION: extension("libGL.so.1", "libEGL.so.1")}))
    assert missing(judge(image, allowed=frozenset({"libGL.so.1"}))) == [("demo 1.0", "libEGL.so.1")]


@pytest.mark.parametrize("folders", ["runpath", "rpath"])
@pytest.mark.parametrize("origin", ["$ORIGIN", "${ORIGIN}"])
def test_a_bundled_library_is_found_beside_the_wheel(
    tmp_path: Path, folders: str, origin: str
) -> None:
    files = {
        EXTENSION: extension("libfoo-1a2b.so.1", **{folders: f"{origin}/../demo.libs"}),
        "demo.libs/libfoo-1a2b.so.1": library("libfoo.so.1", needed=("libc.so.6",)),
    }
    assert not judge(read(tmp_path, wheel("demo", files))).findings


def test_a_runpath_that_leads_elsewhere_does_not_help(tmp_path: Path) -> None:
    files = {EXTENSION: extension("libfoo.so.1", runpath="$ORIGIN/../other:/nowhere:relative")}
    assert missing(judge(read(tmp_path, wheel("demo", files)))) == [("demo 1.0", "libfoo.so.1")]


def chain(folders: str, *, own_runpath: str = "") -> Files:
    """An extension whose library needs a third one, which only the extension knows the way to."""
    return {
        EXTENSION: extension("liba.so", **{folders: "$ORIGIN/libs"}),
        "demo/libs/liba.so": library("liba.so", needed=("libb.so",), runpath=own_runpath),
        "demo/libs/libb.so": library("libb.so"),
    }


def without_owner(files: Files) -> Files:
    """The same files, which no package lists: only the loader's own ways count."""
    return {f"{SITE}/{path}": content for path, content in files.items()}


def test_an_rpath_counts_for_what_is_loaded_by_it_a_runpath_does_not(tmp_path: Path) -> None:
    for number, (files, found) in enumerate(
        [
            (chain("rpath"), []),
            (chain("runpath"), ["libb.so"]),
            (chain("rpath", own_runpath="/nowhere"), ["libb.so"]),
            (chain("runpath", own_runpath="$ORIGIN"), []),
        ]
    ):
        (folder := tmp_path / str(number)).mkdir()
        image = read(folder, without_owner(files))
        assert [library for _, library in missing(judge(image))] == found


def test_what_one_object_of_a_process_loads_is_there_for_the_others(tmp_path: Path) -> None:
    # faiss: an OpenBLAS without a path to the Fortran runtime that the extension loads too.
    files = {
        EXTENSION: extension("libblas.so", "libgfortran-8.so", runpath="$ORIGIN/../demo.libs"),
        "demo.libs/libblas.so": library("libblas.so", needed=("libgfortran-8.so",)),
        "demo.libs/libgfortran-8.so": library("libgfortran-8.so"),
    }
    assert not judge(read(tmp_path, without_owner(files))).findings


def test_what_is_loaded_is_known_by_its_own_name_too(tmp_path: Path) -> None:
    files = {
        EXTENSION: extension("libfoo-1a2b.so.1", "libbar.so", runpath="$ORIGIN"),
        "demo/libfoo-1a2b.so.1": library("libfoo.so.1"),
        "demo/libbar.so": library("libbar.so", needed=("libfoo.so.1",)),
    }
    assert not judge(read(tmp_path, without_owner(files))).findings


TORCH = {
    "torch/lib/libtorch.so": library("libtorch.so", needed=("libc10.so",), runpath="$ORIGIN"),
    "torch/lib/libc10.so": library("libc10.so"),
}


def test_a_package_that_is_required_is_imported_first(tmp_path: Path) -> None:
    vision = wheel("torchvision", {"torchvision/_C.so": extension("libtorch.so")}, "torch (==2.8)")
    deep = wheel("Top_Level", {"top/_C.so": extension("libc10.so")}, "torchvision; extra == 'x'")
    assert not judge(read(tmp_path, wheel("torch", TORCH), vision, deep)).findings


def test_a_package_that_nobody_requires_is_not(tmp_path: Path) -> None:
    other = wheel("other", {"other/_C.so": extension("libtorch.so")}, "numpy")
    assert missing(judge(read(tmp_path, wheel("torch", TORCH), other))) == [
        ("other 1.0", "libtorch.so")
    ]


def test_what_stands_under_another_name_is_not_loaded_under_it(tmp_path: Path) -> None:
    torch = wheel("torch", {"torch/lib/libtorch.so": library("libtorch.so.2")})
    vision = wheel("torchvision", {"torchvision/_C.so": extension("libtorch.so")}, "torch")
    assert missing(judge(read(tmp_path, torch, vision))) == [("torchvision 1.0", "libtorch.so")]


def test_the_authors_code_may_use_what_any_package_loads(tmp_path: Path) -> None:
    code = {"app/kernels.so": extension("libtorch.so", "libmine.so")}
    found = judge(read(tmp_path, wheel("torch", TORCH), code=code))
    assert missing(found) == [("code", "libmine.so")]


def test_the_driver_is_the_hosts_on_cuda_and_nobodys_on_the_cpu(tmp_path: Path) -> None:
    image = read(tmp_path, wheel("demo", {EXTENSION: extension("libcuda.so.1", "libz.so.1")}))
    on_gpu = judge(image, **CUDA)
    assert not on_gpu.findings
    assert on_gpu.host == ("libcuda.so.1",)
    (finding,) = judge(image).findings
    assert 'device = "cuda"' in finding.hint


def test_only_the_capabilities_that_are_asked_for_are_injected(tmp_path: Path) -> None:
    needed = ("libnvcuvid.so.1", "libnvidia-ml.so.1")
    image = read(tmp_path, wheel("demo", {EXTENSION: extension(*needed)}))
    assert missing(judge(image, **CUDA)) == [("demo 1.0", "libnvcuvid.so.1")]
    for capabilities in ({"compute", "utility", "video"}, {"all"}):
        assert not judge(image, capabilities=frozenset(capabilities)).findings


@pytest.mark.parametrize(
    ("package", "file", "library_name"),
    [
        ("numba", "numba/np/ufunc/tbbpool.cpython-313-x86_64-linux-gnu.so", "libtbb.so.12"),
        ("nvidia-cufile-cu12", "nvidia/cufile/lib/libcufile_rdma.so.1", "libmlx5.so.1"),
        ("nvidia_cufile", "nvidia/cu13/lib/libcufile_rdma.so.1", "librdmacm.so.1"),
        ("nvidia-nvshmem-cu13", "nvidia/nvshmem/lib/nvshmem_bootstrap_mpi.so.3", "libmpi.so.40"),
        ("onnxruntime-gpu", "o/libonnxruntime_providers_tensorrt.so", "libnvinfer.so.10"),
    ],
)
def test_known_plugins_may_lack_what_they_are_for(
    tmp_path: Path, package: str, file: str, library_name: str
) -> None:
    assert not judge(read(tmp_path, wheel(package, {file: extension(library_name)}))).findings
    (other := tmp_path / "other").mkdir()
    image = read(other, wheel("somebody-elses", {file: extension(library_name)}))
    assert missing(judge(image)) == [("somebody-elses 1.0", library_name)]
    (third := tmp_path / "third").mkdir()
    image = read(third, wheel(package, {file: extension("libother.so.1")}))
    assert missing(judge(image)) == [(f"{package.replace('_', '-')} 1.0", "libother.so.1")]


def test_folders_of_the_variable_are_searched(tmp_path: Path) -> None:
    more = {"usr/local/nvidia/lib64/libfoo.so.1": library("libfoo.so.1")}
    image = read(tmp_path, wheel("demo", {EXTENSION: extension("libfoo.so.1")}), more=more)
    assert missing(judge(image)) == [("demo 1.0", "libfoo.so.1")]
    assert not judge(image, library_path=("/usr/local/nvidia/lib64",)).findings


def test_a_folder_that_is_a_link_is_followed(tmp_path: Path) -> None:
    more: Files = {
        "opt/real/libfoo.so.1": library("libfoo.so.1"), "opt/shown": "real",
    }  # fmt: skip
    files = {EXTENSION: extension("libfoo.so.1", runpath="/opt/shown"),
             "demo/z.so": extension("libz.so.1", runpath="/lib/x86_64-linux-gnu")}  # fmt: skip
    assert not judge(read(tmp_path, without_owner(files), more=more)).findings


def test_a_library_for_another_machine_does_not_count(tmp_path: Path) -> None:
    files = {
        EXTENSION: extension("libfoo.so.1", runpath="$ORIGIN"),
        "demo/libfoo.so.1": library("libfoo.so.1", machine=183),
    }
    assert missing(judge(read(tmp_path, without_owner(files)))) == [("dependencies", "libfoo.so.1")]


def test_a_package_for_another_machine_is_refused(tmp_path: Path) -> None:
    image = read(tmp_path, wheel("demo", {EXTENSION: library(machine=183)}))
    (finding,) = judge(image).findings
    assert (finding.at, finding.rule) == ("demo 1.0", "elf.machine")
    assert "is for aarch64, the image is linux/amd64" in finding.message


def test_who_has_both_carries_the_other_one_as_data(tmp_path: Path) -> None:
    files = {EXTENSION: extension(), "demo/data/arm.so": library(needed=("libx.so",), machine=183)}
    assert not judge(read(tmp_path, wheel("demo", files))).findings


def test_code_for_a_gpu_is_no_program(tmp_path: Path) -> None:
    files = {"demo/kernel.cubin": library(needed=("libx.so",), machine=190)}
    assert not judge(read(tmp_path, wheel("demo", files))).findings


def test_a_base_of_ours_is_closed_and_somebodys_is_their_business(tmp_path: Path) -> None:
    more = {f"{SYSTEM}/libodd.so": library("libodd.so", needed=("libnone.so",))}
    image = read(tmp_path, more=more)
    assert missing(judge(image)) == [("base", "libnone.so")]
    assert not judge(image, judge_base=False).findings
    (other := tmp_path / "other").mkdir()
    image = read(other, wheel("demo", {EXTENSION: extension("libodd.so")}), more=more)
    (finding,) = judge(image, judge_base=False).findings
    assert "libnone.so" in finding.message


def test_a_debian_package_is_named_as_the_owner(tmp_path: Path) -> None:
    more = {
        f"{SYSTEM}/libodd.so": library("libodd.so", needed=("libnone.so",)),
        "var/lib/dpkg/status.d/libodd1.md5sums": b"0" * 32 + b"  lib/x86_64-linux-gnu/libodd.so\n",
    }
    assert missing(judge(read(tmp_path, more=more))) == [("libodd1", "libnone.so")]


def test_circles_end_and_are_judged(tmp_path: Path) -> None:
    files = {
        "demo/a.so": library("a.so", needed=("b.so",), runpath="$ORIGIN"),
        "demo/b.so": library("b.so", needed=("a.so", "libnone.so"), runpath="$ORIGIN"),
    }
    assert missing(judge(read(tmp_path, wheel("demo", files)))) == [("demo 1.0", "libnone.so")]


def test_a_library_that_a_later_layer_hides_is_gone(tmp_path: Path) -> None:
    layers = [
        layer_file(tmp_path, "base", {"usr/lib/libfoo.so": library("libfoo.so")}),
        layer_file(tmp_path, "base", {"usr/lib/.wh.libfoo.so": b""}, packed=False),
        layer_file(tmp_path, "dependencies", {"opt/x.so": library(needed=("libfoo.so",))}),
    ]
    assert missing(judge(objects(layers))) == [("dependencies", "libfoo.so")]


def test_a_hard_link_is_the_same_library(tmp_path: Path) -> None:
    more: Files = {
        f"{SYSTEM}/libreal.so.1": library("liblinked.so.1"),
        f"{SYSTEM}/liblinked.so.1": Entry(
            path=f"{SYSTEM}/liblinked.so.1", kind="hardlink", target=f"{SYSTEM}/libreal.so.1"
        ),
    }
    image = read(tmp_path, wheel("demo", {EXTENSION: extension("liblinked.so.1")}), more=more)
    assert not judge(image).findings


def test_the_loaders_cache_counts(tmp_path: Path) -> None:
    from modelpack.inputs.debian import ld_cache
    from modelpack.oci.tree import Tree

    tree = Tree()
    tree.file("usr/local/lib/libfoo.so.1", library("libfoo.so.1"))
    cache = ld_cache.build(tree, Platform("linux", "amd64"))
    cache = cache.replace(b"/usr/local/lib/libfoo.so.1", b"/usr/local/odd/libfoo.so.1")
    more = {
        "etc/ld.so.cache": b"ld.so-1.7.0" + bytes(13) + cache,
        "usr/local/odd/libfoo.so.1": library("libfoo.so.1"),
    }
    demo = wheel("demo", {EXTENSION: extension("libfoo.so.1")})
    assert not judge(read(tmp_path, demo, more=more)).findings
    (other := tmp_path / "other").mkdir()
    more["etc/ld.so.cache"] = b"damaged"
    assert missing(judge(read(other, demo, more=more))) == [("demo 1.0", "libfoo.so.1")]


def test_a_damaged_layer_is_an_error_of_input(tmp_path: Path) -> None:
    layer = layer_file(tmp_path, "base", {"usr/lib/libfoo.so": library("libfoo.so")})
    layer.path.write_bytes(layer.path.read_bytes()[:-20])
    with pytest.raises(InputError):
        objects([layer])

"""Libraries that an image need not have: the host brings them, or nobody misses them.

As of 2026-11-24. Sources: libnvidia-container, src/nvc_info.c; the wheels named below, whose
DT_NEEDED were read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

HOST_LIBRARIES: Mapping[str, frozenset[str]] = MappingProxyType({
    "utility": frozenset({"libnvidia-cfg", "libnvidia-ml", "libnvidia-nscq"}),
    "compute": frozenset({
        "libcuda", "libcudadebugger", "libnvidia-allocator", "libnvidia-compiler",
        "libnvidia-fatbinaryloader", "libnvidia-gpucomp", "libnvidia-nvvm", "libnvidia-opencl",
        "libnvidia-pkcs11", "libnvidia-pkcs11-openssl3", "libnvidia-ptxjitcompiler",
        "libnvidia-tileiras",
    }),
    "video": frozenset({
        "libnvcuvid", "libnvidia-encode", "libnvidia-opticalflow", "libvdpau_nvidia",
    }),
    "graphics": frozenset({
        "libEGL_nvidia", "libGLESv1_CM_nvidia", "libGLESv2_nvidia", "libGLX_nvidia",
        "libnvidia-eglcore", "libnvidia-fbc", "libnvidia-glcore", "libnvidia-glsi",
        "libnvidia-ifr", "libnvidia-rtcore", "libnvidia-tls", "libnvoptix",
    }),
})  # fmt: skip
"what NVIDIA's container runtime puts into a container, by driver capability, without `.so…`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """Objects of a package that it opens by name, and does without."""

    package: str
    "the normalized name of a distribution, as a pattern"
    object: str
    "the name of the file, as a pattern"
    libraries: str
    "what it may miss, as a pattern"


PLUGINS: tuple[Plugin, ...] = (
    Plugin(package=r"numba", object=r"tbbpool\..*", libraries=r"libtbb\.so\..*"),
    Plugin(
        package=r"nvidia-cufile(-cu\d+)?", object=r"libcufile_rdma\.so.*",
        libraries=r"lib(ibverbs|mlx5|rdmacm)\.so\..*",
    ),
    Plugin(
        package=r"nvidia-nvshmem-cu\d+", object=r"nvshmem_(bootstrap|transport)_.*",
        libraries=r"lib(fabric|ibverbs|mlx5|mpi|oshmem|pmi2?|pmix|rdmacm|ucp|ucs)\.so\..*",
    ),
    Plugin(
        package=r"onnxruntime-gpu", object=r"libonnxruntime_providers_tensorrt\.so",
        libraries=r"lib(nvinfer|nvonnxparser)(_\w+)?\.so\..*",
    ),
    Plugin(
        package=r"onnxruntime-gpu", object=r"libonnxruntime_providers_(cuda|tensorrt)\.so",
        libraries=r"lib(cublas|cublasLt|cudart|cudnn|cufft|curand|nvrtc)\.so\..*",
    ),
)  # fmt: skip
"RDMA, MPI, TensorRT and thread pools: opened when they are there (numba 0.68, nvshmem 3.4, …)"

PACKAGES: Mapping[str, str] = MappingProxyType({
    "libGL.so.1": "libgl1", "libEGL.so.1": "libegl1", "libX11.so.6": "libx11-6",
    "libXext.so.6": "libxext6", "libSM.so.6": "libsm6", "libICE.so.6": "libice6",
    "libglib-2.0.so.0": "libglib2.0-0t64", "libgthread-2.0.so.0": "libglib2.0-0t64",
    "libgomp.so.1": "libgomp1", "libquadmath.so.0": "libquadmath0",
    "libgfortran.so.5": "libgfortran5", "libsndfile.so.1": "libsndfile1",
    "libpq.so.5": "libpq5", "libmariadb.so.3": "libmariadb3", "libodbc.so.2": "libodbc2",
    "libxml2.so.2": "libxml2", "libibverbs.so.1": "libibverbs1", "librdmacm.so.1": "librdmacm1t64",
    "libnuma.so.1": "libnuma1", "libtcl8.6.so": "libtcl8.6", "libtk8.6.so": "libtk8.6",
})  # fmt: skip
"packages of Debian 13 that have what wheels ask for most often"


def host_brings(library: str, capabilities: frozenset[str]) -> bool:
    """Tell whether NVIDIA's container runtime puts `library` into a container."""
    wanted = frozenset(HOST_LIBRARIES) if "all" in capabilities else capabilities
    stem = library.partition(".so")[0]
    return any(stem in HOST_LIBRARIES.get(name, ()) for name in wanted)


def is_plugin_for(package: str, file: str, library: str) -> bool:
    """Tell whether an object of a package is one that is only opened where `library` is."""
    return any(
        re.fullmatch(row.package, package) and re.fullmatch(row.object, file)
        and re.fullmatch(row.libraries, library)
        for row in PLUGINS
    )  # fmt: skip

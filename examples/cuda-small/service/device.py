"""The GPU: which one it is, and a way into its memory and back. Without one, why."""

import ctypes
from dataclasses import dataclass

import numpy as np

SUCCESS = 0


class NoDevice(Exception):  # noqa: N818  a state of the host
    """There is no GPU to use; the message says why, in words for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What a service wants to know about its GPU."""

    name: str
    architecture: str
    "such as `sm_90`"
    memory: int
    "bytes"
    count: int
    "GPUs that this container was given"
    driver: str
    "newest CUDA that the driver runs"
    runtime: str
    "CUDA of the runtime library in this image"


def find() -> Device:
    """Return the first GPU, or raise NoDevice."""
    try:
        from cuda.bindings import driver, runtime  # noqa: PLC0415  the service starts without
    except ImportError as error:
        raise NoDevice(f"the CUDA bindings cannot be imported: {error}") from error
    initialise(driver)
    count = value(runtime, runtime.cudaGetDeviceCount())
    if not count:
        raise NoDevice("the driver is there, but this container was given no GPU")
    found = value(runtime, runtime.cudaGetDeviceProperties(0))
    return Device(
        name=found.name.split(b"\0")[0].decode(),
        architecture=f"sm_{found.major}{found.minor}",
        memory=found.totalGlobalMem,
        count=count,
        driver=version(value(runtime, runtime.cudaDriverGetVersion())),
        runtime=version(runtime_in_image()),
    )


def initialise(driver) -> None:
    """Load the host's driver, which is what a container without a GPU lacks."""
    try:
        (status,) = driver.cuInit(0)
    except Exception as error:
        # What is raised where libcuda.so.1 is missing depends on the release of the bindings.
        raise NoDevice(
            "the host's NVIDIA driver is not in this container (libcuda.so.1): start it with "
            f"`--gpus`, on a host that has one [{type(error).__name__}]"
        ) from error
    if status != driver.CUresult.CUDA_SUCCESS:
        raise NoDevice(f"the NVIDIA driver does not start: {status.name}")


def value(runtime, answer):
    """Return what a call gave, or raise NoDevice with what CUDA says."""
    status, *rest = answer
    if int(status) != SUCCESS:
        words = runtime.cudaGetErrorString(status)[1]
        raise NoDevice(f"{words.decode()} ({status.name})")
    return rest[0] if rest else None


def runtime_in_image() -> int:
    """Ask the library of the wheel `nvidia-cuda-runtime-cu12` for its version."""
    from cuda.pathfinder import load_nvidia_dynamic_lib  # noqa: PLC0415

    library = ctypes.CDLL(load_nvidia_dynamic_lib("cudart").abs_path)
    number = ctypes.c_int()
    library.cudaRuntimeGetVersion(ctypes.byref(number))
    return number.value


def version(number: int) -> str:
    """Return `12.9` for 12090."""
    return f"{number // 1000}.{number % 1000 // 10}"


def through_memory(array: np.ndarray) -> np.ndarray:
    """Return what the GPU's memory gives back of `array`; raises NoDevice where it does not."""
    from cuda.bindings import runtime  # noqa: PLC0415

    kind = runtime.cudaMemcpyKind
    back = np.empty_like(array)
    place = value(runtime, runtime.cudaMalloc(array.nbytes))
    try:
        to_device = kind.cudaMemcpyHostToDevice
        value(runtime, runtime.cudaMemcpy(place, array.ctypes.data, array.nbytes, to_device))
        to_host = kind.cudaMemcpyDeviceToHost
        value(runtime, runtime.cudaMemcpy(back.ctypes.data, place, array.nbytes, to_host))
    finally:
        runtime.cudaFree(place)
    return back

"""The devices that Triton runs on: CUDA's, or the CPU through Triton's own interpreter."""

import ctypes
import os

import torch
import triton

from kvtune_triton.environment import interpreted

# Triton 3.4 has the functions of programmatic dependent launch, but they do not compile.
HAS_PDL = tuple(int(part) for part in triton.__version__.split(".")[:2]) >= (3, 5)

RESERVED_SHARED_BYTES = 1024  # What CUDA keeps of each block's shared memory.

# Shared memory of a block at most, by compute capability × 10 (CUDA C++ programming guide, technical specifications).
SHARED_BYTES = {80: 163, 86: 99, 87: 163, 89: 99, 90: 227, 100: 227, 103: 227, 120: 99, 121: 99}


def toolchain():
    """What compiled a kernel, as one text."""
    return f"Triton {triton.__version__}, PyTorch {torch.__version__}"


def list_devices():
    """Every device, in the words of kernels/devices/device.ts."""
    if interpreted():
        return [interpreter()]
    if not torch.cuda.is_available():
        return []
    return [describe(index) for index in range(torch.cuda.device_count())]


def interpreter():
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "backend": "triton",
        "index": 0,
        "name": "Triton interpreter",
        "arch": "",
        "driver": toolchain(),
        "smCount": os.cpu_count() or 1,
        "smCountSource": "threads",
        "software": True,
        # Nothing is allocated there: the limit of a large device keeps the spaces those of real ones.
        "limits": {"workgroupStorageBytes": 227 * 1024, "bufferBytes": memory, "memoryBytes": memory},
        "features": [],
    }


def describe(index):
    properties = torch.cuda.get_device_properties(index)
    capability = 10 * properties.major + properties.minor
    # The opt-in limit that Triton itself holds a kernel's shared memory against.
    shared = triton.runtime.driver.active.utils.get_device_properties(index)["max_shared_mem"]
    return {
        "backend": "triton",
        "index": index,
        "name": properties.name,
        "arch": f"sm_{capability}",
        "driver": f"CUDA {cuda_version()}, {toolchain()}",
        "smCount": properties.multi_processor_count,
        "smCountSource": "driver",
        "software": False,
        "limits": {
            "workgroupStorageBytes": shared,
            "bufferBytes": properties.total_memory,
            "memoryBytes": properties.total_memory,
            "l2Bytes": properties.L2_cache_size,
            "computeCapability": capability,
            "sharedBytesPerSm": properties.shared_memory_per_multiprocessor,
            "sharedBytesReserved": RESERVED_SHARED_BYTES,
        },
        "features": features(capability),
    }


def cuda_version():
    """The newest CUDA that the driver knows."""
    version = ctypes.c_int()
    ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    return f"{version.value // 1000}.{version.value % 1000 // 10}"


def features(capability):
    """`e4m3`: converts E4M3 by itself; `pdl`: programmatic dependent launch, where this Triton has it too."""
    return [name for name, there in (("e4m3", capability >= 89), ("pdl", HAS_PDL and capability >= 90)) if there]


def target(arch):
    """A device that need not be here, for compiling ahead of time: `arch` as in "sm_90"."""
    capability = int(arch.removeprefix("sm_"))
    return {
        "backend": "triton",
        "index": 0,
        "name": arch,
        "arch": arch,
        "driver": toolchain(),
        "smCount": 1,
        "smCountSource": "given",
        "software": False,
        "limits": {
            "workgroupStorageBytes": SHARED_BYTES[capability] * 1024,
            "bufferBytes": 1 << 33,
            "memoryBytes": 1 << 33,
            "computeCapability": capability,
        },
        "features": features(capability),
    }

"""What this machine's processor does well, and how its memory is kept: settings of the process, not of the recipe."""

import ctypes
import sys
from contextlib import suppress
from typing import Literal

import torch

__all__ = ["give_back_freed_memory", "keep_freed_memory", "native_precision"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_KEPT_BYTES = 1 << 30
_LARGEST_BYTES = 32 << 20  # glibc allows no more


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next step in place of giving it back to the system.

    A training step allocates and frees the same few megabytes again and again. By default each such block is mapped
    anew, and the kernel clears its pages at every first touch: measured on a small network, 2,700 page faults a step
    and a fourth to a third of the time. Elsewhere than on glibc nothing happens.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def give_back_freed_memory() -> None:
    """Hand what glibc keeps of freed memory back to the system, for a process that will only wait from here on."""
    if sys.platform != "linux":
        return
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def native_precision(device: torch.device) -> Literal["32-true", "bf16-mixed"]:
    """Return the number format in which a device trains fastest without losing accuracy, in Fabric's words.

    bfloat16 where the processor multiplies it natively; weights and their updates stay in float32. On a processor that
    has to emulate it, it is several times slower. On a GPU it is left to the recipe: small networks wait for the
    launch of their kernels there, and every cast is one more.
    """
    if device.type != "cpu":
        return "32-true"
    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return "bf16-mixed" if able.get("avx512_bf16") or able.get("amx_bf16") else "32-true"

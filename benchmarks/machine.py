"""The machine and the versions that a result was made with.

No torch here: the process that starts the others must stay small, as the kernel counts its memory as theirs.
"""

import os
import platform
import re
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

from soundfold.cores import usable_cores

__all__ = ["Busy", "machine", "memory_bytes", "versions"]

_PACKAGES = ("soundfold", "torch", "torchaudio", "numpy", "soundfile", "soxr", "onnxruntime", "pandas")
_THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def machine() -> dict[str, Any]:
    """Return processor, cores that may be used, memory, and any setting that binds threads."""
    described: dict[str, Any] = {
        "processor": _processor(),
        "cores": usable_cores(),
        "memory_gb": round(memory_bytes() / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }
    bound = {name: os.environ[name] for name in _THREAD_SETTINGS if name in os.environ}
    return described | ({"threads": bound} if bound else {})


def memory_bytes() -> int:
    """Return the machine's memory; 0 where it cannot be found out."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


@dataclass(frozen=True)
class Busy:
    """Processor seconds since the machine and this process began: of all work, and of this process and what it started.

    Attributes:
        clock: seconds of the clock on the wall.
        all_s: of all processes and guests; None where the system does not tell.
        own_s: of this process and of all that it started and that have ended.
    """

    clock: float
    all_s: float | None
    own_s: float

    @classmethod
    def now(cls) -> Self:
        """Return the present state."""
        own = os.times()
        return cls(time.perf_counter(), _all_busy_s(), own.user + own.system + own.children_user + own.children_system)

    def others_since(self, before: "Busy") -> float | None:
        """Return the part of all cores' time, 0 to 1, that went into other work since an earlier state."""
        if self.all_s is None or before.all_s is None:
            return None
        others = (self.all_s - before.all_s) - (self.own_s - before.own_s)
        return max(0.0, others / (self.clock - before.clock) / (os.cpu_count() or 1))


def _all_busy_s() -> float | None:
    path = Path("/proc/stat")
    if not path.exists():
        return None
    user, nice, system, _, _, interrupts, soft_interrupts, stolen = map(int, path.read_text().split()[1:9])
    return (user + nice + system + interrupts + soft_interrupts + stolen) / os.sysconf("SC_CLK_TCK")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that the times depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        named = re.search(r"^model name\s*:\s*(.+)$", info.read_text(encoding="utf-8"), re.MULTILINE)
        if named:
            return named[1].strip()
    return platform.processor() or platform.machine()

"""Versions and hardware, written beside every score."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import torch

from soundfold import __version__

__all__ = ["hardware_line", "versions"]


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    found = {"soundfold": __version__, "python": platform.python_version(), "torch": str(torch.__version__)}
    for package in ("numpy", "onnxruntime", "soundfile", "soxr"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def hardware_line() -> str:
    """Return the machine in words: processor, cores, and the accelerator if there is one."""
    processor = platform.processor() or platform.machine()
    line = f"{platform.system()} {processor}, {os.cpu_count()} cores"
    if torch.cuda.is_available():
        line += f", {torch.cuda.get_device_name()}"
    return line

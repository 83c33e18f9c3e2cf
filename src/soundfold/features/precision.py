"""Keeping front ends in full precision where the network beside them computes in 16 bits."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

import torch
from torch import Tensor

__all__ = ["in_full_precision"]

_Module = TypeVar("_Module")


def in_full_precision(forward: Callable[[_Module, Tensor], Tensor]) -> Callable[[_Module, Tensor], Tensor]:
    """Return a module's `forward` that autocast leaves alone.

    bfloat16 has 8 bits: a product of a spectrum with mel filters in it would bury what lies 50 dB under the loudest.
    """

    @wraps(forward)
    def guarded(module: _Module, waveform: Tensor) -> Tensor:
        device = waveform.device.type
        if not (torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)):
            return forward(module, waveform)
        with torch.autocast(device, enabled=False):
            return forward(module, waveform)

    return guarded

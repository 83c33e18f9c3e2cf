"""What the numbers of a spectrogram are, decibels or logarithms of power in mel bands, and the way to power."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

__all__ = ["Scale", "change_power", "per_db"]

Scale = Literal["db", "log", "audioset"]

_PER_DOUBLING = {"db": 10.0 * math.log10(2.0), "log": math.log(2.0), "audioset": math.log(2.0) / 5.0}
"""How much of the unit twice the power is; a CPU computes powers of two at 2.5 times the pace of any others."""


def per_db(scale: Scale) -> float:
    """Return how much of a spectrogram's unit a decibel is.

    >>> per_db("db")
    1.0
    """
    return _PER_DOUBLING[scale] / _PER_DOUBLING["db"]


def change_power(batch: Tensor, scale: Scale, *changes: Callable[[Tensor], Tensor]) -> Tensor:
    """Change the power that a spectrogram tells, and return the spectrogram of it.

    Args:
        batch: (batch, channels, n_mels, frames).
        scale: what its numbers are.
        changes: functions of power, applied one after another; they leave their argument as it is.

    Returns:
        the same shape; where the power has not changed, the same to the last digit.
    """
    factor = _PER_DOUBLING[scale]
    power = (batch * (1.0 / factor)).exp2_()
    changed = power
    for change in changes:
        changed = change(changed)
    # the logarithm of the ratio, which is 0 for 1, and not that of the power, which would be rounded
    return torch.add(batch, (changed / power).log2_(), alpha=factor)

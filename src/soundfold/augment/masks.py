"""TimeMask and FrequencyMask (SpecAugment, Park et al. 2019): hide strips of a spectrogram.

The strips are filled with the clip's mean, which standardisation later maps near zero.
"""

import torch
from torch import Generator, Tensor

__all__ = ["draw_strips", "hide", "outside"]


def draw_strips(count: int, strips: int, max_width: float, size: int, generator: Generator) -> Tensor:
    """Draw strips along one axis: width uniform over 0 … max_width · size, then the place uniform over what is left.

    Args:
        count: number of clips.
        strips: strips a clip.
        max_width: largest width as a part of the axis, 0 to 1.
        size: steps of the axis.

    Returns:
        (count, strips, 2) int64 on the CPU: first and last-plus-one step.
    """
    width = torch.rand(count, strips, generator=generator, dtype=torch.float64) * max_width * size
    place = torch.rand(count, strips, generator=generator, dtype=torch.float64) * (size - width)
    first = place.long()
    return torch.stack([first, first + width.long()], dim=-1)


def hide(batch: Tensor, frequency: Tensor | None, time: Tensor | None) -> Tensor:
    """Fill strips over bands and over frames with each clip's mean, in one pass; all channels alike.

    Args:
        batch: (batch, channels, n_mels, frames).
        frequency, time: (batch, strips, 2) as `draw_strips` gives them; None leaves the axis alone.

    Returns:
        the same shape.
    """
    if frequency is None and time is None:
        return batch
    bands = 1.0 if frequency is None else outside(frequency, batch.shape[-2], batch.dtype)[:, None, :, None]
    frames = 1.0 if time is None else outside(time, batch.shape[-1], batch.dtype)[:, None, None, :]
    mean = batch.mean(dim=(-3, -2, -1), keepdim=True)
    # exact at weights 0 and 1, and on a CPU four times as fast as a choice between two tensors
    return torch.lerp(mean, batch, bands * frames)


def outside(strips: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """Return (batch, size): 0 where any of a clip's strips (batch, strips, 2) covers the step, else 1."""
    steps = torch.arange(size, device=strips.device)
    covered = (steps >= strips[..., :1]) & (steps < strips[..., 1:])
    return (~covered.any(dim=1)).to(dtype)

"""TimeMask and FrequencyMask (SpecAugment, Park et al. 2019): hide strips of a spectrogram.

The strips are filled with the clip's mean, which standardisation later maps near zero.
"""

import torch
from torch import Generator, Tensor

__all__ = ["draw_strips", "hide"]


def draw_strips(count: int, strips: int, max_width: float, size: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Draw strips along one axis: width uniform over 0 … max_width · size, then the place uniform over what is left.

    Args:
        count: number of clips.
        strips: strips a clip.
        max_width: largest width as a part of the axis, 0 to 1.
        size: steps of the axis.

    Returns:
        first and last-plus-one step, each (count, strips) int64 on the CPU.
    """
    width = torch.rand(count, strips, generator=generator, dtype=torch.float64) * max_width * size
    place = torch.rand(count, strips, generator=generator, dtype=torch.float64) * (size - width)
    first = place.long()
    return first, first + width.long()


def hide(batch: Tensor, frequency: tuple[Tensor, Tensor], time: tuple[Tensor, Tensor]) -> Tensor:
    """Fill strips over bands and over frames with each clip's mean, in one pass; all channels alike.

    Args:
        batch: (batch, channels, n_mels, frames).
        frequency, time: strips as `draw_strips` gives them; none of them (count, 0) leaves the axis alone.

    Returns:
        the same shape.
    """
    bands = _covered(*frequency, batch.shape[-2], batch.device)[:, None, :, None]
    frames = _covered(*time, batch.shape[-1], batch.device)[:, None, None, :]
    mean = batch.mean(dim=(-3, -2, -1), keepdim=True)
    return torch.where(bands | frames, mean, batch)


def _covered(first: Tensor, end: Tensor, size: int, device: torch.device) -> Tensor:
    """Return (count, size) booleans: true where any strip covers the step."""
    steps = torch.arange(size, device=device)
    first, end = first.to(device)[..., None], end.to(device)[..., None]
    return ((steps >= first) & (steps < end)).any(dim=1)

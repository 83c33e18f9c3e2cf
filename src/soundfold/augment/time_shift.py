"""TimeShift: roll each clip along time, so that the network cannot learn where in a window a sound stands.

The last axis is time in waveforms and in spectrograms alike. Rolling a spectrogram by whole frames equals rolling the
waveform by that many hops, but for the two frames that straddle the seam; it spares a new transform in every epoch.
"""

import torch
from torch import Generator, Tensor

__all__ = ["draw_place", "draw_time_shift", "silence_left", "time_shift"]


def draw_time_shift(count: int, max_shift: float, size: int, generator: Generator) -> Tensor:
    """Draw one shift a clip, uniform over 0 … max_shift · size steps.

    Args:
        count: number of clips.
        max_shift: largest shift as a part of the axis, 0 to 1.
        size: steps of the time axis.

    Returns:
        (count,) int64 on the CPU.
    """
    return (torch.rand(count, generator=generator, dtype=torch.float64) * max_shift * size).long()


def draw_place(before: Tensor, after: Tensor, generator: Generator) -> Tensor:
    """Draw where a short clip stands: a shift that uses up to `before` steps of silence ahead or `after` behind.

    A clip that stands centred in silence and is rolled by no more than the silence around it has simply been placed
    elsewhere: nothing wraps round.

    Args:
        before, after: (count,) int64, steps of silence ahead of and behind the sound.

    Returns:
        (count,) int64, uniform over −before … after.
    """
    room = (before + after + 1).double()
    return (torch.rand(len(before), generator=generator, dtype=torch.float64) * room).long() - before


def silence_left(silence: Tensor, rate: Tensor, size: int) -> Tensor:
    """Return the steps of silence on one side of a centred clip that is played at another rate.

    Args:
        silence: (count,) int64, steps of silence on that side at rate 1.
        rate: (count,) above 1 is faster.
        size: steps of the axis.

    Returns:
        (count,) int64; a slower clip fills more of the window, and at most all of it.
    """
    # a sound reads half a step further than its outermost one, where it is drawn between that and silence
    half = (size + 1) / 2.0
    return (half - (half - silence) / rate).floor().clamp(min=0).long()


def time_shift(batch: Tensor, shift: Tensor) -> Tensor:
    """Roll every clip along its last axis by its own number of steps, all its channels alike.

    Args:
        batch: (batch, …, time).
        shift: (batch,) integers; positive is later.

    Returns:
        the same shape.

    >>> time_shift(torch.tensor([[1, 2, 3], [1, 2, 3]]), torch.tensor([1, 0]))
    tensor([[3, 1, 2],
            [1, 2, 3]])
    """
    size = batch.shape[-1]
    steps = torch.arange(size, device=batch.device)
    source = (steps - shift.to(batch.device)[:, None]) % size
    source = source.reshape(len(batch), *[1] * (batch.ndim - 2), size)
    return batch.gather(-1, source.expand_as(batch))

"""Which clip of a batch another one is mixed with.

A partner is kept as its distance in the batch, so that the numbers of a run of whole batches, or of one batch, or of a
process's share of one, can be taken with a slice. In distributed training the clips of a batch go to the processes in
turn, and none sends sound to another: a partner must be in the same share. So partners are drawn among clips whose
places differ by a multiple of 8 (of 4, 2 or 1 in smaller batches), and 2, 4 or 8 processes mix what one process would
have mixed. Nothing is lost by that, since the clips of an epoch come in random order. Other numbers of processes mix
other pairs, as good and as random.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from soundfold.augment.numbers import moved

__all__ = ["Partners", "draw_partners"]

_STRIDE, _CHOICE = 8, 4
"""Partners are at most 8 apart or a multiple of it, where that leaves 4 clips to choose from."""


@dataclass(frozen=True)
class Partners:
    """Each clip's partner: (batch,) int64, how many places further on it stands."""

    distance: Tensor

    def to(self, device: torch.device) -> "Partners":
        """Return the same partners on a device."""
        return moved(self, device)

    def __getitem__(self, rows: slice) -> "Partners":
        """Return the partners within whole batches, or within every n-th clip of one.

        Who has lost its partner takes the next clip; one who is alone has itself.
        """
        distance, step = self.distance[rows], rows.step or 1
        if step > 1:
            near = distance.div(step, rounding_mode="floor")
            distance = torch.where(distance % step == 0, near, torch.ones_like(near))
        return replace(self, distance=distance)

    def of(self, values: Tensor) -> Tensor:
        """Return every clip's partner's row of values (batch, …)."""
        count = len(self.distance)
        places = torch.arange(count, device=self.distance.device) + self.distance
        return values.index_select(0, places.remainder(count))


def draw_partners(count: int, generator: Generator, bounds: Sequence[tuple[int, int]] | None = None) -> Partners:
    """Draw a partner for every clip, never itself if there is another: a random circle through each set of clips.

    Args:
        count: number of clips.
        bounds: first and last-plus-one place of each batch, one after another, where there are several.
    """
    order = torch.rand(count, generator=generator, dtype=torch.float64)
    if count == 0:
        return Partners(torch.zeros(0, dtype=torch.int64))
    places = torch.arange(count)
    sizes = torch.tensor([end - first for first, end in bounds] if bounds is not None else [count])
    first = (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    stride = torch.tensor([_stride(size) for size in sizes.tolist()]).repeat_interleave(sizes)
    group = first * _STRIDE + (places - first) % stride  # first differs between batches by 1 or more
    line = (group + order).argsort()
    of_line = group[line]
    begins = torch.cat([torch.ones(1, dtype=torch.bool), of_line[1:] != of_line[:-1]])
    head = torch.where(begins, places, 0).cummax(0).values  # where in the line each group begins
    last = torch.cat([begins[1:], torch.ones(1, dtype=torch.bool)])
    partner = torch.empty_like(line)
    partner[line] = line[torch.where(last, head, places + 1)]
    return Partners(partner - places)


def _stride(size: int) -> int:
    """Return the largest power of two that leaves enough to choose from in a batch.

    >>> [_stride(size) for size in (1, 7, 8, 16, 31, 32, 500)]
    [1, 1, 2, 4, 4, 8, 8]
    """
    return max(step for step in (1, 2, 4, _STRIDE) if step == 1 or size // step >= _CHOICE)

"""Work on a GPU that is recorded once and replayed: nothing in it waits for the host any more.

A small network's training step is some hundred kernels of a few microseconds each, and launching one from Python takes
longer than that. A CUDA graph holds all of them, and is launched at once.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["Captured"]

_WARM_UPS = 2  # the first call loads kernels and builds handles, the second finds memory to use again


class Captured:
    """Work that is done again and again on the same tensors, by replaying a recording where the device can.

    The work must read and write tensors that stay where they are, do the same operations every time, and never ask for
    a value of one. What it did to the tensors that it changes is undone after the warm-up, so that each `run` counts
    once. On other devices than CUDA, `run` simply does the work.

    Args:
        work: takes and returns nothing.
        changes: every tensor that the work writes to and that outlives it.
        pool: memory for what does not outlive it, from `torch.cuda.graph_pool_handle`; works that are never done at
            the same time may share it.
    """

    def __init__(self, work: Callable[[], None], changes: Sequence[Tensor], pool: Any = None) -> None:
        self.run: Callable[[], None] = _record(work, changes, pool).replay if changes[0].is_cuda else work
        """Do the work once."""


def _record(work: Callable[[], None], changes: Sequence[Tensor], pool: Any) -> torch.cuda.CUDAGraph:
    """Return a recording of some work; the tensors it changes are as they were before."""
    before = [tensor.clone() for tensor in changes]
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            work()
            for tensor, value in zip(changes, before, strict=True):
                tensor.copy_(value)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # other threads may go on as they like meanwhile: one reads features ahead into pinned memory
    with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
        work()
    return graph

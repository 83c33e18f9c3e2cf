"""Batch normalisation over all processes of a run, on any device.

torch's SyncBatchNorm runs on accelerators only; without sharing, two processes with half a batch each would train
another network than one process with the whole of it.
"""

import torch
import torch.distributed as dist
from torch import Tensor, nn

from soundfold.training.stand_ins import batch_norm_like, move_statistics, replace_layers

__all__ = ["SharedBatchNorm2d", "share_batch_norm"]


class _Sum(torch.autograd.Function):
    """Sum over processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(_ctx: object, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_ctx: object, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class SharedBatchNorm2d(nn.BatchNorm2d):
    """`BatchNorm2d` whose batch statistics in training are those of all processes together; same state dict."""

    def forward(self, batch: Tensor) -> Tensor:
        """Return the normalised batch (batch, channels, height, width); a process may hold no clip at all."""
        if not self.training:
            return super().forward(batch)
        values = batch.float()
        local = torch.cat([values.sum(dim=(0, 2, 3)), values.new_tensor([values.numel() // self.num_features])])
        sums: Tensor = _Sum.apply(local)  # type: ignore[no-untyped-call]
        count = sums[-1]
        mean = sums[:-1] / count
        # squares of what is left after the mean, in a second round: E[x²] − mean² would lose half the digits
        centred = values - mean[:, None, None]
        squares: Tensor = _Sum.apply(centred.square().sum(dim=(0, 2, 3)))  # type: ignore[no-untyped-call]
        variance = squares / count
        move_statistics(self, mean, variance * count / (count - 1).clamp(min=1))
        scale = self.weight / (variance + self.eps).sqrt()
        normalised: Tensor = centred * scale[:, None, None] + self.bias[:, None, None]
        return normalised.to(batch.dtype)


def share_batch_norm(module: nn.Module) -> None:
    """Replace every BatchNorm2d inside a module by one that shares its statistics, weights kept."""
    replace_layers(module, nn.BatchNorm2d, lambda layer: batch_norm_like(layer, SharedBatchNorm2d))

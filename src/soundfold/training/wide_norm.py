"""Batch normalisation of few channels on a CPU: the values of `torch.nn.BatchNorm2d`, in a third of the time.

torch's kernels for channels-last memory take one pixel's channels at a time. Eight channels in bfloat16 fill a quarter
of a vector, and do not occupy a second thread: in a small network that is a sixth of the whole training step.

The key idea: a channels-last batch is a matrix (pixels, channels), and may as well be read as one of
(pixels / k, k · channels). Normalising by given statistics works on it column by column; torch's own kernels do that,
forward and backward, at full width. What is left is to join k statistics a channel into one, and in the backward pass
to subtract what the statistics themselves pass on:

    gradient of x = weight / deviation · (g − Σg / N − x̂ · Σ(g · x̂) / N),  x̂ = (x − mean) / deviation
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from soundfold.training.stand_ins import batch_norm_like, move_statistics, replace_layers

__all__ = ["WideBatchNorm2d", "widen_batch_norm"]

_VECTOR_BYTES = 64
"""What the widest registers of a processor hold. Channels that fill them are as quick by torch's own kernels: 16 in
float32 take 0.09 ms a clip on one thread against 0.15 here, 8 on two threads 0.48 against 0.19 (AVX2, tutorial)."""
_WIDTH = 64


class _WideNorm(torch.autograd.Function):
    """Normalise by the statistics of the batch; returns the batch, and its mean and (biased) variance a channel."""

    @staticmethod
    def forward(ctx: Any, batch: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        wide, k = _wide(batch)
        zeros = weight.new_zeros(wide.shape[1])  # where given, sums are kept in their type and not in the batch's
        means, variances = torch.batch_norm_update_stats(wide, zeros, zeros.clone(), 0.0)
        means = means.reshape(k, -1)
        mean = means.mean(dim=0)
        variance = variances.reshape(k, -1).mean(dim=0) + means.var(dim=0, unbiased=False)
        tiled = torch.stack([weight, bias, mean, variance]).repeat(1, k)
        normalised = _lined(wide, tiled[0], tiled[1], tiled[2], tiled[3], eps)
        ctx.save_for_backward(batch, tiled)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance)
        return _narrow(normalised, batch), mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        batch, tiled = ctx.saved_tensors
        weight, _, mean, variance = tiled.unbind()
        wide, k = _wide(batch)
        # as if the statistics were constants …
        back, for_weight, for_bias = torch.ops.aten.native_batch_norm_backward(
            _wide(gradient)[0], wide, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        sums = torch.stack([for_weight, for_bias]).reshape(2, k, -1).sum(dim=1)
        # … and then what they pass on, which is a straight line in x for every channel
        product, plain = sums.repeat(1, k).unbind()
        inverse = torch.rsqrt(variance + ctx.eps)
        scale = weight * inverse * (-batch.shape[1] / batch.numel())
        slope = scale * inverse * product
        constant = scale * plain - slope * mean
        zeros = torch.zeros_like(slope)
        back += _lined(wide, slope, constant, zeros, zeros + 1, 0.0)
        return _narrow(back, batch), sums[0], sums[1], None


def _wide(batch: Tensor) -> tuple[Tensor, int]:
    """Return a batch (batch, channels, height, width) as (1, k · channels, pixels / k, 1), and k."""
    channels = batch.shape[1]
    pixels = batch.numel() // channels
    k = 1
    while 2 * k * channels <= _WIDTH and pixels % (2 * k) == 0:
        k *= 2
    return batch.permute(0, 2, 3, 1).reshape(1, pixels // k, 1, k * channels).permute(0, 3, 1, 2), k


def _lined(wide: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, eps: float) -> Tensor:
    """Return weight · (x − mean) / √(variance + eps) + bias, worked out in float32 whatever the batch is kept in."""
    return torch.native_batch_norm(wide, weight, bias, mean, variance, False, 0.0, eps)[0]


def _narrow(wide: Tensor, like: Tensor) -> Tensor:
    count, channels, height, width = like.shape
    return wide.permute(0, 2, 3, 1).reshape(count, height, width, channels).permute(0, 3, 1, 2)


class WideBatchNorm2d(nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d` with another way through the same arithmetic while it trains; same state dict."""

    def forward(self, batch: Tensor) -> Tensor:
        """Return the normalised batch (batch, channels, height, width)."""
        if not self.training:
            return super().forward(batch)
        normalised: Tensor
        normalised, mean, variance = _WideNorm.apply(  # type: ignore[no-untyped-call]
            batch, self.weight, self.bias, self.eps
        )
        pixels = batch.numel() // batch.shape[1]
        move_statistics(self, mean, variance * (pixels / max(1, pixels - 1)))
        return normalised


def widen_batch_norm(module: nn.Module, number_format: torch.dtype = torch.float32) -> None:
    """Replace every BatchNorm2d of few channels inside a module by a `WideBatchNorm2d`, weights kept.

    Few are those that do not fill a vector in the number format of the batches.

    A network whose layers write into what they are given says so by `changes_in_place`, and is left as it is: what a
    `WideBatchNorm2d` returns may not be written into.
    """

    few = _VECTOR_BYTES // number_format.itemsize

    def make(layer: nn.BatchNorm2d) -> nn.Module | None:
        return batch_norm_like(layer, WideBatchNorm2d) if layer.num_features < few else None

    replace_layers(module, nn.BatchNorm2d, make, spare=lambda part: getattr(part, "changes_in_place", False))

"""Convolution as a matrix product, for many small networks at once on a GPU.

Convolutions of several networks, each with its own weights and its own clips, are one convolution in groups, and for
few channels a group cuDNN's ways through that are slow, above all to the gradient of the weights. Laid out as columns,
each group is a plain product of two matrices, and all of them together one batched call of cuBLAS, which is as quick
for many small products as for a large one and gives the same sums every time. The columns take k² / stride² as much
memory as the batch.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from soundfold.training.stand_ins import replace_layers

__all__ = ["ColumnConv2d", "use_columns"]


class ColumnConv2d(nn.Conv2d):
    """`torch.nn.Conv2d` by way of a matrix product; same state dict. Zero padding, no groups, no dilation."""

    def forward(self, batch: Tensor) -> Tensor:
        """Return the convolved batch (batch, channels, height, width)."""
        assert not isinstance(self.padding, str)
        (height, width), (down, right), (top, left) = self.kernel_size, self.stride, self.padding
        # views all the way to the reshape; F.unfold would start a kernel for every clip of the batch
        patches = F.pad(batch, (left, left, top, top)).unfold(-2, height, down).unfold(-2, width, right)
        rows, columns = patches.shape[-4:-2]
        matrix = patches.permute(0, 1, 4, 5, 2, 3).reshape(len(batch), -1, rows * columns)
        maps = self.weight.flatten(1) @ matrix
        if self.bias is not None:
            maps = maps + self.bias[:, None]
        return maps.reshape(len(batch), -1, rows, columns)


def use_columns(module: nn.Module) -> None:
    """Replace every Conv2d inside a module that a matrix product can stand for; the new weights have no values yet."""
    replace_layers(module, nn.Conv2d, _columns_like)


def _columns_like(layer: nn.Conv2d) -> ColumnConv2d | None:
    plain = layer.groups == 1 and layer.dilation == (1, 1) and layer.padding_mode == "zeros"
    if not plain or isinstance(layer.padding, str):
        return None
    return ColumnConv2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,  # type: ignore[arg-type]  # Conv2d has made pairs of them
        layer.stride,  # type: ignore[arg-type]
        layer.padding,  # type: ignore[arg-type]
        bias=layer.bias is not None,
        device="meta",
    )

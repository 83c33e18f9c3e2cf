"""Batch normalisation of pretrained networks, whose statistics are over more recordings than we shall ever have."""

from torch import nn

__all__ = ["hold_statistics"]


def hold_statistics(network: nn.Module) -> None:
    """Let batch normalisation use its kept statistics, and leave them as they are, until `train` is called again."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()

"""Weights of a pretrained network that nobody has trained, for tests of what is done with some."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from soundfold.models import build_efficientat


def write_chance_weights(path: Path) -> Path:
    """Write mn04 with chance weights, and statistics that make something of a sound; return its file."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_efficientat("mn04")
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 1.0
                torch.nn.init.uniform_(module.bias, -0.1, 0.1)  # no two alike, so that none can be taken for another
            elif isinstance(module, torch.nn.Linear):
                torch.nn.init.normal_(module.weight, 0.0, 0.05)
        network.train()(torch.randn(16, 1, 128, 50))  # statistics that make something of a sound
        save_file(network.state_dict(), path)
    return path

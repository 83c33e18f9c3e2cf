"""The running mean of weights: its values, its place in the network, and its way through 16-bit weights."""

import pytest
import torch
from torch import nn

from soundfold.training.averaging import WeightAverage


def drifting(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).to(dtype)


def drift(network: nn.Module, generator: torch.Generator) -> None:
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor += torch.randn(tensor.shape, generator=generator).to(tensor.dtype)
            else:
                tensor += 1


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_mean_is_the_one_worked_out_by_hand(decay: float) -> None:
    network, generator = drifting(), torch.Generator().manual_seed(0)
    average = WeightAverage(network, decay)
    expected = {name: tensor.double() for name, tensor in network.state_dict().items()}
    for step in range(1, 31):
        drift(network, generator)
        average.update(step)
        kept = min(decay, (1 + step) / (10 + step))
        for name, tensor in network.state_dict().items():
            expected[name] = kept * expected[name] + (1 - kept) * tensor.double()
    assert set(average.tensors) == {"0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"}
    for name, tensor in average.tensors.items():
        torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-5, atol=1e-5)


def test_it_stands_in_for_a_while_and_no_longer() -> None:
    network, generator = drifting(), torch.Generator().manual_seed(0)
    average = WeightAverage(network, 0.9)
    drift(network, generator)
    average.update(1)
    own = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with average.standing_in():
        for name, tensor in average.tensors.items():
            assert torch.equal(network.state_dict()[name], tensor)
            assert not torch.equal(tensor, own[name])
    assert all(torch.equal(tensor, own[name]) for name, tensor in network.state_dict().items())


def test_small_steps_of_16_bit_weights_are_not_lost() -> None:
    network = drifting(torch.bfloat16)
    average = WeightAverage(network, 0.9999)
    with torch.no_grad():
        network[0].weight.fill_(1.0)
    average.restore({name: torch.zeros_like(tensor) for name, tensor in average.tensors.items()})
    for step in range(100_000, 100_100):
        average.update(step)
    torch.testing.assert_close(average.tensors["0.weight"], torch.full((4, 3), 1 - 0.9999**100))


def test_a_mean_of_another_network_is_refused() -> None:
    average = WeightAverage(drifting(), 0.9)
    with pytest.raises(KeyError):
        average.restore({})

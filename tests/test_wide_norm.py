"""Batch normalisation of few channels: torch's values, gradients and running statistics."""

import pytest
import torch
from torch import nn

from soundfold.models import build_efficientat
from soundfold.training.wide_norm import WideBatchNorm2d, widen_batch_norm


def pair(channels: int, dtype: torch.dtype = torch.float32) -> tuple[nn.BatchNorm2d, nn.Module]:
    plain = nn.BatchNorm2d(channels)
    with torch.no_grad():
        plain.weight.copy_(torch.linspace(0.5, 2.0, channels))
        plain.bias.copy_(torch.linspace(-1.0, 1.0, channels))
    holder = nn.Sequential(nn.BatchNorm2d(channels))
    holder[0].load_state_dict(plain.state_dict())
    widen_batch_norm(holder, torch.bfloat16)
    return plain.to(dtype), holder.to(dtype)[0]


def batch_of(shape: tuple[int, ...], dtype: torch.dtype = torch.float32, offset: float = 3.0) -> torch.Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2 + offset
    return values.to(dtype).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", [(4, 8, 6, 10), (3, 5, 7, 9), (16, 16, 5, 3), (2, 1, 1, 1), (1, 8, 32, 173)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_torch_in_values_gradients_and_running_statistics(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    plain, wide = pair(shape[1], dtype)
    assert isinstance(wide, WideBatchNorm2d)
    weight = batch_of(shape, dtype, offset=0.5)
    ours, theirs = batch_of(shape, dtype).requires_grad_(), batch_of(shape, dtype).requires_grad_()
    close = {"rtol": 1e-4, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 1e-9, "atol": 1e-9}
    for _ in range(2):  # running statistics move twice
        told, expected = wide(ours), plain(theirs)
        torch.testing.assert_close(told, expected, **close)
    (told * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, **close)
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(wide.get_parameter(name).grad, parameter.grad, rtol=1e-4, atol=1e-3)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(wide.state_dict()[name], value, rtol=1e-5, atol=1e-6)
    wide.eval()
    plain.eval()
    torch.testing.assert_close(wide(ours), plain(theirs), **close)


def test_statistics_of_a_bfloat16_batch_are_not_rounded_to_bfloat16() -> None:
    batch = batch_of((16, 8, 32, 17), torch.bfloat16, offset=100.0)
    _, wide = pair(8)
    wide(batch)
    exact = batch.double()
    mean, variance = exact.mean(dim=(0, 2, 3)), exact.var(dim=(0, 2, 3))
    torch.testing.assert_close(wide.running_mean.double() * 10, mean, rtol=1e-5, atol=0)
    torch.testing.assert_close((wide.running_var.double() - 0.9) * 10, variance, rtol=1e-3, atol=0)


def test_gradients_in_bfloat16_are_as_close_as_torchs() -> None:
    shape = (16, 8, 32, 17)
    exact, _ = pair(8, torch.float64)
    plain, wide = pair(8)
    weight = batch_of(shape, offset=0.2)
    grads = []
    for layer, dtype in ((exact, torch.float64), (plain, torch.bfloat16), (wide, torch.bfloat16)):
        batch = batch_of(shape, torch.bfloat16).to(dtype).requires_grad_()
        (layer(batch).double() * weight).sum().backward()
        grads.append(batch.grad.double())
    errors = [(grad - grads[0]).square().mean().sqrt() for grad in grads[1:]]
    assert errors[1] < 2 * errors[0]


@pytest.mark.parametrize(("number_format", "widened"), [(torch.float32, {8}), (torch.bfloat16, {8, 16})])
def test_only_layers_that_fill_no_vector_are_replaced_and_the_state_dict_stays(
    number_format: torch.dtype, widened: set[int]
) -> None:
    network = nn.Sequential(nn.BatchNorm2d(8), nn.Sequential(nn.BatchNorm2d(64), nn.BatchNorm2d(16)))
    before = network.state_dict()
    widen_batch_norm(network, number_format)
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert {layer.num_features for layer in norms if type(layer) is WideBatchNorm2d} == widened
    assert {layer.num_features for layer in norms if type(layer) is nn.BatchNorm2d} == {8, 16, 64} - widened
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_network_that_writes_in_place_keeps_its_own_norm_and_learns() -> None:
    holder = nn.ModuleDict({"network": build_efficientat("mn04", 3)})
    widen_batch_norm(holder)
    holder.train()
    holder["network"](torch.randn(2, 1, 128, 64)).sum().backward()
    assert all(values.grad is not None for values in holder.parameters())

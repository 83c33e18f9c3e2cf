"""The floor: what this machine could do at most. Bytes over bandwidth and operations over peak, both measured here.

A training clip cannot cost less than reading its kept features once and its network's operations forward and backward,
at the speed of a large copy and of a large matrix product. No real network reaches that, since its layers are small;
so the convolutions and linear layers alone, on ready tensors, in their best layout, stand beside it.
"""

import copy
import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
import torch
from torch import Tensor, nn

from soundfold.cores import usable_cores

__all__ = [
    "Work",
    "bandwidth",
    "decode_all",
    "disk_rate",
    "front_end_operations",
    "layers_alone",
    "peak",
    "training_work",
]

_REPEATS = 5


def bandwidth(device: str = "cpu", megabytes: int = 512) -> float:
    """Return bytes a second of a large copy, what is read and what is written both counted; all cores."""
    source = torch.ones(megabytes * 2**20 // 4, device=device)
    target = torch.empty_like(source)
    seconds = _best(lambda: target.copy_(source), device)
    return 2 * source.nbytes / seconds


def peak(device: str = "cpu", dtype: torch.dtype = torch.float32, size: int | None = None) -> float:
    """Return operations a second of a large matrix product; all cores. A multiply-add counts as two operations."""
    size = size or (2048 if device == "cpu" else 8192)
    left = torch.randn(size, size, device=device).to(dtype)
    right = torch.randn(size, size, device=device).to(dtype)
    return _on_all_cores(lambda: 2 * size**3 / _best(lambda: torch.matmul(left, right), device), device)


@dataclass(frozen=True)
class Work:
    """What training on one clip asks of the machine.

    Attributes:
        operations: of the network, forward and backward, a multiply-add counted as two.
        forward: those of the forward pass alone.
        bytes: of kept features that must be read.
        activations: bytes that the layers which multiply hand on, in float32; no part of the floor, as they may stay in
            the caches.
    """

    operations: float
    forward: float
    bytes: float
    activations: float

    def seconds(self, bytes_per_s: float, operations_per_s: float) -> float:
        """Return the least time a clip can take: reading and computing may overlap, so the longer of the two."""
        return max(self.bytes / bytes_per_s, self.operations / operations_per_s)


def training_work(network: nn.Module, shape: Sequence[int], kept_bytes: float) -> Work:
    """Count what one clip costs; a gradient of weights, or of what a layer is given, costs what its answer does.

    Args:
        network: takes features (batch, *shape).
        shape: of one clip's features.
        kept_bytes: of one clip's kept features.
    """
    ahead = back = outputs = 0
    for met in _layers(network.eval(), torch.randn(1, *shape)):
        answer = met.layer(met.given).numel()
        product = 2 * answer * met.layer.get_parameter("weight")[0].numel()
        ahead += product
        back += product * (met.learns + met.hands_on)
        outputs += answer
    return Work(ahead + back, ahead, kept_bytes, 4 * outputs)


def layers_alone(
    network: nn.Module,
    shape: Sequence[int],
    batch_size: int,
    device: str = "cpu",
    dtypes: Sequence[torch.dtype] = (torch.float32,),
) -> float:
    """Return clips a second of the network's convolutions and linear layers alone, forward and backward.

    Each layer works on ready tensors of the sizes it meets in training, in whichever memory layout and number format is
    fastest for it.
    """
    network = network.to(device).eval()
    layers = _layers(network, torch.randn(batch_size, *shape, device=device))

    def rate() -> float:
        seconds = [min(_layer_seconds(met, dtype, device) for dtype in dtypes) for met in layers]
        return batch_size / sum(seconds)

    return _on_all_cores(rate, device)


def _on_all_cores(rate: Callable[[], float], device: str) -> float:
    """Return the rate of one work on all cores, or of as many on one core each if those together do more."""
    if device != "cpu":
        return rate()
    threads = torch.get_num_threads()
    rates = []
    for count in {usable_cores(), 1}:
        torch.set_num_threads(count)
        rates.append(rate() * usable_cores() / count)
    torch.set_num_threads(threads)
    return max(rates)


class _Met(NamedTuple):
    """A layer that multiplies, as a training step meets it."""

    layer: nn.Module
    given: Tensor
    learns: bool
    hands_on: bool  # a gradient, to layers before it that learn


def _layers(network: nn.Module, batch: Tensor) -> list[_Met]:
    """Return the convolutions and linear layers of a network in the order in which it uses them."""
    found: list[_Met] = []

    def meet(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        learns = layer.get_parameter("weight").requires_grad
        found.append(_Met(layer, given[0].detach(), learns, any(met.learns for met in found)))

    kinds = (nn.Conv1d, nn.Conv2d, nn.Linear)
    hooks = [layer.register_forward_pre_hook(meet) for layer in network.modules() if isinstance(layer, kinds)]
    with torch.no_grad():
        network(batch)
    for hook in hooks:
        hook.remove()
    return found


def _layer_seconds(met: _Met, dtype: torch.dtype, device: str) -> float:
    """Return the seconds of one layer there and back, in the better memory layout, in a number format."""
    four = met.given.dim() == 4
    layouts = (torch.contiguous_format, torch.channels_last) if four else (torch.contiguous_format,)
    return min(_there_and_back(met, layout, dtype, device) for layout in layouts)


def _there_and_back(met: _Met, layout: torch.memory_format, dtype: torch.dtype, device: str) -> float:
    layer = copy.deepcopy(met.layer)
    layer.to(dtype=dtype, memory_format=layout)  # type: ignore[call-overload]
    given = met.given.to(dtype).contiguous(memory_format=layout).requires_grad_(met.hands_on)
    wanted = [*(layer.parameters() if met.learns else ()), *([given] if met.hands_on else [])]
    gradient = torch.ones_like(layer(given))

    def once() -> None:
        answer = layer(given)
        if wanted:
            torch.autograd.grad(answer, wanted, gradient)

    return _best(once, device, times=3)


def _best(work: Callable[[], object], device: str, times: int = 1) -> float:
    """Return the shortest of some repeats in seconds, the first left out: a floor is what can be done undisturbed.

    On a GPU a repeat is many calls, so that starting the first and waiting for the last do not count.
    """
    on_gpu = device.startswith("cuda")
    calls = 20 if on_gpu else 1
    wait: Callable[[], None] = torch.cuda.synchronize if on_gpu else lambda: None
    seconds = []
    for _ in range(times * _REPEATS + 1):
        wait()
        started = time.perf_counter()
        for _ in range(calls):
            work()
        wait()
        seconds.append((time.perf_counter() - started) / calls)
    return min(seconds[1:])


def front_end_operations(n_fft: int, frames: int, channels: int, n_mels: int) -> float:
    """Return the operations of one clip's spectrogram: real FFT 2.5 · n · log2 n a frame, window, power and mel sums.

    Triangles overlap by half, so every bin is multiplied and added twice, however many bands there are.
    """
    bins = n_fft // 2 + 1
    a_frame = 2.5 * n_fft * math.log2(n_fft) + n_fft + 3 * bins + 4 * bins + 2 * n_mels
    return channels * frames * a_frame


def decode_all(paths: Sequence[str], sample_rate: int) -> float:
    """Return the seconds that soundfile and soxr alone need for all files, one thread a core; samples are dropped."""

    def decode(path: str) -> int:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        if rate != sample_rate:
            samples = soxr.resample(samples, rate, sample_rate, quality="HQ")
        return len(samples)

    with ThreadPoolExecutor(usable_cores()) as pool:
        started = time.perf_counter()
        samples = sum(pool.map(decode, paths))
        seconds = time.perf_counter() - started
    if not samples:
        raise ValueError("the files hold no samples")
    return seconds


def disk_rate(folder: Path, megabytes: int) -> float:
    """Return bytes a second that reach the disk: a file written in one go and forced out."""
    block = np.random.default_rng(0).bytes(2**20)
    path = folder / "disk-rate"
    try:
        started = time.perf_counter()
        with path.open("wb") as file:
            for _ in range(megabytes):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        return megabytes * 2**20 / (time.perf_counter() - started)
    finally:
        path.unlink(missing_ok=True)

"""The peer: the tutorial's pipeline, a clip at a time, as people run it today. No line of soundfold in it.

Its faults are kept, since they are what is compared with: every clip is decoded and transformed anew in every epoch,
400 samples are dropped, the roll runs over the flattened array, inputs are standardised with their batch's statistics.

Where its audio library can be imported (torchaudio 2.11 beside torch 2.11), it does what it did: resampling, mel
spectrogram, decibels and masks, by transforms that are made once, where tutorials make them anew for every clip. With
neither today's torch nor a CPU build can it be imported; then these pieces of it stand here again, and are faster:

- resampling through soxr at high quality;
- mel spectrogram, decibels and masks on torch, operation by operation as the library did them.

Decoding is soundfile's, which the library used as well.
"""

import json
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, RandomSampler

try:
    from torchaudio import transforms as library
except (ImportError, OSError, RuntimeError):  # it may be there and not fit torch
    library = None

__all__ = ["FRAMES", "LENGTH", "Network", "Rate", "Settings", "Sounds", "evaluate", "item", "predict", "step", "train"]

SAMPLE_RATE = 44_100
LENGTH = SAMPLE_RATE // 1000 * 4_000
N_FFT, HOP_LENGTH, N_MELS = 1024, 512, 64
FRAMES = LENGTH // HOP_LENGTH + 1
BATCH_SIZE = 16
_EPOCHS = 100
_WARM_UP_S = 1.0


@dataclass(frozen=True)
class Settings:
    """What a user of the tutorial can set for speed.

    Attributes:
        workers: processes that make the items; 0 for none but the main one.
        threads: torch's threads in the main process; each worker has one.
    """

    workers: int
    threads: int


@dataclass(frozen=True)
class Rate:
    """Clips a second while running steadily, and what was learned meanwhile, so that it is seen to be no idle loop."""

    clips_per_second: float
    clips: int
    seconds: float
    loss: float


def _mel_filters() -> Tensor:
    """Return HTK's triangles, (bins, mels), as the tutorial's library has them by default."""
    mels = torch.linspace(0, 2595 * torch.log10(torch.tensor(1 + SAMPLE_RATE / 2 / 700)).item(), N_MELS + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    slopes = edges[None, :] - torch.linspace(0, SAMPLE_RATE // 2, N_FFT // 2 + 1)[:, None]
    width = edges[1:] - edges[:-1]
    return torch.clamp(torch.minimum(-slopes[:, :-2] / width[:-1], slopes[:, 2:] / width[1:]), min=0)


_WINDOW, _FILTERS = torch.hann_window(N_FFT), _mel_filters()


def item(path: str) -> Tensor:
    """Return one clip as the tutorial's network gets it, (2, 64, 344), drawn at random from the global generators."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    waveform = _resampled(samples, rate)
    waveform = torch.cat([waveform, waveform]) if waveform.shape[0] == 1 else waveform[:2]
    waveform = _fit(waveform)
    waveform = waveform.roll(int(random.random() * 0.4 * LENGTH))  # no axis named: over the flattened array
    if library is None:
        return _masked(_decibels(_mel_spectrogram(waveform)))
    spectrogram: Tensor = _transforms()(waveform)
    fill = float(spectrogram.mean())
    for mask in _masks():
        spectrogram = mask(spectrogram, fill)
    return spectrogram


def _resampled(samples: np.ndarray, rate: int) -> Tensor:
    """Return samples (n, channels) as (channels, n) at the network's rate."""
    if rate == SAMPLE_RATE:
        return torch.from_numpy(samples).T
    if library is None:
        return torch.from_numpy(soxr.resample(samples, rate, SAMPLE_RATE, quality="HQ")).T
    waveform: Tensor = _resampler(rate)(torch.from_numpy(samples).T)
    return waveform


@cache
def _resampler(rate: int) -> nn.Module:
    module: nn.Module = library.Resample(rate, SAMPLE_RATE)
    return module


@cache
def _transforms() -> nn.Module:
    mel = library.MelSpectrogram(SAMPLE_RATE, n_fft=N_FFT, hop_length=HOP_LENGTH, n_mels=N_MELS)
    return nn.Sequential(mel, library.AmplitudeToDB(top_db=80))


@cache
def _masks() -> list[nn.Module]:
    over_bands, over_time = library.FrequencyMasking(0.1 * N_MELS), library.TimeMasking(0.1 * FRAMES)
    return [over_bands, over_bands, over_time, over_time]


def _fit(waveform: Tensor) -> Tensor:
    missing = LENGTH - waveform.shape[1]
    if missing <= 0:
        return waveform[:, :LENGTH]
    before = random.randint(0, missing)
    channels = waveform.shape[0]
    return torch.cat([torch.zeros(channels, before), waveform, torch.zeros(channels, missing - before)], dim=1)


def _mel_spectrogram(waveform: Tensor) -> Tensor:
    spectrum = torch.stft(waveform, N_FFT, HOP_LENGTH, window=_WINDOW, return_complex=True)
    return torch.matmul(spectrum.abs().pow(2.0).transpose(-1, -2), _FILTERS).transpose(-1, -2)


def _decibels(power: Tensor) -> Tensor:
    decibels = 10.0 * torch.log10(torch.clamp(power, min=1e-10))
    return torch.max(decibels, decibels.amax() - 80.0)


def _masked(spectrogram: Tensor) -> Tensor:
    fill = spectrogram.mean()
    for axis in (1, 1, 2, 2):
        size = spectrogram.shape[axis]
        width = torch.rand(1) * 0.1 * size
        first = torch.rand(1) * (size - width)
        steps = torch.arange(size)
        strip = (steps >= first.long()) & (steps < first.long() + width.long())
        spectrogram = spectrogram.masked_fill(strip[:, None] if axis == 1 else strip, fill)
    return spectrogram


class Sounds(Dataset[tuple[Tensor, int]]):
    """The data set: an item is made when it is asked for."""

    def __init__(self, rows: list[tuple[str, int]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        path, label = self.rows[position]
        return item(path), label


class Network(nn.Module):
    """Four blocks of convolution, ReLU and batch normalisation; average pool; one linear layer."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for width_in, width, kernel in ((2, 8, 5), (8, 16, 3), (16, 32, 3), (32, 64, 3)):
            convolution = nn.Conv2d(width_in, width, kernel, stride=2, padding=kernel // 2)
            nn.init.kaiming_normal_(convolution.weight, a=0.1)
            if convolution.bias is not None:
                nn.init.zeros_(convolution.bias)
            blocks += [convolution, nn.ReLU(), nn.BatchNorm2d(width)]
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(64, classes)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.head(self.pool(self.blocks(features)).flatten(1))
        return logits


def _standardised(inputs: Tensor) -> Tensor:
    return (inputs - inputs.mean()) / inputs.std()


def step(
    network: Network,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
    inputs: Tensor,
    labels: Tensor,
) -> tuple[float, int]:
    """Learn from one batch; return its loss and how many answers were right, read at once as the tutorial does."""
    inputs = _standardised(inputs)
    optimizer.zero_grad()
    outputs = network(inputs)
    loss = nn.functional.cross_entropy(outputs, labels)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    scheduler.step()
    _, answers = torch.max(outputs, 1)
    return loss.item(), int((answers == labels).sum().item())


def _batches(rows: list[tuple[str, int]], settings: Settings, most: int) -> DataLoader[tuple[Tensor, int]]:
    """Return a loader that goes round and round in random order, so that no worker runs dry while the clock runs."""
    sounds = Sounds(rows)
    sampler = RandomSampler(sounds, num_samples=most)
    return DataLoader(sounds, BATCH_SIZE, sampler=sampler, num_workers=settings.workers)


def _timed(losses: Iterator[tuple[float, int]], seconds: float, warm_up: int) -> Rate:
    """Draw batches until the time is over; the first ones are not counted."""
    began = time.perf_counter()
    for drawn, _ in enumerate(losses, start=1):
        if drawn >= warm_up and time.perf_counter() - began >= _WARM_UP_S:
            break
    clips, total = 0, 0.0
    started = now = time.perf_counter()
    for loss, size in losses:
        clips += size
        total += loss * size
        now = time.perf_counter()
        if now - started >= seconds:
            break
    return Rate(clips / (now - started), clips, now - started, total / clips)


def train(rows: list[tuple[str, int]], settings: Settings, seconds: float, device: str = "cpu") -> Rate:
    """Train for a while as the tutorial does, and say how many clips a second went through once it ran steadily.

    Args:
        rows: path and class number of each clip.
        settings: workers and threads.
        seconds: how long to time; at least one batch is.
        device: where the network is; items are made on the CPU.
    """
    torch.set_num_threads(settings.threads)
    network = Network(1 + max(label for _, label in rows)).to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001)
    steps = max(_EPOCHS * -(-len(rows) // BATCH_SIZE), 1_000_000)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.001, total_steps=steps, anneal_strategy="linear"
    )

    def losses() -> Iterator[tuple[float, int]]:
        for inputs, labels in _batches(rows, settings, steps * BATCH_SIZE):
            loss, _ = step(network, optimizer, scheduler, inputs.to(device), labels.to(device))
            yield loss, len(labels)

    return _timed(losses(), seconds, warm_up=4 * max(settings.workers, 1))


def evaluate(rows: list[tuple[str, int]], settings: Settings, seconds: float, device: str = "cpu") -> Rate:
    """Run the tutorial's second pass, without gradients, for a while; as `train`."""
    torch.set_num_threads(settings.threads)
    network = Network(1 + max(label for _, label in rows)).to(device).eval()

    def losses() -> Iterator[tuple[float, int]]:
        with torch.no_grad():
            for inputs, labels in _batches(rows, settings, 1_000_000 * BATCH_SIZE):
                outputs = network(_standardised(inputs.to(device)))
                _, answers = torch.max(outputs, 1)
                yield (answers != labels.to(device)).float().mean().item(), len(labels)

    return _timed(losses(), seconds, warm_up=4 * max(settings.workers, 1))


def predict(network: Network, path: str) -> int:
    """Return the class number of one clip, by the way of the second pass."""
    with torch.no_grad():
        return int(network(_standardised(item(path)[None])).argmax())


def main(weights: str, path: str) -> None:
    """Answer for one clip in a process of its own: weights from their pickle, the class number to stdout."""
    state = torch.load(weights, weights_only=True)
    network = Network(len(state["head.bias"]))
    network.load_state_dict(state)
    print(json.dumps({"path": str(Path(path)), "class": predict(network.eval(), path)}))


if __name__ == "__main__":
    main(*sys.argv[1:])

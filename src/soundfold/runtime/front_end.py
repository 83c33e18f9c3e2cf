"""The front end in numpy: waveforms to features, from the numbers that a model file holds beside its graph.

It is here for speed alone, and gives what the graph's own front end gives, within rounding: the graph makes its Fourier
transform of matrix products, which any runtime has, and takes about twice as long.
"""

import math
import threading
from typing import NamedTuple

import numpy as np

from soundfold.audio.shape import are_alike
from soundfold.errors import ModelFileError
from soundfold.runtime.front_end_card import Db, FrontEndCard, Log, Pcen

__all__ = ["FrontEnd"]

_SMALLEST_POWER = 1e-10  # as `features.power_to_db` has it
_MOST_VALUES = 2**30  # of frames before the transform, and of bands: an hour at 44,100 Hz with a hop of a quarter frame
_GROUP = 16  # bands that are summed together, at most: most of a filter is zeros
# Samples of overlapping frames that are transformed together. More would not stay in the cache, and with fewer the
# threads of several sounds would wait for each other, as Python lets them change places at each operation.
_AT_ONCE = 2**17
_ONE_THREAD = 2**18  # multiplications up to which OpenBLAS keeps a product to one thread; sounds have a thread each


class _Group(NamedTuple):
    """Neighbouring bands: the first of them, the bins that they hear, and their filters (bins, bands)."""

    first: int
    low: int
    high: int
    filters: np.ndarray


class _Scratch(NamedTuple):
    """Memory that every sound needs anew: it costs more to ask the system for it than to use it."""

    mirrored: np.ndarray
    frames: np.ndarray
    spectrum: np.ndarray
    power: np.ndarray
    bands: np.ndarray


class FrontEnd:
    """Waveforms (batch, channels, samples) → features (batch, channels, rows, frames), float32. Threads may share it.

    Args:
        card: what to compute.
        samples: length of the waveforms.
        where: the model file, for messages.

    Attributes:
        shape: (rows, frames).

    Raises:
        ModelFileError: the card does not fit itself or the waveforms.
    """

    def __init__(self, card: FrontEndCard, samples: int, where: str) -> None:
        self.card = card
        self._window, filters, self._dct = card.arrays(where)
        self._samples = samples - (card.pre_emphasis > 0)  # each sample takes something off the next
        after = len(self._window) - card.before
        if self._samples <= max(card.before, after):
            raise ModelFileError(
                f"{where}: its front end must take more than {max(card.before, after)} samples, got {self._samples}. "
                f"Export it again"
            )
        self._frames = self._samples // card.hop_length + 1
        rows = filters.shape[1]
        if self._frames * max(rows, card.n_fft) > _MOST_VALUES:
            raise ModelFileError(
                f"{where}: its front end must make at most {_MOST_VALUES:,} values of a window, got "
                f"{self._frames:,} frames of {card.n_fft} samples and {rows} bands. Use a file that soundfold wrote"
            )
        self._part = max(1, _AT_ONCE // card.n_fft)
        with np.errstate(over="ignore"):  # of absurd filters comes what is no number, and is told as such
            scaled = filters * np.float32(card.n_fft)  # what `ortho` divides by
        self._groups = _groups(scaled, _ONE_THREAD // self._part)
        self._n_mels = filters.shape[1]
        self.shape = (self._n_mels if self._dct is None else len(self._dct), self._frames)
        self._local = threading.local()

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """Return features of waveforms (batch, channels, samples)."""
        power = np.empty((*batch.shape[:2], self._n_mels, self._frames), dtype=np.float32)
        with np.errstate(all="ignore"):  # of samples that are too large comes what is no number, and is told as such
            for clip, clip_power in zip(batch, power, strict=True):
                self._sum_bands(clip[0], clip_power[0])
                if are_alike(clip):  # mono, doubled
                    clip_power[1:] = clip_power[0]
                    continue
                for channel, channel_power in zip(clip[1:], clip_power[1:], strict=True):
                    self._sum_bands(channel, channel_power)
            features = _scaled(power, self.card.scale)
            return features if self._dct is None else _transformed(features, self._dct)

    def _sum_bands(self, waveform: np.ndarray, power: np.ndarray) -> None:
        """Write power in mel bands (n_mels, frames) of one channel."""
        scratch = self._scratch()
        self._mirror(waveform, scratch.mirrored)
        length = len(self._window)
        step = scratch.mirrored.strides[0]
        framed = np.lib.stride_tricks.as_strided(
            scratch.mirrored, (self._frames, length), (step * self.card.hop_length, step), writeable=False
        )
        for start in range(0, self._frames, self._part):
            stop = min(start + self._part, self._frames)
            frames, spectrum, part = (kept[: stop - start] for kept in scratch[1:4])
            np.multiply(framed[start:stop], self._window, out=frames[:, :length])
            # with its usual scale numpy computes in float64, through copies of the frames, and takes twice as long
            np.fft.rfft(frames, norm="ortho", out=spectrum)
            squares = spectrum.view(np.float32)  # real, imaginary, real, …
            np.square(squares, out=squares)
            np.add(squares[:, ::2], squares[:, 1::2], out=part)
            for first, low, high, filters in self._groups:
                bands = scratch.bands[start:stop, first : first + filters.shape[1]]
                np.matmul(part[:, low:high], filters, out=bands)
        power[:] = scratch.bands.T

    def _mirror(self, waveform: np.ndarray, mirrored: np.ndarray) -> None:
        """Write a waveform, pre-emphasised where that is asked for, between its own mirrored ends."""
        before = self.card.before
        after = len(self._window) - before
        inner = mirrored[before : before + self._samples]
        if self.card.pre_emphasis:
            np.multiply(waveform[:-1], np.float32(-self.card.pre_emphasis), out=inner)
            inner += waveform[1:]
        else:
            inner[:] = waveform
        mirrored[:before] = inner[1 : before + 1][::-1]
        mirrored[before + self._samples :] = inner[-after - 1 : -1][::-1]

    def _scratch(self) -> _Scratch:
        """Return this thread's scratch memory."""
        if not hasattr(self._local, "scratch"):
            bins = self.card.n_fft // 2 + 1
            self._local.scratch = _Scratch(
                mirrored=np.empty(self._samples + len(self._window), dtype=np.float32),
                frames=np.zeros((self._part, self.card.n_fft), dtype=np.float32),  # zeros stay behind the window
                spectrum=np.empty((self._part, bins), dtype=np.complex64),
                power=np.empty((self._part, bins), dtype=np.float32),
                bands=np.zeros((self._frames, self._n_mels), dtype=np.float32),
            )
        scratch: _Scratch = self._local.scratch
        return scratch


def _groups(filters: np.ndarray, size: int) -> list[_Group]:
    """Return the filters (bins, bands) in groups of at most so many values, without most of their zeros.

    A band that hears nothing may be in none, and one that alone has more values has a group to itself.
    """
    groups: list[_Group] = []
    first = 0
    while first < filters.shape[1]:
        for count in range(min(_GROUP, filters.shape[1] - first), 0, -1):
            heard = np.flatnonzero(filters[:, first : first + count].any(axis=1))
            low, high = (int(heard[0]), int(heard[-1]) + 1) if len(heard) else (0, 0)
            if count * (high - low) <= size:
                break
        if high:
            groups.append(_Group(first, low, high, filters[low:high, first : first + count].copy()))
        first += count
    return groups


def _transformed(bands: np.ndarray, dct: np.ndarray) -> np.ndarray:
    """Return bands (batch, channels, n_mels, frames) as (batch, channels, rows, frames), rows being the transform's."""
    result = np.empty((*bands.shape[:2], len(dct), bands.shape[-1]), dtype=np.float32)
    step = max(1, _ONE_THREAD // dct.size)
    for start in range(0, bands.shape[-1], step):
        np.matmul(dct, bands[..., start : start + step], out=result[..., start : start + step])
    return result


def _scaled(power: np.ndarray, scale: Db | Log | Pcen) -> np.ndarray:
    """Return power in bands (batch, channels, n_mels, frames) as the network takes it; it may be overwritten."""
    if isinstance(scale, Log):
        np.multiply(power, np.float32(scale.factor), out=power)
        power += np.float32(1.0)
        np.log(power, out=power)
        power *= np.float32(scale.slope)
        power += np.float32(scale.shift)
        return power
    if isinstance(scale, Pcen):
        return _normalised(power, scale)
    np.maximum(power, np.float32(_SMALLEST_POWER), out=power)
    np.log(power, out=power)  # numpy has it in vector instructions; log10 it has not
    power *= np.float32(10.0 / math.log(10.0))
    floor = power.max(axis=(-3, -2, -1), keepdims=True) - np.float32(scale.top_db)
    np.maximum(power, floor, out=power)
    return power


def _normalised(power: np.ndarray, scale: Pcen) -> np.ndarray:
    """Return PCEN of power in bands; `features.normalise_energy` derives it."""
    relative = power * np.float32(1.0 / (scale.full_scale * scale.floor))
    background = np.log(_running_mean(relative, scale.weight) + np.float32(1.0))
    level = np.float32((1.0 - scale.gain) * math.log(scale.floor))
    ratio = relative * np.exp(level - np.float32(scale.gain) * background)
    root: np.ndarray = np.exp(np.float32(scale.power) * np.log(ratio + np.float32(scale.bias)))
    return root - np.float32(scale.bias**scale.power)


def _running_mean(energy: np.ndarray, weight: float) -> np.ndarray:
    """Return the first-order recursive mean along the last axis, block by block; see `features.running_mean`."""
    frames = energy.shape[-1]
    size = math.isqrt(frames - 1) + 1
    count = -(-frames // size)
    steps, places = np.arange(size), np.arange(count)
    padded = np.zeros((*energy.shape[:-1], size * count), dtype=np.float32)
    padded[..., :frames] = energy
    alone = padded.reshape(*energy.shape[:-1], count, size) @ _decay(steps - steps[:, None], weight, weight)
    ends = np.concatenate([energy[..., :1], alone[..., :-1, -1]], axis=-1)
    before = ends @ _decay(size * (places - places[:, None]), weight)
    means: np.ndarray = alone + before[..., None] * _decay(steps + 1, weight)
    return means.reshape(padded.shape)[..., :frames]


def _decay(steps: np.ndarray, weight: float, first: float = 1.0) -> np.ndarray:
    """Return first · (1 − weight)^steps, and 0 for negative steps."""
    powers = np.where(steps < 0, 0.0, first * (1.0 - weight) ** np.maximum(steps, 0))
    return powers.astype(np.float32)

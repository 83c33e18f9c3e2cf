"""Another sample rate: at once, or block by block with the same samples.

soxr gives the same samples whether it is fed at once or in blocks of any size, so `resample` and `resample_blocks` are
equal to the bit. Its first samples are not those of its filter, though: with most pairs of rates two to eighty of them
are off by up to a tenth, as each of its stages begins without what came before. So it hears silence before a sound,
which is cut off again, and silence after it, as it may leave out the last sample of a short one.
"""

import math
from collections.abc import Iterable, Iterator

import numpy as np
import soxr

from soundfold.audio.source import Waveform
from soundfold.errors import AudioError

__all__ = ["BlockResampler", "checked_rate", "resample", "resample_blocks", "resampled_length"]

_QUALITY = "HQ"
_REACH = 100  # samples, of the lower of the two rates, that a sample depends on to each side
_HIGHEST_HZ = 2**32 - 1  # what the header of a WAV file can tell; soxr takes ever longer beyond it, and then for ever
_MOST_SILENCE = 1_000_000  # samples; with rates that need more, which no sound has, soxr's beginning and end stand


def checked_rate(name: str, rate: float) -> int:
    """Return a sample rate as a whole number, whatever kind of number holds it.

    Args:
        name: what the message calls it.
        rate: in Hz, from 1 to 4,294,967,295, the highest that a file's header can tell.

    Raises:
        AudioError: it is no number, not whole, or out of range.

    >>> checked_rate("sample_rate", 44_100.0), checked_rate("sample_rate", np.int16(8_000))
    (44100, 8000)
    """
    if isinstance(rate, int | float | np.integer | np.floating) and 1 <= rate <= _HIGHEST_HZ and rate == int(rate):
        return int(rate)
    raise AudioError(
        f"{name} must be a whole number of Hz from 1 to {_HIGHEST_HZ:,}, got {rate!r}. Say 48_000, for instance"
    )


def resampled_length(samples: int, sample_rate: int, new_rate: int) -> int:
    """Return how many samples a sound has at another rate: `samples * new_rate / sample_rate`, halves rounded up.

    Args:
        samples: length at `sample_rate`, at least 1.
        sample_rate: in Hz.
        new_rate: in Hz.

    Returns:
        The length, at least 1.

    Raises:
        AudioError: there are no samples, or a rate cannot be.

    >>> resampled_length(88_200, 22_050, 44_100), resampled_length(3, 2, 1), resampled_length(1, 96_000, 8_000)
    (176400, 2, 1)
    """
    if samples < 1:
        raise AudioError(f"samples must be at least 1, got {samples}.")
    sample_rate, new_rate = checked_rate("sample_rate", sample_rate), checked_rate("new_rate", new_rate)
    return max(1, (2 * samples * new_rate + sample_rate) // (2 * sample_rate))


def resample(waveform: Waveform, sample_rate: int, new_rate: int) -> Waveform:
    """Resample a waveform with soxr's quality HQ. At the same rate the array itself is returned.

    Args:
        waveform: `(channels, samples)`, float32.
        sample_rate: its rate in Hz.
        new_rate: the wanted rate in Hz.

    Returns:
        `(channels, resampled_length(samples, sample_rate, new_rate))`, float32.

    Raises:
        AudioError: the waveform is empty or not of two axes, or a rate cannot be.

    >>> resample(np.ones((2, 441), np.float32), 44_100, 48_000).shape
    (2, 480)
    """
    if waveform.ndim != 2 or waveform.shape[0] == 0:
        raise AudioError(f"waveform must have the shape (channels, samples), got {waveform.shape}.")
    sample_rate, new_rate = checked_rate("sample_rate", sample_rate), checked_rate("new_rate", new_rate)
    length = resampled_length(waveform.shape[1], sample_rate, new_rate)
    if sample_rate == new_rate:
        return waveform
    before, cut, after = _silences(sample_rate, new_rate)
    padded = np.zeros(before + waveform.shape[1] + after, np.float32)
    resampled = np.zeros((waveform.shape[0], length), np.float32)
    # Channel by channel is faster than interleaved, and gives the layout that is wanted.
    for row, into in zip(waveform, resampled, strict=True):
        padded[before : before + len(row)] = row
        try:
            found = soxr.resample(padded, sample_rate, new_rate, quality=_QUALITY)[cut : cut + length]
        except (RuntimeError, ValueError) as error:
            raise _impossible(sample_rate, new_rate, error) from error
        into[: len(found)] = found
    return resampled


def resample_blocks(blocks: Iterable[Waveform], sample_rate: int, new_rate: int) -> Iterator[Waveform]:
    """Resample a sound that comes in blocks; joined, the result equals `resample` of the joined blocks.

    What comes out lags behind what goes in by some milliseconds, and the last block brings the rest; memory is bounded
    by the largest block. At the same rate the blocks themselves are passed on.

    Args:
        blocks: `(channels, n)`, float32, all with the same number of channels.
        sample_rate: their rate in Hz.
        new_rate: the wanted rate in Hz.

    Yields:
        Blocks `(channels, m)`, float32, never empty.

    Raises:
        AudioError: a rate cannot be, or the number of channels changes.
    """
    resampler = BlockResampler(sample_rate, new_rate)
    for block in blocks:
        resampled = resampler.feed(block)
        if resampled.shape[1]:
            yield resampled
    rest = resampler.finish()
    if rest.shape[1]:
        yield rest


class BlockResampler:
    """Resamples a sound whose blocks are handed to it one by one, as `resample_blocks` does.

    Args:
        sample_rate: rate of the blocks in Hz.
        new_rate: the wanted rate in Hz.

    Raises:
        AudioError: a rate cannot be.
    """

    def __init__(self, sample_rate: int, new_rate: int) -> None:
        sample_rate, new_rate = checked_rate("sample_rate", sample_rate), checked_rate("new_rate", new_rate)
        self._rates = sample_rate, new_rate
        self._streams: list[soxr.ResampleStream] = []
        self._before, self._to_cut, self._after = _silences(sample_rate, new_rate)
        self._nothing: Waveform = np.empty((0, 0), np.float32)  # with as many channels as the sound has
        self._n_in = self._n_out = 0

    def feed(self, block: Waveform) -> Waveform:
        """Return what a block `(channels, n)` brings: `(channels, m)`, possibly without samples.

        Raises:
            AudioError: the block has another number of channels than those before.
        """
        if self._rates[0] == self._rates[1] or block.shape[1] == 0:
            return block
        if not self._streams:
            self._streams = [_resampler(*self._rates) for _ in block]
            self._nothing = block[:, :0].copy()
            self._resampled(self._silence(self._before), last=False)
        elif block.shape[0] != self._nothing.shape[0]:
            wanted = self._nothing.shape[0]
            raise AudioError(f"block must have {wanted} channels like those before, got {block.shape[0]}.")
        self._n_in += block.shape[1]
        resampled = self._resampled(block, last=False)
        self._n_out += resampled.shape[1]
        return resampled

    def finish(self) -> Waveform:
        """Return the rest `(channels, m)`, possibly without samples; nothing can be fed after it."""
        if not self._streams:
            return self._nothing
        rest = self._silence(max(0, resampled_length(self._n_in, *self._rates) - self._n_out))
        found = self._resampled(self._silence(self._after), last=True)[:, : rest.shape[1]]
        rest[:, : found.shape[1]] = found
        return rest

    def _silence(self, samples: int) -> Waveform:
        return np.zeros((len(self._streams), samples), np.float32)

    def _resampled(self, block: Waveform, *, last: bool) -> Waveform:
        """Return what the resamplers give behind the silence, one a channel: faster than one of interleaved samples."""
        rows = [stream.resample_chunk(_plain(row), last=last) for stream, row in zip(self._streams, block, strict=True)]
        cut = min(self._to_cut, len(rows[0]))
        self._to_cut -= cut
        return _stacked([row[cut:] for row in rows])


def _silences(sample_rate: int, new_rate: int) -> tuple[int, int, int]:
    """Return how many samples of silence go before a sound, how many become of them, and how many go behind it."""
    common = math.gcd(sample_rate, new_rate)
    step_in, step_out = sample_rate // common, new_rate // common  # samples after which both rates coincide
    after = sample_rate // new_rate + 1
    steps = -(-_REACH * after // step_in)
    if steps * step_in > _MOST_SILENCE:
        return 0, 0, 0
    return steps * step_in, steps * step_out, after


def _resampler(sample_rate: int, new_rate: int) -> soxr.ResampleStream:
    try:
        return soxr.ResampleStream(sample_rate, new_rate, 1, dtype="float32", quality=_QUALITY)
    except (RuntimeError, ValueError) as error:
        raise _impossible(sample_rate, new_rate, error) from error


def _stacked(rows: list[np.ndarray]) -> Waveform:
    return rows[0][np.newaxis] if len(rows) == 1 else np.stack(rows)


def _plain(samples: Waveform) -> Waveform:
    return np.ascontiguousarray(samples, dtype=np.float32)


def _impossible(sample_rate: int, new_rate: int, error: Exception) -> AudioError:
    return AudioError(f"new_rate must be a rate that {sample_rate} Hz can be resampled to, got {new_rate} ({error}).")

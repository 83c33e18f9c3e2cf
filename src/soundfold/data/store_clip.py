"""One clip of the waveform store: from its file to 16-bit samples with a scale of their own, or to what is wrong."""

from dataclasses import dataclass

import numpy as np
import xxhash
from numpy.typing import NDArray

from soundfold.audio import load
from soundfold.errors import AudioError, PathError
from soundfold.recipe import SoundRecipe

__all__ = ["Decoded", "decode"]

_AT_ONCE = 1 << 20  # samples a channel; whole clips in float32 would be held several times over
_LOUDEST = 1e6  # 120 dB over full scale: beyond it lie damaged floats, whose power float32 cannot hold


@dataclass(frozen=True, eq=False)
class Decoded:
    """What came of a clip.

    Attributes:
        samples: (channels, samples) int16, little-endian; empty with a problem. The sound is samples · 2^(exponent−15).
        exponent: the smallest e with peak ≤ 2^e.
        sound_hash: the same for the same sound; "" for silence, in which all clips are alike, and with a problem.
        problem: why there is no sound, or "".
        lasting: False if the problem may be gone at the next try, as it lies in the system and not in the sound.
    """

    samples: NDArray[np.int16]
    exponent: int = 0
    sound_hash: str = ""
    problem: str = ""
    lasting: bool = True


def decode(path: str, start_s: float, end_s: float, sound: SoundRecipe, content: bytes | None = None) -> Decoded:
    """Decode one clip at the recipe's rate, with no more channels than differ; problems are returned, not raised.

    Args:
        path: its file.
        start_s: where it begins in the file; below 0 for the beginning.
        end_s: where it ends; below 0 for the end.
        sound: rate, channels, and the longest clip.
        content: the file's bytes, if they have been read already.
    """
    try:
        waveform = load(
            path,
            sound.sample_rate,
            sound.channels,
            downmix=sound.downmix,
            start_s=start_s if start_s >= 0 else None,
            end_s=end_s if end_s >= 0 else None,
            max_s=sound.max_clip_s,
            join_alike=True,
            content=content,
        )
    except (AudioError, PathError, OSError) as error:
        problem = str(error).removeprefix(f"{path}: ")
        return Decoded(np.empty((1, 0), "<i2"), problem=problem, lasting=isinstance(error, AudioError))
    peak = max(float(waveform.max()), -float(waveform.min()))
    if peak > _LOUDEST:
        problem = f"its samples reach {peak:.3g}, which no sound does. Write it again with samples from -1 to 1"
        return Decoded(np.empty((1, 0), "<i2"), problem=problem)
    exponent = _exponent(peak)
    samples = _quantised(waveform, exponent, peak)
    digest = xxhash.xxh3_128(samples.data, seed=(exponent + 128) * 256 + len(samples))
    return Decoded(samples, exponent, digest.hexdigest() if peak else "")


def _quantised(waveform: NDArray[np.float32], exponent: int, peak: float) -> NDArray[np.int16]:
    """Return `rint(waveform · 2^(15−exponent))` as int16; the waveform is used up.

    The key idea: float32 keeps 23 bits after the leading one, so beside 1.5 · 2^(exponent+8) its step is
    2^(exponent−15), and a sum is rounded to the very steps that are wanted. The sum's lowest 16 bits are the number.
    One addition stands for scaling, rounding and converting.
    """
    samples = np.empty(waveform.shape, "<i2")
    rounder, largest = np.float32(1.5 * 2.0 ** (exponent + 8)), np.float32(32_767 * 2.0 ** (exponent - 15))
    for first in range(0, waveform.shape[1], _AT_ONCE):
        part = waveform[:, first : first + _AT_ONCE]
        if peak > largest:
            np.minimum(part, largest, out=part)  # a peak of just +2^exponent loses one step; −2^exponent fits
        part += rounder
        samples[:, first : first + _AT_ONCE] = part.view(np.int32)
    return samples


def _exponent(peak: float) -> int:
    """Return the smallest e with peak ≤ 2^e, so that 16-bit files come back exactly, those at full scale included."""
    if peak == 0:
        return 0
    fraction, exponent = np.frexp(peak)
    return max(-100, int(exponent) - int(fraction == 0.5))

"""One clip of the waveform store: from its file to 16-bit samples with a scale of their own, or to what is wrong."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soundfold.audio import load
from soundfold.errors import AudioError, PathError
from soundfold.recipe import SoundRecipe

__all__ = ["Decoded", "Job", "decode"]

_AT_ONCE = 1 << 20  # samples a channel; whole clips in float32 would be held several times over
_LOUDEST = 1e6  # 120 dB over full scale: beyond it lie damaged floats, whose power float32 cannot hold


@dataclass(frozen=True)
class Job:
    """One clip to decode, with the stamp of its file at the time of asking; start and end are −1 for the file's own."""

    file: str
    path: str
    start: float
    end: float
    size: int
    mtime_ns: int
    ctime_ns: int


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


def decode(job: Job, sound: SoundRecipe) -> Decoded:
    """Decode one clip at the recipe's rate, with no more channels than differ; problems are returned, not raised."""
    try:
        waveform = load(
            job.file,
            sound.sample_rate,
            sound.channels,
            downmix=sound.downmix,
            start_s=job.start if job.start >= 0 else None,
            end_s=job.end if job.end >= 0 else None,
            max_s=sound.max_clip_s,
        )
    except (AudioError, PathError, OSError) as error:
        problem = str(error).removeprefix(f"{job.file}: ")
        return Decoded(np.empty((1, 0), "<i2"), problem=problem, lasting=isinstance(error, AudioError))
    if len(waveform) == 2 and (waveform.strides[0] == 0 or np.array_equal(waveform[0], waveform[1])):
        waveform = waveform[:1]
    peak = max(float(waveform.max()), -float(waveform.min()))
    if peak > _LOUDEST:
        problem = f"its samples reach {peak:.3g}, which no sound does. Write it again with samples from -1 to 1"
        return Decoded(np.empty((1, 0), "<i2"), problem=problem)
    exponent = _exponent(peak)
    samples = _quantised(waveform, exponent)
    digest = hashlib.blake2b(samples.data, digest_size=8, key=bytes([exponent & 0xFF, len(samples)]))
    return Decoded(samples, exponent, digest.hexdigest() if peak else "")


def _quantised(waveform: NDArray[np.float32], exponent: int) -> NDArray[np.int16]:
    samples = np.empty(waveform.shape, "<i2")
    for first in range(0, waveform.shape[1], _AT_ONCE):
        part = waveform[:, first : first + _AT_ONCE] * np.float32(2.0 ** (15 - exponent))
        np.rint(part, out=part)
        np.minimum(part, 32_767, out=part)  # a peak of just +2^exponent loses one step; −2^exponent fits
        samples[:, first : first + _AT_ONCE] = part
    return samples


def _exponent(peak: float) -> int:
    """Return the smallest e with peak ≤ 2^e, so that 16-bit files come back exactly, those at full scale included."""
    if peak == 0:
        return 0
    fraction, exponent = np.frexp(peak)
    return max(-100, int(exponent) - int(fraction == 0.5))

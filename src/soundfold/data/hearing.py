"""Hear one clip as it is in its file, in bounded memory: length, level, format, and a digest of its samples."""

import hashlib
from dataclasses import dataclass

import numpy as np

from soundfold.audio import probe, stream
from soundfold.errors import AudioError, PathError

__all__ = ["Heard", "hear"]

FULL_SCALE = 0.9999  # the largest 16-bit sample is 32767/32768
_FULL_SCALE_8_BIT = 0.992  # the largest 8-bit sample is 127/128


@dataclass(frozen=True)
class Heard:
    """What one clip sounds like.

    Attributes:
        problem: why it cannot be used, or ""; the other attributes then mean nothing.
        sample_rate: Hz. channels: count. format: container and coding, "WAV PCM_16".
        length_s: decoded length in seconds.
        peak: largest absolute sample. full_scale: part of the samples at full scale, 0 to 1.
        digest: the same for the same samples, rate and channels, whatever the file's format.
    """

    problem: str = ""
    sample_rate: int = 0
    channels: int = 0
    format: str = ""
    length_s: float = 0.0
    peak: float = 0.0
    full_scale: float = 0.0
    digest: str = ""


def hear(path: str, start_s: float | None = None, end_s: float | None = None) -> Heard:
    """Decode a clip at its own rate and channels.

    Args:
        path: its file.
        start_s, end_s: its range inside the file in seconds, None for the file's ends.

    Returns:
        What it sounds like, or what is wrong with it.
    """
    try:
        info = probe(path)
        digest = hashlib.blake2b(f"{info.sample_rate} {info.channels}".encode(), digest_size=16)
        limit = _FULL_SCALE_8_BIT if "8" in info.codec and "16" not in info.codec else FULL_SCALE
        frames = loud = 0
        peak = 0.0
        for block in stream(path, info.sample_rate, info.channels, start_s=start_s, end_s=end_s):
            # Interleaved, so that the digest does not depend on where one block ends and the next begins.
            digest.update(np.ascontiguousarray(block.T).data)
            level = np.abs(block)
            peak = max(peak, float(level.max(initial=0.0)))
            loud += int((level >= limit).sum())
            frames += block.shape[1]
    except (AudioError, PathError) as error:
        return Heard(problem=str(error).removeprefix(f"{path}: "))
    return Heard(
        sample_rate=info.sample_rate,
        channels=info.channels,
        format=f"{info.container} {info.codec}",
        length_s=frames / info.sample_rate,
        peak=peak,
        full_scale=loud / (frames * info.channels),
        digest=digest.hexdigest(),
    )

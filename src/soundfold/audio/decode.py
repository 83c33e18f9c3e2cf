"""Decoding: any sound, at the wanted rate and number of channels, at once or as a stream of bounded memory.

soundfile is tried first, PyAV takes what it does not know; regular WAV files that are in memory need neither. Channels
are dropped before resampling and doubled after it, so that no channel is resampled in vain. Everything here works on
one sound at a time and keeps no state between calls, so it may run in as many threads as one likes.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np

from soundfold.audio.asked import check_channels, check_limit, check_range, check_wanted
from soundfold.audio.resample import resample, resample_blocks
from soundfold.audio.shape import Downmix, are_alike, remix
from soundfold.audio.soundfile_in import open_with_soundfile
from soundfold.audio.source import SoundInfo, Source, Waveform, called, locate
from soundfold.audio.wav_in import open_wav, refuse_endless_header
from soundfold.errors import AudioError, TooLongError

__all__ = ["load", "probe", "read", "stream"]

# Frames that `load` reads at once: a short clip comes in one piece, and no header can make it allocate more.
_LOAD_BLOCK = 1 << 22

# So much later than the sound a range may end: annotation tools round ends up, and coders' padding moves them.
_SLACK_S = 0.05

_MAX_S = 600.0


class _Sound(Protocol):
    """What both decoders give."""

    name: str
    sample_rate: int
    channels: int
    frames: int | None
    may_hold_nan: bool

    def info(self) -> SoundInfo: ...
    def reaches(self, frame: int) -> bool: ...
    def blocks(self, start: int, stop: int | None, size: int) -> Iterator[Waveform]: ...


def probe(source: Source, *, name: str | None = None) -> SoundInfo:
    """Return what a sound's header says, without decoding the sound. A header may lie about the length.

    Args:
        source: a path, the bytes of a file, or an open binary file (it is read from its beginning, and left open).
        name: what messages call it; by default its path.

    Raises:
        PathError: the path does not exist or cannot be read.
        AudioError: it is not a sound, or holds no samples.
    """
    with _opened(source, name) as sound:
        return sound.info()


def stream(
    source: Source,
    sample_rate: int,
    channels: int,
    *,
    downmix: Downmix = "first",
    start_s: float | None = None,
    end_s: float | None = None,
    block_s: float = 30.0,
    max_s: float = math.inf,
    name: str | None = None,
) -> Iterator[Waveform]:
    """Yield a sound block by block, at the wanted rate and number of channels, however long it is.

    Joined, the blocks equal what `load` returns, to the bit, for every `block_s`. Their lengths are about `block_s`,
    not exactly. The file is opened when the first block is asked for.

    Args:
        source: a path, the bytes of a file, or an open binary file (it is read from its beginning, and left open).
        sample_rate: wanted rate in Hz; at the file's own rate samples are passed on as they are.
        channels: wanted number: one channel is repeated, more come down by `downmix`.
        downmix: `first` keeps the first channels, `mean` averages all.
        start_s: where to begin, in seconds; the frame is `round(start_s * rate)` at the file's own rate.
        end_s: where to end, likewise. A range may end up to 0.05 s after the sound does, and is then that much
            shorter.
        block_s: length of the blocks that are decoded, in seconds.
        max_s: the longest sound (or range) that is taken, in seconds; a longer one is refused before it is decoded, or
            where its header lies or is silent, as soon as it has lasted that long.
        name: what messages call the sound; by default its path.

    Yields:
        Waveforms `(channels, n)`, float32, -1 to 1 (beyond only where a file of floats goes beyond), C-contiguous.

    Raises:
        PathError: the path does not exist or cannot be read.
        AudioError: it is not a sound, is damaged, holds no samples, NaN or infinity, or the range lies outside it.
        TooLongError: it lasts longer than `max_s`.
    """
    check_wanted(sample_rate, channels, downmix)
    check_range(start_s, end_s)
    check_limit(max_s)
    if not 0 < block_s < math.inf:
        raise AudioError(f"block_s must be above 0, got {block_s}.")
    return _stream(source, sample_rate, channels, downmix, start_s, end_s, block_s, max_s, name)


def load(
    source: Source,
    sample_rate: int,
    channels: int,
    *,
    downmix: Downmix = "first",
    start_s: float | None = None,
    end_s: float | None = None,
    max_s: float = _MAX_S,
    join_alike: bool = False,
    content: bytes | None = None,
    name: str | None = None,
) -> Waveform:
    """Return a whole sound, or a range of it, at the wanted rate and number of channels.

    A file that ends earlier than its header promises gives what is there, as published data sets hold such clips; a
    format with checksums that reports damage (FLAC), or a range that lacks more than its last 0.05 s, is an error.

    Args:
        source: a path, the bytes of a file, or an open binary file (it is read from its beginning, and left open).
        sample_rate: wanted rate in Hz; at the file's own rate samples are passed on as they are.
        channels: wanted number: one channel is repeated, more come down by `downmix`.
        downmix: `first` keeps the first channels, `mean` averages all.
        start_s: where to begin, in seconds; the frame is `round(start_s * rate)` at the file's own rate.
        end_s: where to end, likewise. A range may end up to 0.05 s after the sound does, and is then that much
            shorter.
        max_s: the longest sound (or range) that is taken, in seconds; a longer one is refused before it is decoded.
        join_alike: give one channel where all that are wanted would be alike, as those of a mono sound.
        content: the source's bytes, if they have been read already; this spares some formats a second reading.
        name: what messages call the sound; by default its path.

    Returns:
        Waveform `(channels, resampled_length(frames, own rate, sample_rate))`, float32, -1 to 1 (beyond only where a
        file of floats goes beyond), C-contiguous.

    Raises:
        PathError: the path does not exist or cannot be read.
        AudioError: it is not a sound, is damaged, holds no samples, NaN or infinity, or the range lies outside it.
        TooLongError: it lasts longer than `max_s`.
    """
    check_wanted(sample_rate, channels, downmix)
    check_range(start_s, end_s)
    check_limit(max_s)
    with _opened(source, name, content) as sound:
        check_channels(sound.name, sound.channels, channels)
        waveform, rate = _decode(sound, start_s, end_s, max_s), sound.sample_rate
    if channels < waveform.shape[0]:
        waveform = remix(waveform, channels, downmix)
    if join_alike and are_alike(waveform):
        channels, waveform = 1, waveform[:1]
    return np.ascontiguousarray(remix(resample(waveform, rate, sample_rate), channels))


def read(source: Source, *, max_s: float = _MAX_S, name: str | None = None) -> tuple[Waveform, int]:
    """Return a whole sound as it is in the file, and its sample rate.

    Args:
        source: a path, the bytes of a file, or an open binary file (it is read from its beginning, and left open).
        max_s: the longest sound that is taken, in seconds; a longer one is refused before it is decoded.
        name: what messages call the sound; by default its path.

    Returns:
        Waveform `(channels, samples)`, float32, C-contiguous, and its rate in Hz.

    Raises:
        PathError: the path does not exist or cannot be read.
        AudioError: as for `load`.
    """
    check_limit(max_s)
    with _opened(source, name) as sound:
        return np.ascontiguousarray(_decode(sound, None, None, max_s)), sound.sample_rate


@contextmanager
def _opened(source: Source, name: str | None, content: bytes | None = None) -> Iterator[_Sound]:
    if content is not None and (wav := open_wav(content, called(source, name))) is not None:
        yield wav
        return
    target, label = locate(source, name)
    sound = open_with_soundfile(target, label)
    if sound is None:
        from soundfold.audio.libav_in import opened_with_libav  # FFmpeg takes long to import, and is rarely needed

        refuse_endless_header(target, label)
        with opened_with_libav(target, label) as other:
            yield other
        return
    try:
        if sound.frames == 0:
            raise _no_samples(sound)
        yield sound
    finally:
        sound.close()


def _stream(
    source: Source,
    sample_rate: int,
    channels: int,
    downmix: Downmix,
    start_s: float | None,
    end_s: float | None,
    block_s: float,
    max_s: float,
    name: str | None,
) -> Iterator[Waveform]:
    with _opened(source, name) as sound:
        check_channels(sound.name, sound.channels, channels)
        blocks = _limited(sound, start_s, end_s, max(1, round(block_s * sound.sample_rate)), max_s)
        kept = min(channels, sound.channels)
        fitted = (remix(block, kept, downmix) for block in blocks)
        for block in resample_blocks(fitted, sound.sample_rate, sample_rate):
            yield np.ascontiguousarray(remix(block, channels))


def _decode(sound: _Sound, start_s: float | None, end_s: float | None, max_s: float) -> Waveform:
    """Return the frames of a range as they are in the file, `(channels, n)`, possibly not contiguous."""
    pieces = list(_limited(sound, start_s, end_s, _LOAD_BLOCK, max_s))
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)


def _limited(sound: _Sound, start_s: float | None, end_s: float | None, size: int, max_s: float) -> Iterator[Waveform]:
    """Yield a range's blocks of at most about `size` frames; stop with an error once it lasts longer than `max_s`."""
    start, stop = _span(sound, start_s, end_s)
    limit = int(min(max_s, 1e12) * sound.sample_rate)
    # What a header promises is believed only if the first frame too many can be read.
    if stop is not None and stop - start > limit and sound.reaches(start + limit):
        raise _too_long(sound, f" {(stop - start) / sound.sample_rate:.1f} s,", max_s)
    length = 0
    for block in _checked(sound, start, stop, end_s is not None, size):
        length += block.shape[1]
        if length > limit:
            raise _too_long(sound, "", max_s)
        yield block


def _checked(sound: _Sound, start: int, stop: int | None, whole: bool, size: int) -> Iterator[Waveform]:
    """Yield a range's blocks, all samples finite, at least one; if `whole`, only the slack may be missing."""
    position = start
    for block in sound.blocks(start, stop, size):
        if sound.may_hold_nan and not np.isfinite(block).all():
            _raise_not_finite(sound, block, position)
        position += block.shape[1]
        yield block
    if position == start == 0 and not whole:
        raise _no_samples(sound)
    if position == start or (whole and stop is not None and stop - position > _SLACK_S * sound.sample_rate):
        held: int | None = position
        if position == start:  # then the length is known only if the decoder met the end before the range
            held = sound.frames if sound.frames is not None and sound.frames <= start else None
        raise _outside(sound, start, stop, held)


def _span(sound: _Sound, start_s: float | None, end_s: float | None) -> tuple[int, int | None]:
    """Return the first frame of a range and the frame after its last (None: the end, wherever that is)."""
    start = 0 if start_s is None else round(start_s * sound.sample_rate)
    stop = sound.frames if end_s is None else round(end_s * sound.sample_rate)
    if sound.frames is not None:
        late = 0 if stop is None else stop - sound.frames
        if start >= sound.frames or late > _SLACK_S * sound.sample_rate:
            raise _outside(sound, start, None if end_s is None else stop, sound.frames)
    if stop is not None and stop <= start:
        raise AudioError(f"{sound.name}: the range from {start_s} to {end_s} s holds no sample. Make it longer.")
    return start, stop


def _raise_not_finite(sound: _Sound, block: Waveform, position: int) -> None:
    bad = ~np.isfinite(block)
    at = int(np.argmax(bad.any(axis=0)))
    what = "NaN" if np.isnan(block[:, at]).any() else "infinity"
    raise AudioError(
        f"{sound.name}: holds {what} at {(position + at) / sound.sample_rate:.3f} s. Repair it or remove it."
    )


def _no_samples(sound: _Sound) -> AudioError:
    return AudioError(f"{sound.name}: holds no samples after its header. Remove it or fetch it again.")


def _too_long(sound: _Sound, length: str, max_s: float) -> TooLongError:
    return TooLongError(
        f"{sound.name}: lasts{length} longer than the limit of {max_s:g} s. Take a part of it, or raise the limit."
    )


def _outside(sound: _Sound, start: int, stop: int | None, frames: int | None) -> AudioError:
    rate = sound.sample_rate
    end = "its end" if stop is None else f"{stop / rate:.3f} s"
    holds = "less" if frames is None else f"{frames / rate:.3f} s of sound"
    return AudioError(f"{sound.name}: the range from {start / rate:.3f} to {end} lies outside it, it holds {holds}.")

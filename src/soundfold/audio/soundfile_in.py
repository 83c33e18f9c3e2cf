"""Decoding through soundfile (libsndfile): WAV, FLAC, Ogg Vorbis, MP3, AIFF and their kin.

Here stands whatever works round that library; nothing about channels, rates or limits.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import BinaryIO

import numpy as np
import soundfile

from soundfold.audio.hush import hushed
from soundfold.audio.source import SoundInfo, Target, Waveform
from soundfold.errors import AudioError

__all__ = ["SoundfileSound", "open_with_soundfile"]

# A header may promise any length, so a block is never larger than this many samples over all channels (64 MiB).
_BLOCK_SAMPLES = 1 << 24

# libsndfile gives a length of 2**63 - 1 frames where the header says nothing.
_UNKNOWN_FRAMES = 1 << 62

# In the last page of an Ogg Vorbis file libsndfile (1.2.2) seeks too far, by the samples that the encoder padded.
# A page completes at most 255 packets of at most 4,096 samples: positions further from the end than that are exact.
_VORBIS_PAGE = 255 * 4_096

# libsndfile decodes Opus at the rate that the encoder was given, which browsers and players do not, and where an Ogg
# stream begins after its first sample it keeps the encoder's lead-in.
_LEFT_TO_FFMPEG = "OPUS"

# libsndfile passes these samples on as they are, while turning them into floats takes it longer than all the rest.
_SIXTEEN_BITS = "PCM_16"

# An MP3 frame keeps part of its bits in frames before it, where libsndfile does not look after a seek: it gives garbage
# for up to some thirty frames. After this many samples (57 frames) it gave the right ones in every file tried.
_MP3_RESERVOIR = 65_536
_MPEG = ("MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III")

# Shorter by more than this than promised, an MP3 was cut off or is damaged inside; libsndfile tells neither.
_MISSING_S = 0.1


class _InOrder(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no type information
    """A file that is read in order.

    soundfile seeks to where it already stands after every read; in MP3 that restarts the decoder and changes samples,
    in a FLAC file that ends early it fails. It leaves this out for files that say they cannot seek; `seek` still works.
    """

    def seekable(self) -> bool:
        return False


class _Steady:
    """A file object whose `seek` never fails, as soundfile would print a traceback and go on at byte 0 anyway."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.read = file.read
        self.tell = file.tell
        if hasattr(file, "readinto"):
            self.readinto = file.readinto

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError):
            return self._file.seek(0)


class SoundfileSound:
    """A sound that libsndfile has opened.

    Attributes:
        sample_rate: in Hz, as in the file.
        channels: as in the file.
        frames: number of frames that the header promises, or None.
        may_hold_nan: whether samples may be NaN or infinite; no whole number is.
        name: what messages call it.
    """

    def __init__(self, target: Target, name: str) -> None:
        self._target = target
        self._file = file = _open(target)
        self.name = name
        self.sample_rate: int = file.samplerate
        self.channels: int = file.channels
        self.frames: int | None = file.frames if file.frames < _UNKNOWN_FRAMES else None
        self._sixteen_bits = file.subtype == _SIXTEEN_BITS
        self.may_hold_nan = not file.subtype.startswith("PCM_")

    def info(self) -> SoundInfo:
        """Return what the header says."""
        duration_s = None if self.frames is None else self.frames / self.sample_rate
        container = {"WAVEX": "WAV", "NIST": "NIST Sphere"}.get(self._file.format, self._file.format)
        return SoundInfo(self.sample_rate, self.channels, duration_s, str(container), str(self._file.subtype))

    def reaches(self, frame: int) -> bool:
        """Tell whether a frame can truly be read, whatever the header promises.

        The sound is opened a second time for it, as a decoder that fails to seek gives nothing any more.
        """
        position = None if isinstance(self._target, str) else self._target.tell()
        try:
            with _open(self._target) as file, self._hushed():
                return bool(file.seek(frame) == frame and len(file.read(1, "float32", always_2d=True)))
        except soundfile.SoundFileError:
            return False
        finally:
            if position is not None and not isinstance(self._target, str):
                self._target.seek(position)

    def blocks(self, start: int, stop: int | None, size: int) -> Iterator[Waveform]:
        """Yield the frames from `start` to `stop` (or the end) in blocks of at most `size` frames, `(channels, n)`.

        The sound may end before `stop`; then so do the blocks.
        """
        size = max(1, min(size, _BLOCK_SAMPLES // self.channels))
        position = self._seek(start)
        while stop is None or position < stop:
            until = start if position < start else stop
            wanted = size if until is None else min(size, until - position)
            block = self._read(wanted)
            if position >= start and block.shape[1]:
                yield block
            position += block.shape[1]
            if block.shape[1] < wanted:
                if self._file.subtype in (*_MPEG, "VORBIS") and stop is not None:
                    self._refuse_damage(min(stop, self.frames or 0) - position)
                return

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _refuse_damage(self, missing: int) -> None:
        """Raise if MP3 or Vorbis lacks frames because of damage inside; where it was cut off, what is there is used.

        libsndfile stops at damage in MP3 as if that were the end; FFmpeg, which reads the whole file again, names it.
        Of Vorbis it passes over pages that are lost, and gives fewer frames than the last page tells.
        """
        if missing <= _MISSING_S * self.sample_rate:
            return
        if self._file.subtype == "VORBIS":
            raise AudioError(
                f"{self.name}: is damaged: {missing / self.sample_rate:.1f} s of it are lost inside. Fetch it again or "
                "remove it."
            )
        from soundfold.audio.libav_in import opened_with_libav  # takes long to import, and is rarely needed

        with opened_with_libav(self._target, self.name) as other:
            for _ in other.blocks(0, None, _BLOCK_SAMPLES):
                pass

    def _hushed(self) -> AbstractContextManager[None]:
        """Return what to read within: only the decoder of MP3 speaks."""
        return hushed() if self._file.subtype in _MPEG else nullcontext()

    def _seek(self, start: int) -> int:
        """Go to frame `start`, or to an earlier one where only that is exact; return the frame reached."""
        target = start
        coding = self._file.subtype if start else ""
        if coding == "VORBIS" and self.frames is not None:
            target = min(start, max(0, self.frames - _VORBIS_PAGE))
        elif coding in _MPEG:
            target = max(0, start - _MP3_RESERVOIR)
        if target:
            try:
                with self._hushed():
                    self._file.seek(target)
            except soundfile.SoundFileError as error:
                at_s = start / self.sample_rate
                raise AudioError(
                    f"{self.name}: cannot be read from {at_s:.1f} s on. It may be cut off; fetch it again."
                ) from error
        return target

    def _read(self, frames: int) -> Waveform:
        block = np.empty((frames, self.channels), np.int16 if self._sixteen_bits else np.float32)
        try:
            with self._hushed():
                read = self._file.buffer_read_into(block, block.dtype.name)
        except soundfile.SoundFileError as error:
            at_s = self._file.tell() / self.sample_rate
            raise AudioError(
                f"{self.name}: is damaged or cut off at {at_s:.1f} s ({_reason(error)}). Fetch it again or remove it."
            ) from error
        waveform = np.ascontiguousarray(block[:read].T, dtype=np.float32)
        if self._sixteen_bits:
            waveform *= np.float32(2**-15)
        return waveform


def open_with_soundfile(target: Target, name: str) -> SoundfileSound | None:
    """Return the opened sound, or None where libsndfile does not know what it is, or FFmpeg knows it better."""
    try:
        sound = SoundfileSound(target, name)
    except (soundfile.SoundFileError, TypeError):  # TypeError: a name that ends in .raw, taken for headerless samples
        return None
    if sound.info().codec != _LEFT_TO_FFMPEG:
        return sound
    sound.close()
    return None


def _open(target: Target) -> _InOrder:
    with hushed():  # what kind it is shows only then, and text with an MP3's name is tried as one
        if isinstance(target, str):
            # as bytes, because soundfile would refuse a name that is not text; Windows has no such names
            return _InOrder(target if os.name == "nt" else os.fsencode(target))
        target.seek(0)
        return _InOrder(_Steady(target))


def _reason(error: soundfile.SoundFileError) -> str:
    text = getattr(error, "error_string", None) or str(error)
    return str(text).removeprefix("Error : ").strip().rstrip(".")

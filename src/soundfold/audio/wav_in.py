"""Regular WAV files whose bytes are in memory, without libsndfile: the same samples in a fraction of its time.

Whole numbers of 16 and 24 bits are most of what data sets hold. libsndfile takes longer to turn them into floats than
to read them, eight times as long as numpy where they have 24 bits. What is not quite regular is left to it: another
coding, a header that contradicts itself or promises more than there is.
"""

import os
import struct
from collections.abc import Iterator

import numpy as np

from soundfold.audio.source import SoundInfo, Target, Waveform, binary
from soundfold.errors import AudioError

__all__ = ["WavSound", "open_wav", "refuse_endless_header"]

_PCM, _EXTENSIBLE = 1, 0xFFFE
_PCM_IN_EXTENSIBLE = bytes.fromhex("0100000000001000800000aa00389b71")
# Chunks that say nothing of the samples, and that libsndfile passes over whatever they hold.
_BESIDE_THE_POINT = {
    b"LIST", b"JUNK", b"junk", b"PAD ", b"FLLR", b"bext", b"iXML", b"_PMX", b"id3 ", b"ID3 ", b"cue ", b"inst", b"DISP",
    b"minf", b"elm1", b"regn", b"umid", b"DGDA", b"ResU", b"LGWV", b"SAUR", b"afsp",
}  # fmt: skip
_MOST_CHUNKS = (
    4_096  # recorders write a dozen; in 40 MB there is room for five million, which FFmpeg takes a minute for
)
_MOST_CHANNELS, _HIGHEST_RATE = 1_024, 655_350  # as libsndfile has them


class WavSound:
    """The samples of a regular WAV file.

    Attributes:
        sample_rate: in Hz, as in the file.
        channels: as in the file.
        frames: number of frames.
        may_hold_nan: never, as samples are whole numbers.
        name: what messages call it.
    """

    may_hold_nan = False

    def __init__(
        self, content: bytes, at: int, size: int, sample_rate: int, channels: int, bits: int, name: str
    ) -> None:
        self._content = content
        self._at = at
        self._frame_bytes = channels * bits // 8
        self._bits = bits
        self.name = name
        self.sample_rate = sample_rate
        self.channels = channels
        self._length = size // self._frame_bytes
        self.frames: int | None = self._length

    def info(self) -> SoundInfo:
        """Return what the header says."""
        return SoundInfo(self.sample_rate, self.channels, self._length / self.sample_rate, "WAV", f"PCM_{self._bits}")

    def reaches(self, frame: int) -> bool:
        """Tell whether a frame is there."""
        return frame < self._length

    def blocks(self, start: int, stop: int | None, size: int) -> Iterator[Waveform]:
        """Yield the frames from `start` to `stop` (or the end) in blocks of at most `size` frames, `(channels, n)`."""
        last = self._length if stop is None else min(stop, self._length)
        for first in range(start, last, size):
            yield self._floats(first, min(size, last - first))

    def _floats(self, first: int, frames: int) -> Waveform:
        at, shape = self._at + first * self._frame_bytes, (self.channels, frames)
        if self._bits == 16:
            numbers = np.ndarray(shape, "<i2", self._content, at, (2, self._frame_bytes))
            waveform = numbers.astype(np.float32, order="C")
            waveform *= np.float32(2**-15)
            return waveform
        # Three bytes are read as the upper ones of four; the fourth, of whatever stands before, is shifted out.
        wider = np.ndarray(shape, "<i4", self._content, at - 1, (3, self._frame_bytes)).copy()
        wider >>= 8
        waveform = wider.astype(np.float32)
        waveform *= np.float32(2**-23)
        return waveform


def open_wav(content: bytes, name: str) -> WavSound | None:
    """Return the sound of a WAV file's bytes, or None where that is left to libsndfile.

    Args:
        content: the whole file.
        name: what messages call it.
    """
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return None
    at, form, sound, chunks = 12, None, None, 0
    while at + 8 <= len(content):
        chunks += 1
        if chunks > _MOST_CHUNKS:
            return None
        mark, size = struct.unpack_from("<4sI", content, at)
        at += 8
        if mark == b"fmt " and at == 20:
            form = _form(content[at : at + size])
            if form is None:
                return None
        elif mark == b"data" and form is not None and sound is None:
            if not 0 < size <= len(content) - at or size % (form[1] * form[2] // 8):
                return None
            sound = WavSound(content, at, size, *form, name)
        elif mark not in _BESIDE_THE_POINT and (mark, size) != (b"fact", 4):
            return None
        at += size + size % 2
    return sound


def refuse_endless_header(target: Target, name: str) -> None:
    """Raise if a WAV file consists of more parts than any program writes.

    Raises:
        AudioError: it does.
    """
    with binary(target, name) as file:
        mark = file.read(12)
        if mark[:4] not in (b"RIFF", b"RIFX", b"RF64") or mark[8:] != b"WAVE":
            return
        length = ">I" if mark[:4] == b"RIFX" else "<I"
        for _ in range(_MOST_CHUNKS):
            head = file.read(8)
            if len(head) < 8:
                return
            (size,) = struct.unpack_from(length, head, 4)
            file.seek(size + size % 2, os.SEEK_CUR)
    raise AudioError(
        f"{name}: is a damaged WAV file, of more than {_MOST_CHUNKS:,} parts. Fetch it again or remove it."
    )


def _form(chunk: bytes) -> tuple[int, int, int] | None:
    """Return rate, channels and bits from the chunk that tells them, or None."""
    if len(chunk) < 16:
        return None
    coding, channels, sample_rate, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", chunk)
    if coding == _EXTENSIBLE:
        if len(chunk) < 40 or chunk[24:40] != _PCM_IN_EXTENSIBLE or struct.unpack_from("<H", chunk, 18) != (bits,):
            return None
    elif coding != _PCM:
        return None
    regular = bits in (16, 24) and frame_bytes == channels * bits // 8
    within = 0 < sample_rate <= _HIGHEST_RATE and 0 < channels <= _MOST_CHANNELS
    return (sample_rate, channels, bits) if regular and within else None

"""Decoding through PyAV (FFmpeg): M4A, AAC, Opus, WebM, video, and whatever else libsndfile does not know.

Here stands whatever works round that library; nothing about channels, rates or limits.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from types import SimpleNamespace
from typing import Any

import av
import numpy as np

from soundfold.audio.complaint import HEAD_BYTES, looks_like
from soundfold.audio.gaps import Gaps, silence
from soundfold.audio.source import SoundInfo, Target, Waveform, binary
from soundfold.errors import AudioError

__all__ = ["AsFloats", "LibavSound", "decoded", "decoder_of", "opened_with_libav"]

# FFmpeg also takes playlists and scripts, which make it open other files and addresses. A sound is none of these.
_CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,ogg,tak,tta,voc,"
    "w64,wav,wv"
)
_CONTAINER_NAMES = {"mov": "MP4", "matroska": "Matroska"}

# Decoders need what comes before to give a sample right, so a seek goes this much further back.
_PREROLL_S = 1

_MICROSECONDS = 1_000_000

# The reference decoder, which browsers have too. FFmpeg's own brings the part that is coded as speech to 48 kHz in
# another way: what was encoded from 24 kHz or less differs by up to a tenth.
_OPUS = "libopus"

# PyAV counts the planes of a frame until it meets none, in FFmpeg's array of eight: with eight of them it reads on
# behind the array, and what it takes for the ninth ends the process. Channels that take turns in one plane need no
# second.
_MOST_PLANES = 7


class LibavSound:
    """A sound that FFmpeg has opened, at its first audio stream.

    Attributes:
        sample_rate: in Hz, as decoded.
        channels: as decoded.
        frames: None, as few headers of such files promise an exact number; once decoded to the end, their number.
        may_hold_nan: always, as decoded samples are floats.
        name: what messages call it.
    """

    def __init__(self, container: Any, name: str) -> None:
        self._container = container
        self._stream = container.streams.audio[0]
        self._decoded_s = 0.0
        self.name = name
        self.frames: int | None = None
        self.may_hold_nan = True
        self._decoder = decoder_of(self._stream)
        if self._decoder is None:
            raise AudioError(f"{name}: holds sound in a coding that FFmpeg does not know. Convert it or remove it.")
        self._frames: Iterator[Any] = decoded(self._stream, self._decoder)
        # Headers may be wrong about the rate (AAC with SBR); the first decoded frame is not.
        with self._damage_told():
            first = next(self._frames, None)
        if first is None:
            raise AudioError(f"{name}: holds no samples after its header. Remove it or fetch it again.")
        self._frames = chain([first], self._frames)
        self._format = _frame_format(first)
        self.sample_rate: int = first.sample_rate
        self.channels: int = first.layout.nb_channels
        self._as_floats = AsFloats(first)
        self._promised = self._promised_frames()
        self._gaps = Gaps(container.format.name, self.info().duration_s, name)

    def info(self) -> SoundInfo:
        """Return what the header says, and the rate and channels of the first frame."""
        if self._stream.duration is not None:
            duration_s = float(self._stream.duration * self._stream.time_base)
        else:
            duration_s = (self._container.duration or 0) / _MICROSECONDS
        kind = self._container.format.name.split(",")[0]
        container = _CONTAINER_NAMES.get(kind, kind.upper())
        codec = self._stream.codec_context.name
        return SoundInfo(self.sample_rate, self.channels, duration_s if duration_s > 0 else None, container, codec)

    def reaches(self, frame: int) -> bool:  # noqa: ARG002 (the other decoder can tell)
        """Tell whether a frame can truly be read: not known before decoding."""
        return False

    def blocks(self, start: int, stop: int | None, size: int) -> Iterator[Waveform]:
        """Yield the frames from `start` to `stop` (or the end) in blocks of about `size` frames, `(channels, n)`.

        The sound may end before `stop`; then so do the blocks.
        """
        waiting: list[Waveform] = []
        length = 0
        for position, piece in self._pieces(start):
            if stop is not None and position + piece.shape[1] >= stop:
                waiting.append(piece[:, : stop - position])
                break
            waiting.append(piece)
            length += piece.shape[1]
            if length >= size:
                yield np.concatenate(waiting, axis=1)
                waiting, length = [], 0
        if waiting:
            yield np.concatenate(waiting, axis=1)

    def _pieces(self, start: int) -> Iterator[tuple[int, Waveform]]:
        """Yield pieces of any length from frame `start` on, each with its position."""
        with self._damage_told():
            position = self._seek(start) if self._can_seek(start) else 0
            for whole in silence(self.channels, position - start):  # it was sought in a gap
                yield start, whole
                start += whole.shape[1]
            while (frame := next(self._frames, None)) is not None:
                if _frame_format(frame) != self._format:
                    raise AudioError(
                        f"{self.name}: changes its sample rate, channels or coding at {self._decoded_s:.1f} s. "
                        "Split it there."
                    )
                for whole in chain(self._gaps.before(frame, self._decoded_s), self._as_floats(frame)):
                    piece = self._without_padding(whole, position)
                    end = position + piece.shape[1]
                    if end > start:
                        skipped = max(0, start - position)
                        yield position + skipped, piece[:, skipped:]
                    position = end
                    self._decoded_s = position / self.sample_rate
            self.frames = position

    def _promised_frames(self) -> int:
        """Return how many frames of AAC an MP4 says that it holds; 0 for others, of which players keep the padding."""
        is_told = self._container.format.name.startswith("mov") and self._stream.codec_context.name == "aac"
        if not is_told or self._stream.duration is None:
            return 0
        frames: int = round(self._stream.duration * self._stream.time_base * self.sample_rate)
        return frames

    def _without_padding(self, piece: Waveform, position: int) -> Waveform:
        """Return the last piece without what the encoder filled it up with, any other as it is."""
        kept = self._promised - position
        if not 0 < kept < piece.shape[1]:
            return piece
        following = next(self._frames, None)
        if following is None:
            return piece[:, :kept]
        self._frames = chain([following], self._frames)
        return piece

    def _seek(self, start: int) -> int:
        """Go to some frame before `start`, or to the end of a gap in which that lies, and return its number."""
        target = start - _PREROLL_S * self.sample_rate
        self._container.seek(target + self._stream.start_time, stream=self._stream)
        self._decoder.flush_buffers()
        frames = decoded(self._stream, self._decoder)
        next(frames, None)  # a decoder that begins anew leaves out its lead-in, and tells no time of what is left
        first = next(frames, None)
        if first is None or first.pts is None or first.pts - self._stream.start_time > self._stream.duration:
            at_s = start / self.sample_rate
            raise AudioError(f"{self.name}: cannot be read from {at_s:.1f} s on. It may be cut off; fetch it again.")
        self._frames = chain([first], frames)
        return int(first.pts - self._stream.start_time)

    def _can_seek(self, start: int) -> bool:
        """Tell whether to seek: MP4 and Ogg number their samples, elsewhere the times are rounded or guessed.

        Near the beginning seeking would lose what FFmpeg leaves out there (the encoder's priming), behind the end it
        would not tell how much there is. In MP4, Opus counts its lead-in or not, as the writer pleased.
        """
        stream, kind = self._stream, self._container.format.name
        return (
            2 * _PREROLL_S * self.sample_rate < start < (stream.duration or 0)
            and ((kind.startswith("mov") and stream.codec_context.name != "opus") or kind == "ogg")
            and stream.time_base == Fraction(1, self.sample_rate)
            and stream.start_time is not None
        )

    @contextmanager
    def _damage_told(self) -> Iterator[None]:
        """Turn what FFmpeg cannot decode into a message that names its time."""
        try:
            yield
        except IndexError as error:  # of PyAV, which meets a packet of a stream that no header told of
            raise AudioError(
                f"{self.name}: is damaged at {self._decoded_s:.1f} s (a stream that its header does not name). "
                "Fetch it again or remove it."
            ) from error
        except av.FFmpegError as error:
            reason = (error.strerror or "no reason given").lower()
            raise AudioError(
                f"{self.name}: is damaged at {self._decoded_s:.1f} s ({reason}). Fetch it again or remove it."
            ) from error


@contextmanager
def opened_with_libav(target: Target, name: str) -> Iterator[LibavSound]:
    """Give the opened sound, and close it afterwards.

    Raises:
        AudioError: it is no sound, or holds none.
        PathError: the path may not be read.
    """
    with binary(target, name) as file:
        # PyAV gets only these three, so that it neither closes the file nor guesses from its name.
        bare = SimpleNamespace(read=file.read, seek=_steady_seek(file), tell=file.tell)
        options = {"format_whitelist": _CONTAINERS}
        try:
            container = av.open(bare, mode="r", container_options=options, metadata_errors="replace")
        except av.FFmpegError:
            raise _not_a_sound(file, name) from None
        with container:
            if not container.streams.audio:
                if container.streams.video:
                    raise AudioError(f"{name}: holds no sound, only pictures. Remove it.")
                raise _not_a_sound(file, name)
            yield LibavSound(container, name)


def _steady_seek(file: Any) -> Callable[[int, int], int]:
    """Return a `seek` that answers -1 in place of raising, as FFmpeg expects where a header points to nowhere."""

    def seek(offset: int, whence: int) -> int:
        try:
            return int(file.seek(offset, whence))
        except (OSError, ValueError, OverflowError):
            return -1

    return seek


def _not_a_sound(file: Any, name: str) -> AudioError:
    size = file.seek(0, 2)
    file.seek(0)
    words = looks_like(file.read(HEAD_BYTES), size)
    return AudioError(f"{name}: is not a sound that can be decoded: {words}. Remove it or fetch it again.")


class AsFloats:
    """Turns decoded frames into waveforms.

    Args:
        first: the first of them, whose channels and rate the others must have.
    """

    def __init__(self, first: Any) -> None:
        self._channels = first.layout.nb_channels
        kind = "fltp" if self._channels <= _MOST_PLANES else "flt"
        self._resampler = av.AudioResampler(format=kind, layout=first.layout, rate=first.sample_rate)

    def __call__(self, frame: Any) -> Iterator[Waveform]:
        """Yield a frame's samples (channels, n) float32."""
        for converted in self._resampler.resample(frame):
            samples = converted.to_ndarray().astype(np.float32, copy=False)
            yield samples if len(samples) > 1 else samples.reshape(-1, self._channels).T


def decoded(stream: Any, decoder: Any) -> Iterator[Any]:
    """Yield a stream's frames from where its container stands, as `decoder_of` decodes them."""
    for packet in stream.container.demux(stream):
        yield from decoder.decode(packet)


def decoder_of(stream: Any) -> Any:
    """Return what decodes a stream's packets; None where FFmpeg does not know its coding."""
    own = stream.codec_context
    if own is None or own.name != "opus" or _OPUS not in av.codecs_available:
        return own
    decoder: Any = av.CodecContext.create(_OPUS, "r")
    decoder.extradata, decoder.layout = own.extradata, own.layout
    decoder.options = {"request_sample_fmt": "flt"}
    return decoder


def _frame_format(frame: Any) -> tuple[str, int, str]:
    return frame.format.name, frame.sample_rate, frame.layout.name

"""Decoding a sound whose bytes are still arriving: WebM or Ogg as browsers record it."""

import threading
from collections.abc import Iterator
from types import SimpleNamespace

import av

from soundfold.audio.libav_in import AsFloats, decoded, decoder_of
from soundfold.audio.source import Waveform
from soundfold.errors import AudioError

__all__ = ["ArrivingSound"]

_CONTAINERS = "matroska,ogg"  # FFmpeg calls WebM matroska,webm
# Values that are decoded ahead of who takes them: silence in FLAC is 6,000 times larger than its bytes.
_MOST_AHEAD = 2_000_000


class ArrivingSound:
    """A sound in a container that is pushed in, piece by piece, and comes out as far as it can be decoded.

    FFmpeg pulls, so it has a thread of its own, which waits wherever it has read all that there is, and wherever enough
    is decoded. One thread at a time may push. `close` ends the thread; nothing is left behind.

    Attributes:
        sample_rate: in Hz; 0 until the first block.
    """

    def __init__(self) -> None:
        self.sample_rate = 0
        self._changed = threading.Condition()
        self._bytes = bytearray()
        self._blocks: list[Waveform] = []
        self._ahead = 0
        self._ended = self._hungry = self._over = self._dropped = False
        self._error: str | None = None
        self._thread = threading.Thread(target=self._decode, name="arriving", daemon=True)
        self._thread.start()

    def feed(self, content: bytes) -> Iterator[Waveform]:
        """Take the next bytes; yield the blocks (channels, samples) that can be decoded by now.

        What is not taken is not decoded, so that a small message cannot fill the memory.

        Raises:
            AudioError: it is no such sound, or damaged.
        """
        with self._changed:
            self._bytes += content
            self._hungry = False
            self._changed.notify_all()
        return self._taken()

    def finish(self) -> Iterator[Waveform]:
        """Yield what is left at the end of the sound."""
        with self._changed:
            self._ended = True
            self._hungry = False
            self._changed.notify_all()
        return self._taken()

    def close(self) -> None:
        """End the thread, whatever it does."""
        with self._changed:
            self._dropped = self._ended = True
            self._bytes.clear()
            self._changed.notify_all()
        self._thread.join()

    def _taken(self) -> Iterator[Waveform]:
        waiting = True
        while waiting:
            with self._changed:
                self._changed.wait_for(lambda: self._hungry or self._over or self._ahead > _MOST_AHEAD)
                waiting = not (self._hungry or self._over)
                taken, self._blocks, self._ahead = self._blocks, [], 0
                self._changed.notify_all()
            yield from taken
        if self._error is not None:
            raise AudioError(
                f"the stream: is not WebM or Ogg that can be decoded ({self._error}). Send PCM, or record it anew"
            )

    def _read(self, size: int) -> bytes:
        with self._changed:
            while not self._bytes and not self._ended:
                self._hungry = True
                self._changed.notify_all()
                self._changed.wait()
            piece = bytes(self._bytes[:size])
            del self._bytes[:size]
            return piece

    def _decode(self) -> None:
        # Without the second, FFmpeg looks at seconds of a sound before it gives the first of it.
        options = {"format_whitelist": _CONTAINERS, "analyzeduration": "0"}
        try:
            with av.open(
                SimpleNamespace(read=self._read), mode="r", container_options=options, buffer_size=4_096
            ) as container:
                if not container.streams.audio:
                    self._error = "it holds no sound"
                    return
                stream = container.streams.audio[0]
                decoder = decoder_of(stream)
                if decoder is None:
                    self._error = "its coding is not known"
                    return
                as_floats: AsFloats | None = None
                for frame in decoded(stream, decoder):
                    if as_floats is None:
                        self.sample_rate = frame.sample_rate
                        as_floats = AsFloats(frame)
                    for block in as_floats(frame):
                        self._keep(block)
                    if self._dropped:
                        return
        except (av.FFmpegError, ValueError) as error:
            self._error = (getattr(error, "strerror", None) or "no reason given").lower()
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _keep(self, block: Waveform) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._ahead <= _MOST_AHEAD or self._dropped)
            self._blocks.append(block)
            self._ahead += block.size
            self._changed.notify_all()

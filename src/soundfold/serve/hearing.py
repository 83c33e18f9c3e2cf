"""A live stream's sound: what opens it, and its bytes turned into answers."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from soundfold.audio.arriving import ArrivingSound
from soundfold.errors import AudioError, TooLongError
from soundfold.runtime import Model, Stream
from soundfold.runtime.stream import Told
from soundfold.serve.bounds import Bounds

__all__ = ["Hearing", "MessageTooLongError", "Opening", "open_hearing"]

_DTYPES: dict[str, np.dtype[Any]] = {"s16le": np.dtype("<i2"), "f32le": np.dtype("<f4")}


class MessageTooLongError(TooLongError):
    """A message holds more sound than one may: answering for it would keep a thread for as long."""

    def __init__(self, max_s: float) -> None:
        super().__init__(f"a message must hold at most {max_s:g} s of sound, got more. Send it in several")


class Opening(BaseModel):
    """The first message of a stream."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal["s16le", "f32le", "webm"] = "f32le"
    sample_rate: int = Field(48_000, ge=1_000, le=384_000)
    channels: int = Field(1, ge=1, le=8)
    model: str | None = None
    hop_s: float | None = Field(None, gt=0, le=3_600)
    token: str = ""


class Hearing(Protocol):
    """Takes a stream's bytes; may be called in any thread, by one at a time."""

    def feed(self, content: bytes) -> list[Told]:
        """Return the answers that these bytes complete.

        Raises:
            MessageTooLongError: they hold more sound than a message may.
            SoundfoldError: they are no sound, or the stream lasts too long.
        """
        ...

    def finish(self) -> list[Told]:
        """Return the answers that were still to come."""
        ...

    def close(self) -> None:
        """Let go of what is held."""
        ...

    @property
    def heard_s(self) -> float: ...


def open_hearing(opening: Opening, model: Model, bounds: Bounds) -> Hearing:
    """Return what hears a stream that was opened so."""
    if opening.format == "webm":
        return _Webm(model, opening.hop_s, bounds)
    return _Pcm(model, opening, bounds)


class _Pcm:
    """Interleaved samples, in messages that may end in the middle of one."""

    def __init__(self, model: Model, opening: Opening, bounds: Bounds) -> None:
        self._stream = Stream(model, opening.sample_rate, hop_s=opening.hop_s)
        self._dtype, self._channels, self._bounds = _DTYPES[opening.format], opening.channels, bounds
        self._most = bounds.max_message_s * opening.sample_rate * self._dtype.itemsize * self._channels
        self._rest = b""

    @property
    def heard_s(self) -> float:
        return self._stream.heard_s

    def feed(self, content: bytes) -> list[Told]:
        if len(content) > self._most:
            raise MessageTooLongError(self._bounds.max_message_s)
        joined = self._rest + content
        whole = len(joined) - len(joined) % (self._dtype.itemsize * self._channels)
        self._rest = joined[whole:]
        samples = np.frombuffer(joined[:whole], self._dtype).reshape(-1, self._channels).T
        told = self._stream.feed(samples)
        _refuse_if_too_long(self._stream, self._bounds.max_stream_s)
        return told

    def finish(self) -> list[Told]:
        return self._stream.finish()

    def close(self) -> None:
        return


class _Webm:
    """A browser's recording."""

    def __init__(self, model: Model, hop_s: float | None, bounds: Bounds) -> None:
        self._model, self._hop_s, self._bounds = model, hop_s, bounds
        Stream(model, 48_000, hop_s=hop_s)  # a hop that cannot be is refused now, and not with the first sound
        self._sound = ArrivingSound()
        self._stream: Stream | None = None

    @property
    def heard_s(self) -> float:
        return 0.0 if self._stream is None else self._stream.heard_s

    def feed(self, content: bytes) -> list[Told]:
        return list(self._heard(self._sound.feed(content)))

    def finish(self) -> list[Told]:
        told = list(self._heard(self._sound.finish()))
        if self._stream is None:
            raise AudioError("the stream: holds no samples. Send a sound that lasts at least one sample")
        return [*told, *self._stream.finish()]

    def close(self) -> None:
        self._sound.close()

    def _heard(self, blocks: Iterable[np.ndarray]) -> Iterator[Told]:
        before_s = self.heard_s
        for block in blocks:
            if self._stream is None:
                self._stream = Stream(self._model, self._sound.sample_rate, hop_s=self._hop_s)
            yield from self._stream.feed(block)
            _refuse_if_too_long(self._stream, self._bounds.max_stream_s)
            if self.heard_s - before_s > self._bounds.max_message_s:
                raise MessageTooLongError(self._bounds.max_message_s)


def _refuse_if_too_long(stream: Stream, max_s: float) -> None:
    if stream.heard_s > max_s:
        raise TooLongError(f"the stream: lasts longer than {max_s:g} s, the most that is taken here. Open another one")

"""A source, its queue and a stream put together: what is heard, how loud it is and what is wrong, as it comes."""

from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self

from soundfold.runtime.events import Joining
from soundfold.runtime.intake import Intake
from soundfold.runtime.level import Level, LevelMeter
from soundfold.runtime.stream import Hearer, Stream, Told

__all__ = ["Heard", "Listening", "Note", "SoundSource"]

_TICK_S = 0.1


class SoundSource(Protocol):
    """Where live sound comes from: a microphone, a file that is played, or whatever else puts blocks into an intake.

    Attributes:
        name: what messages call it.
        sample_rate: in Hz.
        patience_s: for so long it may give nothing before it is taken for dead.
    """

    name: str
    sample_rate: int
    patience_s: float

    def start(self, intake: Intake) -> None: ...
    def stop(self) -> None: ...


class Note(str):
    """A sentence about the sound or its source: silence, clipping, an end that was not asked for."""

    __slots__ = ()


Heard = Told | Level | Note


class Listening:
    """A source that a model listens to. Use it as a context: the source is stopped whatever happens.

    Args:
        model: the model that answers.
        source: where the sound comes from.
        hop_s: as `Stream` takes it.
        joining: how windows become events.
        most_s: seconds of sound that wait where the listener is late; the oldest beyond that are lost, and told.

    Raises:
        AudioError: the source cannot be opened, or the hop cannot be.
    """

    def __init__(
        self,
        model: Hearer,
        source: SoundSource,
        *,
        hop_s: float | None = None,
        joining: Joining | None = None,
        most_s: float = 10.0,
    ) -> None:
        self._source = source
        self._stream = Stream(model, source.sample_rate, hop_s=hop_s, joining=joining or Joining())
        self._intake = Intake(source.sample_rate, most_s)
        self._meter = LevelMeter(source.sample_rate)
        self._stopped = False
        self.broke: str = ""

    def __enter__(self) -> Self:
        self._source.start(self._intake)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source.stop()

    @property
    def heard_s(self) -> float:
        """Seconds of sound so far."""
        return self._stream.heard_s

    def stop(self) -> None:
        """Let the iteration end soon, with the answers for what came so far; may be called from a signal's handler."""
        self._stopped = True

    def __iter__(self) -> Iterator[Heard]:
        """Yield answers, events that are over, gaps, levels and notes, until the source ends or `stop` is called.

        `broke` says afterwards why the source ended, "" where that is as it should be.
        """
        quiet_s = 0.0
        while not self._stopped:
            piece = self._intake.take(_TICK_S)
            if piece is None:
                quiet_s += _TICK_S
                ended = self._intake.ended
                patience_s = self._source.patience_s
                if ended is None and quiet_s >= patience_s:
                    ended = f"{self._source.name}: has given no sound for {patience_s:g} s. Was it unplugged?"
                if ended is not None:
                    self.broke = ended
                    break
                continue
            quiet_s = 0.0
            if piece.lost:
                yield from self._stream.skip(piece.lost)
            level, notes = self._meter.measure(piece.block)
            yield level
            yield from map(Note, notes)
            yield from self._stream.feed(piece.block, at=piece.at)
        self._source.stop()
        yield from self._stream.finish()

"""Answers while a sound goes on: blocks of any size are pushed in, the answers of their windows come out.

Time is counted in the source's samples, as whole numbers, and a window's place in the model's samples. Nothing is
summed up in seconds, so an answer's times are as exact after hours as in the first minute.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Protocol

import numpy as np

from soundfold.audio import PromptResampler, checked_rate, remix, resampled_length
from soundfold.errors import AudioError
from soundfold.runtime.answer import Span
from soundfold.runtime.card import ModelCard
from soundfold.runtime.events import Event, EventJoiner, Joining
from soundfold.runtime.samples import as_waveform
from soundfold.runtime.silence import is_silent
from soundfold.runtime.verdict import span_of
from soundfold.runtime.windowing import Part, WindowCutter, batched, hop_samples, stacked

__all__ = ["Gap", "Hearer", "Stream", "Told"]


class Hearer(Protocol):
    """What a stream asks of a model."""

    @property
    def card(self) -> ModelCard: ...

    def probabilities(self, batch: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Gap:
    """Sound that was lost; no window reaches into it."""

    start_s: float
    end_s: float

    def as_dict(self) -> dict[str, Any]:
        """Return the gap as JSON tells it."""
        return {"start_s": self.start_s, "end_s": self.end_s, "lost": True}


Told = Span | Event | Gap
"""What a stream says."""


class Stream:
    """A sound that a model hears while it goes on. One thread at a time may push.

    The answers are those of `Model.predict` for the whole sound, within 1e-4, whatever the sizes of the blocks, the
    padded window at the end among them. Memory is bounded by a window and the largest block, however long it goes on.

    Args:
        model: the model that answers.
        sample_rate: rate of the blocks in Hz, a whole number.
        hop_s: seconds from one window to the next; None for windows side by side.
        joining: how windows become events, which are then told as soon as they are over; None for windows alone.

    Raises:
        AudioError: the rate or the hop cannot be.

    Example (a model, and blocks of a microphone at 48 kHz):
        stream = Stream(model, 48_000, hop_s=0.5)
        for block in blocks:
            for answer in stream.feed(block): ...
        for answer in stream.finish(): ...
    """

    def __init__(
        self, model: Hearer, sample_rate: int, *, hop_s: float | None = None, joining: Joining | None = None
    ) -> None:
        self._model = model
        self._joining = joining
        self._hop = hop_samples(model.card, hop_s)
        self._rates = checked_rate("sample_rate", sample_rate), model.card.sample_rate
        self._n_in = 0  # samples of the source, lost ones among them
        self._at = 0.0  # when the last of them came
        self._over = False
        self._begin()

    @property
    def heard_s(self) -> float:
        """Seconds of sound that came so far, with what was lost."""
        return self._n_in / self._rates[0]

    def feed(self, block: np.ndarray, *, at: float | None = None) -> list[Told]:
        """Take the next block; return the answers of the windows that it completes.

        Args:
            block: (samples,) or (channels, samples), floats in −1 … 1 or PCM as uint8, int16 or int32; of any size,
                none included.
            at: when its last sample was there, by `time.monotonic`; None for now. Each answer's `latency_s` counts from
                the moment when, by this clock, its window's last sample was there.

        Raises:
            AudioError: the block is no sound, or the stream is over.
        """
        self._refuse_if_over()
        if np.size(block) == 0:
            return []
        waveform = as_waveform(block)
        self._at = time.monotonic() if at is None else at
        self._n_in += waveform.shape[1]
        card = self._model.card
        resampled = self._resampler.feed(remix(waveform, card.channels, card.downmix))
        told = list(self._answers(self._cutter.feed(resampled)))
        early = self._resampler.ahead(self._cutter.missing)  # enough for a window that somebody waits for
        return [*told, *self._answers(self._cutter.feed(early))] if early.shape[1] else told

    def hear(self, blocks: Iterable[np.ndarray]) -> Iterator[Told]:
        """Yield what `feed` returns for each block, then what `finish` does."""
        for block in blocks:
            yield from self.feed(block)
        yield from self.finish()

    def skip(self, samples: int) -> list[Told]:
        """Take note that so many samples of the source were lost; return the answers for what was before, and the gap.

        What comes next is heard anew, at its right time: no window holds sound from both sides of the gap.
        """
        self._refuse_if_over()
        if samples <= 0:
            return []
        told = list(self._rest())
        start_s = self.heard_s
        self._n_in += samples
        self._begin()
        return [*told, Gap(start_s, self.heard_s)]

    def finish(self) -> list[Told]:
        """End the sound; return the answers that were still to come. Nothing can be fed after it."""
        self._refuse_if_over()
        self._over = True
        return list(self._rest())

    def _begin(self) -> None:
        self._offset = resampled_length(self._n_in, *self._rates) if self._n_in else 0
        self._resampler = PromptResampler(*self._rates)
        self._cutter = WindowCutter(self._model.card.window, self._hop)
        self._joiner = None if self._joining is None else EventJoiner(self._model.card, self._joining)

    def _rest(self) -> Iterator[Told]:
        rest = self._resampler.finish()
        last = self._cutter.feed(rest) if rest.shape[1] else iter(())
        # both are generators: the cutter looks what is left only when it has been fed the rest
        yield from self._answers(chain(last, self._cutter.finish()))
        if self._joiner is not None:
            yield from self._joiner.finish()

    def _answers(self, parts: Iterator[Part]) -> Iterator[Told]:
        card = self._model.card
        for batch in batched(parts):
            rows = self._model.probabilities(stacked(batch, card.window))
            if not np.isfinite(rows).all():
                self._over = True  # what was cut of the block and not answered is gone
                raise AudioError("block: its samples are too large for an answer. Scale them to -1 … 1")
            now = time.monotonic()
            for (start, part), row in zip(batch, rows, strict=True):
                first = self._offset + start
                stop, silent = first + part.shape[1], is_silent(card, part)
                span = span_of(card, first, stop, row, silent=silent)
                if self._joiner is not None:
                    yield from self._joiner.add(first, stop, row, silent=silent)
                yield replace(span, latency_s=now - self._at + self.heard_s - span.end_s)

    def _refuse_if_over(self) -> None:
        if self._over:
            raise AudioError("stream must not be used after its end, got more. Open another one")

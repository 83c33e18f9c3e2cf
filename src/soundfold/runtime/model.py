"""A model file in use: sounds in, answers out."""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from soundfold.audio import remix, resample, stream
from soundfold.cores import usable_cores
from soundfold.errors import AudioError, SoundfoldError
from soundfold.runtime.answer import Prediction, Span
from soundfold.runtime.card import ModelCard
from soundfold.runtime.events import Event, Joining
from soundfold.runtime.many import answer_many
from soundfold.runtime.model_path import find_model
from soundfold.runtime.passes import Hearing, hear, hear_alone
from soundfold.runtime.samples import as_waveform
from soundfold.runtime.session import Session
from soundfold.runtime.stream import Stream
from soundfold.runtime.windowing import hop_samples

__all__ = ["Model", "load"]

Source = str | os.PathLike[str] | bytes | BinaryIO
Part = tuple[Source, float | None, float | None]


def load(path: str | os.PathLike[str], *, portable: bool = False) -> "Model":
    """Open a model file, or the model of a run's folder. Needs no torch.

    Args:
        path: the file or the folder.
        portable: compute features by the file's own graph, as any other program that runs the file does. The answers
            are the same within 1e-4; it takes longer.

    Raises:
        PathError: there is nothing at the path.
        ModelFileError: the file is not a model of soundfold, or the run is not finished.
    """
    return Model(find_model(Path(path)), portable=portable)


class Model:
    """A trained classifier that answers for sounds.

    Attributes:
        path: the model file.
        is_portable: whether the file's own graph computes the features.
        card: labels, rate, window, recipe and scores.
    """

    def __init__(self, path: str | os.PathLike[str], *, portable: bool = False) -> None:
        self.path, self.is_portable = Path(path), portable
        self._session = Session(self.path, portable=portable)
        self.card: ModelCard = self._session.card

    @property
    def digest(self) -> str:
        """What tells the file's content from any other."""
        return self._session.digest

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of the probabilities."""
        return self.card.labels

    def probabilities(self, batch: np.ndarray) -> np.ndarray:
        """Return class probabilities of whole windows.

        Args:
            batch: (batch, channels, window) float32 at the model's rate.

        Returns:
            (batch, labels) float32; rows sum to 1, unless the model answers with several labels.
        """
        return self._session.probabilities(batch)

    def features(self, batch: np.ndarray) -> np.ndarray:
        """Return what the network takes for whole windows: features, or the windows where its graph makes them."""
        front_end = self._session.front_end
        return batch if front_end is None else front_end(batch)

    def predict(
        self,
        sound: Source | np.ndarray,
        sample_rate: int | None = None,
        *,
        hop_s: float | None = None,
        start_s: float | None = None,
        end_s: float | None = None,
        max_s: float = math.inf,
        joining: Joining | None = None,
        every_probability: bool = True,
        on_heard: Callable[[float], object] | None = None,
    ) -> Prediction:
        """Return the answer for a sound of any format, rate, number of channels and length.

        Args:
            sound: a path, a file's bytes, an open file, or a waveform (samples,) or (channels, samples) in −1 … 1.
            sample_rate: Hz, of a waveform.
            hop_s: seconds from one window to the next; None for windows side by side.
            start_s, end_s: the part of a file to listen to.
            max_s: the longest file (or part of one) that is listened to, in seconds; as `audio.stream` takes it.
            joining: how windows become events; None for `Joining()`.
            every_probability: keep all probabilities of each window, 30 kB where there are 527 labels; otherwise those
                of the labels that the window is told to have.
            on_heard: called now and then with the seconds of sound that were heard since the last call.

        Raises:
            AudioError: the sound cannot be decoded, holds nothing, or has samples too large for an answer.
            TooLongError: the file lasts longer than `max_s`.
            PathError: there is no such file.
        """
        hearing = self.hear(
            sound,
            sample_rate,
            hop_s=hop_s,
            start_s=start_s,
            end_s=end_s,
            max_s=max_s,
            joining=joining,
            every_probability=every_probability,
            on_heard=on_heard,
        )
        return hear_alone(hearing, self.probabilities)

    def hear(
        self,
        sound: Source | np.ndarray,
        sample_rate: int | None = None,
        *,
        name: str | None = None,
        start_s: float | None = None,
        end_s: float | None = None,
        max_s: float = math.inf,
        **options: Any,
    ) -> Hearing:
        """Return what hears a sound as `predict` does, for a caller that runs the network; see `runtime.passes`.

        Args:
            sound, sample_rate, start_s, end_s, max_s, options: as `predict` takes them.
            name: what the answer and messages call it; by default its path.
        """
        card = self.card
        if isinstance(sound, np.ndarray):
            return (yield from hear(card, iter([self._fit(sound, sample_rate)]), name or "", **options))
        if name is None:
            name = os.fspath(sound) if isinstance(sound, str | os.PathLike) else ""
        blocks = stream(
            sound,
            card.sample_rate,
            card.channels,
            downmix=card.downmix,
            start_s=start_s,
            end_s=end_s,
            max_s=max_s,
            name=name or None,
        )
        return (yield from hear(card, blocks, name, **options))

    def timeline(
        self,
        sound: Source | np.ndarray,
        sample_rate: int | None = None,
        *,
        hop_s: float | None = None,
        threshold: float | None = None,
        min_s: float = 0.0,
        gap_s: float = 0.0,
    ) -> tuple[Event, ...]:
        """Return what is heard in a sound from when to when; `runtime.events` says how windows are joined to it.

        The answer of every window is in `predict(…).timeline`.

        Args:
            sound, sample_rate, hop_s: as `predict` takes them.
            threshold, min_s, gap_s: as `Joining` takes them.

        Raises:
            SoundfoldError: as `predict` and `Joining` do.
        """
        joining = Joining(threshold, min_s, gap_s)
        return self.predict(sound, sample_rate, hop_s=hop_s, joining=joining, every_probability=False).events

    def stream(self, blocks: Iterable[np.ndarray], sample_rate: int, *, hop_s: float | None = None) -> Iterator[Span]:
        """Yield the answer of each window as soon as its sound has come, those of `predict` for the whole.

        To push blocks rather than have them pulled, for events, or to tell of lost blocks, use `runtime.Stream`.

        Args:
            blocks: (samples,) or (channels, samples) each, of any size, as `predict` takes waveforms; endless if need
                be.
            sample_rate: their rate in Hz.
            hop_s: seconds from one window to the next; None for windows side by side.

        Raises:
            AudioError: a block is no sound, or the rate or the hop cannot be.
        """
        opened = Stream(self, sample_rate, hop_s=hop_s)
        return (answer for answer in opened.hear(blocks) if isinstance(answer, Span))

    def predict_many(
        self,
        sounds: Iterable[Source | Part],
        *,
        hop_s: float | None = None,
        joining: Joining | None = None,
        every_probability: bool = True,
        workers: int | None = None,
        on_heard: Callable[[float], object] | None = None,
    ) -> Iterator[Prediction | SoundfoldError]:
        """Yield the answer for each sound in order, several at once; a sound that fails yields its error.

        Args:
            sounds: as `predict` takes them, or (sound, start_s, end_s) for a part of one.
            hop_s, joining, every_probability: as `predict` takes them.
            workers: threads, or processes where there are many sounds; None for one a core.
            on_heard: as `predict` takes it; called in threads.
        """

        hop_samples(self.card, hop_s)
        options = {"hop_s": hop_s, "joining": joining, "every_probability": every_probability}
        return answer_many(self, sounds, workers or usable_cores(), options, on_heard)

    def _fit(self, waveform: np.ndarray, sample_rate: int | None) -> np.ndarray:
        if sample_rate is None:
            raise AudioError("sample_rate must be given with a waveform. Say model.predict(waveform, 44_100)")
        fitted = remix(as_waveform(waveform), self.card.channels, self.card.downmix)
        return resample(fitted, sample_rate, self.card.sample_rate)

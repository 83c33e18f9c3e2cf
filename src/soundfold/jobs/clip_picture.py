"""The picture of some clips: waveforms, what a network takes of them, and that once more as training varied it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from soundfold.evaluation.lettering import drawable, font_families
from soundfold.features import AudiosetMel, hz_to_mel
from soundfold.recipe import FeatureRecipe, Recipe

__all__ = ["TITLES", "ClipView", "draw_clips", "hertz_ticks"]

TITLES = {
    "log_mel": "log-mel spectrogram",
    "mfcc": "cepstrum",
    "pcen": "mel spectrogram, gain normalised (PCEN)",
    "audioset": "log-mel spectrogram, as EfficientAT's networks know it",
}
"""Kinds of features that can be drawn, and what stands over them."""

_CHANNELS = ("left", "right")
_TITLE_WIDTH = 54  # columns that fit over a waveform
_CLEAR = 0.1  # ticks are at least this part of the axis apart, so that their numbers do not touch


@dataclass(frozen=True)
class ClipView:
    """A window of a clip as it is drawn: one channel, or two where these differ.

    Attributes:
        name: the clip's label and file.
        window: which one of a longer clip's windows; "" of a clip that has no other.
        waveform: (channels, samples).
        features: (channels, bands, frames), as the network sees them.
        varied: likewise, as an epoch of training sees them.
        mixed: what they are then mixed of; "" if nothing.
    """

    name: str
    window: str
    waveform: np.ndarray
    features: np.ndarray
    varied: np.ndarray
    mixed: str


def draw_clips(views: Sequence[ClipView], recipe: Recipe) -> Figure:
    """Draw clips, a row each; two rows, one for each channel, where there are two.

    Features are drawn a mel band a line, and all pictures of a clip in the same colours, which span their values.

    Args:
        views: at least one.
        recipe: which made them; its kind of features is one of `TITLES`.
    """
    rows = [(number, view, channel) for number, view in enumerate(views, 1) for channel in range(len(view.waveform))]
    figure = Figure(figsize=(12, 0.6 + 1.5 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), 3, squeeze=False)
    ticks = None  # the lines of a cepstrum are no frequencies
    if recipe.features.kind != "mfcc":
        ticks = hertz_ticks(_bands(recipe.features), recipe.sound.sample_rate)
    for (number, view, channel), (wave, plain, varied) in zip(rows, axes, strict=True):
        _draw_waveform(wave, view, channel, recipe)
        _put_title(wave, *_named(view, channel, number))
        pictures = np.stack([view.features, view.varied])
        for axis, picture in zip((plain, varied), pictures[:, channel], strict=True):
            # what holds nothing at all is as dark as silence is elsewhere
            _draw_features(
                axis,
                picture,
                (pictures.min(), max(pictures.max(), pictures.min() + 1e-3)),
                recipe.sound.length_s,
                ticks,
            )
        mixed = "" if channel else drawable(view.mixed, number, 60)
        _put_title(varied, "as one training epoch sees it" * (varied is axes[0][2]), mixed, between="\n")
    axes[0][1].set_title(TITLES[recipe.features.kind], fontsize=8)
    for axis in axes.flat:
        axis.tick_params(labelsize=7)
    for axis in axes[-1]:
        axis.set_xlabel("seconds", fontsize=8)
    return figure


def _draw_waveform(axis: Any, view: ClipView, channel: int, recipe: Recipe) -> None:
    samples = view.waveform[channel]
    axis.plot(np.arange(len(samples)) / recipe.sound.sample_rate, samples, linewidth=0.4)
    axis.set_xlim(0, recipe.sound.length_s)
    axis.set_ylim(-1, 1)
    axis.set_ylabel("amplitude", fontsize=7)


def _draw_features(
    axis: Any, picture: np.ndarray, span: tuple[float, float], length_s: float, ticks: Mapping[float, float] | None
) -> None:
    """Draw features (bands, frames) in colours for a span of values, with frequencies or coefficients at their left."""
    axis.imshow(
        picture, origin="lower", aspect="auto", cmap="magma", vmin=span[0], vmax=span[1],
        extent=(0, length_s, 0, picture.shape[0]),
    )  # fmt: skip
    if ticks is not None:
        axis.set_yticks(list(ticks), [f"{frequency:,g}" for frequency in ticks.values()])
    axis.set_ylabel("coefficient" if ticks is None else "hertz", fontsize=7)


def _named(view: ClipView, channel: int, number: int) -> list[str]:
    """Return the parts of what stands over a waveform: the clip, which of its windows, which of two channels."""
    parts = [view.window, _CHANNELS[channel] if len(view.waveform) > 1 else ""]
    return [drawable(view.name, number, _TITLE_WIDTH - len(" · ".join(parts))), *parts]


def _put_title(axis: Any, *parts: str, between: str = " · ") -> None:
    title = between.join(part for part in parts if part)
    axis.set_title(title, fontsize=8, loc="left", family=font_families(title))


def _bands(features: FeatureRecipe) -> FeatureRecipe:
    """Return features with the bands that are drawn: those of AudioSet's networks are given, whatever is set."""
    if features.kind != "audioset":
        return features
    return features.model_copy(
        update={"n_mels": AudiosetMel.n_mels, "fmin_hz": 0.0, "fmax_hz": AudiosetMel.fmax_hz, "mel_scale": "kaldi"}
    )


def hertz_ticks(features: FeatureRecipe, sample_rate: int) -> dict[float, float]:
    """Return where round frequencies lie on an axis that has a mel band a unit: the frequency in Hz by its position.

    Band k peaks in its middle, at k + 0.5, and the bands' peaks and outer edges are evenly spaced in mels: a frequency
    f lies (mel(f) - mel(lowest)) / step steps above the lower edge, and the first peak is one step above it.
    """
    lowest_hz, highest_hz = features.fmin_hz, features.fmax_hz or sample_rate / 2
    round_hz = [float(digit * 10**power) for power in range(1, 6) for digit in (1, 2, 5)]
    inside = [frequency for frequency in round_hz if lowest_hz <= frequency <= highest_hz]
    if len(inside) < 3:  # few bands, close together
        inside = [float(hz) for hz in MaxNLocator(4).tick_values(lowest_hz, highest_hz) if hz >= 0]
    mels = hz_to_mel(torch.tensor([lowest_hz, highest_hz, *inside], dtype=torch.float64), features.mel_scale)
    lowest, highest, *wanted = mels.tolist()
    steps = (features.n_mels + 1) / (highest - lowest)
    ticks: dict[float, float] = {}
    free_below = float(features.n_mels)
    for mel, frequency in sorted(zip(wanted, inside, strict=True), reverse=True):
        position = (mel - lowest) * steps - 0.5
        if 0 <= position <= free_below:
            ticks[position] = frequency
            free_below = position - _CLEAR * features.n_mels
    return dict(sorted(ticks.items()))

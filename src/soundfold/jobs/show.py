"""`soundfold.show`: waveforms, spectrograms and what augmentation makes of them, for some clips, in one picture."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from soundfold.atomic import refuse_existing
from soundfold.audio import fit_length, load
from soundfold.augment import apply_and_mix, apply_and_mix_waveforms, draw, draw_waveform
from soundfold.data.backgrounds import read_backgrounds
from soundfold.data.clips import Clips
from soundfold.data.reading import read_clips
from soundfold.errors import AudioError, DataError, PathError, RecipeError
from soundfold.evaluation import save_png
from soundfold.evaluation.lettering import drawable, font_families
from soundfold.features import AudiosetMel, LogMel, Mfcc, Pcen, build_features, hz_to_mel
from soundfold.jobs.default_recipe import WITHOUT_WEIGHTS
from soundfold.jobs.reporting import Reporter, Silent
from soundfold.models import hop_of
from soundfold.recipe import FeatureRecipe, Recipe, SoundRecipe, load_recipe
from soundfold.training import epoch_generator
from soundfold.wording import counted

__all__ = ["show"]

_TITLES = {
    "log_mel": "log-mel spectrogram",
    "mfcc": "cepstrum",
    "pcen": "mel spectrogram, gain normalised (PCEN)",
    "audioset": "log-mel spectrogram, as EfficientAT's networks know it",
}
_NAMED = 5
_CLEAR = 0.1  # ticks are at least this part of the axis apart, so that their numbers do not touch


def show(
    data: str | Path,
    out: str | Path,
    *,
    recipe: str | Path | Recipe = WITHOUT_WEIGHTS,
    changes: tuple[str, ...] = (),
    clips: int = 6,
    seed: int = 0,
    where: Mapping[str, str] | None = None,
    reporter: Reporter | None = None,
) -> Path:
    """Draw some clips to a PNG: a row a clip, with its waveform, its features, and one augmented view of them.

    Features are drawn as the network sees them, a mel band a line; the axis tells the bands' frequencies. A clip that
    cannot be read is told of, and another one drawn in its place.

    Args:
        data: a data set's folder or table.
        out: the picture; must not exist yet.
        recipe, changes: which features and augmentation.
        clips: how many, of as many classes as can be.
        seed: which clips, and which random numbers.
        where: keep the clips whose own column has this value.
        reporter: hears of clips that cannot be read.

    Returns:
        the picture's path.

    Raises:
        SoundfoldError: anything the user can mend.
    """
    target = Path(out)
    refuse_existing(target, "--out")
    if target.suffix.lower() != ".png":
        raise PathError(f"{target}: must end in .png. Name the picture so")
    if seed < 0:
        raise DataError(f"seed must be 0 or more, got {seed}. Any whole number will do")
    if not 1 <= clips <= 50:
        raise DataError(
            f"clips must be between 1 and 50, got {clips}. Draw fewer, or several pictures with other seeds"
        )
    settings = load_recipe(recipe, changes)
    if settings.features.kind not in _TITLES:
        raise RecipeError(
            f"features.kind must be {', '.join(_TITLES)} to be drawn, got {settings.features.kind}. "
            f"Choose another --recipe, or --set features.kind"
        )
    table = read_clips(data, where=where, labels=settings.training.labels)
    sounds = _hear(table, clips, settings.sound, seed, reporter or Silent())
    rows = list(sounds)
    views = _views(table, sounds, settings, seed)
    figure = Figure(figsize=(12, 0.6 + 1.5 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), 3, squeeze=False)
    sound = settings.sound
    banded = settings.features.kind != "mfcc"  # the lines of a cepstrum are no frequencies
    ticks = _hertz_ticks(_bands(settings.features), sound.sample_rate)
    for row, (clip, view) in enumerate(zip(rows, views, strict=True)):
        waveform, features = view.waveform, view.features
        label = str(table.table["label"].iloc[clip]) or "none"
        name = Path(table.table["path"].iloc[clip]).name
        wave, plain, varied = axes[row]
        time_s = np.arange(waveform.shape[1]) / sound.sample_rate
        alike = len(waveform) == 2 and np.array_equal(waveform[0], waveform[1])
        for channel in waveform[:1] if alike else waveform:
            wave.plot(time_s, channel, linewidth=0.4, alpha=1.0 if alike else 0.6)
        wave.set_xlim(0, sound.length_s)
        wave.set_ylim(-1, 1)
        title = drawable(f"{label} · {name}", row + 1, 48)
        wave.set_title(title, fontsize=8, loc="left", family=font_families(title))
        for axis, picture in ((plain, features), (varied, view.augmented)):
            axis.imshow(
                picture, origin="lower", aspect="auto", cmap="magma", vmin=features.min(), vmax=features.max(),
                extent=(0, sound.length_s, 0, picture.shape[0]),
            )  # fmt: skip
            if banded:
                axis.set_yticks(list(ticks), [f"{frequency:,g}" for frequency in ticks.values()])
            axis.set_ylabel("hertz" if banded else "coefficient", fontsize=7)
        told = "as one training epoch sees it\n" * (row == 0) + drawable(view.told, row + 1, 60)
        varied.set_title(told.strip(), fontsize=8, loc="left", family=font_families(told))
        for axis in axes[row]:
            axis.tick_params(labelsize=7)
            if row == len(rows) - 1:
                axis.set_xlabel("seconds", fontsize=8)
    axes[0][1].set_title(_TITLES[settings.features.kind], fontsize=8)
    save_png(target, figure)
    return target


def _hear(table: Clips, count: int, sound: SoundRecipe, seed: int, reporter: Reporter) -> dict[int, np.ndarray]:
    """Return the waveforms of some clips that can be read, by their positions.

    Raises:
        DataError: none can be read.
    """
    heard: dict[int, np.ndarray] = {}
    unread: list[str] = []
    for row in _in_turn(table, seed):
        try:
            heard[row] = _load(table, row, sound)
        except (AudioError, PathError) as error:
            unread.append(str(error).removesuffix("."))
        if len(heard) == count:
            break
    if not heard:
        raise DataError(f"{table.root}: no clip can be read; {unread[0]}. Audit the data: soundfold data check")
    for told in unread[:_NAMED]:
        reporter.note(f"cannot be drawn: {told}")
    if unread:
        reporter.note(f"{counted(len(unread), 'clip')} left out of the picture; soundfold data check names all")
    return heard


def _in_turn(table: Clips, seed: int) -> Iterator[int]:
    """Yield positions of clips: classes in turn, so that as many as can be are seen."""
    generator = np.random.default_rng(seed)
    texts = table.table["label"].to_numpy()
    kinds = sorted(set(texts)) if table.several else table.labels
    lines = [generator.permutation(np.flatnonzero(texts == kind)).tolist() for kind in kinds]
    while any(lines):
        yield from [line.pop() for line in lines if line]


def _bands(features: FeatureRecipe) -> FeatureRecipe:
    """Return features with the bands that are drawn: those of AudioSet's networks are given, whatever is set."""
    if features.kind != "audioset":
        return features
    return features.model_copy(
        update={"n_mels": AudiosetMel.n_mels, "fmin_hz": 0.0, "fmax_hz": AudiosetMel.fmax_hz, "mel_scale": "kaldi"}
    )


def _hertz_ticks(features: FeatureRecipe, sample_rate: int) -> dict[float, float]:
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


@dataclass(frozen=True)
class _View:
    """A clip as it is drawn."""

    waveform: np.ndarray  # (channels, samples)
    features: np.ndarray  # (n_mels, frames) of the first channel
    augmented: np.ndarray  # likewise
    told: str  # what it was mixed of


def _views(table: Clips, sounds: dict[int, np.ndarray], recipe: Recipe, seed: int) -> list[_View]:
    """Return what is drawn of some clips; they are augmented as one batch, and mixed with each other."""
    waveforms = np.stack([fit_length(sound, recipe.sound.window) for sound in sounds.values()])
    silence = torch.tensor([max(0, recipe.sound.window - sound.shape[1]) // 2 for sound in sounds.values()])
    own = torch.from_numpy(table.membership()[list(sounds)]).float()
    with torch.inference_mode():
        waveform = torch.from_numpy(waveforms)
        front_end = build_features(recipe)
        features = front_end(waveform)
        augmented, targets = _augment(waveform, features, own, silence, recipe, front_end, seed)
    told = [_shares(target, table.labels, before) for target, before in zip(targets, own, strict=True)]
    pictures = (features[:, 0].numpy(), augmented[:, 0].numpy())
    return [_View(*parts) for parts in zip(waveforms, *pictures, told, strict=True)]


def _load(table: Clips, row: int, sound: SoundRecipe) -> np.ndarray:
    """Return a clip's waveform (channels, samples)."""
    clip = table.table.iloc[row]
    start, end = (None if np.isnan(clip[name]) else float(clip[name]) for name in ("start", "end"))
    return load(
        clip["path"], sound.sample_rate, sound.channels, downmix=sound.downmix, start_s=start, end_s=end,
        max_s=sound.max_clip_s,
    )  # fmt: skip


def _augment(
    waveform: Tensor, features: Tensor, targets: Tensor, silence: Tensor, recipe: Recipe,
    front_end: AudiosetMel | LogMel | Mfcc | Pcen, seed: int,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Return features and targets as an epoch of training sees them; `silence` is samples on either side of each."""
    augment, sound, generator = recipe.augment, recipe.sound, epoch_generator(seed, 1)
    if augment.domain == "waveform":
        backgrounds = None
        if augment.background_folder:
            backgrounds = torch.from_numpy(read_backgrounds(augment.background_folder, sound))
        sounded = draw_waveform(
            augment, silence, silence, sound.window, sound.sample_rate, generator,
            backgrounds=(0, 0) if backgrounds is None else (len(backgrounds), backgrounds.shape[-1]),
        )  # fmt: skip
        waveform, targets = apply_and_mix_waveforms(waveform, targets, sounded, backgrounds)
        features = front_end(waveform)
    frames = silence // hop_of(front_end, recipe)
    n_mels, width = features.shape[-2:]
    draws = draw(augment, frames, frames, n_mels, width, generator, scale=recipe.features.unit)
    return apply_and_mix(features, targets, draws)


def _shares(target: Tensor, labels: Sequence[str], own: Tensor) -> str:
    """Tell a mixture: "0.70 dog_bark + 0.30 siren"; nothing for a clip that is all its own."""
    if (target - own).abs().max() <= 0.005:
        return ""
    shares = [(float(share), label) for share, label in zip(target, labels, strict=True) if share >= 0.005]
    return " + ".join(f"{share:.2f} {label}" for share, label in sorted(shares, reverse=True))

"""`soundfold.show`: waveforms, spectrograms and what augmentation makes of them, for some clips, in one picture."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from soundfold.atomic import refuse_existing
from soundfold.audio import fit_length, load
from soundfold.augment import apply_draws, draw
from soundfold.data.clips import Clips
from soundfold.data.reading import read_clips
from soundfold.errors import AudioError, DataError, PathError
from soundfold.evaluation import save_png
from soundfold.evaluation.lettering import drawable, font_families
from soundfold.features import build_features
from soundfold.recipe import Recipe, load_recipe
from soundfold.training import epoch_generator

__all__ = ["show"]


def show(
    data: str | Path,
    out: str | Path,
    *,
    recipe: str | Path | Recipe = "tutorial",
    changes: tuple[str, ...] = (),
    clips: int = 6,
    seed: int = 0,
    where: Mapping[str, str] | None = None,
) -> Path:
    """Draw some clips to a PNG: a row a clip, with its waveform, its features, and one augmented view of them.

    Args:
        data: a data set's folder or table.
        out: the picture; must not exist yet.
        recipe, changes: which features and augmentation.
        clips: how many, of as many classes as can be.
        seed: which clips, and which random numbers.
        where: keep the clips whose own column has this value.

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
    table = read_clips(data, where=where)
    rows = _choose(table, clips, seed)
    pictures = [_picture(table, row, settings, seed + number) for number, row in enumerate(rows)]
    figure = Figure(figsize=(12, 0.6 + 1.5 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), 3, squeeze=False)
    sound = settings.sound
    for row, (clip, (waveform, features, augmented)) in enumerate(zip(rows, pictures, strict=True)):
        label = str(table.table["label"].iloc[clip])
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
        for axis, picture in ((plain, features), (varied, augmented)):
            axis.imshow(
                picture, origin="lower", aspect="auto", cmap="magma", vmin=features.min(), vmax=features.max(),
                extent=(0, sound.length_s, 0, picture.shape[0]),
            )  # fmt: skip
            axis.set_ylabel("mel band", fontsize=7)
        for axis in axes[row]:
            axis.tick_params(labelsize=7)
            if row == len(rows) - 1:
                axis.set_xlabel("seconds", fontsize=8)
    axes[0][1].set_title("log-mel spectrogram", fontsize=8)
    axes[0][2].set_title("as one training epoch sees it", fontsize=8)
    save_png(target, figure)
    return target


def _choose(table: Clips, count: int, seed: int) -> list[int]:
    """Return positions of clips: classes in turn, so that as many as can be are seen."""
    generator = np.random.default_rng(seed)
    ids = table.class_ids()
    lines = [generator.permutation(np.flatnonzero(ids == label)).tolist() for label in range(len(table.labels))]
    chosen: list[int] = []
    while len(chosen) < count and any(lines):
        for line in lines:
            if line and len(chosen) < count:
                chosen.append(line.pop())
    return chosen


def _picture(table: Clips, row: int, recipe: Recipe, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the waveform (channels, samples), and plain and augmented features (n_mels, frames) of one channel."""
    sound = recipe.sound
    clip = table.table.iloc[row]
    start, end = (None if np.isnan(clip[name]) else float(clip[name]) for name in ("start", "end"))
    try:
        whole = load(
            clip["path"], sound.sample_rate, sound.channels, downmix=sound.downmix, start_s=start, end_s=end,
            max_s=sound.max_clip_s,
        )  # fmt: skip
    except (AudioError, PathError) as error:
        raise DataError(f"{error}. Choose other clips with --seed, or audit the data: soundfold data check") from None
    waveform = fit_length(whole, sound.window)
    silence = max(0, sound.window - whole.shape[1]) // 2 // recipe.features.hop_length
    with torch.inference_mode():
        features = build_features(recipe)(torch.from_numpy(waveform)[None])
        room = torch.tensor([silence])
        draws = draw(recipe.augment, room, room, features.shape[-2], features.shape[-1], epoch_generator(seed, 1))
        augmented = apply_draws(features, draws)
    return waveform, features[0, 0].numpy(), augmented[0, 0].numpy()

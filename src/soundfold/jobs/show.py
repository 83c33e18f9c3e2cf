"""`soundfold.show`: waveforms, spectrograms and what augmentation makes of them, for some clips, in one picture."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from soundfold.atomic import refuse_existing
from soundfold.audio import fit_length, load, windows_with_sound
from soundfold.augment import apply_and_mix, apply_and_mix_waveforms, draw, draw_waveform
from soundfold.data.backgrounds import read_backgrounds
from soundfold.data.clips import Clips
from soundfold.data.reading import read_clips
from soundfold.errors import AudioError, DataError, PathError, RecipeError
from soundfold.evaluation import save_png
from soundfold.features import AudiosetMel, LogMel, Mfcc, Pcen, build_features
from soundfold.jobs.clip_picture import TITLES, ClipView, draw_clips
from soundfold.jobs.default_recipe import WITHOUT_WEIGHTS
from soundfold.jobs.reporting import Reporter, Silent
from soundfold.models import Standardise, hop_of
from soundfold.recipe import Recipe, SoundRecipe, load_recipe
from soundfold.training.epoch import draw_windows, epoch_generator
from soundfold.wording import counted

__all__ = ["show"]

_NAMED = 5
_UNSEEN = 1e-3  # of any kind of features: rounding, which channels of one sound may differ by


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
    """Draw some clips to a PNG: a row a clip, with its waveform, its features, and these as training varies them.

    Of a longer clip that window is drawn which an epoch of training would hear, and a clip of two different channels
    takes two rows. Features are drawn as the network sees them, a mel band a line; the axis tells the bands'
    frequencies. Where the recipe keeps a pretrained network's first blocks, training varies what these answer, which
    is no picture: what the same does to the spectrogram is drawn. A clip that cannot be read is told of, and another
    one drawn in its place.

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
    _check(target, clips, seed)
    settings = load_recipe(recipe, changes)
    if settings.features.kind not in TITLES:
        raise RecipeError(
            f"features.kind must be {', '.join(TITLES)} to be drawn, got {settings.features.kind}. "
            f"Choose another --recipe: finetune is drawn as pretrained networks hear it"
        )
    table = read_clips(data, where=where, labels=settings.training.labels)
    sounds = _hear(table, clips, settings.sound, seed, reporter or Silent())
    save_png(target, draw_clips(_views(table, sounds, settings, seed), settings))
    return target


def _check(target: Path, clips: int, seed: int) -> None:
    refuse_existing(target, "--out")
    if target.suffix.lower() != ".png":
        raise PathError(f"{target}: must end in .png. Name the picture so")
    if seed < 0:
        raise DataError(f"seed must be 0 or more, got {seed}. Any whole number will do")
    if not 1 <= clips <= 50:
        raise DataError(
            f"clips must be between 1 and 50, got {clips}. Draw fewer, or several pictures with other seeds"
        )


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


def _load(table: Clips, row: int, sound: SoundRecipe) -> np.ndarray:
    """Return a clip's waveform (channels, samples)."""
    clip = table.table.iloc[row]
    start, end = (None if np.isnan(clip[name]) else float(clip[name]) for name in ("start", "end"))
    return load(
        clip["path"], sound.sample_rate, sound.channels, downmix=sound.downmix, start_s=start, end_s=end,
        max_s=sound.max_clip_s,
    )  # fmt: skip


def _views(table: Clips, sounds: Mapping[int, np.ndarray], recipe: Recipe, seed: int) -> list[ClipView]:
    """Return what is drawn of some clips; they are augmented as one batch, and mixed with each other."""
    generator = epoch_generator(seed, 1)
    heard, told = _windows(list(sounds.values()), recipe, generator)
    waveform = torch.from_numpy(np.stack([fit_length(sound, recipe.sound.window) for sound in heard]))
    silence = torch.tensor([recipe.sound.window - sound.shape[1] for sound in heard])
    own = torch.from_numpy(table.membership()[list(sounds)]).float()
    front_end, level = build_features(recipe), Standardise(by_clip=recipe.features.level == "clip")
    with torch.inference_mode():
        varied, targets = _augment(waveform, own, silence, recipe, front_end, generator)
        features, varied = level(front_end(waveform)), level(varied)
    views = []
    for place, (row, window) in enumerate(zip(sounds, told, strict=True)):
        clip = table.table.iloc[row]
        sound, plain, changed = (batch[place].numpy() for batch in (waveform, features, varied))
        # a clip of one channel may be mixed with one of two
        one = all(_are_alike(channels) for channels in (sound, plain, changed))
        shown = slice(1) if one else slice(None)
        name = f"{clip['label'] or 'none'} · {Path(clip['path']).name}"
        mixed = _shares(targets[place], table.labels, own[place])
        views.append(ClipView(name, window, sound[shown], plain[shown], changed[shown], mixed))
    return views


def _windows(sounds: Sequence[np.ndarray], recipe: Recipe, generator: Generator) -> tuple[list[np.ndarray], list[str]]:
    """Return the window of each sound that an epoch of training hears, and which one it is, if there are others."""
    length = recipe.sound.window
    cuts = [windows_with_sound(sound, length) for sound in sounds]
    count = np.array([len(cut) for cut in cuts])
    first = np.cumsum(count) - count
    lengths = np.array([stop - start for cut in cuts for start, stop in cut])
    may = np.ones_like(count) if recipe.augment.crop == "start" else count
    picked = draw_windows(lengths, first, may, generator) - first
    heard = [sound[:, slice(*cut[place])] for sound, cut, place in zip(sounds, cuts, picked, strict=True)]
    return heard, [f"window {place + 1} of {n}" if n > 1 else "" for place, n in zip(picked, count, strict=True)]


def _augment(
    waveform: Tensor, targets: Tensor, silence: Tensor, recipe: Recipe, front_end: AudiosetMel | LogMel | Mfcc | Pcen,
    generator: Generator,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Return features and targets as an epoch of training sees them; `silence` is samples around each sound."""
    augment, sound = recipe.augment, recipe.sound
    before, after = silence // 2, silence - silence // 2
    if augment.domain == "waveform":
        backgrounds = None
        if augment.background_folder:
            backgrounds = torch.from_numpy(read_backgrounds(augment.background_folder, sound))
        sounded = draw_waveform(
            augment, before, after, sound.window, sound.sample_rate, generator,
            backgrounds=(0, 0) if backgrounds is None else (len(backgrounds), backgrounds.shape[-1]),
        )  # fmt: skip
        waveform, targets = apply_and_mix_waveforms(waveform, targets, sounded, backgrounds)
    features = front_end(waveform)
    hop, (n_mels, frames) = hop_of(front_end, recipe), features.shape[-2:]
    draws = draw(augment, before // hop, after // hop, n_mels, frames, generator, scale=recipe.features.unit)
    return apply_and_mix(features, targets, draws)


def _are_alike(channels: np.ndarray) -> bool:
    """Tell whether all channels look the same."""
    return np.allclose(channels, channels[:1], rtol=0, atol=_UNSEEN)


def _shares(target: Tensor, labels: Sequence[str], own: Tensor) -> str:
    """Tell a mixture: "0.70 dog_bark + 0.30 siren"; nothing for a clip that is all its own."""
    if (target - own).abs().max() <= 0.005:
        return ""
    shares = [(float(share), label) for share, label in zip(target, labels, strict=True) if share >= 0.005]
    return " + ".join(f"{share:.2f} {label}" for share, label in sorted(shares, reverse=True))

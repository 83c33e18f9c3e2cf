"""What a synthetic set holds, before any sound is made: recordings, their folds and file kinds, and their clips.

The counts follow the real UrbanSound8K: its class sizes, its mix of rates and encodings, clips cut every half second
from a longer recording, short clips of short events, a few recordings with a second class, and two that straddle folds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from soundfold.data.synth.voices import LABELS
from soundfold.data.synth.wav import ADPCM_BLOCK, Encoding
from soundfold.errors import DataError

__all__ = ["FileKind", "Occurrence", "Recording", "Slice", "draw_plan"]

_T = TypeVar("_T")

_CLASS_CLIPS = (1000, 429, 1000, 1000, 1000, 1000, 374, 1000, 929, 1000)
_SIZES = (0.12, 0.11, 0.12, 0.13, 0.14, 0.13, 0.11, 0.14)
_EVENTS = (0.01, 0.45, 0.02, 0.25, 0.15, 0.03, 0.8, 0.08, 0.03, 0.01)
"""By class: the share of recordings whose clips are single events of their own length."""
_RATES = {
    44_100: 5370, 48_000: 2502, 96_000: 610, 24_000: 82, 16_000: 45, 22_050: 44,
    11_025: 39, 192_000: 17, 8_000: 12, 11_024: 7, 32_000: 4,
}  # fmt: skip
_ENCODINGS: dict[Encoding, int] = {
    "int16": 5758, "int24": 2753, "float32": 120, "int32": 49, "uint8": 43, "adpcm": 9
}  # fmt: skip
_HEADERS = {False: 75, True: 25}
_CHANNELS = {2: 7993, 1: 739}
_FULL_S = 4.0
_HOP_S = 0.5
_SECOND_CLASS = 0.08
"""Of the last stretches of recordings with several: about three recordings in a hundred."""
_STRADDLERS = 2


@dataclass(frozen=True)
class FileKind:
    """How the files of one recording are stored."""

    sample_rate: int
    encoding: Encoding
    extensible: bool
    channels: int


@dataclass(frozen=True)
class Slice:
    """One clip: its number in the occurrence, its place there in samples of the file, and its fold."""

    number: int
    offset: int
    samples: int
    fold: int


@dataclass(frozen=True)
class Occurrence:
    """One stretch of a recording in which a class sounds."""

    class_id: int
    salience: int
    start_s: float
    slices: tuple[Slice, ...]


@dataclass(frozen=True)
class Recording:
    """One invented recording."""

    fs_id: int
    kind: FileKind
    occurrences: tuple[Occurrence, ...]

    @property
    def clips(self) -> int:
        """Number of clips cut from it."""
        return sum(len(occurrence.slices) for occurrence in self.occurrences)


_MOST_CLIPS = 100_000

PLAIN = FileKind(44_100, "int16", False, 1)


def draw_plan(clips: int, folds: int, seed: int, length_s: float | None, plain: bool) -> tuple[Recording, ...]:
    """Draw the whole set.

    Args:
        clips: number of clips, at least ten a fold, at most 100,000.
        folds: 1 to 10.
        seed: not negative.
        length_s: length of every clip in seconds, or None for the real set's mix.
        plain: every file mono, 16 bits, 44,100 Hz.

    Raises:
        DataError: when a number is out of its range.
    """
    _check(clips, folds, seed, length_s)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0]))
    sizes = [_draw_sizes(count, folds, rng) for count in _share_out(_CLASS_CLIPS, clips, folds)]
    classes = [class_id for class_id, of_class in enumerate(sizes) for _ in of_class]
    homes = _draw_folds(sizes, folds, rng)
    ids = np.sort(rng.choice(200_000, len(classes), replace=False)) + 1000
    ids = rng.permutation(ids)
    kinds = [PLAIN] * len(classes) if plain else _draw_kinds(len(classes), length_s is None, rng)
    flat = [size for of_class in sizes for size in of_class]
    recordings = [
        Recording(int(fs_id), kind, _draw_occurrences(class_id, size, fold, kind, length_s, rng))
        for fs_id, kind, class_id, size, fold in zip(ids, kinds, classes, flat, homes, strict=True)
    ]
    if folds > 1:
        for number in _pick(recordings, lambda r: r.clips >= 4, _STRADDLERS, rng):
            recordings[number] = _straddle(recordings[number], folds)
    if length_s is None and not any(_tiny(recording) for recording in recordings):
        for number in _pick(recordings, lambda r: r.clips == 1 and r.kind.encoding != "adpcm", 1, rng):
            recordings[number] = _shorten(recordings[number], 0.0545)
    return tuple(sorted(recordings, key=lambda recording: recording.fs_id))


def _check(clips: int, folds: int, seed: int, length_s: float | None) -> None:
    if not 1 <= folds <= 10:
        raise DataError(f"folds must be from 1 to 10, got {folds}. Ten is what UrbanSound8K has.")
    if clips < 10 * folds:
        raise DataError(
            f"clips must be at least ten a fold, {10 * folds} for folds={folds}, got {clips}. "
            "Ask for more clips or for fewer folds."
        )
    if clips > _MOST_CLIPS:
        raise DataError(
            f"clips must be at most {_MOST_CLIPS:,}, about 40 GB of sound, got {clips:,}. Ask for fewer, or write "
            "several sets with other seeds."
        )
    if seed < 0:
        raise DataError(f"seed must not be negative, got {seed}. Use 0 or any larger whole number.")
    if length_s is not None and not 0.05 <= length_s <= 60:
        raise DataError(f"length_s must be from 0.05 to 60 seconds, got {length_s}. The real clips have at most 4 s.")


def _share_out(weights: Sequence[float], total: int, least: int) -> list[int]:
    """Split `total` in proportion to `weights`, nobody below `least`, which must fit that often into `total`."""
    exact = np.asarray(weights, dtype=np.float64)
    shares = np.maximum(np.floor(exact * total / exact.sum()), least).astype(int)
    while (gap := total - int(shares.sum())) != 0:
        wish = exact * total / exact.sum() - shares
        if gap < 0:
            wish = np.where(shares > least, wish, np.inf)
        shares[int(np.argmax(wish) if gap > 0 else np.argmin(wish))] += 1 if gap > 0 else -1
    return [int(share) for share in shares]


def _draw_sizes(count: int, least: int, rng: np.random.Generator) -> list[int]:
    """Draw how many clips each recording of one class has: one to eight, `count` in all, `least` recordings or more."""
    sizes: list[int] = []
    while (left := count - sum(sizes)) > 0:
        sizes.append(min(int(rng.choice(len(_SIZES), p=_SIZES)) + 1, left))
    while len(sizes) < least:
        largest = sizes.index(max(sizes))
        half = sizes[largest] // 2
        sizes[largest] -= half
        sizes.append(half)
    return sizes


def _draw_folds(sizes: list[list[int]], folds: int, rng: np.random.Generator) -> list[int]:
    """Give every recording a fold, large ones first, where its class and then the whole fold has fewest clips."""
    total = np.zeros(folds)
    homes: list[int] = []
    for of_class in sizes:
        mine = np.zeros(folds)
        given = [0] * len(of_class)
        for number in sorted(range(len(of_class)), key=lambda n: -of_class[n]):
            fold = int(np.lexsort((rng.random(folds), total, mine))[0])
            mine[fold] += of_class[number]
            total[fold] += of_class[number]
            given[number] = fold + 1
        homes += given
    return homes


def _draw_quota(counts: dict[_T, int], number: int, rng: np.random.Generator) -> list[_T]:
    """Draw `number` items in the proportions of `counts`, each at least once where that is possible."""
    least = 1 if number >= 3 * len(counts) else 0
    shares = _share_out(list(counts.values()), number, least)
    items = [item for item, share in zip(counts, shares, strict=True) for _ in range(share)]
    return [items[place] for place in rng.permutation(number)]


def _draw_kinds(number: int, adpcm: bool, rng: np.random.Generator) -> list[FileKind]:
    """Draw the kinds of files; without ADPCM, which comes in whole blocks, when every length is to be exact."""
    rates = _draw_quota(_RATES, number, rng)
    stored = {encoding: count for encoding, count in _ENCODINGS.items() if adpcm or encoding != "adpcm"}
    encodings = _draw_quota(stored, number, rng)
    headers = _draw_quota(_HEADERS, number, rng)
    channels = _draw_quota(_CHANNELS, number, rng)
    # ADPCM changes places so that it meets 44,100 Hz, whose block length is known, and a plain header.
    fitting = [n for n in range(number) if rates[n] == 44_100 and not headers[n] and encodings[n] != "adpcm"]
    for place in [n for n in range(number) if encodings[n] == "adpcm"]:
        if rates[place] != 44_100 or headers[place]:
            other = fitting.pop()
            encodings[place], encodings[other] = encodings[other], encodings[place]
    return [FileKind(*parts) for parts in zip(rates, encodings, headers, channels, strict=True)]


def _samples(seconds: float, kind: FileKind) -> int:
    """Return the length in samples, for ADPCM in whole blocks."""
    samples = max(round(seconds * kind.sample_rate), 1)
    if kind.encoding != "adpcm":
        return samples
    block = ADPCM_BLOCK[kind.channels]
    return max(samples // block, 2) * block


def _draw_occurrences(
    class_id: int, size: int, fold: int, kind: FileKind, length_s: float | None, rng: np.random.Generator
) -> tuple[Occurrence, ...]:
    """Cut `size` clips: events one by one, or windows that overlap; now and then the last stretch has another class."""
    events = length_s is None and rng.random() < _EVENTS[class_id]
    stretches = [1] * size if events else _draw_stretches(size, rng)
    salience = 1 if rng.random() < 0.72 else 2
    start_s = float(rng.choice([0.0, rng.uniform(0, 40)]))
    occurrences = []
    for number, many in enumerate(stretches):
        full_s = length_s or _FULL_S
        seconds = float(np.exp(rng.uniform(np.log(0.3), np.log(6.0)))) if events else full_s
        if events and rng.random() < 0.01:
            seconds = float(rng.uniform(0.055, 0.1))
        samples = _samples(min(seconds, full_s), kind)
        hops = np.concatenate(([0], np.cumsum(rng.choice([1, 2, 3], many - 1, p=[0.7, 0.25, 0.05]))))
        hop = max(round(min(_HOP_S, full_s / 2) * kind.sample_rate), 1)
        slices = tuple(Slice(int(n), int(n) * hop, samples, fold) for n in hops)
        other = number > 0 and number == len(stretches) - 1 and rng.random() < _SECOND_CLASS
        sounds = int((class_id + rng.integers(1, len(LABELS))) % len(LABELS)) if other else class_id
        occurrences.append(Occurrence(sounds, salience, round(start_s, 6), slices))
        start_s += (slices[-1].offset + samples) / kind.sample_rate + rng.uniform(0.2, 8)
        if rng.random() < 0.1:
            salience = 3 - salience
    return tuple(occurrences)


def _draw_stretches(size: int, rng: np.random.Generator) -> list[int]:
    """Split the clips of a recording over one to three stretches."""
    number = min(int(rng.choice([1, 2, 3], p=[0.78, 0.17, 0.05])), size)
    cuts = np.sort(rng.choice(np.arange(1, size), number - 1, replace=False)) if number > 1 else np.array([], dtype=int)
    return [int(part) for part in np.diff(np.concatenate(([0], cuts, [size])))]


def _pick(
    recordings: list[Recording], wanted: Callable[[Recording], bool], most: int, rng: np.random.Generator
) -> list[int]:
    fitting = [number for number, recording in enumerate(recordings) if wanted(recording)]
    return [int(n) for n in rng.choice(fitting, min(most, len(fitting)), replace=False)] if fitting else []


def _straddle(recording: Recording, folds: int) -> Recording:
    """Move the later half of a recording's clips to the next fold, as happened to five recordings of the real set."""
    staying = recording.clips - recording.clips // 2
    occurrences = []
    for occurrence in recording.occurrences:
        slices = []
        for one in occurrence.slices:
            staying -= 1
            slices.append(one if staying >= 0 else replace(one, fold=one.fold % folds + 1))
        occurrences.append(replace(occurrence, slices=tuple(slices)))
    return replace(recording, occurrences=tuple(occurrences))


def _tiny(recording: Recording) -> bool:
    rate = recording.kind.sample_rate
    return any(one.samples < 0.1 * rate for o in recording.occurrences for one in o.slices)


def _shorten(recording: Recording, seconds: float) -> Recording:
    only = recording.occurrences[0]
    short = replace(only.slices[0], samples=_samples(seconds, recording.kind))
    return replace(recording, occurrences=(replace(only, slices=(short,)),))

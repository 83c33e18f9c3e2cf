"""Intervals for scores, by drawing whole recordings anew. Knows sums of counts, and no metric by name.

The key idea: clips cut from one recording resemble each other, so a hundred clips of one recording say little more
than one. The unit that is drawn is therefore the recording. A score that is a function of counts (right answers, clips,
true positives…) needs no clip again: with one row of counts a recording, a resample is a vector of weights (how often
each recording was drawn), and the counts of all resamples are one matrix product, `weights @ counts`. Recordings
with equal counts are the same thing to the score, so they are drawn together as one kind; that changes no
distribution and makes a set of ten thousand single clips as cheap as one of a hundred recordings.

What the interval does not say:
- It holds the trained network fixed. Another seed, or other training data, would move the score as well.
- It speaks of recordings like those tested, not of other places, microphones or years.
- With few recordings (fewer than about 20) a percentile interval is too narrow.
- When every answer is right, every resample is right too: the interval of the draws is [1, 1], which says too much.
  Of a proportion `where_all_are_alike` gives a bound in its place.
- Over cross-validation it treats the pooled answers of several networks as those of one.

References:
    Clopper & Pearson (1934), "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26(4).
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

__all__ = [
    "RESAMPLES",
    "bootstrap_interval",
    "draw_recordings",
    "fixed_generator",
    "note_on_few",
    "where_all_are_alike",
]

RESAMPLES = 2000
_FEW_RECORDINGS = 20
_SEED = 20_140  # any fixed number; the same table then always has the same interval
_WEIGHTS_AT_ONCE = 4_000_000  # 32 MB of weights

Numbers = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


def fixed_generator() -> np.random.Generator:
    """Return the generator that intervals are drawn from when none is passed: always in the same state."""
    return np.random.default_rng(_SEED)


def note_on_few(recordings: int, unit: str) -> tuple[str, ...]:
    """Return the sentence on an interval that rests on few recordings; nothing where they are enough, or one alone.

    >>> note_on_few(11, "recording")
    ('The interval rests on 11 recordings only; with so few it is too narrow.',)
    """
    if not 1 < recordings < _FEW_RECORDINGS:
        return ()
    return (f"The interval rests on {recordings} {unit}s only; with so few it is too narrow.",)


def draw_recordings(sizes: Counts, resamples: int, generator: np.random.Generator) -> Iterator[Counts]:
    """Draw as many recordings as there are, with replacement, `resamples` times; yield the draws in blocks.

    Args:
        sizes: (kinds,) int64, ≥ 1: how many recordings there are of each kind.
        resamples: how many draws, ≥ 1.
        generator: where the random numbers come from.

    Yields:
        (block, kinds) int64: how many recordings of each kind a resample holds; every row sums to `sizes.sum()`.
    """
    recordings = int(sizes.sum())
    block = max(1, _WEIGHTS_AT_ONCE // len(sizes))
    for start in range(0, resamples, block):
        yield generator.multinomial(recordings, sizes / recordings, size=min(block, resamples - start))


def bootstrap_interval(
    counts: Counts,
    statistic: Callable[[Numbers], Numbers],
    *,
    generator: np.random.Generator | None = None,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> list[tuple[float, float]] | None:
    """Return the percentile interval of each score that `statistic` makes of summed counts.

    The order of the recordings has no influence, not even on the random draws.

    Args:
        counts: (recordings, k) int64, one row of counts a recording.
        statistic: takes (resamples, k) float64 sums of counts, returns (resamples, scores) float64; NaN where a score
            says nothing in a resample, which is then left out of that score's interval.
        generator: where the random numbers come from; None draws the same ones every time.
        resamples: how often the recordings are drawn anew, ≥ 1.
        level: how much of the resamples' scores the interval holds, in 0..1.

    Returns:
        One (low, high) a score, NaN where no resample says anything; or None when there are fewer than two recordings:
        nothing can then be drawn anew.

    >>> counts = np.array([[9, 10], [5, 10], [7, 10], [8, 10]])  # right answers and clips of four recordings
    >>> bootstrap_interval(counts, lambda sums: sums[:, :1] / sums[:, 1:])
    [(0.575, 0.85)]
    """
    if len(counts) < 2:
        return None
    kinds, sizes = np.unique(counts, axis=0, return_counts=True)
    rows = kinds.astype(np.float64)
    draws = draw_recordings(sizes, resamples, generator or fixed_generator())
    scores = np.concatenate([statistic(weights.astype(np.float64) @ rows) for weights in draws])
    return [_middle(each[~np.isnan(each)], level) for each in scores.T]


def where_all_are_alike(
    interval: tuple[float, float], proportion: float, recordings: int, level: float = 0.95
) -> tuple[float, float]:
    """Return the interval of a proportion; where it is 0 or 1, with the bound that no draw can show.

    If a share p of all recordings is answered without an error, n drawn ones are with probability pⁿ. The bound is the
    p at which that is half of what the level leaves, as Clopper and Pearson have it for n out of n; whole recordings
    are its trials, however many clips they have.

    Args:
        interval: by draws.
        proportion: what it is of, as it was found.
        recordings: those with a clip that counts, ≥ 1.
        level: of the interval, in 0..1.

    >>> low, high = where_all_are_alike((1.0, 1.0), 1.0, 11)
    >>> round(low, 3), high
    (0.715, 1.0)
    >>> where_all_are_alike((0.8, 0.9), 0.85, 11)
    (0.8, 0.9)
    """
    bound = float(((1 - level) / 2) ** (1 / recordings))
    return {0.0: (0.0, 1 - bound), 1.0: (bound, 1.0)}.get(proportion, interval)


def _middle(scores: Numbers, level: float) -> tuple[float, float]:
    """Return the ends of what holds so much of one score's resamples; NaN where there is none."""
    if not len(scores):
        return np.nan, np.nan
    low, high = np.quantile(scores, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)

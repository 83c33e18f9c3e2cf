"""Intervals draw recordings, not clips; the matrix product gives what a plain loop gives; coverage is near 95 %."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundfold.evaluation import bootstrap_interval, draw_recordings, fixed_generator

Array = np.ndarray


def accuracy(sums: Array) -> Array:
    return sums[:, :1] / sums[:, 1:]


def interval(counts: Array, seed: int | None = None) -> tuple[float, float]:
    generator = None if seed is None else np.random.default_rng(seed)
    found = bootstrap_interval(counts, accuracy, generator=generator)
    assert found is not None
    return found[0]


def width(counts: Array) -> float:
    low, high = interval(counts)
    return high - low


def some_counts(seed: int, recordings: int = 40, share: float = 0.7, clips: int = 12) -> Array:
    """Right answers and clips, (recordings, 2); recordings differ in how easy they are."""
    rng = np.random.default_rng(seed)
    n = rng.integers(1, clips + 1, recordings)
    easy = rng.beta(4 * share, 4 * (1 - share), recordings)
    return np.stack([rng.binomial(n, easy), n], axis=1)


def test_equals_a_plain_loop_over_the_same_draws() -> None:
    counts = some_counts(1, recordings=9)
    kinds, sizes = np.unique(counts, axis=0, return_counts=True)
    assert len(kinds) < len(counts), "the case must hold recordings with equal counts"
    scores = []
    for weights in np.concatenate(list(draw_recordings(sizes, 500, np.random.default_rng(5)))):
        drawn = [kinds[kind] for kind, times in enumerate(weights) for _ in range(times)]
        assert len(drawn) == len(counts)
        scores.append(sum(right for right, _ in drawn) / sum(n for _, n in drawn))
    found = bootstrap_interval(counts, accuracy, generator=np.random.default_rng(5), resamples=500)
    assert found == [pytest.approx(tuple(np.quantile(scores, [0.025, 0.975])), rel=1e-12)]


def test_drawing_kinds_is_drawing_recordings() -> None:
    """Merging equal recordings changes no distribution: both ways agree up to the noise of resampling."""
    counts = np.repeat([[0, 1], [1, 1], [3, 4]], [12, 25, 8], axis=0)
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(counts), (20_000, len(counts)))
    sums = counts[drawn].sum(axis=1)
    plain = np.quantile(sums[:, 0] / sums[:, 1], [0.025, 0.975])
    merged = bootstrap_interval(counts, accuracy, resamples=20_000)
    assert merged is not None
    assert np.allclose(merged[0], plain, atol=0.01)


def test_blocks_draw_the_same_as_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = some_counts(2)
    whole = interval(counts)
    monkeypatch.setattr("soundfold.evaluation.intervals._WEIGHTS_AT_ONCE", 70)
    assert interval(counts) == whole


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.3, 0.9))
def test_holds_the_score_in_ordinary_cases(seed: int, share: float) -> None:
    counts = some_counts(seed, share=share)
    low, high = interval(counts)
    assert 0 <= low <= counts[:, 0].sum() / counts[:, 1].sum() <= high <= 1


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_order_of_recordings_has_no_influence(seed: int) -> None:
    counts = some_counts(seed)
    shuffled = np.random.default_rng(seed).permutation(counts)
    assert interval(shuffled) == interval(counts)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.integers(2, 50))
def test_more_clips_of_the_same_recordings_do_not_narrow_it(seed: int, times: int) -> None:
    counts = some_counts(seed)
    assert interval(times * counts) == pytest.approx(interval(counts), rel=1e-9)


def test_more_recordings_narrow_it() -> None:
    counts = some_counts(3)
    assert width(np.tile(counts, (16, 1))) == pytest.approx(width(counts) / 4, rel=0.15)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_one_giant_recording_widens_it(seed: int) -> None:
    counts = some_counts(seed)
    giant = counts.copy()
    giant[0] = [0, 4 * counts[:, 1].sum()]
    assert width(giant) > 1.5 * width(counts)


def test_covers_the_truth_about_as_often_as_it_says() -> None:
    truth = 0.7
    hits = 0
    for seed in range(200):
        low, high = interval(some_counts(seed, recordings=80, share=truth), seed)
        hits += low <= truth <= high
    assert 0.88 <= hits / 200 <= 0.995


@pytest.mark.parametrize("recordings", [0, 1])
def test_no_interval_without_two_recordings(recordings: int) -> None:
    assert bootstrap_interval(some_counts(0, recordings=recordings), accuracy) is None


def test_resamples_in_which_a_score_says_nothing_are_left_out() -> None:
    counts = np.array([[0, 0, 1], [3, 4, 1], [1, 4, 1]])  # the first recording says nothing of the score

    def rare_and_never(sums: Array) -> Array:
        with np.errstate(invalid="ignore"):
            rare = sums[:, :1] / sums[:, 1:2]
        return np.hstack([rare, np.full_like(rare, np.nan), sums[:, 2:] / 3])

    rare, never, always = bootstrap_interval(counts, rare_and_never) or ()
    assert rare == (0.25, 0.75)
    assert np.isnan(never).all()
    assert always == (1, 1)


def test_all_right_has_no_width() -> None:
    assert interval(np.full((30, 2), 4)) == (1, 1)


def test_generator_is_fixed_unless_passed() -> None:
    counts = some_counts(4)
    assert interval(counts) == interval(counts)
    assert interval(counts, 1) == interval(counts, 1) != interval(counts, 2)
    assert fixed_generator().integers(1 << 40) == fixed_generator().integers(1 << 40)

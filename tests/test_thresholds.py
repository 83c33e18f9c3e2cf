"""Thresholds for a wished precision: the lowest that holds it, honest about what it costs."""

import numpy as np
import pandas as pd
import pytest

from soundfold.errors import DataError
from soundfold.evaluation import predictions_table
from soundfold.evaluation.thresholds import NEVER, fit_thresholds, threshold_scores


def test_the_lowest_threshold_that_holds_the_wish_is_taken() -> None:
    values = np.linspace(1.0, 0.1, 10)[:, None]
    right = np.array([1, 1, 1, 1, 0, 1, 1, 0, 0, 0], dtype=bool)[:, None]
    every = np.ones_like(right)
    assert fit_thresholds(values, every, right, 0.8)[0] == pytest.approx(0.35), "six right of seven told"
    assert fit_thresholds(values, every, right, 0.5)[0] == 0.0, "all may be told"
    assert fit_thresholds(values, every, right, 0.95)[0] == NEVER, "four right of four are too few to go by"
    assert fit_thresholds(values[:0], every[:0], right[:0], 0.5)[0] == NEVER


def test_equal_probabilities_are_told_together_or_not_at_all() -> None:
    values = np.array([0.9] * 6 + [0.5] * 6)[:, None]
    right = np.array([True] * 6 + [True, False, False, False, False, False])[:, None]
    for order in (np.arange(12), np.arange(12)[::-1]):
        assert fit_thresholds(values[order], np.ones_like(right), right[order], 0.8)[0] == pytest.approx(0.7)


@pytest.mark.parametrize("several", [False, True])
def test_precision_is_reached_on_clips_that_it_was_not_fitted_on(several: bool) -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (2_000, 2))
    if several:
        values = 1 / (1 + np.exp(-logits))
        label = [";".join(np.array(["a", "b"])[row]) for row in generator.random(values.shape) < values]
    else:
        values = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        label = np.where(generator.random(2_000) < values[:, 0], "a", "b").tolist()
    rows = range(2_000)
    table = pd.DataFrame({"path": [f"{k}.wav" for k in rows], "label": label, "group": [f"r{k // 10}" for k in rows]})
    table = predictions_table(table.assign(fold=[str(k % 3) for k in rows]), ("a", "b"), values, several=several)
    for one in threshold_scores(table, 0.95):
        assert one.threshold is not None
        assert 0.5 < one.threshold < 0.95
        assert one.precision == pytest.approx(0.95, abs=0.03)
        assert one.precision_ci95 is not None
        assert one.precision_ci95[0] < one.precision < one.precision_ci95[1]
        assert one.recall < one.recall_without
    with pytest.raises(DataError, match="precision must be above 0 and below 1, got 1"):
        threshold_scores(table, 1.0)


def test_a_label_that_cannot_be_told_so_precisely_is_never_told() -> None:
    generator = np.random.default_rng(1)
    values = generator.dirichlet((1, 1), 200)
    table = pd.DataFrame({"path": [f"{k}.wav" for k in range(200)], "label": generator.choice(["a", "b"], 200)})
    table = table.assign(fold=[str(k % 2) for k in range(200)], group=[f"r{k}" for k in range(200)])
    for one in threshold_scores(predictions_table(table, ("a", "b"), values), 0.99):
        assert one.threshold is None or one.recall < 0.1


def test_of_a_label_that_is_never_told_nothing_is_told() -> None:
    """Each fold alone allows a threshold for `a`, by which some clips of the other are told; both together do not."""
    sure = np.array([0.9] * 6 + [0.8] * 6)
    values = np.stack([sure, 1 - sure], axis=1)
    rows = range(24)
    label = ["a"] * 6 + ["b"] * 6 + ["b"] * 6 + ["a"] * 6
    table = pd.DataFrame({"path": [f"{k}.wav" for k in rows], "label": label, "group": [f"r{k}" for k in rows]})
    table = table.assign(fold=["1"] * 12 + ["2"] * 12)
    found = threshold_scores(predictions_table(table, ("a", "b"), np.concatenate([values, values])), 0.9)
    assert [one.threshold for one in found] == [None, None]
    assert [(one.told, one.precision, one.recall) for one in found] == [(0, None, 0.0)] * 2

"""Logistic regression: the answer of scikit-learn's, for classes, two of them, and labels each for itself."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from soundfold.training.linear_fit import fit_views
from soundfold.training.logistic import fit_logistic


def drawn(n: int, size: int, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(n + size + classes)
    values = draw.normal(size=(n, size)).astype(np.float32) * draw.uniform(0.2, 3, size).astype(np.float32)
    logits = values @ draw.normal(size=(size, classes)) + draw.gumbel(size=(n, classes)) * 2
    weight = draw.uniform(0.1, 3, n)
    return values, logits, weight / weight.mean()


@pytest.mark.parametrize("c", [0.003, 0.03, 0.3])
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_classes_get_what_scikit_learn_finds(classes, c):
    values, logits, weight = drawn(200, 30, classes)
    labels = logits.argmax(axis=1)
    weights, bias = fit_views(values, [(0, 30)], labels, weight, classes, c)
    found = LogisticRegression(C=c, tol=1e-4, max_iter=1_000).fit(values, labels, sample_weight=weight)
    ours = (values @ weights.T + bias).astype(np.float64)
    if classes == 2:
        np.testing.assert_allclose(ours[:, 1] - ours[:, 0], found.decision_function(values), atol=0.05)
    else:
        theirs = found.decision_function(values)
        np.testing.assert_allclose(
            ours - ours.mean(1, keepdims=True), theirs - theirs.mean(1, keepdims=True), atol=5e-3
        )


def test_labels_get_what_scikit_learn_finds_for_each():
    values, logits, weight = drawn(150, 12, 4)
    borne = logits > np.array([0.0, 1.0, -1.0, 2.0])
    weights, bias = fit_logistic(values, borne, weight, 0.1, several=True)
    for label in range(4):
        found = LogisticRegression(C=0.1, tol=1e-6, max_iter=1_000).fit(values, borne[:, label], sample_weight=weight)
        np.testing.assert_allclose(values @ weights[label] + bias[label], found.decision_function(values), atol=0.05)


def test_values_beyond_all_measure_give_finite_weights():
    values, logits, weight = drawn(60, 5, 3)
    weights, bias = fit_views(values * np.float32(1e4), [(0, 5)], logits.argmax(axis=1), weight, 3, 1e3)
    assert np.isfinite(weights).all()
    assert np.isfinite(bias).all()

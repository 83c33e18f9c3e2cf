"""Linear discriminants of views: Fisher's, shrunk and as sure as recordings that they have not met allow."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from soundfold.training import discriminant
from soundfold.training.discriminant import fit_discriminants

CLASSES = 4


def made_up(
    recordings: int = 60, clips: int = 6, size: int = 12, between: float = 1.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values, labels and recordings of clips that stand around their recordings, which stand around classes."""
    chance = np.random.default_rng(seed)
    centre = np.random.default_rng(99).normal(size=(CLASSES, size))
    of_recording = np.arange(recordings) % CLASSES
    place = centre[of_recording] + between * chance.normal(size=(recordings, size))
    number = np.repeat(np.arange(recordings), clips)
    values = place[number] + 0.3 * chance.normal(size=(len(number), size))
    return values.astype(np.float32), of_recording[number], number


def probabilities(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("shrinkage", [0.1, 0.5, 1.0])
def test_it_is_fishers_discriminant_with_a_shrunk_covariance(monkeypatch: pytest.MonkeyPatch, shrinkage: float) -> None:
    values, labels, recordings = made_up()
    monkeypatch.setattr(discriminant, "_SHRINKAGES", (shrinkage,))
    weights, bias = fit_discriminants(values, [(0, 12)], labels, np.ones(len(labels)), recordings, CLASSES)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(values.astype(float), labels)
    scale = (
        (weights[0] - weights[1])
        @ (theirs.coef_[0] - theirs.coef_[1])
        / ((theirs.coef_[0] - theirs.coef_[1]) ** 2).sum()
    )
    assert 0.01 < scale < 2
    np.testing.assert_allclose(
        weights - weights[0], scale * (theirs.coef_ - theirs.coef_[0]), atol=1e-5 * abs(weights).max()
    )
    prior = np.log(theirs.priors_)
    mine = bias - prior - (bias - prior)[0]
    own = scale * (theirs.intercept_ - prior - (theirs.intercept_ - prior)[0])
    np.testing.assert_allclose(mine, own, atol=1e-5 * max(1, abs(own).max()))


def test_two_classes_and_one_label_are_nearly_the_same_question() -> None:
    """Nearly, as what is shrunk is the covariance within classes, and of several labels that of all windows."""
    values, labels, recordings = made_up()
    two = labels % 2
    ones = np.ones(len(two))
    classes, _ = fit_discriminants(values, [(0, 12)], two, ones, recordings, 2)
    label, _ = fit_discriminants(values, [(0, 12)], two[:, np.newaxis].astype(np.float32), ones, recordings, 1)
    apart = classes[1] - classes[0]
    assert apart @ label[0] / np.sqrt((apart @ apart) * (label[0] @ label[0])) > 0.98


def test_it_is_as_sure_of_new_recordings_as_it_is_right() -> None:
    """Were clips dealt out in place of recordings, the answer would know each left out clip by its neighbours."""
    values, labels, recordings = made_up(recordings=80, size=40, between=2.0)
    new, truth, _ = made_up(recordings=400, size=40, between=2.0, seed=1)
    sure = {}
    for name, numbers in (("by recording", recordings), ("by clip", np.arange(len(labels)))):
        weights, bias = fit_discriminants(values, [(0, 40)], labels, np.ones(len(labels)), numbers, CLASSES)
        answers = probabilities(new @ weights.T + bias)
        sure[name] = answers.max(axis=1).mean() - (answers.argmax(axis=1) == truth).mean()
    assert abs(sure["by recording"]) < 0.03
    assert sure["by clip"] > 0.08


def test_a_view_that_knows_nothing_is_hardly_heard() -> None:
    values, labels, recordings = made_up()
    noise = np.random.default_rng(5).normal(size=values.shape).astype(np.float32)
    both = np.concatenate([values, noise], axis=1)
    weights, _ = fit_discriminants(both, [(0, 12), (12, 24)], labels, np.ones(len(labels)), recordings, CLASSES)
    loud, faint = (np.std(part @ own.T) for part, own in ((values, weights[:, :12]), (noise, weights[:, 12:])))
    assert faint < 0.1 * loud


def test_neither_the_order_of_windows_nor_the_size_of_weights_matters() -> None:
    values, labels, recordings = made_up()
    weight = np.random.default_rng(1).uniform(0.5, 2, len(labels))
    weights, bias = fit_discriminants(values, [(0, 5), (5, 12)], labels, weight, recordings, CLASSES)
    order = np.random.default_rng(2).permutation(len(labels))
    again = fit_discriminants(
        values[order], [(0, 5), (5, 12)], labels[order], 7 * weight[order], recordings[order], CLASSES
    )
    np.testing.assert_allclose(again[0], weights, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(again[1], bias, rtol=1e-3, atol=1e-4)


def test_a_clip_of_weight_two_is_two_clips() -> None:
    values, labels, recordings = made_up()
    twice = np.concatenate([np.arange(len(labels)), np.flatnonzero(labels == 1)])
    copied = fit_discriminants(values[twice], [(0, 12)], labels[twice], np.ones(len(twice)), recordings[twice], CLASSES)
    weighed = fit_discriminants(values, [(0, 12)], labels, 1.0 + (labels == 1), recordings, CLASSES)
    np.testing.assert_allclose(weighed[0], copied[0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(weighed[1], copied[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize(
    "case", ["one recording a class", "one clip a class", "values that do not vary", "an unknown class", "one clip"]
)
def test_what_teaches_little_gives_a_layer_of_numbers(case: str, several: bool) -> None:
    values, labels, recordings = made_up(recordings=8, clips=3)
    if case == "one recording a class":
        recordings = labels
    elif case == "one clip a class":
        values, labels, recordings = (part[: CLASSES * 3 : 3] for part in (values, labels, recordings))
    elif case == "values that do not vary":
        values = np.zeros_like(values)
    elif case == "an unknown class":
        labels = np.where(labels == 3, 0, labels)
    elif case == "one clip":
        values, labels, recordings = values[:1], labels[:1], recordings[:1]
    given = np.eye(CLASSES, dtype=np.float32)[labels] if several else labels
    weights, bias = fit_discriminants(values, [(0, 6), (6, 12)], given, np.ones(len(labels)), recordings, CLASSES)
    assert weights.shape == (CLASSES, 12)
    assert np.isfinite(weights).all()
    assert np.isfinite(bias).all()
    if case == "an unknown class":
        assert not weights[3].any()
        assert weights[:3].any(axis=1).all()
    elif case == "one clip" and not several:
        assert not weights.any()
        assert not bias.any()
    elif case == "values that do not vary":
        assert np.abs(weights).max() < 1e-6
    if case.endswith("a class"):
        logits = values @ weights.T + bias
        assert (logits.argmax(axis=1) == labels).all()
        assert np.abs(logits).max() < 60  # no more sure than a sigmoid can tell


def test_classes_without_a_clip_make_no_answer_surer() -> None:
    values, labels, recordings = made_up()
    ones = np.ones(len(labels))
    few = fit_discriminants(values, [(0, 6), (6, 12)], labels, ones, recordings, CLASSES)
    many = fit_discriminants(values, [(0, 6), (6, 12)], 7 * labels, ones, recordings, 40)
    met = 7 * np.arange(CLASSES)
    np.testing.assert_array_equal(many[0][met], few[0])
    np.testing.assert_array_equal(many[1][met], few[1])
    assert not np.delete(many[0], met, axis=0).any()
    assert not np.delete(many[1], met).any()


def test_its_sureness_costs_least(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recordings left out want it no surer and no less sure; that a look at each scale is quick must not matter."""
    values, labels, recordings = made_up(between=2.0)
    found, _ = fit_discriminants(values, [(0, 12)], labels, np.ones(len(labels)), recordings, CLASSES)
    monkeypatch.setattr(discriminant, "_NEAR_ENOUGH", 1e-6)
    exact, _ = fit_discriminants(values, [(0, 12)], labels, np.ones(len(labels)), recordings, CLASSES)
    scale = (found * exact).sum() / (exact * exact).sum()
    np.testing.assert_allclose(found, scale * exact, atol=1e-9 + 1e-6 * np.abs(found).max())
    assert scale == pytest.approx(1, abs=0.03)


def test_where_all_is_right_sureness_has_an_end() -> None:
    values, labels, recordings = made_up(between=0.0)
    weights, bias = fit_discriminants(100 * values, [(0, 12)], labels, np.ones(len(labels)), recordings, CLASSES)
    told = probabilities(100 * values @ weights.T + bias).max(axis=1)
    assert 0.95 < told.mean() < 0.99999

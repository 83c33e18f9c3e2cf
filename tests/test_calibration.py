"""Temperature, reliability and ECE: known answers, and properties that hold for any table."""

import numpy as np
import pandas as pd
import pytest

from soundfold.errors import DataError
from soundfold.evaluation import calibrate, fit_temperature, predictions_table, reliability, tempered
from soundfold.evaluation.calibration import codes_of, truth_of

LABELS = ("a", "b", "c")


def a_table(hotter: float, *, clips: int = 1_500, folds: int = 3, several: bool = False, seed: int = 0) -> pd.DataFrame:
    """Return predictions whose logits are `hotter` times what would be calibrated; clips come from 100 recordings."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (clips, len(LABELS)))
    if several:
        truth = generator.random(logits.shape) < 1 / (1 + np.exp(-logits))
        told = 1 / (1 + np.exp(-hotter * logits))
        label = [";".join(name for name, is_there in zip(LABELS, row, strict=True) if is_there) for row in truth]
    else:
        share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        label = [LABELS[k] for k in (generator.random((clips, 1)) > share.cumsum(axis=1)).sum(axis=1)]
        told = np.exp(hotter * logits) / np.exp(hotter * logits).sum(axis=1, keepdims=True)
    group = [f"r{k}" for k in generator.integers(0, 100, clips)]
    table = pd.DataFrame({"path": [f"{k}.wav" for k in range(clips)], "label": label, "group": group})
    table["fold"] = [str(int(name[1:]) % folds) for name in group]
    return predictions_table(table, LABELS, told, several=several)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("hotter", [0.5, 1.0, 2.5])
def test_the_temperature_undoes_what_made_the_network_too_sure(hotter: float, several: bool) -> None:
    scores = calibrate(a_table(hotter, several=several))
    assert scores.temperature == pytest.approx(hotter, rel=0.1)
    assert all(one == pytest.approx(hotter, rel=0.15) for one in scores.temperatures)
    assert scores.after.ece < 0.045
    assert scores.after.log_loss <= scores.before.log_loss + 0.005
    if hotter != 1.0:
        assert scores.before.ece > 1.5 * scores.after.ece


def test_the_loss_is_least_at_the_fitted_temperature() -> None:
    table = a_table(1.7, clips=400)
    values, truth = table[[f"p:{label}" for label in LABELS]].to_numpy(), truth_of(table)
    fitted = fit_temperature(values, truth)

    def loss(temperature: float) -> float:
        return float(-np.log(tempered(values, temperature)[truth]).mean())

    assert loss(fitted) < min(loss(fitted * 1.02), loss(fitted / 1.02))


def test_tempering_keeps_the_order_of_labels_and_undoes_itself() -> None:
    values = np.random.default_rng(1).dirichlet(np.ones(4), 50)
    again = tempered(tempered(values, 3.0), 1 / 3.0)
    np.testing.assert_allclose(again, values, atol=1e-9)
    assert (np.argsort(tempered(values, 3.0)) == np.argsort(values)).all()
    np.testing.assert_allclose(tempered([[0.8, 0.1]], 0.5, several=True), [[16 / 17, 1 / 82]], atol=1e-9)
    np.testing.assert_allclose(tempered([[1.0, 0.0]], 5.0).sum(), 1.0)


def test_what_is_told_of_a_part_was_fitted_on_the_others() -> None:
    """One fold is far too sure and the others are not: its own temperature would mend it, theirs must not."""
    hot, cool = a_table(6.0, seed=1), a_table(1.0, seed=2)
    table = pd.concat([hot.assign(fold="1"), cool.assign(fold="2"), cool.assign(fold="3")], ignore_index=True)
    scores = calibrate(table)
    assert scores.temperatures[0] == pytest.approx(1.0, rel=0.1), "fitted without the fold that is too sure"
    assert scores.temperatures[1] > 1.5
    assert scores.after.ece > 0.05


def test_the_error_is_that_of_plain_arithmetic() -> None:
    confidence = np.repeat([0.6, 0.9], 50)
    truth = np.zeros((100, 2), dtype=bool)
    right = np.concatenate([np.arange(50) < 20, np.arange(50) < 45])  # 40 % of those at 60 %, 90 % of those at 90 %
    truth[np.arange(100), np.where(right, 0, 1)] = True
    told = reliability(np.stack([confidence, 1 - confidence], axis=1), truth, np.arange(100))
    assert told.ece == pytest.approx(0.5 * 0.2, abs=1e-6)
    assert [(one.confidence, one.accuracy, one.n) for one in told.bins] == [(0.6, 0.4, 50), (0.9, 0.9, 50)]
    assert told.ece_ci95 is not None
    assert told.ece_ci95[0] < told.ece < told.ece_ci95[1]


def test_neither_order_nor_unknown_labels_disturb() -> None:
    table = a_table(2.0, clips=500)
    mixed = calibrate(table.sample(frac=1, random_state=3))
    assert mixed.temperature == pytest.approx(calibrate(table).temperature)
    assert mixed.before.bins == calibrate(table).before.bins
    assert mixed.before.ece_ci95 == calibrate(table).before.ece_ci95
    strange = pd.concat([table, table.head(20).assign(label="strange")], ignore_index=True)
    scores = calibrate(strange)
    assert scores.temperature == pytest.approx(calibrate(table).temperature)
    assert scores.before.ece > calibrate(table).before.ece, "their answers are wrong, however sure"


def test_one_fold_is_parted_by_recordings() -> None:
    scores = calibrate(a_table(2.0, clips=500, folds=1))
    assert (scores.parts, len(scores.temperatures)) == ("recordings", 5)
    alone = a_table(2.0, clips=20).assign(group="r", fold="1")
    with pytest.raises(DataError, match="at least two recordings"):
        calibrate(alone)
    with pytest.raises(DataError, match="clips of known labels"):
        fit_temperature([[0.5, 0.5]], np.zeros((1, 2), dtype=bool))


def test_recordings_are_numbered_by_name() -> None:
    assert codes_of(pd.DataFrame({"group": ["b", "a", "b"]})).tolist() == [1, 0, 1]


def test_few_clips_that_are_all_right_do_not_make_a_network_infinitely_sure() -> None:
    values = np.array([[0.9, 0.1], [0.2, 0.8], [0.95, 0.05], [0.3, 0.7]])
    truth = values > 0.5
    assert 0.3 < fit_temperature(values, truth) < 1.0
    assert tempered(values, fit_temperature(values, truth)).max() < 0.999

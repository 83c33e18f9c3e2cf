"""What is told of probabilities: the likeliest label, those above their thresholds, or "unknown"."""

import numpy as np
import pytest

from soundfold.runtime import UNKNOWN, Calibration, ModelCard, Prediction, Span
from soundfold.runtime.calibration import Rejection
from soundfold.runtime.passes import hear, hear_alone
from soundfold.runtime.verdict import judge

pytestmark = pytest.mark.runtime


def card(**changes: object) -> ModelCard:
    fields = {"format_version": 1, "soundfold_version": "0", "labels": ("a", "b", "c"), "sample_rate": 8_000}
    return ModelCard.model_validate({**fields, "channels": 1, "downmix": "first", "window": 8_000, **changes})


def test_a_label_below_its_threshold_is_unknown_and_its_class_the_nearest() -> None:
    strict = card(calibration=Calibration(temperature=1.5, thresholds={"a": 0.9, "b": 0.2}))
    row = np.array([0.7, 0.2, 0.1])
    assert judge(strict, row) == (UNKNOWN, 0.7, None, "a")
    assert judge(strict, row[[1, 0, 2]]) == ("b", 0.7, None, None)
    assert judge(strict, row[[2, 1, 0]]) == ("c", 0.7, None, None), "a class without a threshold is always told"
    assert judge(card(), row) == ("a", 0.7, None, None), "and so is every class of a model that is not calibrated"


def test_of_several_labels_each_has_its_threshold() -> None:
    strict = card(answer="several", calibration=Calibration(temperature=1, thresholds={"a": 0.9, "b": 0.2}))
    assert judge(strict, np.array([0.8, 0.3, 0.6])).labels == ("c", "b")
    assert judge(card(answer="several"), np.array([0.8, 0.3, 0.6])).labels == ("a", "c")


def test_json_tells_the_nearest_class_of_an_unknown_sound_alone() -> None:
    for nearest in (None, "a"):
        answers = (
            Prediction("x.wav", "a", 0.7, {"a": 0.7}, 1.0, (), nearest=nearest),
            Span(0.0, 1.0, "a", 0.7, {"a": 0.7}, nearest=nearest),
        )
        assert all(answer.as_dict().get("nearest") == nearest for answer in answers)
        assert all(("nearest" in answer.as_dict()) == (nearest is not None) for answer in answers)


def heard(rows: list[list[float]], **calibration: object) -> Prediction:
    """Return the answer for a sound of as many windows as rows; the rule refuses what is nearly even."""
    rule = Rejection(centre=(0.0,) * 3, spread=(1.0,) * 3, linear=(0.0,) * 3, square=(1.0,) * 3, threshold=0.5,
                     false_alarms_per_hour=1.0, by_window=True)  # fmt: skip
    ruled = card(calibration=Calibration(temperature=1.0, rejection=rule, **calibration))
    left = iter(rows)
    sound = np.full((1, 8_000 * len(rows)), 0.1, np.float32)
    return hear_alone(hear(ruled, iter([sound]), "x"), lambda batch: np.array([next(left) for _ in batch]))


EVEN, A, B = [0.34, 0.33, 0.33], [0.9, 0.05, 0.05], [0.1, 0.8, 0.1]


def test_windows_that_are_like_no_class_have_no_say_in_a_longer_sound() -> None:
    told = heard([EVEN, EVEN, B, EVEN, EVEN, EVEN])
    assert (told.label, told.nearest, told.probability) == ("b", None, pytest.approx(0.8))
    assert [span.label for span in told.timeline].count(UNKNOWN) == 5
    assert heard([EVEN, EVEN]).label == UNKNOWN
    assert heard([EVEN]).label == UNKNOWN
    assert heard([B]).label == "b"


def test_a_sound_of_several_known_ones_is_known_though_their_mean_is_like_none() -> None:
    rows = [A, B, [0.05, 0.05, 0.9]]
    assert heard([np.mean(rows, axis=0).tolist()]).label == UNKNOWN
    told = heard(rows)
    assert told.nearest is None
    assert list(told.probabilities.values()) == pytest.approx(np.mean(rows, axis=0))


def test_a_wished_precision_is_held_against_the_mean() -> None:
    told = heard([A, A, B], thresholds={"a": 0.7})
    assert (told.label, told.nearest) == (UNKNOWN, "a")
    assert heard([A, A, A, EVEN], thresholds={"a": 0.7}).label == "a"

"""What is told of probabilities: the likeliest label, those above their thresholds, or "unknown"."""

import numpy as np
import pytest

from soundfold.runtime import UNKNOWN, Calibration, ModelCard, Prediction, Span
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

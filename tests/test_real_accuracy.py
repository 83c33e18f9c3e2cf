"""What cannot be seen on synthetic sounds: that the presets still tell real recordings that they never met."""

from collections.abc import Sequence
from pathlib import Path

import pytest

import soundfold


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("real-cache")


@pytest.mark.real
@pytest.mark.parametrize(
    ("recipe", "changes", "least"),
    [
        # the bounds lie four points and more under what was measured, as single runs differ by two
        ("tutorial", ["training.epochs=10"], 0.30),
        ("tutorial", ["training.epochs=10", "training.precision=32-true"], 0.30),
        ("texture", [], 0.62),
    ],
)
def test_a_fold_of_real_recordings_is_told_as_well_as_ever(
    real_data: Path, cache: Path, tmp_path: Path, recipe: str, changes: Sequence[str], least: float
) -> None:
    result = soundfold.cross_validate(
        real_data, recipe=recipe, changes=changes, folds=[1], out=tmp_path / "run", cache=cache
    )
    assert result.accuracy_mean is not None
    assert result.accuracy_mean > least

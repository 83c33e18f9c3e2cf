"""Augmentation that cannot work is refused by the recipe, in one line with its mend. Needs no torch."""

import pytest

from soundfold.errors import RecipeError
from soundfold.recipe import Recipe, change_recipe

pytestmark = pytest.mark.runtime


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["speed=0.2"], "augment.speed must be off with augment.domain = spectrogram, got 0.2. Set augment.domain to "),
        (["pitch_shift=2"], "augment.pitch_shift must be off .* to waveform, or use band_shift"),
        (["background_folder=x"], "augment.background_folder must be off with augment.domain = spectrogram, got x"),
        (["domain=waveform", "background_folder=x"], "must be set together, got x and 0. Set both or neither"),
        (["domain=waveform", "background_probability=0.5"], "must be set together, got no folder and 0.5"),
        (["kind=mfcc", "gain_db=3"], "augment.gain_db must be off with features.kind = mfcc, which tells no power"),
        (["kind=mfcc", "filter_db=3"], "augment.filter_db must be off with features.kind = mfcc"),
        (["kind=pcen", "noise_probability=1"], "augment.noise_probability must be off with features.kind = pcen"),
        (["kind=pcen", "mix=between_class"], "augment.mix must be off with features.kind = pcen.*got between_class"),
        (["kind=mfcc", "band_shift=2"], "augment.band_shift must be off with features.kind = mfcc, which has no bands"),
        (["time_stretch=2"], "augment.time_stretch must be less than or equal to 1, got 2"),
        (["mix=blend"], "augment.mix must be 'none', 'mixup', 'between_class' or 'cutmix', got 'blend'"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(changes: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        change_recipe(Recipe(), changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        ["kind=mfcc", "mix=mixup", "time_stretch=0.2", "mixstyle_probability=0.5"],
        ["kind=pcen", "mix=cutmix", "band_shift=2"],
        ["kind=mfcc", "domain=waveform", "gain_db=3", "filter_db=3", "noise_probability=1", "mix=between_class"],
        ["domain=waveform", "speed=0.2", "pitch_shift=2", "background_folder=x", "background_probability=0.5"],
    ],
)
def test_what_can_is_not(changes: list[str]) -> None:
    assert change_recipe(Recipe(), changes) != Recipe()

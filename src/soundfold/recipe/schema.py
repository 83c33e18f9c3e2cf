"""The recipe: every setting of a run, its default, its range, and what it means.

A setting is written down once, in its section's module; help texts, presets and error messages come from these fields.
Here the sections are joined and held against each other. A recipe is frozen: a change makes a new recipe
(`soundfold.recipe.change_recipe`).
"""

from typing import Any, Self

from pydantic import Field, model_validator

from soundfold.recipe.augment_section import AugmentRecipe, check_augment, check_unvaried
from soundfold.recipe.feature_section import FeatureRecipe
from soundfold.recipe.model_section import ModelRecipe, check_model
from soundfold.recipe.section import Section
from soundfold.recipe.sound_section import SoundRecipe
from soundfold.recipe.training_section import TrainingRecipe, check_training

__all__ = ["Recipe"]


class Recipe(Section):
    """Every setting of a run.

    >>> Recipe().sound.window
    176400
    """

    name: str = Field("tutorial", min_length=1, max_length=80, description="name of the recipe, for people")
    sound: SoundRecipe = SoundRecipe()  # type: ignore[call-arg]
    features: FeatureRecipe = FeatureRecipe()  # type: ignore[call-arg]
    augment: AugmentRecipe = AugmentRecipe()  # type: ignore[call-arg]
    model: ModelRecipe = ModelRecipe()  # type: ignore[call-arg]
    training: TrainingRecipe = TrainingRecipe()  # type: ignore[call-arg]

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Hold settings against each other that are each fine alone."""
        sound, features = self.sound, self.features
        if sound.window <= features.n_fft:
            raise ValueError(
                f"sound.length_s must hold more than one transform of features.n_fft = {features.n_fft} samples, "
                f"got {sound.window} samples. Raise sound.length_s or lower features.n_fft"
            )
        if features.win_length is not None and features.win_length > features.n_fft:
            raise ValueError(
                f"features.win_length must be at most features.n_fft = {features.n_fft}, got {features.win_length}. "
                f"Lower it, or leave it out for a window of n_fft samples"
            )
        if features.hop_length > (features.win_length or features.n_fft):
            raise ValueError(
                f"features.hop_length must be at most the window of {features.win_length or features.n_fft} samples, "
                f"got {features.hop_length}: sound between the windows would never be heard. Lower features.hop_length"
            )
        nyquist = sound.sample_rate / 2
        top = nyquist if features.fmax_hz is None else features.fmax_hz
        if top > nyquist:
            raise ValueError(
                f"features.fmax_hz must be at most {nyquist:g} Hz, half of sound.sample_rate, got {top:g}. "
                f"Lower it, or leave it out"
            )
        if features.fmin_hz >= top:
            raise ValueError(
                f"features.fmin_hz must be below the highest band's edge of {top:g} Hz, got {features.fmin_hz:g}. "
                f"Lower it, or raise features.fmax_hz"
            )
        if features.kind == "embedding" and self.model.name != "linear":
            raise ValueError(
                f"model.name must be linear with features.kind = embedding, got {self.model.name}. "
                f"Say model.name=linear"
            )
        if features.kind == "embedding" and features.deltas:
            raise ValueError(
                f"features.deltas must be 0 with features.kind = embedding, got {features.deltas}. "
                f"Say features.deltas=0"
            )
        if features.kind == "mfcc" and features.n_mfcc > features.n_mels:
            raise ValueError(
                f"features.n_mfcc must be at most features.n_mels = {features.n_mels}, got {features.n_mfcc}. "
                f"Lower features.n_mfcc or raise features.n_mels"
            )
        if features.level == "clip" and features.kind != "log_mel":
            raise ValueError(
                f"features.level must be absolute with features.kind = {features.kind}, got clip. "
                f"Say features.level=absolute"
            )
        if features.kind == "pcen" and features.scale != "db":
            raise ValueError(
                f"features.scale must stay db with features.kind = pcen, which takes no logarithm, "
                f"got {features.scale}. Leave features.scale out, or choose log_mel or mfcc"
            )
        check_augment(self.augment, features.kind)
        check_training(self.training, self.model.name)
        check_model(self.model, sound, features, self.augment)
        if self.training.optimizer == "lbfgs":
            check_unvaried(self.augment)
        return self

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values, ready for YAML or JSON."""
        return self.model_dump(mode="json")

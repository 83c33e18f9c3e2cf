"""The recipe's schema: every setting of a run, its default, its range, and what it means.

A setting is written down once, here; help texts, presets and error messages come from these fields. A recipe is frozen:
a change makes a new recipe (`soundfold.recipe.change_recipe`).
"""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["AugmentRecipe", "FeatureRecipe", "ModelRecipe", "Recipe", "SoundRecipe", "TrainingRecipe"]

Precision = Literal["32-true", "bf16-mixed", "bf16-true", "64-true"]


class _Section(BaseModel):
    """What all parts of a recipe share: frozen, strict about names, and every default checked as user input is."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


class SoundRecipe(_Section):
    """What the network hears: one window of sound."""

    sample_rate: int = Field(44_100, ge=1_000, le=384_000, description="rate in Hz that every sound is resampled to")
    channels: Literal[1, 2] = Field(2, description="channels the network hears; mono is doubled for two")
    downmix: Literal["first", "mean"] = Field(
        "first", description="how more channels become fewer: keep the first ones, or average them"
    )
    length_s: float = Field(4.0, gt=0, le=60, description="length of a window in seconds")
    max_clip_s: float = Field(
        600.0, gt=0, le=86_400, description="longest labelled clip in seconds; a longer one is kept out and listed"
    )

    @property
    def window(self) -> int:
        """Length of a window in samples, exact: `round(length_s * sample_rate)`.

        The tutorial computes `sample_rate // 1000 * milliseconds`, which drops 400 samples of 4 s at 44,100 Hz.
        """
        return round(self.length_s * self.sample_rate)


class FeatureRecipe(_Section):
    """How a window of sound becomes a picture of it."""

    kind: Literal["log_mel"] = Field("log_mel", description="log_mel: power in mel bands, in decibels")
    n_fft: int = Field(1024, ge=16, le=16_384, description="samples of one Fourier transform")
    win_length: int | None = Field(None, ge=16, description="samples of the Hann window; none: n_fft")
    hop_length: int = Field(512, ge=1, le=16_384, description="samples from one frame to the next")
    n_mels: int = Field(64, ge=4, le=512, description="number of mel bands")
    fmin_hz: float = Field(0.0, ge=0, description="lower edge of the lowest band in Hz")
    fmax_hz: float | None = Field(None, gt=0, description="upper edge of the highest band in Hz; none: half the rate")
    # deeper than 100 dB lies the rounding noise of float32, which no two Fourier transforms share
    top_db: float = Field(80.0, gt=0, le=100, description="floor in dB under a clip's loudest value")


class AugmentRecipe(_Section):
    """What is varied at random in training, and never in evaluation."""

    crop: Literal["start", "random"] = Field("start", description="which window of a longer clip an epoch sees")
    place: Literal["centre", "random"] = Field("random", description="where a shorter clip stands in its window")
    time_shift: float = Field(0.4, ge=0, le=1, description="largest roll along time, as a part of the window")
    frequency_masks: int = Field(2, ge=0, le=16, description="number of masks over mel bands")
    frequency_mask: float = Field(0.1, ge=0, le=1, description="largest width of such a mask, as a part of the bands")
    time_masks: int = Field(2, ge=0, le=16, description="number of masks over frames")
    time_mask: float = Field(0.1, ge=0, le=1, description="largest width of such a mask, as a part of the frames")


class ModelRecipe(_Section):
    """Which network."""

    name: Literal["tutorial"] = Field("tutorial", description="tutorial: four convolutions, 25 thousand parameters")


class TrainingRecipe(_Section):
    """How the network is fitted."""

    epochs: int = Field(100, ge=1, le=100_000, description="passes over the training clips")
    batch_size: int = Field(16, ge=1, le=65_536, description="clips per step, over all devices together")
    optimizer: Literal["adam"] = Field("adam", description="the optimiser")
    lr: float = Field(0.001, gt=0, le=10, description="learning rate, the largest one of a schedule")
    schedule: Literal["one_cycle", "constant"] = Field(
        "one_cycle", description="one_cycle: up to lr and down to nearly nothing, linearly; constant: lr throughout"
    )
    precision: Precision = Field("32-true", description="number format of the computation, in Fabric's words")
    validate_every: int = Field(1, ge=1, description="epochs from one look at the held-out clips to the next")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of everything random")


class Recipe(_Section):
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
                f"features.win_length must be at most features.n_fft = {features.n_fft}, got {features.win_length}"
            )
        if features.hop_length > (features.win_length or features.n_fft):
            raise ValueError(
                f"features.hop_length must be at most the window of {features.win_length or features.n_fft} samples, "
                f"got {features.hop_length}; sound between the windows would never be heard"
            )
        nyquist = sound.sample_rate / 2
        top = nyquist if features.fmax_hz is None else features.fmax_hz
        if top > nyquist:
            raise ValueError(f"features.fmax_hz must be at most {nyquist:g} Hz, half of sound.sample_rate, got {top:g}")
        if features.fmin_hz >= top:
            raise ValueError(
                f"features.fmin_hz must be below the highest band's edge of {top:g} Hz, got {features.fmin_hz:g}"
            )
        return self

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values, ready for YAML or JSON."""
        return self.model_dump(mode="json")

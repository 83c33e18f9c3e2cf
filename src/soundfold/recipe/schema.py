"""The recipe's schema: every setting of a run, its default, its range, and what it means.

A setting is written down once, here; help texts, presets and error messages come from these fields. A recipe is frozen:
a change makes a new recipe (`soundfold.recipe.change_recipe`).
"""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from soundfold.recipe.augment_rules import check_augment

__all__ = ["AugmentRecipe", "FeatureRecipe", "ModelRecipe", "Recipe", "SoundRecipe", "TrainingRecipe"]

Precision = Literal["auto", "32-true", "bf16-mixed", "bf16-true", "64-true"]


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

    kind: Literal["log_mel", "mfcc", "pcen", "embedding"] = Field(
        "log_mel",
        description="log_mel: power in mel bands; mfcc: its cepstrum; pcen: mel bands with automatic gain; "
        "embedding: the answers of a pretrained network",
    )
    network: Literal["mn04", "mn05", "mn10", "mn20"] = Field(
        "mn04", description="embedding: the pretrained network, EfficientAT's from small to large"
    )
    weights: str | None = Field(
        None, description="embedding: file or folder of its weights; none: SOUNDFOLD_WEIGHTS, or fetched and kept"
    )
    n_fft: int = Field(1024, ge=16, le=16_384, description="samples of one Fourier transform")
    win_length: int | None = Field(None, ge=16, description="samples of the Hann window; none: n_fft")
    hop_length: int = Field(512, ge=1, le=16_384, description="samples from one frame to the next")
    n_mels: int = Field(64, ge=4, le=512, description="number of mel bands")
    fmin_hz: float = Field(0.0, ge=0, description="lower edge of the lowest band in Hz")
    fmax_hz: float | None = Field(None, gt=0, description="upper edge of the highest band in Hz; none: half the rate")
    mel_scale: Literal["htk", "slaney", "kaldi"] = Field(
        "htk", description="whose mel bands: slaney's are linear below 1 kHz, kaldi's are triangles over mels, not Hz"
    )
    mel_norm: Literal["none", "slaney"] = Field(
        "none", description="none: every band peaks at 1; slaney: every band has the area 1 over Hz"
    )
    scale: Literal["db", "log"] = Field(
        "db", description="db: decibels, floor under the clip's loudest value; log: natural logarithm, fixed floor"
    )
    # deeper than 100 dB lies the rounding noise of float32, which no two Fourier transforms share
    top_db: float = Field(
        80.0, gt=0, le=100, description="floor in dB: under a clip's loudest value (db), under full scale (log, pcen)"
    )
    n_mfcc: int = Field(40, ge=1, le=512, description="mfcc: number of coefficients, at most n_mels")
    pcen_time_s: float = Field(0.4, gt=0, le=60, description="pcen: seconds over which a band's background is averaged")
    pcen_gain: float = Field(0.98, ge=0, le=1, description="pcen: how far the background is taken out; 1: wholly")
    pcen_bias: float = Field(2.0, gt=0, le=100, description="pcen: what counts as little beside the background")
    pcen_power: float = Field(0.5, gt=0, le=1, description="pcen: exponent that compresses the rest")
    deltas: Literal[0, 1, 2] = Field(
        0, description="1: slopes along time as further channels; 2: and the slopes of these"
    )

    @property
    def per_band(self) -> bool:
        """Whether each band is standardised by itself: the first coefficients of a cepstrum dwarf all others."""
        return self.kind in ("mfcc", "embedding")


class AugmentRecipe(_Section):
    """What is varied at random in training, and never in evaluation."""

    domain: Literal["spectrogram", "waveform"] = Field(
        "spectrogram",
        description="where sounds are varied: on kept spectrograms, or on waveforms, with features anew in every epoch",
    )
    crop: Literal["start", "random"] = Field("start", description="which window of a longer clip an epoch sees")
    place: Literal["centre", "random"] = Field("random", description="where a shorter clip stands in its window")
    time_shift: float = Field(0.4, ge=0, le=1, description="largest roll along time, as a part of the window")
    time_stretch: float = Field(
        0.0, ge=0, le=1, description="spectrogram: largest change of tempo; 0.25: up to 1.25 times as fast or as slow"
    )
    band_shift: float = Field(0.0, ge=0, le=64, description="spectrogram: largest shift along the bands, in bands")
    speed: float = Field(
        0.0, ge=0, le=1, description="waveform: largest change of speed, tempo and pitch together, as time_stretch"
    )
    pitch_shift: float = Field(0.0, ge=0, le=12, description="waveform: largest change of pitch in semitones")
    mix: Literal["none", "mixup", "between_class", "cutmix"] = Field(
        "none",
        description="two clips in one, targets too: averaged, added as power and heard by their shares, or in turn",
    )
    mix_alpha: float = Field(
        0.3, gt=0, le=100, description="shares are Beta(alpha, alpha): 1 is uniform, less keeps near one of the two"
    )
    mix_probability: float = Field(1.0, ge=0, le=1, description="part of the clips that are mixed")
    background_folder: str | None = Field(
        None, description="waveform: folder of sounds that are added as backgrounds; none: no backgrounds"
    )
    background_probability: float = Field(0.0, ge=0, le=1, description="waveform: part of the clips that get one")
    background_snr_db: float = Field(
        10.0, ge=-20, le=60, description="smallest level of a clip over its background in dB; the largest is 20 more"
    )
    noise_probability: float = Field(0.0, ge=0, le=1, description="part of the clips that get noise, white to brown")
    noise_snr_db: float = Field(
        10.0, ge=-20, le=60, description="smallest level of a clip over its noise in dB; the largest is 20 more"
    )
    filter_db: float = Field(
        0.0, ge=0, le=40, description="random filter, straight lines between five knots: largest boost or cut in dB"
    )
    gain_db: float = Field(0.0, ge=0, le=40, description="largest gain, up or down, in dB")
    mixstyle_probability: float = Field(
        0.0, ge=0, le=1, description="part of the clips whose bands take on mean and deviation of another clip's"
    )
    mixstyle_alpha: float = Field(
        0.4, gt=0, le=100, description="what they keep of their own is Beta(alpha, alpha), as mix_alpha"
    )
    frequency_masks: int = Field(2, ge=0, le=16, description="number of masks over mel bands")
    frequency_mask: float = Field(0.1, ge=0, le=1, description="largest width of such a mask, as a part of the bands")
    time_masks: int = Field(2, ge=0, le=16, description="number of masks over frames")
    time_mask: float = Field(0.1, ge=0, le=1, description="largest width of such a mask, as a part of the frames")


class ModelRecipe(_Section):
    """Which network."""

    name: Literal["tutorial", "linear"] = Field(
        "tutorial", description="tutorial: four convolutions, 25 thousand parameters; linear: one weight a value"
    )


class TrainingRecipe(_Section):
    """How the network is fitted."""

    epochs: int = Field(100, ge=1, le=100_000, description="passes over the training clips")
    batch_size: int = Field(16, ge=1, le=65_536, description="clips per step, over all devices together")
    optimizer: Literal["adam", "lbfgs"] = Field(
        "adam", description="the optimiser; lbfgs: logistic regression solved in one go, for model.name = linear"
    )
    c: float = Field(0.01, gt=0, le=1e6, description="lbfgs: weight of the data against the size of the weights")
    weighting: Literal["none", "classes", "recordings"] = Field(
        "none",
        description="what a clip counts in the loss; classes: all classes alike; recordings: classes alike, and a clip "
        "less the more clips its recording has",
    )
    lr: float = Field(0.001, gt=0, le=10, description="learning rate, the largest one of a schedule")
    schedule: Literal["one_cycle", "constant"] = Field(
        "one_cycle", description="one_cycle: up to lr and down to nearly nothing, linearly; constant: lr throughout"
    )
    precision: Precision = Field(
        "auto",
        description="number format of the computation, in Fabric's words; auto: bf16-mixed on processors that have it",
    )
    validate_every: int = Field(5, ge=1, description="epochs from one look at the held-out clips to the next")
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
        if (self.model.name == "linear") != (self.training.optimizer == "lbfgs"):
            raise ValueError(
                f"training.optimizer must be lbfgs with model.name = linear, and only there, got "
                f"{self.training.optimizer} with {self.model.name}. Change one of them"
            )
        if self.training.weighting != "none" and self.training.optimizer != "lbfgs":
            raise ValueError(
                f"training.weighting must be none unless training.optimizer is lbfgs, got {self.training.weighting}"
            )
        if features.kind == "embedding" and self.model.name != "linear":
            raise ValueError(
                f"model.name must be linear with features.kind = embedding, got {self.model.name}. "
                f"Say model.name=linear"
            )
        if features.kind == "embedding" and features.deltas:
            raise ValueError(f"features.deltas must be 0 with features.kind = embedding, got {features.deltas}")
        if features.kind == "mfcc" and features.n_mfcc > features.n_mels:
            raise ValueError(
                f"features.n_mfcc must be at most features.n_mels = {features.n_mels}, got {features.n_mfcc}. "
                f"Lower features.n_mfcc or raise features.n_mels"
            )
        if features.kind == "pcen" and features.scale != "db":
            raise ValueError(
                f"features.scale must stay db with features.kind = pcen, which takes no logarithm, "
                f"got {features.scale}. Leave features.scale out, or choose log_mel or mfcc"
            )
        check_augment(self.augment, features.kind)
        return self

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values, ready for YAML or JSON."""
        return self.model_dump(mode="json")

"""The recipe's section `augment`, and which of it goes with which domain and which features.

What cannot work is refused before any work begins.
"""

from typing import Literal

from pydantic import Field

from soundfold.recipe.section import Section

__all__ = ["AugmentRecipe", "check_augment", "check_unvaried"]

_WAVEFORM_ONLY = {
    "speed": "use time_stretch and band_shift", "pitch_shift": "use band_shift",
    "background_folder": "leave it out", "background_probability": "leave it out",
}  # fmt: skip
"""What is heard on waveforms only, and what to do instead on spectrograms."""

_POWER = ("noise_probability", "filter_db", "gain_db", "mix")
"""What adds to power in bands, which a cepstrum and normalised energies do not tell; of `mix`, between-class mixing."""

_BANDS = {"band_shift": ("log_mel", "pcen", "audioset")}
_FRAMES = dict.fromkeys(("time_stretch", "mixstyle_probability", "mix"), ("log_mel", "pcen", "mfcc", "audioset"))

_OFF = {
    "domain": "spectrogram", "crop": "start", "place": "centre", "time_shift": 0, "time_stretch": 0, "band_shift": 0,
    "mix": "none", "noise_probability": 0, "filter_db": 0, "gain_db": 0, "mixstyle_probability": 0,
    "frequency_masks": 0, "time_masks": 0,
}  # fmt: skip
"""What varies a clip from one epoch to the next, and its value when it does not."""


class AugmentRecipe(Section):
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


def check_augment(augment: AugmentRecipe, kind: str) -> None:
    """Hold what is varied against where it is varied, and against the kind of features.

    Args:
        augment: the section.
        kind: `features.kind`.

    Raises:
        ValueError: two settings contradict each other; the message names both and the mend.
    """
    on_pictures = augment.domain == "spectrogram"
    for name, mend in _WAVEFORM_ONLY.items():
        if on_pictures and getattr(augment, name):
            raise ValueError(
                f"augment.{name} must be off with augment.domain = spectrogram, got {getattr(augment, name)}. "
                f"Set augment.domain to waveform, or {mend}"
            )
    if kind == "embedding" and not on_pictures:
        raise ValueError(
            "augment.domain must be spectrogram with features.kind = embedding, whose values are computed once and "
            "kept, got waveform. Say augment.domain=spectrogram, or choose another kind of features"
        )
    if bool(augment.background_folder) != bool(augment.background_probability):
        raise ValueError(
            f"augment.background_folder and augment.background_probability must be set together, "
            f"got {augment.background_folder or 'no folder'} and {augment.background_probability:g}. "
            f"Set both or neither"
        )
    for name in _POWER:
        value = getattr(augment, name)
        asked = value == "between_class" if name == "mix" else value
        if asked and on_pictures and kind not in ("log_mel", "audioset"):
            raise ValueError(
                f"augment.{name} must be off with features.kind = {kind}, which tells no power in bands, got {value}. "
                f"Set augment.domain to waveform, or leave it off"
            )
    for name, kinds in (_BANDS | _FRAMES).items():
        value = getattr(augment, name)
        waved = name == "mix" and not on_pictures and value != "cutmix"
        if value not in (0, "none") and kind not in kinds and not waved:
            raise ValueError(
                f"augment.{name} must be off with features.kind = {kind}, which has no "
                f"{'bands' if name in _BANDS else 'frames'}, got {value}. Leave it off"
            )


def check_unvaried(augment: AugmentRecipe) -> None:
    """Refuse whatever varies clips, for what is solved in one go and hears each clip once.

    Raises:
        ValueError: something is varied; the message names it and the mend.
    """
    varied = {name: off for name, off in _OFF.items() if getattr(augment, name) != off}
    if varied:
        name, off = next(iter(varied.items()))
        raise ValueError(
            f"augment.{name} must be {off} with training.optimizer = lbfgs, which hears every clip once and as it is, "
            f"got {getattr(augment, name)}. Say {', '.join(f'{key}={value}' for key, value in varied.items())}"
        )

"""Which augmentations go with which domain and which features; what cannot work is refused before any work begins."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from soundfold.recipe.schema import AugmentRecipe

__all__ = ["check_augment"]

_WAVEFORM_ONLY = {
    "speed": "use time_stretch and band_shift", "pitch_shift": "use band_shift",
    "background_folder": "leave it out", "background_probability": "leave it out",
}  # fmt: skip
"""What is heard on waveforms only, and what to do instead on spectrograms."""

_POWER = ("noise_probability", "filter_db", "gain_db", "mix")
"""What adds to power in bands, which a cepstrum and normalised energies do not tell; of `mix`, between-class mixing."""

_BANDS = {"band_shift": ("log_mel", "pcen")}
_FRAMES = dict.fromkeys(("time_stretch", "mixstyle_probability", "mix"), ("log_mel", "pcen", "mfcc"))


def check_augment(augment: "AugmentRecipe", kind: str) -> None:
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
    if bool(augment.background_folder) != bool(augment.background_probability):
        raise ValueError(
            f"augment.background_folder and augment.background_probability must be set together, "
            f"got {augment.background_folder or 'no folder'} and {augment.background_probability:g}. "
            f"Set both or neither"
        )
    for name in _POWER:
        value = getattr(augment, name)
        asked = value == "between_class" if name == "mix" else value
        if asked and on_pictures and kind != "log_mel":
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

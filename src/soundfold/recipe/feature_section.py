"""The recipe's section `features`: how sound becomes what a network takes."""

from typing import Annotated, Literal

from pydantic import Field

from soundfold.recipe.choice import Choice
from soundfold.recipe.section import Section

__all__ = ["FeatureRecipe"]


class FeatureRecipe(Section):
    """How a window of sound becomes a picture of it."""

    kind: Literal["log_mel", "mfcc", "pcen", "audioset", "embedding"] = Field(
        "log_mel",
        description="log_mel: power in mel bands; mfcc: its cepstrum; pcen: mel bands with automatic gain; "
        "audioset: log-mel as EfficientAT's networks know it, nothing else to set; "
        "embedding: the answers of a pretrained network",
    )
    network: Annotated[str, Choice(("mn04", "mn05", "mn10", "mn20"), "hf/", r".+", "NAME")] = Field(
        "mn04",
        description="embedding: the pretrained network, EfficientAT's from small to large; hf/NAME: an audio encoder "
        "of the library transformers, by its name on huggingface.co or its folder",
    )
    weights: str | None = Field(
        None, description="embedding: file or folder of its weights; none: SOUNDFOLD_WEIGHTS, or fetched and kept"
    )
    views: Literal[3, 4] = Field(
        3,
        description="embedding by mn04 to mn20, and model.start = probe: how many views of the network have a "
        "regression of their own; 4: one is of two blocks before its last stage",
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
    level: Literal["absolute", "clip"] = Field(
        "absolute",
        description="log_mel: absolute: how loud a clip is counts; clip: its loudest value is taken for zero",
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

    @property
    def unit(self) -> Literal["db", "log", "audioset"]:
        """What the numbers of a picture are, for augmentation that adds power or level."""
        return "audioset" if self.kind == "audioset" else self.scale

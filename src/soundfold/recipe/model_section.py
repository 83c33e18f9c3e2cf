"""The recipe's section `model`: which network, and what it begins as."""

from typing import Annotated, Literal

from pydantic import Field

from soundfold.recipe.augment_section import AugmentRecipe
from soundfold.recipe.choice import Choice
from soundfold.recipe.feature_section import FeatureRecipe
from soundfold.recipe.section import Section
from soundfold.recipe.sound_section import SoundRecipe

__all__ = ["ModelRecipe", "check_model"]

_EFFICIENTAT = ("mn04", "mn05", "mn10", "mn20")
_TIMM = "timm/"
_AUDIOSET_RATE = 32_000
_MIDDLE_BLOCK = 11  # of 17, from 0; the fourth view of a network is of this one and the next
_PICTURES_ONLY = ("band_shift", "noise_probability", "filter_db", "gain_db", "mix")
"""What maps of a network cannot be varied by; of `mix`, between-class mixing."""


class ModelRecipe(Section):
    """Which network."""

    name: Annotated[str, Choice(("tutorial", "residual", "linear", *_EFFICIENTAT), _TIMM, r"[\w.]+", "NAME")] = Field(
        "tutorial",
        description="tutorial: four convolutions, 25 thousand parameters; residual: ours, of any size; linear: one "
        "weight a value; mn04 to mn20: "
        "EfficientAT's, 1 to 18 million; timm/NAME: an image network of the library timm",
    )
    width: int = Field(
        24, ge=4, le=128, description="residual: its size; 6: 32 thousand parameters, 12: 127, 24: 502, 64: 3.5 million"
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="residual: part of the last values left out in training")
    texture: bool = Field(
        False,
        description="residual: its answer is joined to that of a regression on the texture, fitted beforehand",
    )
    texture_say: float = Field(
        0.8, ge=0, le=1, description="model.texture: the regression's part in the mean of both logits"
    )
    texture_apart: bool = Field(
        False,
        description="of texture, here or in model.pool: each of five kinds of statistics has a regression of its own",
    )
    pool: Literal["none", "mean_std", "texture"] = Field(
        "none",
        description="linear: none: a weight a value; mean_std: a weight each for a row's mean and deviation over time; "
        "texture: for some 1,600 statistics of how bands vary and go together",
    )
    start: Literal["random", "pretrained", "probe"] = Field(
        "random",
        description="mn04 to mn20: random: from scratch; pretrained: published weights under a new head; probe: and a "
        "head already fitted as the preset probe fits it",
    )
    weights: str | None = Field(
        None, description="file or folder of the published weights; none: SOUNDFOLD_WEIGHTS, or fetched and kept"
    )
    batch_statistics: Literal["kept", "learned"] = Field(
        "kept",
        description="kept: batch normalisation keeps the published statistics, if it begins with any; learned: those "
        "of the batches",
    )
    kept_blocks: int = Field(
        0,
        ge=0,
        le=15,
        description="blocks from the input that stay as published, of 17; what they answer is computed once and kept",
    )


def check_model(model: ModelRecipe, sound: SoundRecipe, features: FeatureRecipe, augment: AugmentRecipe) -> None:
    """Hold the network against what it takes.

    Raises:
        ValueError: two settings contradict each other; the message names both and the mend.
    """
    given = model.name in _EFFICIENTAT
    trained = features.kind == "audioset" or (features.kind == "embedding" and features.network in _EFFICIENTAT)
    if trained and (sound.sample_rate, sound.channels) != (_AUDIOSET_RATE, 1):
        raise ValueError(
            f"sound must be {_AUDIOSET_RATE} Hz and one channel with features.kind = {features.kind}, got "
            f"{sound.sample_rate} Hz and {sound.channels}. Say sample_rate={_AUDIOSET_RATE} and channels=1"
        )
    if given and features.kind != "audioset":
        raise ValueError(
            f"features.kind must be audioset with model.name = {model.name}, got {features.kind}. "
            f"Say features.kind=audioset"
        )
    if features.kind == "audioset" and features.deltas:
        raise ValueError(
            f"features.deltas must be 0 with features.kind = audioset, got {features.deltas}. Say features.deltas=0"
        )
    if model.pool != "none" and (model.name != "linear" or features.kind == "embedding"):
        raise ValueError(
            f"model.pool must be none unless model.name is linear and features.kind has frames, got {model.pool} with "
            f"{model.name} and {features.kind}. Say model.pool=none"
        )
    if model.texture and (model.name != "residual" or features.kind == "embedding"):
        raise ValueError(
            f"model.texture must be false unless model.name is residual and features.kind has frames, got true with "
            f"{model.name} and {features.kind}. Say model.texture=false or model.name=residual"
        )
    # without its texture a residual network may keep what is said of it, so that one setting takes it away
    if model.texture_apart and model.pool != "texture" and model.name != "residual":
        raise ValueError(
            f"model.texture_apart must be false unless model.pool is texture or model.name is residual, got true with "
            f"{model.pool} and {model.name}. Say model.texture_apart=false"
        )
    timm = model.name.startswith(_TIMM)
    if timm and (model.start == "probe" or model.kept_blocks):
        name, value = ("start", "probe") if model.start == "probe" else ("kept_blocks", model.kept_blocks)
        raise ValueError(
            f"model.{name} must be {'random or pretrained' if name == 'start' else 0} with model.name = {model.name}, "
            f"got {value}. Change it, or choose one of {', '.join(_EFFICIENTAT)}"
        )
    if features.network.startswith("hf/") and features.weights is not None:
        raise ValueError(
            f"features.weights must be null with features.network = {features.network}, whose own folder holds them, "
            f"got {features.weights}. Say features.weights=null and features.network=hf/FOLDER"
        )
    if model.start != "random" and not given and not timm:
        raise ValueError(
            f"model.start must be random with model.name = {model.name}, which nobody has trained before, got "
            f"{model.start}. Choose one of {', '.join(_EFFICIENTAT)}"
        )
    if model.kept_blocks and model.start == "random":
        raise ValueError(
            f"model.kept_blocks must be 0 with model.start = random, got {model.kept_blocks}: blocks that are kept "
            f"would never learn. Say model.start=pretrained, or leave it out"
        )
    if features.views == 4 and model.start == "probe" and model.kept_blocks > _MIDDLE_BLOCK:
        raise ValueError(
            f"model.kept_blocks must be at most {_MIDDLE_BLOCK} with features.views = 4, one of which is of the blocks "
            f"that follow, got {model.kept_blocks}. Say model.kept_blocks={_MIDDLE_BLOCK}, or features.views=3 (and "
            f"training.freeze=0 in the preset finetune)"
        )
    if augment.domain == "waveform" and model.kept_blocks:
        raise ValueError(
            f"augment.domain must be spectrogram with model.kept_blocks = {model.kept_blocks}, whose answers are "
            f"computed once and kept, got waveform. Say augment.domain=spectrogram or model.kept_blocks=0"
        )
    for name in _PICTURES_ONLY if model.kept_blocks else ():
        value = getattr(augment, name)
        if value == "between_class" if name == "mix" else value:
            raise ValueError(
                f"augment.{name} must be off with model.kept_blocks = {model.kept_blocks}, whose answers are no "
                f"picture of sound, got {value}. Leave it off, or say model.kept_blocks=0"
            )

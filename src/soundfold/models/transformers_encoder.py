"""Audio encoders published for the library transformers, as they are: waveform in, one vector a clip out.

What a clip gets is the mean of the encoder's last hidden state over the time that the window fills. AST, CLAP and
Whisper hear a longer, fixed stretch, which is filled up as their own feature extractors do it.
"""

from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from soundfold.errors import RecipeError
from soundfold.features.encoder_input import AstInput, ClapInput, NormalisedWaveform, WhisperInput
from soundfold.models.encoder_files import find_encoder
from soundfold.models.encoder_loading import load_encoder, new_encoder, read_settings
from soundfold.recipe import Recipe

__all__ = ["TransformersEncoder", "build_encoder", "check_encoder"]

_MOST_BYTES = 2_000_000_000
"""Of weights in float32: a model file holds 2 GB at most."""

_AT_ONCE = 4
"""Clips on a CPU: the hidden layers of a base network need some 15 MB a clip and layer."""


class TransformersEncoder(nn.Module):
    """Waveforms (batch, 1, samples) → (batch, 1, values, 1), a picture with a band a value and one frame.

    Args:
        network: transformers' network, without its decoder and its other half.
        extractor: its feature extractor, whose settings are taken.
        samples: length of the waveforms.
        portable: with the front end's operations as a model file can hold them.

    Attributes:
        shape: (1, values, 1).
        views: the first value and the end of each view; there is one.
    """

    def __init__(self, network: nn.Module, extractor: Any, samples: int, *, portable: bool = False) -> None:
        super().__init__()
        self.portable = portable
        self.input = _build_input(network.config, extractor, portable=portable)
        self.kept, self.bands = _kept(network.config, self.input, samples)
        self.network = network.eval().requires_grad_(requires_grad=False)
        with torch.inference_mode():
            values = self._embed(torch.zeros(1, 1, samples)).shape[1]
        self.views = [(0, values)]
        self.shape = (1, values, 1)

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002
        """Stay in evaluation, whatever the rest of a classifier does: these weights are given."""
        return super().train(mode=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Return the embedding of each clip."""
        # a model file takes batches of any size, so that nothing may be counted while it is written
        split = waveform.device.type == "cpu" and not self.portable
        parts = torch.split(waveform, _AT_ONCE) if split else (waveform,)
        return torch.cat([self._embed(part) for part in parts])[:, None, :, None]

    def _embed(self, waveform: Tensor) -> Tensor:
        """Return embeddings (batch, values)."""
        hidden: Tensor = self.network(self.input(waveform)).last_hidden_state
        if isinstance(self.input, ClapInput):  # (batch, values, bands, time)
            return hidden.mean(dim=(-2, -1))
        if isinstance(self.input, AstInput):  # two class tokens, then patches, band after band
            patches = hidden[:, 2:].reshape(hidden.shape[0], self.bands, -1, hidden.shape[-1])
            return patches[:, :, : self.kept].mean(dim=(1, 2))
        return hidden[:, : self.kept].mean(dim=1)


def check_encoder(recipe: Recipe, folder: Path) -> None:
    """Refuse, before any work begins, an encoder that is of another kind, or that a model file could not hold.

    Args:
        recipe: what it shall hear.
        folder: its files.

    Raises:
        RecipeError: another kind, too large, or made for other sound than the recipe's.
        ModelFileError: a file is damaged.
        MissingExtraError: transformers is missing.
    """
    config, extractor = read_settings(folder)
    with torch.device("meta"):
        network = new_encoder(config)
    size = 4 * sum(parameter.numel() for parameter in network.parameters())
    if size > _MOST_BYTES:
        raise RecipeError(
            f"{folder}: a model file holds encoders of up to {_MOST_BYTES / 1e9:g} GB, got {size / 1e9:.1f} GB. "
            f"Choose a smaller one of its family"
        )
    rate = int(extractor.sampling_rate)
    if recipe.sound.sample_rate != rate or recipe.sound.channels != 1:
        raise RecipeError(
            f"sound must be {rate} Hz and one channel for features.network = {recipe.features.network}, got "
            f"{recipe.sound.sample_rate} Hz and {recipe.sound.channels}. Say sample_rate={rate} and channels=1"
        )
    longest = _longest(network.config, extractor)
    if longest is not None and recipe.sound.window > longest:
        raise RecipeError(
            f"sound.length_s must be at most {longest / rate:g} for features.network = {recipe.features.network}, got "
            f"{recipe.sound.length_s:g}. Lower sound.length_s; longer sounds are heard in several windows"
        )


def build_encoder(recipe: Recipe, *, portable: bool = False, weights: Path | None = None) -> TransformersEncoder:
    """Return the encoder that a recipe names.

    Args:
        recipe: which one, and what it hears.
        portable: with the front end's operations as a model file can hold them.
        weights: its file of weights, with the others beside it; None for random ones, where a state dict is loaded
            later.

    Raises:
        SoundfoldError: as `check_encoder` and `find_encoder`, or the weights do not fit.
    """
    folder = find_encoder(recipe.features.network) if weights is None else weights.parent
    check_encoder(recipe, folder)
    config, extractor = read_settings(folder)
    network = new_encoder(config) if weights is None else load_encoder(config, folder)
    return TransformersEncoder(network, extractor, recipe.sound.window, portable=portable)


def _build_input(
    config: Any, extractor: Any, *, portable: bool
) -> NormalisedWaveform | AstInput | ClapInput | WhisperInput:
    """Return the front end whose settings stand in a feature extractor."""
    kind = config.model_type
    if kind == "audio-spectrogram-transformer":
        shift = (extractor.mean, extractor.std) if extractor.do_normalize else (None, None)
        return AstInput(config.num_mel_bins, config.max_length, *shift, portable=portable)
    if kind == "clap_audio_model":
        return ClapInput(
            extractor.sampling_rate,
            extractor.nb_max_samples,
            extractor.fft_window_size,
            extractor.hop_length,
            config.num_mel_bins,
            extractor.frequency_min,
            extractor.frequency_max,
            slaney=extractor.truncation != "fusion",
            repeats=extractor.padding == "repeatpad",
            portable=portable,
        )
    if kind == "whisper":
        frames = 2 * config.max_source_positions
        return WhisperInput(config.num_mel_bins, extractor.n_fft, extractor.hop_length, frames, portable=portable)
    return NormalisedWaveform(normalises=extractor.do_normalize)


def _kept(config: Any, front_end: nn.Module, samples: int) -> tuple[int, int]:
    """Return how many steps of the last hidden state hear the window, and not what fills it up; and AST's bands.

    Args:
        config: the network's.
        front_end: what it takes.
        samples: length of the window.
    """
    if isinstance(front_end, AstInput):
        bands = (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1
        return max(1, (front_end.frames(samples) - config.patch_size) // config.time_stride + 1), bands
    if isinstance(front_end, WhisperInput):
        return -(-samples // (2 * front_end.hop_length)), 1
    return samples, 1  # all


def _longest(config: Any, extractor: Any) -> int | None:
    """Return the longest window in samples, or None where there is no such bound."""
    kind = config.model_type
    if kind == "audio-spectrogram-transformer":
        return int((config.max_length - 1) * AstInput.hop_length + AstInput.frame_length)
    if kind == "clap_audio_model":
        return int(extractor.nb_max_samples)
    if kind == "whisper":
        return int(2 * config.max_source_positions * extractor.hop_length)
    return None

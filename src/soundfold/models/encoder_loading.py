"""Networks of the library transformers, loaded without running anyone's code: settings, weights, the half that hears.

References:
    Gong, Chung and Glass (2021), "AST: Audio Spectrogram Transformer", Interspeech.
    Baevski et al. (2020), "wav2vec 2.0: a framework for self-supervised learning of speech representations", NeurIPS.
    Hsu et al. (2021), "HuBERT: self-supervised speech representation learning by masked prediction of hidden units",
    IEEE/ACM Transactions on Audio, Speech, and Language Processing 29.
    Chen et al. (2022), "WavLM: large-scale self-supervised pre-training for full stack speech processing", IEEE Journal
    of Selected Topics in Signal Processing 16(6).
    Wu et al. (2023), "Large-scale contrastive language-audio pretraining with feature fusion and keyword-to-caption
    augmentation", ICASSP.
    Radford et al. (2023), "Robust speech recognition via large-scale weak supervision", ICML.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from soundfold.errors import ModelFileError, RecipeError, needs_extra
from soundfold.models.encoder_files import WEIGHTS_FILE, read_encoder_config
from soundfold.models.torchvision_fit import check_torchvision

__all__ = ["ENCODER_KINDS", "load_encoder", "new_encoder", "read_settings"]


@dataclass(frozen=True)
class _Kind:
    """An encoder's classes in transformers, by their names."""

    config: str
    network: str
    extractor: str


_SPEECH = "Wav2Vec2FeatureExtractor"
ENCODER_KINDS = {
    "audio-spectrogram-transformer": _Kind("ASTConfig", "ASTModel", "ASTFeatureExtractor"),
    "wav2vec2": _Kind("Wav2Vec2Config", "Wav2Vec2Model", _SPEECH),
    "hubert": _Kind("HubertConfig", "HubertModel", _SPEECH),
    "wavlm": _Kind("WavLMConfig", "WavLMModel", _SPEECH),
    "clap": _Kind("ClapConfig", "ClapModel", "ClapFeatureExtractor"),
    "clap_audio_model": _Kind("ClapAudioConfig", "ClapAudioModel", "ClapFeatureExtractor"),
    "whisper": _Kind("WhisperConfig", "WhisperModel", "WhisperFeatureExtractor"),
}
"""`model_type` of a configuration → its classes. Each is known to fit into a model file."""


def read_settings(folder: Path) -> tuple[Any, Any]:
    """Return an encoder's configuration and feature extractor."""
    kind = str(read_encoder_config(folder).get("model_type"))
    if kind not in ENCODER_KINDS:
        raise RecipeError(
            f"{folder}: an encoder must be one of {', '.join(ENCODER_KINDS)}, got {kind}. "
            f"Choose a network of these kinds"
        )
    classes = ENCODER_KINDS[kind]
    try:
        with _quiet():
            config = _class(classes.config).from_pretrained(folder, local_files_only=True)
            extractor = _class(classes.extractor).from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelFileError(f"{folder}: its settings cannot be read ({_first_line(error)}). Fetch it anew") from error
    hearing = getattr(config, "audio_config", config)
    if getattr(hearing, "enable_fusion", False):
        hearing.enable_fusion = False  # CLAP's way with longer sounds, which are cut into windows here
    return config, extractor


def new_encoder(config: Any) -> nn.Module:
    """Return the encoder of a configuration with random weights."""
    if config.model_type == "clap":
        hearing: nn.Module = _class("ClapAudioModel")(config.audio_config)
        return hearing
    return _encoder_of(_class(ENCODER_KINDS[config.model_type].network)(config))


def load_encoder(config: Any, folder: Path) -> nn.Module:
    """Return the encoder with its published weights; what the file lacks would begin at random, and is told."""
    from safetensors import SafetensorError

    network_class = _class(ENCODER_KINDS[config.model_type].network)
    try:
        with _quiet():
            network, found = network_class.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelFileError(
            f"{folder / WEIGHTS_FILE}: does not fit its settings, or is damaged ({_first_line(error)}). Fetch it anew"
        ) from error
    encoder = _encoder_of(network)
    own = {f"{name}." for name, module in network.named_modules() if module is encoder and name}
    start = own.pop() if own else ""
    # a wav2vec's mask stands for what it must guess while it is pretrained, and is never heard here
    missing = [name for name in found["missing_keys"] if name.startswith(start) and "masked_spec_embed" not in name]
    if missing:
        raise ModelFileError(
            f"{folder / WEIGHTS_FILE}: must hold all weights of the network, got none for {sorted(missing)[0]} and "
            f"{len(missing) - 1} others. Fetch it anew"
        )
    wrong = [name for name, value in encoder.state_dict().items() if not torch.isfinite(value).all()]
    if wrong:
        raise ModelFileError(f"{folder / WEIGHTS_FILE}: must hold finite numbers, got others in {wrong[0]}")
    return encoder


def _encoder_of(network: Any) -> nn.Module:
    """Return the half of a network that hears."""
    kind = network.config.model_type
    half: nn.Module = network.audio_model if kind == "clap" else network.encoder if kind == "whisper" else network
    return half


def _class(name: str) -> Any:
    """Return a class of transformers, which imports each as it is asked for."""
    what = "A network hf/NAME"
    with needs_extra("zoo", what):
        import transformers
    try:
        return getattr(transformers, name)
    except (ImportError, RuntimeError):
        with suppress(ModuleNotFoundError):
            check_torchvision(what)
        raise


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library's remarks and bars off the screen, and leave its settings as they were."""
    logging = _class("utils").logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__

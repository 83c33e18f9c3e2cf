"""Tiny audio encoders of the library transformers, with weights by chance, saved as published ones are."""

from pathlib import Path
from typing import Any

import torch

KINDS = ("ast", "wav2vec2", "hubert", "wavlm", "clap", "whisper")

_SPEECH = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
    "conv_dim": (8, 8), "conv_kernel": (10, 3), "conv_stride": (5, 2), "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip
_AST = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
    "max_length": 96, "num_mel_bins": 32,
}  # fmt: skip
_CLAP_HEARING = {
    "patch_embeds_hidden_size": 16, "depths": [1], "num_attention_heads": [2], "hidden_size": 16,
    "num_mel_bins": 16, "spec_size": 64, "window_size": 4, "projection_dim": 8,
}  # fmt: skip
_CLAP_READING = {
    "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 20,
    "projection_dim": 8,
}  # fmt: skip
_WHISPER = {
    "d_model": 16, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_layers": 1,
    "decoder_attention_heads": 2, "decoder_ffn_dim": 16, "max_source_positions": 50, "num_mel_bins": 16,
    "vocab_size": 20, "pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3, "decoder_start_token_id": 2,
}  # fmt: skip


def tiny_encoder(kind: str) -> tuple[Any, Any]:
    """Return a network as it would be published, head and other half included, and its feature extractor."""
    import transformers as library

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind == "ast":
            network = library.ASTForAudioClassification(library.ASTConfig(**_AST))
            extractor = library.ASTFeatureExtractor(num_mel_bins=32, max_length=96)
        elif kind == "clap":
            network = library.ClapModel(library.ClapConfig(text_config=_CLAP_READING, audio_config=_CLAP_HEARING))
            extractor = library.ClapFeatureExtractor(feature_size=16, max_length_s=1, truncation="rand_trunc")
        elif kind == "whisper":
            network = library.WhisperForConditionalGeneration(library.WhisperConfig(**_WHISPER))
            extractor = library.WhisperFeatureExtractor(feature_size=16, chunk_length=1)
        else:
            extractor = library.Wav2Vec2FeatureExtractor(do_normalize=kind != "wavlm")
            if kind == "wav2vec2":
                network = library.Wav2Vec2ForCTC(library.Wav2Vec2Config(**_SPEECH))
            elif kind == "hubert":
                large = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
                network = library.HubertModel(library.HubertConfig(**_SPEECH, **large))
            else:
                network = library.WavLMModel(library.WavLMConfig(**_SPEECH))
        for module in network.modules():
            if isinstance(module, torch.nn.GroupNorm):
                # zero at the beginning, and then all that a constant sound leaves is rounding
                torch.nn.init.normal_(module.bias)
    return network.eval(), extractor


def save_tiny_encoder(kind: str, folder: Path) -> Path:
    """Write a tiny encoder's files as they are published; return the folder."""
    from transformers.utils import logging

    network, extractor = tiny_encoder(kind)
    logging.disable_progress_bar()
    try:
        network.save_pretrained(folder)
    finally:
        logging.enable_progress_bar()
    extractor.save_pretrained(folder)
    return folder

"""Writing the model file: front end, network and softmax as one ONNX graph, with the card in its metadata.

A sigmoid stands for the softmax where sounds bear several labels.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from soundfold.atomic import replacing
from soundfold.errors import ModelFileError
from soundfold.export.kept_graphs import forget, keep, kept_graph
from soundfold.export.linear_head import head_graph, join
from soundfold.export.parity import PARITY_BOUND, awkward_windows, largest_difference
from soundfold.export.refill import refilled
from soundfold.models import Classifier, EfficientAT, LinearNet, ProbedNetwork, build_front_end, to_probabilities
from soundfold.recipe import Recipe
from soundfold.runtime import CARD_KEY, ModelCard

__all__ = ["export_model", "probe_windows"]

_OPSET = 20


class _Probabilities(nn.Module):
    """Waveform in, probabilities out."""

    def __init__(self, classifier: Classifier, *, several: bool) -> None:
        super().__init__()
        self.classifier, self.several = classifier, several

    def forward(self, waveform: Tensor) -> Tensor:
        return to_probabilities(self.classifier(waveform), several=self.several)


def export_model(
    classifier: Classifier,
    recipe: Recipe,
    card: ModelCard,
    path: Path,
    probes: np.ndarray | None = None,
    kept: Path | None = None,
) -> float:
    """Write a classifier as one model file, and prove that it answers as torch does.

    The file appears in one step, after the proof.

    Args:
        classifier: the trained one, on the CPU.
        recipe: its recipe.
        card: what the file says of itself.
        path: where to write; an existing file is replaced.
        probes: (n, channels, window) float32, real sound to prove parity on beside the awkward windows.
        kept: a folder that belongs to the recipe's features; the graph of a pretrained front end is kept there.

    Returns:
        the largest difference in probability that was seen.

    Raises:
        ModelFileError: the answers differ by more than 1e-4; nothing is written.
    """
    windows = awkward_windows(card.channels, card.window, card.sample_rate)
    if probes is not None and len(probes):
        windows = np.concatenate([windows, probes])
    with replacing(path) as part:
        difference = np.inf
        for again in range(1 if kept is None else 2):
            if kept is not None and again:  # a kept graph may be damaged in its numbers, which only the proof can tell
                forget(kept)
            with _quiet():
                graph = _graph(classifier, recipe, card, kept)
            graph.metadata_props.append(onnx.StringStringEntryProto(key=CARD_KEY, value=card.model_dump_json()))
            part.write_bytes(graph.SerializeToString())
            difference = largest_difference(classifier, part, windows)
            if difference <= PARITY_BOUND:
                break
        else:
            raise ModelFileError(
                f"{path}: must answer as torch does within {PARITY_BOUND}, got {difference:.2g}. "
                f"Please report this recipe; the weights are kept beside it"
            )
    return difference


def _graph(classifier: Classifier, recipe: Recipe, card: ModelCard, kept: Path | None) -> onnx.ModelProto:
    """Return waveform → probabilities; what is pretrained is exported once and then taken from where it is kept."""
    network, several = classifier.network, card.answer == "several"
    if isinstance(network, LinearNet) and network.pool == "none" and not classifier.deltas:
        name = f"front-end-{torch.__version__}-{onnx.__version__}-{_OPSET}.onnx"
        front_end = None if kept is None else kept_graph(kept / name)
        if front_end is None:
            portable = build_front_end(recipe, portable=True)
            portable.load_state_dict(classifier.features.state_dict())
            front_end = _exported(portable, card, "features")
            if kept is not None:
                keep(front_end, kept / name)
        return join(front_end, head_graph(classifier, front_end, several=several))
    whole = Classifier(recipe, len(card.labels), portable=True)
    whole.load_state_dict(classifier.state_dict())
    if isinstance(classifier.network, EfficientAT | ProbedNetwork):
        return refilled(
            _Probabilities(whole, several=several), recipe, len(card.labels), kept, _OPSET,
            lambda module: _exported(module, card, "probabilities"), several=several,
        )  # fmt: skip
    return _exported(_Probabilities(whole, several=several), card, "probabilities")


def _exported(module: nn.Module, card: ModelCard, output: str) -> onnx.ModelProto:
    program = torch.onnx.export(
        module.eval(),
        (torch.zeros(2, card.channels, card.window),),
        dynamo=True,
        optimize=True,
        verbose=False,
        opset_version=_OPSET,
        input_names=["waveform"],
        output_names=[output],
        dynamic_shapes={"waveform": {0: torch.export.Dim("batch", min=1, max=65_536)}},
    )
    assert program is not None
    graph: onnx.ModelProto = program.model_proto
    _strip(graph)
    return graph


def probe_windows(waveforms: list[np.ndarray], channels: int) -> np.ndarray:
    """Stack windows of real sound, mono doubled where the model hears two channels."""
    return np.stack([np.broadcast_to(waveform, (channels, waveform.shape[1])) for waveform in waveforms])


def _strip(model: onnx.ModelProto) -> None:
    """Take out what the exporter notes of code and machine: paths and stack traces, a quarter of a small file."""
    graph = model.graph
    for entry in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        entry.ClearField("doc_string")
        entry.ClearField("metadata_props")
    graph.ClearField("value_info")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks on packages that we do not use off the user's screen."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

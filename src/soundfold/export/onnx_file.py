"""Writing the model file: front end, network and softmax as one ONNX graph, with the card in its metadata."""

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
from soundfold.export.linear_head import head_graph, join, keep, kept_graph
from soundfold.export.parity import PARITY_BOUND, awkward_windows, largest_difference
from soundfold.models import Classifier, LinearNet, build_front_end
from soundfold.recipe import Recipe
from soundfold.runtime import CARD_KEY, ModelCard

__all__ = ["export_model", "probe_windows"]

_OPSET = 20


class _Probabilities(nn.Module):
    """Waveform in, probabilities out."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, waveform: Tensor) -> Tensor:
        probabilities: Tensor = self.classifier(waveform).softmax(dim=-1)
        return probabilities


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
    with _quiet():
        graph = _graph(classifier, recipe, card, kept)
    graph.metadata_props.append(onnx.StringStringEntryProto(key=CARD_KEY, value=card.model_dump_json()))
    windows = awkward_windows(card.channels, card.window, card.sample_rate)
    if probes is not None and len(probes):
        windows = np.concatenate([windows, probes])
    with replacing(path) as part:
        part.write_bytes(graph.SerializeToString())
        difference = largest_difference(classifier, part, windows)
        if not difference <= PARITY_BOUND:
            raise ModelFileError(
                f"{path}: must answer as torch does within {PARITY_BOUND}, got {difference:.2g}. "
                f"Please report this recipe; the weights are kept beside it"
            )
    return difference


def _graph(classifier: Classifier, recipe: Recipe, card: ModelCard, kept: Path | None) -> onnx.ModelProto:
    """Return waveform → probabilities; a pretrained front end is exported once and then taken from where it is kept."""
    if isinstance(classifier.network, LinearNet):
        name = f"front-end-{torch.__version__}-{onnx.__version__}-{_OPSET}.onnx"
        front_end = None if kept is None else kept_graph(kept / name)
        if front_end is None:
            portable = build_front_end(recipe, portable=True)
            portable.load_state_dict(classifier.features.state_dict())
            front_end = _exported(portable, card, "features")
            if kept is not None:
                keep(front_end, kept / name)
        return join(front_end, head_graph(classifier, front_end))
    whole = Classifier(recipe, len(card.labels), portable=True)
    whole.load_state_dict(classifier.state_dict())
    return _exported(_Probabilities(whole), card, "probabilities")


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

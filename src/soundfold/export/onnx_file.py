"""Writing the model file: front end, network and softmax as one ONNX graph, with the card in its metadata.

A sigmoid stands for the softmax where sounds bear several labels.
"""

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
from soundfold.export.front_end import describe, join_front_end, take_front_end
from soundfold.export.kept_graphs import forget, keep, kept_graph
from soundfold.export.linear_head import head_graph, join
from soundfold.export.parity import PARITY_BOUND, awkward_windows, largest_difference
from soundfold.export.refill import refilled
from soundfold.export.temperature import set_temperature
from soundfold.models import (
    Classifier,
    EfficientAT,
    LinearNet,
    ProbedNetwork,
    ResidualNet,
    TexturedNet,
    TutorialNet,
    to_probabilities,
)
from soundfold.quiet import quiet_loggers
from soundfold.recipe import Recipe
from soundfold.runtime import CARD_KEY, ModelCard
from soundfold.runtime.front_end_card import FRONT_END_KEY
from soundfold.runtime.graph_cut import FEATURES
from soundfold.runtime.seal import sealed

__all__ = ["export_model", "probe_windows"]

_OPSET = 20
_ROUNDS = 3  # of folding what depends on sizes that were folded before
_WAVEFORM = "waveform"
_OURS = (EfficientAT, LinearNet, ProbedNetwork, ResidualNet, TexturedNet, TutorialNet)
"""Networks whose graph keeps every number under its name; in those of other libraries the exporter folds some."""
_EMBEDDING = "frozen_embedding"  # the exporter calls no value of its own so


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
        kept: a folder that belongs to the recipe's features; graphs are kept there, to be filled with other weights.

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
            set_temperature(graph, card.temperature)
            graph.metadata_props.append(onnx.StringStringEntryProto(key=CARD_KEY, value=card.model_dump_json()))
            part.write_bytes(sealed(graph.SerializeToString()))
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
    rest = Classifier(recipe, len(card.labels), portable=True)
    rest.load_state_dict(classifier.state_dict())
    shape: tuple[int, ...] = (card.channels, card.window)
    module = take_front_end(rest)
    if module is None:
        return _after(rest, recipe, card, _WAVEFORM, shape, kept)
    front_end = _kept(module, _WAVEFORM, shape, FEATURES, kept, "front-end")
    with torch.inference_mode():
        shape = tuple(module(torch.zeros(1, *shape)).shape[1:])
    graph = join_front_end(front_end, _after(rest, recipe, card, FEATURES, shape, kept))
    description = describe(classifier)
    assert description is not None
    told = onnx.StringStringEntryProto(key=FRONT_END_KEY, value=description.model_dump_json())
    graph.metadata_props.append(told)
    return graph


def _after(
    rest: Classifier, recipe: Recipe, card: ModelCard, taken: str, shape: tuple[int, ...], kept: Path | None
) -> onnx.ModelProto:
    """Return what is called `taken`, of a shape without the batch, → probabilities."""
    network, several = rest.network, card.answer == "several"
    plain = not (rest.deltas or rest.standardise.by_clip)
    if isinstance(network, LinearNet) and network.pool == "none" and plain:
        if isinstance(rest.features, nn.Identity):
            return head_graph(rest, taken, shape, _OPSET, several=several)
        embedding = _kept(rest.features, taken, shape, _EMBEDDING, kept, "embedding")
        values = tuple(entry.dim_value for entry in embedding.graph.output[0].type.tensor_type.shape.dim[1:])
        return join(embedding, head_graph(rest, _EMBEDDING, values, _OPSET, several=several))
    whole = _Probabilities(rest, several=several)
    if isinstance(network, _OURS):
        return refilled(
            whole, recipe, len(card.labels), kept, _OPSET,
            lambda module: _exported(module, taken, shape, "probabilities"), several=several,
        )  # fmt: skip
    return _exported(whole, taken, shape, "probabilities")


def _kept(
    module: nn.Module, taken: str, shape: tuple[int, ...], given: str, kept: Path | None, name: str
) -> onnx.ModelProto:
    """Return the graph of a module whose numbers the recipe's features decide, from where it is kept if it is."""
    # 2 is the second way of parting the graph: earlier versions kept others by the name without it
    path = None if kept is None else kept / f"{name}-{torch.__version__}-{onnx.__version__}-{_OPSET}-2.onnx"
    graph = None if path is None else kept_graph(path)
    if graph is None:
        graph = _exported(module, taken, shape, given)
        if path is not None:
            keep(graph, path)
    return graph


def _exported(module: nn.Module, taken: str, shape: tuple[int, ...], given: str) -> onnx.ModelProto:
    program = torch.onnx.export(
        module.eval(),
        (torch.zeros(2, *shape),),
        dynamo=True,
        optimize=True,
        verbose=False,
        opset_version=_OPSET,
        input_names=[taken],
        output_names=[given],
        dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=65_536)},),
    )
    assert program is not None
    graph: onnx.ModelProto = program.model_proto
    if any(node.op_type == "Shape" and node.input[0] != taken for node in graph.graph.node):
        graph = _with_fixed_sizes(graph)
    _strip(graph)
    return graph


def _with_fixed_sizes(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph that asks for no size which is the same for every batch, as those of other libraries' networks do.

    What a file takes of memory must be known before it runs, or the runtime refuses it.
    """
    from onnxscript import optimizer  # here and not above: it takes a second, and networks of our own do not need it

    known = onnx.shape_inference.infer_shapes(graph, data_prop=True)
    fixed: onnx.ModelProto = optimizer.optimize(known, num_iterations=_ROUNDS)
    return fixed


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
    with quiet_loggers("torch.onnx", "onnxscript", "onnx_ir"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

"""Several model files of the same labels as one, whose answer is the mean of their probabilities.

Joined are the finished graphs, so any network will do. What two of them compute alike from alike numbers, the front end
above all, stands in the joint graph once.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from soundfold.atomic import replacing
from soundfold.errors import ModelFileError
from soundfold.export.parity import PARITY_BOUND, awkward_windows, distance, probabilities
from soundfold.export.temperature import set_temperature
from soundfold.models import Classifier
from soundfold.runtime import CARD_KEY, ModelCard
from soundfold.runtime.front_end_card import FRONT_END_KEY
from soundfold.runtime.graph_cut import FEATURES, FRONT_END
from soundfold.runtime.seal import sealed

__all__ = ["export_ensemble"]


def export_ensemble(
    classifiers: Sequence[Classifier],
    files: Sequence[Path],
    card: ModelCard,
    path: Path,
    probes: np.ndarray | None = None,
) -> float:
    """Join model files, and prove that the joint one answers as torch does, on the mean over the networks.

    Args:
        classifiers: the trained ones, on the CPU.
        files: the model file of each, exported earlier.
        card: what the joint file says of itself.
        path: where to write; an existing file is replaced.
        probes: (n, channels, window) float32, real sound to prove parity on beside the awkward windows.

    Returns:
        the largest difference in probability that was seen.

    Raises:
        ModelFileError: the answers differ by more than 1e-4, or a graph cannot be joined; nothing is written.
    """
    windows = awkward_windows(card.channels, card.window, card.sample_rate)
    if probes is not None and len(probes):
        windows = np.concatenate([windows, probes])
    joint = _joined([onnx.load(file) for file in files], path)
    set_temperature(joint, card.temperature)
    joint.metadata_props.append(onnx.StringStringEntryProto(key=CARD_KEY, value=card.model_dump_json()))
    with replacing(path) as part:
        part.write_bytes(sealed(joint.SerializeToString()))
        several = card.answer == "several"
        answers = [probabilities(classifier, windows, several=several) for classifier in classifiers]
        mean = np.stack(answers).astype(np.float64).mean(axis=0)
        if card.temperature != 1:
            mean = mean ** (1 / card.temperature)
            mean /= mean.sum(axis=1, keepdims=True)
        difference = distance(part, windows, lambda _: mean)
        if not difference <= PARITY_BOUND:
            raise ModelFileError(
                f"{path}: must answer as torch does within {PARITY_BOUND}, got {difference:.2g}. "
                f"Please report this recipe; the networks' own files are kept beside it"
            )
    return difference


def _joined(models: Sequence[onnx.ModelProto], path: Path) -> onnx.ModelProto:
    """Return one graph that gives the mean of several graphs' first outputs for the same input.

    A node is known again by what it does and to which values. As a graph's nodes stand in order, each has been given
    the joint graph's names by the time that it is an input to another, so whole branches fall together. What belongs to
    the front end keeps its names, and shares nothing with what does not: a runtime may leave it out.
    """
    joint = onnx.ModelProto()
    joint.CopyFrom(models[0])
    graph = joint.graph
    del graph.node[:], graph.initializer[:], joint.metadata_props[:]
    joint.metadata_props.extend(entry for entry in models[0].metadata_props if entry.key == FRONT_END_KEY)
    constants: dict[tuple[object, ...], str] = {}
    nodes: dict[tuple[object, ...], list[str]] = {}
    answers = []
    for number, model in enumerate(models):
        if model.functions or model.graph.sparse_initializer or any(map(_has_graph, model.graph.node)):
            raise ModelFileError(
                f"{path}: this network's graph cannot be joined with others. Leave --seeds and --ensemble out"
            )
        names = {"": "", **{value.name: value.name for value in model.graph.input}}
        for tensor in model.graph.initializer:
            values = numpy_helper.to_array(tensor)
            content = (_in_front(tensor.name), tensor.data_type, values.shape, values.tobytes())
            if content not in constants:
                constants[content] = _numbered(tensor.name, number)
                graph.initializer.add().CopyFrom(tensor)
                graph.initializer[-1].name = constants[content]
            names[tensor.name] = constants[content]
        for node in model.graph.node:
            inputs = [names[name] for name in node.input]
            does = sorted(attribute.SerializeToString(deterministic=True) for attribute in node.attribute)
            kind = (_in_front(node.name), node.domain, node.op_type)
            work = (*kind, tuple(inputs), tuple(does), len(node.output))
            if work not in nodes:
                nodes[work] = [_numbered(name, number) for name in node.output]
                same = graph.node.add()
                same.CopyFrom(node)
                del same.input[:], same.output[:]
                same.name = _numbered(node.name, number)
                same.input.extend(inputs)
                same.output.extend(nodes[work])
            names.update(zip(node.output, nodes[work], strict=True))
        answers.append(names[model.graph.output[0].name])
    graph.node.append(onnx.helper.make_node("Mean", answers, [graph.output[0].name], "mean"))
    return joint


def _numbered(name: str, number: int) -> str:
    """Return a name that no other of the graphs has; the first one's front end, and nothing, keep theirs."""
    if not name or (not number and (_in_front(name) or name == FEATURES)):
        return name
    return f"{number}/{name}"


def _in_front(name: str) -> bool:
    return name.startswith(FRONT_END)


def _has_graph(node: onnx.NodeProto) -> bool:
    return any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)

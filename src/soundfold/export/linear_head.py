"""The model file of a linear head: the front end is exported once and kept, the head is joined to it.

The exporter takes many seconds for a pretrained network, and its graph is the same for every fold and every seed; what
differs is one small matrix, whose graph is written down here node by node.
"""

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from soundfold.models import Classifier, LinearNet

__all__ = ["head_graph", "join"]


def head_graph(classifier: Classifier, like: onnx.ModelProto, *, several: bool) -> onnx.ModelProto:
    """Return standardisation, linear layer and softmax: features (batch, 1, values, 1) → probabilities.

    Args:
        classifier: whose `standardise` and `network` are taken.
        like: the graph that comes before, for its versions and the name of its batch.
        several: each label has a probability of its own, by a sigmoid in place of the softmax.
    """
    network = classifier.network
    assert isinstance(network, LinearNet)
    values = {
        "mean": classifier.standardise.mean,
        "deviation": classifier.standardise.std,
        "weight": network.head.weight,
        "bias": network.head.bias,
    }
    nodes = [
        helper.make_node("Sub", ["features", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "deviation"], ["standard"]),
        helper.make_node("Flatten", ["standard"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "weight", "bias"], ["logits"], transB=1),
        helper.make_node("Sigmoid", ["logits"], ["probabilities"])
        if several
        else helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    taken, given = classifier.features.shape, network.head.out_features
    graph = helper.make_graph(
        nodes,
        "linear_head",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", *taken])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", given])],
        [numpy_helper.from_array(_plain(value), name) for name, value in values.items()],
    )
    return helper.make_model(graph, ir_version=like.ir_version, opset_imports=list(like.opset_import))


def join(front_end: onnx.ModelProto, head: onnx.ModelProto) -> onnx.ModelProto:
    """Return one graph, waveform in and probabilities out, of a front end and what takes its features."""
    renamed = onnx.compose.add_prefix(head, "head.")  # no exported name begins like this
    joined = onnx.compose.merge_models(front_end, renamed, io_map=[("features", "head.features")])
    _rename_output(joined, "head.probabilities", "probabilities")
    return joined


def _rename_output(model: onnx.ModelProto, old: str, new: str) -> None:
    for node in model.graph.node:
        for number, name in enumerate(node.output):
            if name == old:
                node.output[number] = new
    for entry in model.graph.output:
        if entry.name == old:
            entry.name = new


def _plain(value: torch.Tensor) -> np.ndarray:
    return value.detach().cpu().numpy().astype(np.float32)

"""The model file of a linear head: the front end is exported once and kept, the head is joined to it.

The exporter takes many seconds for a pretrained network, and its graph is the same for every fold and every seed; what
differs is one small matrix, whose graph is written down here node by node.
"""

from collections.abc import Sequence

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from soundfold.models import Classifier, LinearNet

__all__ = ["head_graph", "join"]

_IR_VERSION = 10


def head_graph(
    classifier: Classifier, taken: str, shape: Sequence[int], opset: int, *, several: bool
) -> onnx.ModelProto:
    """Return standardisation, linear layer and softmax: features → probabilities.

    Args:
        classifier: whose `standardise` and `network` are taken.
        taken: what the features are called.
        shape: of the features, without the batch.
        opset: version of the operators.
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
        helper.make_node("Sub", [taken, "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "deviation"], ["standard"]),
        helper.make_node("Flatten", ["standard"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "weight", "bias"], ["logits"], transB=1),
        helper.make_node("Sigmoid", ["logits"], ["probabilities"])
        if several
        else helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "linear_head",
        [helper.make_tensor_value_info(taken, TensorProto.FLOAT, ["batch", *shape])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", network.head.out_features])],
        [numpy_helper.from_array(_plain(value), name) for name, value in values.items()],
    )
    return helper.make_model(graph, ir_version=_IR_VERSION, opset_imports=[helper.make_opsetid("", opset)])


def join(front: onnx.ModelProto, head: onnx.ModelProto) -> onnx.ModelProto:
    """Return one graph of two: what the first gives, the head takes, by the same name."""
    between = front.graph.output[0].name
    renamed = onnx.compose.add_prefix(head, "head.")  # no exported name begins like this
    renamed.ir_version = front.ir_version
    joined = onnx.compose.merge_models(front, renamed, io_map=[(between, f"head.{between}")])
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

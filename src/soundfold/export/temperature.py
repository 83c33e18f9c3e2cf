"""The temperature in a model file's graph: whatever program runs the file, its answer is calibrated."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from soundfold.errors import ModelFileError

__all__ = ["set_temperature"]

_NAME = "temperature"


def set_temperature(model: onnx.ModelProto, temperature: float) -> None:
    """Let a finished graph divide its logits by a temperature; nothing changes for 1.

    A network's logits are what its softmax or sigmoid takes. The mean of several networks' probabilities p has none of
    its own, and ln p serves: softmax(ln p) is p.

    Raises:
        ModelFileError: the graph ends in something else.
    """
    if temperature == 1:
        return
    graph = model.graph
    answer = graph.output[0].name
    at, last = next((at, node) for at, node in enumerate(graph.node) if answer in node.output)
    graph.initializer.append(numpy_helper.from_array(np.array(temperature, dtype=np.float32), _NAME))
    if last.op_type in ("Softmax", "Sigmoid"):
        divided = helper.make_node("Div", [last.input[0], _NAME], [f"{_NAME}/logits"], f"{_NAME}/divide")
        last.input[0] = divided.output[0]
        graph.node.insert(at, divided)
    elif last.op_type == "Mean":
        last.output[0] = f"{_NAME}/mean"
        graph.node.extend([
            helper.make_node("Log", [last.output[0]], [f"{_NAME}/log"], f"{_NAME}/logarithm"),
            helper.make_node("Div", [f"{_NAME}/log", _NAME], [f"{_NAME}/logits"], f"{_NAME}/divide"),
            helper.make_node("Softmax", [f"{_NAME}/logits"], [answer], f"{_NAME}/softmax", axis=-1),
        ])  # fmt: skip
    else:
        raise ModelFileError(
            f"a graph must end in a softmax, a sigmoid or a mean to be calibrated, got {last.op_type}. "
            f"Leave --calibrate out"
        )

"""The same model file with smaller numbers: weights as float16, or weights and values as 8-bit whole numbers.

The front end is left as it is: its numbers reach over ten powers of ten, and the runtime computes it by numpy anyway.
So only what takes `features` is changed, and joined to the front end again; a file without one is changed as a whole.

- **float16**: weights alone are halved, and made float32 again when the file is opened. Computing in float16 was tried:
  on an x86 without kernels for it it was no faster, and moved a probability of mn04 by 0.02.
- **int8**: weights with a scale a channel (with one a tensor a third more of mn04's answers changed), values unsigned,
  in pairs of QuantizeLinear and DequantizeLinear, which are ONNX's own; the other form, no faster, needs operators of
  Microsoft's. Weights get seven bits, as sums of 8-bit products overflow on processors without VNNI. What has no
  weights stays float32, and so does the last layer, whose sums are the answer: with both in 8 bits the probe lost 3.2 %
  on recordings that it had not met, and 0.7 % so, for 20 kB.
"""

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from soundfold.quiet import quiet_loggers
from soundfold.runtime.card import CARD_KEY, ModelCard
from soundfold.runtime.graph_cut import FEATURES, FRONT_END
from soundfold.runtime.seal import SEAL_KEY, sealed, with_card

__all__ = ["with_precision"]

_SMALLEST = 64  # numbers in a tensor that is worth halving
_WEIGHED = ["Conv", "MatMul", "Gemm"]


def with_precision(content: bytes, card: ModelCard, values: np.ndarray | None) -> bytes:
    """Return a model file's content with the precision that a card names.

    Args:
        content: a file in float32.
        card: what the new file says of itself.
        values: for int8, (n, …) float32 what the network took for some training clips: features, or waveforms where
            the file has no front end of its own.
    """
    model = onnx.load_from_string(content)
    model.CopyFrom(_plain(model))
    if card.precision == "float16":
        _halve(model.graph)
    elif card.precision == "int8":
        assert values is not None
        front, rest = _parted(model)
        rest = _quantised(rest, values)
        model = rest if front is None else _rejoined(front, rest)
    return with_card(sealed(model.SerializeToString()), card.model_dump_json())


def _plain(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model without its seal and its card, and with one version of the operators."""
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    kept = [entry for entry in model.metadata_props if entry.key not in (CARD_KEY, SEAL_KEY)]
    del plain.metadata_props[:], plain.opset_import[:]
    plain.metadata_props.extend(kept)
    plain.opset_import.append(helper.make_opsetid("", max(entry.version for entry in model.opset_import)))
    return plain


def _halve(graph: onnx.GraphProto) -> None:
    """Keep the network's weights as float16, with a node for each that makes it float32 again."""
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or tensor.name.startswith(FRONT_END):
            continue
        values = numpy_helper.to_array(tensor)
        halves = values.astype(np.float16)
        if values.size < _SMALLEST or not np.isfinite(halves).all():
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(halves, f"{name}.float16"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], f"{name}.float32", to=TensorProto.FLOAT))
    for node in reversed(casts):
        graph.node.insert(0, node)


def _parted(model: onnx.ModelProto) -> tuple[onnx.ModelProto | None, onnx.ModelProto]:
    """Return the front end as a model without outputs, and the rest as one that takes features; None where none is."""
    described = [entry for entry in model.graph.value_info if entry.name == FEATURES]
    if not described:
        return None, model
    front, rest = onnx.ModelProto(), onnx.ModelProto()
    front.CopyFrom(model)
    rest.CopyFrom(model)
    for part, in_front in ((front, True), (rest, False)):
        for entries in (part.graph.node, part.graph.initializer):
            kept = [entry for entry in entries if entry.name.startswith(FRONT_END) == in_front]
            del entries[:]
            entries.extend(kept)
    del rest.graph.input[:], rest.graph.value_info[:]
    rest.graph.input.extend(described)
    return front, rest


def _rejoined(front: onnx.ModelProto, rest: onnx.ModelProto) -> onnx.ModelProto:
    """Return one graph of a front end and of what takes its features."""
    joint = onnx.ModelProto()
    joint.CopyFrom(front)
    joint.ir_version = max(front.ir_version, rest.ir_version)
    joint.graph.node.extend(rest.graph.node)
    joint.graph.initializer.extend(rest.graph.initializer)
    return joint


def _quantised(model: onnx.ModelProto, values: np.ndarray) -> onnx.ModelProto:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Clips(CalibrationDataReader):  # type: ignore[misc]  # its only way in is a class of one's own
        def __init__(self) -> None:
            self._rows = iter(values)

        def get_next(self) -> dict[str, np.ndarray] | None:
            row = next(self._rows, None)
            return None if row is None else {model.graph.input[0].name: row[np.newaxis]}

    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        named = _named(model)
        source.write_bytes(named.SerializeToString())
        quantize_static(
            source,
            target,
            Clips(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_WEIGHED,
            nodes_to_exclude=[node.name for node in named.graph.node if node.op_type in _WEIGHED][-1:],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        quantised = onnx.load(target)
    for entry in (quantised, quantised.graph):
        entry.ClearField("doc_string")
    quantised.graph.ClearField("value_info")
    del quantised.metadata_props[:]
    return _plain(quantised)


def _named(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model whose nodes all have a name, which onnxruntime's quantisation takes for granted."""
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"node{number}"
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep onnxruntime's advice to those who prepare a graph by hand off the user's screen."""
    level = logging.root.level
    with quiet_loggers("root"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.root.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logging.root.setLevel(level)

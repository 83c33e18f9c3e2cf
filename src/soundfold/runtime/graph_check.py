"""What a model file's graph may hold: refused before it runs is whatever could reach beyond it, or hide something.

An ONNX file can name other files for its numbers, operators of foreign libraries, functions, and graphs inside graphs
(loops, branches). None of that stands in a file that soundfold wrote, so none is let through: one flat graph of known
operators and of numbers that are all in the file. How much memory and time it takes is `graph_cost`'s to tell.
"""

import math
from collections.abc import Mapping

from soundfold.errors import ModelFileError
from soundfold.runtime.wire import BYTES, VARINT, Field, fields, numbers

__all__ = ["check_graph"]

MOST_NODES = 50_000
MOST_BYTES = 2**30

# What each message may hold: number of the field → its kind. Of repeated numbers both forms are allowed.
_MODEL = {1: VARINT, 2: BYTES, 3: BYTES, 4: BYTES, 5: VARINT, 6: BYTES, 7: BYTES, 8: BYTES, 14: BYTES}
_GRAPH = {1: BYTES, 2: BYTES, 5: BYTES, 10: BYTES, 11: BYTES, 12: BYTES, 13: BYTES, 16: BYTES}
_NODE = {1: BYTES, 2: BYTES, 3: BYTES, 4: BYTES, 5: BYTES, 6: BYTES, 7: BYTES, 9: BYTES}
_ATTRIBUTE = {1: BYTES, 2: 5, 3: VARINT, 4: BYTES, 5: BYTES, 7: None, 8: None, 9: BYTES, 13: BYTES, 20: VARINT}
_TENSOR = {1: None, 2: VARINT, 4: None, 5: None, 7: None, 8: BYTES, 9: BYTES, 10: None, 11: None, 12: BYTES, 14: VARINT}
_FORBIDDEN = {
    ("model", 20): "training instructions", ("model", 25): "functions of its own", ("model", 26): "a plan of devices",
    ("graph", 14): "notes on quantisation", ("graph", 15): "sparse numbers",
    ("attribute", 6): "a graph inside the graph", ("attribute", 11): "graphs inside the graph",
    ("attribute", 10): "rows of tensors", ("attribute", 14): "types", ("attribute", 15): "types",
    ("attribute", 21): "functions of its own", ("attribute", 22): "sparse numbers", ("attribute", 23): "sparse numbers",
    ("tensor", 3): "numbers in pieces", ("tensor", 6): "texts", ("tensor", 13): "numbers in other files",
}  # fmt: skip
# bytes of a value, by ONNX's number of its type:
# float32, uint8, int8, uint16, int16, int32, int64, bool, float16, float64
_SIZES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8}
_WORDS = """
    Abs Add And ArgMax AveragePool BatchNormalization Cast CastLike Ceil Celu Clip Concat Constant ConstantOfShape Conv
    Cos CumSum DequantizeLinear Div Einsum Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements GatherND Gelu
    Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual GroupNormalization HardSigmoid HardSwish Identity
    InstanceNormalization LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization MatMul
    MatMulInteger Max MaxPool Mean Min Mish Mod Mul Neg Not Or Pad Pow PRelu QLinearConv QLinearMatMul QuantizeLinear
    Range Reciprocal ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape
    Round ScatterElements ScatterND Selu Shape Sigmoid Sign Sin Size Slice Softmax Softplus Softsign Split Sqrt Squeeze
    Sub Sum Tanh Tile Transpose Trilu Unsqueeze Where Xor
"""
_OPERATORS = frozenset(_WORDS.split())


def check_graph(model: bytes, where: str) -> None:
    """Raise unless a file holds one flat graph of known operators and its own numbers.

    Args:
        model: the file's content.
        where: the file, for messages.

    Raises:
        ModelFileError: it holds something else.
        ValueError: it is no ONNX file.
    """
    if not model:
        raise ModelFileError(f"{where}: is empty (0 bytes). Fetch it again, or export it anew")
    if len(model) > MOST_BYTES:
        raise _refused(where, f"more than {MOST_BYTES >> 20} MiB")
    graphs = []
    for field in _held(model, "model", _MODEL, where):
        if field.number == 7:
            graphs.append(field.value)
        if field.number == 8:
            for part in fields(field.value):
                _check_domain(part, 1, where)
    if len(graphs) != 1:
        raise ModelFileError(f"{where}: must hold one graph, got {len(graphs)}. Export it again")
    nodes = 0
    for field in _held(graphs[0], "graph", _GRAPH, where):
        if field.number == 1:
            nodes += 1
            _check_node(field.value, where)
        if field.number == 5:
            _check_tensor(field.value, where)
    if nodes > MOST_NODES:
        raise _refused(where, f"more than {MOST_NODES:,} operations")


def _check_node(node: memoryview, where: str) -> None:
    kinds = []
    for field in _held(node, "node", _NODE, where):
        if field.number == 4:
            kinds.append(field.text)
        if field.number == 5:
            for part in _held(field.value, "attribute", _ATTRIBUTE, where):
                if part.number == 5:
                    _check_tensor(part.value, where)
        _check_domain(field, 7, where)
    if len(kinds) != 1 or kinds[0] not in _OPERATORS:
        shown = (kinds[0] if kinds else "")[:40]
        raise _refused(where, f"the operator {shown!r}, which soundfold never uses")


def _check_domain(field: Field, number: int, where: str) -> None:
    """Raise where a field of this number names operators that are not those of the standard."""
    if field.number == number and field.text not in ("", "ai.onnx"):
        raise _refused(where, f"operators that are not ONNX's own ({field.text[:40]!r})")


def _check_tensor(tensor: memoryview, where: str) -> None:
    """Raise unless a tensor holds as many numbers as its shape says, and holds them itself."""
    shape: list[int] = []
    kinds, raw, listed = [], [], 0
    for field in _held(tensor, "tensor", _TENSOR, where):
        if field.number == 1:
            shape += numbers(field)
        elif field.number == 2:
            kinds += numbers(field)
        elif field.number == 9:
            raw.append(len(field.value))
        elif field.number in (4, 5, 7, 10, 11):
            listed += len(field.value)
        elif field.number == 14 and numbers(field) != [0]:
            raise _refused(where, "numbers in other files")
    if len(kinds) != 1 or kinds[0] not in _SIZES or len(shape) > 8 or any(size < 0 for size in shape):
        raise _refused(where, "numbers of a kind or a shape that soundfold never uses")
    count = math.prod(shape)
    if (raw and raw != [count * _SIZES[kinds[0]]]) or (raw and listed) or (not raw and count > listed):
        raise _refused(where, f"numbers that are not as many as their shape {shape} says"[:200])


def _held(message: bytes | memoryview, kind: str, known: Mapping[int, int | None], where: str) -> list[Field]:
    """Return the fields of a message if all are such as may stand in it."""
    found = list(fields(message))
    for field in found:
        if (kind, field.number) in _FORBIDDEN:
            raise _refused(where, _FORBIDDEN[kind, field.number])
        if field.number not in known or known[field.number] not in (None, field.kind):
            raise _refused(where, f"a part of a {kind} that soundfold does not know (number {field.number})")
    return found


def _refused(where: str, what: str) -> ModelFileError:
    return ModelFileError(f"{where}: holds {what}, and is not opened. Use a file that soundfold wrote")

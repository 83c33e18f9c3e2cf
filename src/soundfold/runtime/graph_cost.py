"""How much memory and work a graph takes for a few windows, found out before it runs; absurd ones are refused.

The shapes of all values in between are asked of onnxruntime: every value is made an output, the input gets a fixed
shape, and the file is opened with all that would compute something (folding of constants, packing of weights) off.
Nothing runs. A value whose size nobody can tell beforehand is refused like one that is too large.
"""

import math
import os
from collections.abc import Sequence

from soundfold.errors import ModelFileError
from soundfold.runtime.graph_sizes import known_sizes, whole_numbers
from soundfold.runtime.wire import Field, fields, message, numbers, varint

# onnxruntime tells its maker which models are opened where, and keeps a file for it in the temporary folder, unless
# this stands when it is imported. What is heard here is nobody else's business.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

__all__ = ["check_cost", "open_session", "reason", "session_options"]

MOST_BYTES = 4 * 2**30
MOST_WORK = 2 * 10**13
_TYPES = {"tensor(float)": 4, "tensor(uint8)": 1, "tensor(int8)": 1, "tensor(int32)": 4, "tensor(int64)": 8}
_TYPES |= {"tensor(bool)": 1, "tensor(float16)": 2, "tensor(double)": 8, "tensor(int16)": 2, "tensor(uint16)": 2}
_GRAPH, _NODE, _INITIALIZER, _INPUT, _OUTPUT = 7, 1, 5, 11, 12


def check_cost(model: bytes, shape: Sequence[int], where: str) -> None:
    """Raise where a graph would take too much memory or too long.

    Args:
        model: an ONNX file's content, with one input; what `graph_check` lets through.
        shape: of the input.
        where: the file, for messages.

    Raises:
        ModelFileError: it would, or onnxruntime finds a fault with it.
        ValueError: it is no ONNX file.
    """
    graph = next(field.value for field in fields(model) if field.number == _GRAPH)
    parts = list(fields(graph))
    nodes = [_node(field) for field in parts if field.number == _NODE]
    constants = dict(_constant(field) for field in parts if field.number == _INITIALIZER)
    inputs = [field for field in parts if field.number == _INPUT]
    taken = [name for name in (_text(field, 1) for field in inputs) if name not in constants]
    if len(inputs) != 1 or len(taken) != 1:
        raise ModelFileError(f"{where}: must have one input, got {len(inputs)}. Export it again")
    declared = _declared(inputs[0])
    if declared[1:] != list(shape[1:]) or not declared or declared[0] is not None:
        expected = ", ".join(map(str, shape[1:]))
        raise ModelFileError(
            f"{where}: its input must be (batch, {expected}) as its card says, got {declared[1:]}. Export it again"
        )
    found = _found_shapes(model, parts, nodes, taken[0], shape, where)
    sizes = {name: _size(name, *told, where) for name, told in found.items()}
    _check_memory(nodes, sizes, where)
    shapes: dict[str, list[int]] = {taken[0]: list(shape), **constants}
    shapes |= {name: [size for size in told if isinstance(size, int)] for name, (told, _) in found.items()}
    work = 0.0
    for kind, given, made in nodes:
        work += _work(kind, [shapes.get(name, []) for name in given], [shapes.get(name, []) for name in made])
    if work > MOST_WORK:
        raise ModelFileError(
            f"{where}: would take {work:.1g} operations for a few windows, more than {MOST_WORK:.0g}. "
            f"Use a file that soundfold wrote"
        )


def _found_shapes(
    model: bytes, parts: list[Field], nodes: list[tuple[str, list[str], list[str]]], taken: str, shape: Sequence[int],
    where: str,
) -> dict[str, tuple[list[object], str]]:  # fmt: skip
    """Return shape and type of every value in between, for an input of a shape.

    Sizes that depend on sizes are found one after another, so it is asked again while that tells more.
    """
    rest = [field.whole for field in fields(model) if field.number != _GRAPH]
    told: dict[str, list[int]] = {taken: list(shape)}
    known: dict[str, list[int]] | None = None
    found: dict[str, tuple[list[object], str]] = {}
    while (more := known_sizes(parts, told)) != known:
        known = more
        names = [name for _, _, given in nodes for name in given if name and name not in known]
        kept: list[bytes | memoryview] = []
        kept += [field.whole for field in parts if field.number not in (_NODE, _INPUT, _OUTPUT)]
        kept += [field.whole for field in parts if field.number == _NODE and not set(_node(field)[2]) & known.keys()]
        kept += [message(_INITIALIZER, whole_numbers(name, row)) for name, row in known.items()]
        outputs = b"".join(message(_OUTPUT, message(1, name.encode())) for name in names)
        changed = b"".join([*kept, message(_INPUT, _described(taken, shape)), outputs])
        found = _shapes(b"".join([*rest, message(_GRAPH, changed)]), where)
        whole = {name: [size for size in sizes if isinstance(size, int)] for name, (sizes, _) in found.items()}
        told |= {name: sizes for name, sizes in whole.items() if len(sizes) == len(found[name][0])}
        if len(told) > len(found):
            break  # nothing is open any more
    return found


def _shapes(model: bytes, where: str) -> dict[str, tuple[list[object], str]]:
    """Return shape and type of every output, without running anything."""
    options = session_options()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.disable_prepacking", "1")
    session = open_session(model, options, where)
    return {value.name: (list(value.shape), value.type) for value in session.get_outputs()}


def session_options() -> onnxruntime.SessionOptions:
    """Return options by which a file of any stranger can be opened."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1  # several sounds at once fill the cores better than several threads in one
    options.inter_op_num_threads = 1
    # or a file that looks like the one and is the other would be read in a form that nobody has checked
    options.add_session_config_entry("session.load_model_format", "ONNX")
    return options


def open_session(model: bytes, options: onnxruntime.SessionOptions, where: str) -> onnxruntime.InferenceSession:
    """Open a file's content.

    Raises:
        ModelFileError: onnxruntime finds a fault with it.
    """
    try:
        return onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )  # with it, it prints its own words on stdout
    except Exception as error:  # onnxruntime raises a class of its own for each kind of damage
        told = reason(error)
        raise ModelFileError(f"{where}: is not a model file that can be opened ({told}). Export it again") from error


def reason(error: Exception) -> str:
    """Return what onnxruntime says of a failure, as a part of one line."""
    told = " ".join(str(error).split()).removeprefix("[ONNXRuntimeError] : ")[:200]
    return "".join(sign if sign.isprintable() else "?" for sign in told)


def _size(name: str, shape: list[object], kind: str, where: str) -> int:
    """Return a value's bytes."""
    if kind not in _TYPES or not all(isinstance(size, int) for size in shape):
        raise ModelFileError(
            f"{where}: the size of its value {name[:60]!r} cannot be known before it runs, got {shape}. "
            f"Use a file that soundfold wrote"
        )
    return math.prod(size for size in shape if isinstance(size, int)) * _TYPES[kind]


def _check_memory(nodes: list[tuple[str, list[str], list[str]]], sizes: dict[str, int], where: str) -> None:
    """Raise where values that are needed at the same time are too large together."""
    last = {name: number for number, (_, given, _) in enumerate(nodes) for name in given}
    held = most = 0
    for number, (_, given, made) in enumerate(nodes):
        held += sum(sizes.get(name, 0) for name in made)
        most = max(most, held)
        gone = {name for name in given if last[name] == number} | {name for name in made if name not in last}
        held -= sum(sizes.get(name, 0) for name in gone)
    if most > MOST_BYTES:
        raise ModelFileError(
            f"{where}: would hold {most / 2**30:,.1f} GiB for a few windows, more than {MOST_BYTES / 2**30:g}. "
            f"Use a file that soundfold wrote"
        )


def _work(kind: str, given: list[list[int]], made: list[list[int]]) -> float:
    """Return about how many operations a node takes: values that it gives, times those that each is made of."""
    out = float(sum(map(math.prod, made)))
    largest = max([out, *map(math.prod, given)])
    if kind in ("MatMul", "MatMulInteger", "QLinearMatMul", "Gemm") and given and given[0]:
        return out * max(given[0][-1], given[0][0] if kind == "Gemm" else 1)
    if kind in ("Conv", "QLinearConv"):
        weights = given[1 if kind == "Conv" else 3] if len(given) > 1 else []
        return out * math.prod(weights[1:])
    if kind == "Einsum":
        return math.prod(max(1, math.prod(shape)) for shape in given)
    if kind in ("AveragePool", "MaxPool"):
        return out * 4_096  # a window is not known here, and seldom as large
    return largest


def _node(field: Field) -> tuple[str, list[str], list[str]]:
    """Return what a node does, the names that it takes, and those that it gives."""
    parts = list(fields(field.value))
    kind = next((part.text for part in parts if part.number == 4), "")
    return kind, [part.text for part in parts if part.number == 1], [part.text for part in parts if part.number == 2]


def _constant(field: Field) -> tuple[str, list[int]]:
    """Return name and shape of a constant."""
    parts = list(fields(field.value))
    name = next((part.text for part in parts if part.number == 8), "")
    return name, [size for part in parts if part.number == 1 for size in numbers(part)]


def _text(field: Field, number: int) -> str:
    return next((part.text for part in fields(field.value) if part.number == number), "")


def _declared(field: Field) -> list[int | None]:
    """Return the shape that the graph declares for an input; None where a size is left open, or bears a name alone."""
    messages = [field.value]
    for number in (2, 1, 2):  # of the value its type, of the type the tensor's, of that the shape
        messages = [part.value for message in messages for part in fields(message) if part.number == number]
    sizes = [list(fields(part.value)) for shape in messages for part in fields(shape) if part.number == 1]
    return [next((numbers(part)[0] for part in size if part.number == 1), None) for size in sizes]


def _described(name: str, shape: Sequence[int]) -> bytes:
    """Return the description of a float32 value of a shape, as ONNX has it."""
    sizes = b"".join(message(1, b"\x08" + varint(size)) for size in shape)
    tensor = b"\x08\x01" + message(2, sizes)
    return message(1, name.encode()) + message(2, message(1, tensor))

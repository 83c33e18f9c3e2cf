"""Model files from strangers: whatever could reach beyond the file, or take the machine down, is refused unrun."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from model_files import MEL_MODEL, TINY_MODEL, write_tiny_model
from soundfold.errors import ModelFileError, PathError
from soundfold.runtime import load
from soundfold.runtime.graph_cut import metadata, without_front_end
from soundfold.runtime.seal import SEAL_KEY, sealed, unsealed, with_card

Change = Callable[[onnx.ModelProto], object]


def changed(folder: Path, change: Change, of: Path = TINY_MODEL) -> Path:
    """Write a model file with a change, sealed by whoever made it."""
    model = onnx.load(of)
    change(model)
    path = folder / "m.onnx"
    path.write_bytes(sealed(model.SerializeToString()))
    return path


def constant(model: onnx.ModelProto, name: str, value: np.ndarray) -> str:
    model.graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def first(model: onnx.ModelProto, *nodes: onnx.NodeProto) -> None:
    """Put nodes before all others; what they give is added to the loudness, so that nothing leaves them out."""
    for node in reversed(nodes):
        model.graph.node.insert(0, node)


def with_operator(kind: str, domain: str = "") -> Change:
    return lambda model: first(model, helper.make_node(kind, ["waveform"], ["x"], domain=domain))


def with_external_numbers(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[1]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.append(onnx.StringStringEntryProto(key="location", value="/etc/passwd"))


def with_a_branch(model: onnx.ModelProto) -> None:
    inner = helper.make_graph([], "inner", [], [])
    first(model, helper.make_node("If", ["c"], ["x"], then_branch=inner, else_branch=inner))


def with_a_hidden_graph(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("body", helper.make_graph([], "inner", [], [])))


def with_a_function(model: onnx.ModelProto) -> None:
    node = helper.make_node("Abs", ["a"], ["b"])
    function = helper.make_function("mine", "F", ["a"], ["b"], [node], [helper.make_opsetid("", 17)])
    model.functions.append(function)


def with_too_few_numbers(model: onnx.ModelProto) -> None:
    model.graph.initializer[1].dims[0] = 2**40


def with_no_numbers(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[1]
    tensor.ClearField("raw_data")
    tensor.dims[0] = 2**40


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_operator("Scan"), "the operator 'Scan', which soundfold never uses"),
        (with_operator("RandomNormalLike"), "the operator 'RandomNormalLike'"),
        (with_operator("ImageDecoder"), "the operator 'ImageDecoder'"),
        (with_operator("Gelu", "com.microsoft"), r"operators that are not ONNX's own \('com.microsoft'\)"),
        (with_operator("Abs", "evil"), r"operators that are not ONNX's own \('evil'\)"),
        (lambda model: model.opset_import.append(helper.make_opsetid("evil", 1)), "operators that are not ONNX's own"),
        (with_external_numbers, "numbers in other files"),
        (with_a_branch, "a graph inside the graph"),
        (with_a_hidden_graph, "a graph inside the graph"),
        (with_a_function, "functions of its own"),
        (lambda model: model.training_info.add(), "training instructions"),
        (lambda model: model.graph.sparse_initializer.add(), "sparse numbers"),
        (with_too_few_numbers, "numbers that are not as many as their shape"),
        (with_no_numbers, "numbers that are not as many as their shape"),
    ],
)
def test_what_reaches_beyond_the_file_is_refused(tmp_path: Path, change: Change, message: str) -> None:
    with pytest.raises(ModelFileError, match=rf"m\.onnx: holds {message}") as caught:
        load(changed(tmp_path, change))
    assert "\n" not in str(caught.value)


def adds_to_logits(make: Callable[[onnx.ModelProto], list[onnx.NodeProto]]) -> Change:
    """Return a change whose nodes give `x`, the mean of which is added to the logits."""

    def change(model: onnx.ModelProto) -> None:
        nodes = make(model)
        rest = [
            helper.make_node("ReduceMean", ["x"], ["m"], keepdims=0),
            helper.make_node("Add", ["logits", "m"], ["more"]),
        ]
        softmax = model.graph.node[-1]
        softmax.input[0] = "more"
        at = len(model.graph.node) - 1
        for node in reversed([*nodes, *rest]):
            model.graph.node.insert(at, node)

    return change


def filled(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [helper.make_node("ConstantOfShape", [constant(model, "s", np.array([2**20, 2**14]))], ["x"])]


def expanded(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [helper.make_node("Expand", ["levels", constant(model, "s", np.array([2**18, 2**14, 2]))], ["x"])]


def tiled(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [helper.make_node("Tile", ["waveform", constant(model, "s", np.array([1, 1, 2**20]))], ["x"])]


def padded(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [helper.make_node("Pad", ["waveform", constant(model, "s", np.array([0, 0, 0, 0, 0, 2**40]))], ["x"])]


def counted(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    ends = [constant(model, name, np.array(value, np.int64)) for name, value in (("a", 0), ("b", 2**40), ("c", 1))]
    return [helper.make_node("Range", ends, ["r"]), helper.make_node("Cast", ["r"], ["x"], to=1)]


def outer(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Every sample times every other, of four windows together."""
    return [
        helper.make_node("Reshape", ["waveform", constant(model, "up", np.array([-1, 1]))], ["column"]),
        helper.make_node("Reshape", ["waveform", constant(model, "flat", np.array([1, -1]))], ["row"]),
        helper.make_node("MatMul", ["column", "row"], ["w"]),
        helper.make_node("MatMul", ["w", "w"], ["x"]),
    ]


def by_its_samples(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """A size that the sound itself decides."""
    return [
        helper.make_node("ReduceMax", ["size"], ["top"], keepdims=0),
        helper.make_node("Cast", ["top"], ["whole"], to=7),
        helper.make_node("Reshape", ["whole", constant(model, "one", np.array([1]))], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["x"]),
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (filled, r"would hold \d+\.\d GiB"),
        (expanded, r"would hold \d+\.\d GiB"),
        (tiled, r"would hold \d+\.\d GiB"),
        (padded, r"would hold [\d,]+\.\d GiB"),
        (counted, r"would hold [\d,]+\.\d GiB|cannot be known"),
        (outer, r"would hold \d+\.\d GiB"),
        (by_its_samples, "cannot be known before it runs"),
    ],
)
def test_what_would_take_the_machine_down_is_refused_before_it_runs(
    tmp_path: Path, make: Callable[[onnx.ModelProto], list[onnx.NodeProto]], message: str
) -> None:
    path = changed(tmp_path, adds_to_logits(make))
    started = time.process_time()
    with pytest.raises(ModelFileError, match=message) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert time.process_time() - started < 2


def test_endless_work_is_refused(tmp_path: Path) -> None:
    def make(model: onnx.ModelProto) -> list[onnx.NodeProto]:
        square = constant(model, "square", np.array([8_000, 4]))
        nodes = [helper.make_node("Reshape", ["waveform", square], ["a"])]
        nodes += [helper.make_node("Transpose", ["a"], ["b"]), helper.make_node("MatMul", ["a", "b"], ["x0"])]
        nodes += [helper.make_node("MatMul", [f"x{n}", f"x{n}"], [f"x{n + 1}"]) for n in range(60)]
        return [*nodes, helper.make_node("Identity", ["x60"], ["x"])]

    with pytest.raises(ModelFileError, match=r"would take 3e\+13 operations for a few windows, more than 2e\+13"):
        load(changed(tmp_path, adds_to_logits(make)))


def test_a_file_of_another_format_inside_is_read_as_what_was_checked(tmp_path: Path) -> None:
    """Bytes 4 to 8 say that it is one of onnxruntime's own format, in which nothing of this would have been checked."""
    content = b"\x12\x08xxORTMxx" + TINY_MODEL.read_bytes()
    assert content[4:8] == b"ORTM"
    (tmp_path / "m.onnx").write_bytes(content)
    answer = load(tmp_path / "m.onnx").probabilities(np.zeros((1, 1, 8_000), np.float32))
    np.testing.assert_array_equal(answer, load(TINY_MODEL).probabilities(np.zeros((1, 1, 8_000), np.float32)))


def test_a_number_that_was_turned_is_seen(tmp_path: Path) -> None:
    whole = bytearray(sealed(TINY_MODEL.read_bytes()))
    at = whole.index(np.float32(-40.0).tobytes())
    whole[at + 2] ^= 1
    (tmp_path / "m.onnx").write_bytes(whole)
    with pytest.raises(ModelFileError, match=r"m\.onnx: is damaged or was changed: .* Fetch it again, or export it"):
        load(tmp_path / "m.onnx")


def with_front_end(**changes: object) -> Change:
    """Return a change of the numbers by which the runtime computes features in the graph's place."""

    def change(model: onnx.ModelProto) -> None:
        [entry] = [entry for entry in model.metadata_props if entry.key == "soundfold.front_end"]
        entry.value = json.dumps({**json.loads(entry.value), **changes})

    return change


def test_a_front_end_that_is_not_the_graphs_is_refused(tmp_path: Path) -> None:
    """With the seal any change shows; a file without one must show that both ways give the same."""
    path = changed(tmp_path, with_front_end(before=100), MEL_MODEL)
    path.write_bytes(unsealed(path.read_bytes()))
    with pytest.raises(ModelFileError, match="the front end that its card describes is not the one in its graph"):
        load(path)
    assert load(path, portable=True)


def test_a_file_whose_front_end_was_cut_out_is_refused(tmp_path: Path) -> None:
    for content in (without_front_end(MEL_MODEL.read_bytes()), sealed(without_front_end(MEL_MODEL.read_bytes()))):
        (tmp_path / "m.onnx").write_bytes(content)
        for portable in (False, True):
            with pytest.raises(ModelFileError, match=r"nothing is called features|its input must be"):
                load(tmp_path / "m.onnx", portable=portable)


def test_a_front_end_of_absurd_size_is_refused(tmp_path: Path) -> None:
    path = changed(tmp_path, with_front_end(n_fft=8192, hop_length=1), MEL_MODEL)
    card = json.loads(metadata(path.read_bytes())["soundfold"])
    path.write_bytes(with_card(path.read_bytes(), json.dumps({**card, "window": 384_000 * 60})))
    with pytest.raises(ModelFileError, match=r"its front end must make at most 1,073,741,824 values"):
        load(path)


def test_another_card_gets_a_seal_that_fits(tmp_path: Path) -> None:
    whole = TINY_MODEL.read_bytes()
    card = json.loads(metadata(whole)["soundfold"])
    (tmp_path / "m.onnx").write_bytes(with_card(whole, json.dumps({**card, "data": "others"})))
    assert load(tmp_path / "m.onnx").card.data == "others"
    assert list(metadata((tmp_path / "m.onnx").read_bytes())) == ["soundfold", SEAL_KEY]
    assert unsealed(sealed(whole)) == whole


def test_a_later_format_is_told_before_anything_else_is_looked_at(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "m.onnx", card={"format_version": 99, "soundfold_version": "9.9"})
    model = onnx.load(path)
    with_a_branch(model)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match=r"was written by soundfold 9\.9, in a format .* Update soundfold$"):
        load(path)


def test_a_folder_or_a_device_in_a_models_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").mkdir()
    with pytest.raises((ModelFileError, PathError)):
        load(tmp_path / "m.onnx")


def test_an_empty_file_and_a_link_that_leads_nowhere_are_told(tmp_path: Path) -> None:
    empty = tmp_path / "empty.onnx"
    empty.touch()
    with pytest.raises(ModelFileError, match=r"empty\.onnx: is empty \(0 bytes\)\. Fetch it again"):
        load(empty)
    for name, target in (("dangling.onnx", "gone.onnx"), ("looping.onnx", "looping.onnx")):
        (tmp_path / name).symlink_to(target)
        with pytest.raises(PathError, match=f"{name}: is a link that leads nowhere"):
            load(tmp_path / name)

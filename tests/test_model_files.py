import numpy as np
import pytest

from model_files import MEL_MODEL, TINY_MODEL, tiny_probabilities, write_tiny_model
from soundfold.errors import ModelFileError
from soundfold.runtime import load

MEL_ANSWERS = [[0.213562, 0.264667, 0.521772], [0.410626, 0.381608, 0.207765], [0.433348, 0.375189, 0.191464]]
"""What `fixtures/mel.onnx` answered for three windows of `noise` on the day on which it was written."""


def noise(windows: int, channels: int, samples: int) -> np.ndarray:
    """Windows of noise, each louder than the one before."""
    loudness = np.linspace(0, 1, windows)[:, np.newaxis, np.newaxis]
    return (loudness * np.random.default_rng(0).uniform(-1, 1, (windows, channels, samples))).astype(np.float32)


@pytest.mark.runtime
def test_the_fixture_answers_as_numpy_does():
    windows = noise(9, 1, 8_000)
    np.testing.assert_allclose(load(TINY_MODEL).probabilities(windows), tiny_probabilities(windows), atol=1e-6)


def test_the_fixture_is_what_the_builder_writes(tmp_path):
    pytest.importorskip("onnx")
    assert write_tiny_model(tmp_path / "tiny.onnx").read_bytes() == TINY_MODEL.read_bytes()


@pytest.mark.parametrize("labels", [("only",), ("a", "b", "c")])
def test_any_shape_answers_as_numpy_does(tmp_path, labels):
    pytest.importorskip("onnx")
    model = load(write_tiny_model(tmp_path / "m.onnx", labels=labels, sample_rate=16_000, channels=2, window=4_000))
    windows = noise(9, 2, 4_000)
    assert (model.labels, model.card.sample_rate, model.card.channels, model.card.window) == (labels, 16_000, 2, 4_000)
    np.testing.assert_allclose(model.probabilities(windows), tiny_probabilities(windows, len(labels)), atol=1e-6)


def test_a_card_may_be_wrong(tmp_path):
    pytest.importorskip("onnx")
    with pytest.raises(ModelFileError, match="in a format that this version cannot read"):
        load(write_tiny_model(tmp_path / "m.onnx", card={"format_version": 99}))


@pytest.mark.runtime
@pytest.mark.parametrize("portable", [False, True])
def test_a_file_of_before_answers_as_it_did_by_both_ways(portable):
    model = load(MEL_MODEL, portable=portable)
    windows = noise(3, 2, 4_000)
    np.testing.assert_allclose(model.probabilities(windows), MEL_ANSWERS, rtol=0, atol=1e-4)


@pytest.mark.runtime
def test_a_file_without_the_card_of_a_front_end_is_run_by_its_graph():
    windows = noise(3, 1, 8_000)
    np.testing.assert_array_equal(
        load(TINY_MODEL).probabilities(windows), load(TINY_MODEL, portable=True).probabilities(windows)
    )

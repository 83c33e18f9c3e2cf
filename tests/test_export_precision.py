"""Smaller numbers in a model file: how much is lost is measured, and the file still answers by both ways."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from soundfold.cli import main
from soundfold.errors import DataError, ModelFileError, PathError, RunError
from soundfold.jobs.export import export
from soundfold.runtime import load
from soundfold.runtime.seal import SEAL_KEY, check_seal, sealed


@pytest.mark.parametrize(("precision", "bound"), [("float32", 0.0), ("float16", 2e-3), ("int8", 0.3)])
def test_a_smaller_file_answers_nearly_alike(small_run: Path, tmp_path: Path, precision: str, bound: float) -> None:
    out = tmp_path / "m.onnx"
    result = export(small_run, precision, out, max_loss=0.5)
    assert result.speed == pytest.approx(result.ms_before / result.ms_after)  # figures that stand side by side agree
    before, after = load(small_run), load(out)
    assert after.card == before.card.model_copy(update={"precision": precision})
    assert check_seal(out.read_bytes(), "m.onnx")
    windows = np.random.default_rng(0).uniform(-0.5, 0.5, (5, 1, 4_000)).astype(np.float32)
    assert np.abs(before.probabilities(windows) - after.probabilities(windows)).max() <= bound
    assert result.largest_difference <= bound
    assert result.portable_difference <= (0.25 if precision == "int8" else 1e-4)
    assert result.n == 12
    assert result.measured_on == "held-out recordings"
    assert result.loss == pytest.approx(result.accuracy_before - result.accuracy_after)
    assert (result.bytes_after < result.bytes_before) == (precision != "float32")
    assert (result.calibration_clips > 0) == (precision == "int8")


def test_a_fold_leaves_it_to_its_cross_validation_what_it_was_trained_on(small_run: Path, tmp_path: Path) -> None:
    fold = tmp_path / "cv" / "fold3"
    shutil.copytree(small_run, fold)
    (fold / "run.json").rename(tmp_path / "cv" / "run.json")
    assert export(fold, "float16", tmp_path / "m.onnx", max_loss=1.0).measured_on == "held-out recordings"


def test_too_large_a_loss_leaves_no_file(small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from soundfold.jobs import export as job

    def worse(*given: object) -> object:
        return found(*given).model_copy(update={"loss": 0.3})  # type: ignore[arg-type]

    found, sides = job._compare, job._sides
    monkeypatch.setattr(job, "_compare", worse)
    with pytest.raises(
        ModelFileError,
        match=r"m\.onnx: must lose at most 2 points of accuracy \(--max-loss 0.02\), got 30\.0 .* of 12 clips: ",
    ):
        export(small_run, "float16", tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(job, "_sides", lambda *given: (*sides(*given)[:2], job._MET))
    with pytest.raises(ModelFileError, match="name others with --data, of whose recordings one half calibrates"):
        export(small_run, "float16", tmp_path / "m.onnx")
    with pytest.raises(RunError, match=r"^--max-loss must be a part of 1, from 0 to 1, got 5\. Say 0\.02 for 2 points"):
        export(small_run, "float16", tmp_path / "m.onnx", max_loss=5)


def test_a_network_that_eight_bits_ruin_is_refused(small_run: Path, small_data: Path, tmp_path: Path) -> None:
    lopsided, out = tmp_path / "lopsided.onnx", tmp_path / "m.onnx"
    lopsided.write_bytes(with_one_loud_channel((small_run / "model.onnx").read_bytes()))
    windows = np.random.default_rng(0).uniform(-0.5, 0.5, (5, 1, 4_000)).astype(np.float32)
    np.testing.assert_allclose(
        load(lopsided).probabilities(windows), load(small_run).probabilities(windows), atol=1e-4
    )  # by floats it is the same network
    with pytest.raises(ModelFileError, match=r"m\.onnx: must lose at most 2 points .*, got \d+\.\d .*float16"):
        export(lopsided, "int8", out, data=small_data)
    assert not out.exists()
    assert export(lopsided, "int8", out, data=small_data, max_loss=1.0).loss > 0.02
    assert load(out).card.precision == "int8"


def with_one_loud_channel(content: bytes) -> bytes:
    """Return a model file whose layers have a channel a million times louder than the rest, which is undone behind it.

    The tutorial's blocks are convolution, ReLU and batch normalisation, and the last takes out any scale.
    """
    loud, model = 1e6, onnx.load_from_string(content)
    powers = {"0 weight": 1, "0 bias": 1, "2 running_mean": 1, "2 running_var": 2}
    for tensor in model.graph.initializer:
        if found := re.fullmatch(r".*\.blocks\.(\d+)\.(\w+)", tensor.name):
            values = numpy_helper.to_array(tensor).copy()
            values[0] *= loud ** powers.get(f"{int(found[1]) % 3} {found[2]}", 0)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    kept = [entry for entry in model.metadata_props if entry.key != SEAL_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    return sealed(model.SerializeToString())


def test_what_cannot_be_exported_is_told(small_run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="precision must be one of float32, float16, int8, got 'int4'"):
        export(small_run, "int4", tmp_path / "m.onnx")
    with pytest.raises(PathError, match="exists already"):
        export(small_run, "int8", small_run / "model.onnx")
    (tmp_path / "alone.onnx").write_bytes((small_run / "model.onnx").read_bytes())
    with pytest.raises(DataError, match="does not say what it was trained on.* --data"):
        export(tmp_path / "alone.onnx", "float16", tmp_path / "m.onnx")


def test_the_verbs_tell(small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "m.onnx"
    assert main(["export", str(small_run), "--precision", "float16", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["precision"] == "float16"
    assert main(["model", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["precision"], told["labels"], told["is_sealed"]) == ("float16", ["high", "low"], True)
    assert told["bytes"] == out.stat().st_size
    assert told["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert (told["sample_rate"], told["channels"], told["window_s"]) == (8_000, 1, 0.5)
    assert (told["recipe"]["name"], told["recipe"]["features"]["n_mels"]) == ("tutorial", 16)
    assert told["split"]["name"] == "fold 3"
    trained = json.loads((small_run / "metrics.json").read_text())
    assert told["scores"]["accuracy"] == trained["accuracy"]
    assert told["scores"]["accuracy_ci95"] == trained["accuracy_ci95"]
    assert main(["model", str(out)]) == 0
    text = capsys.readouterr().out
    assert f"sha256:     {told['sha256']}" in text
    assert "8,000 Hz, 1 channel, windows of 0.5 s" in text
    assert re.search(rf"scores: +accuracy {100 * trained['accuracy']:.1f} % .* on fold 3", text)
    assert "precision:  float16, " in text
    assert main(["export", str(out), "--precision", "int8", "--out", str(tmp_path / "n.onnx")]) == 2
    assert "must be a file in float32, got float16" in capsys.readouterr().err

"""Smaller numbers in a model file: how much is lost is measured, and the file still answers by both ways."""

import json
from pathlib import Path

import numpy as np
import pytest

from soundfold.cli import main
from soundfold.errors import DataError, ModelFileError, PathError, RunError
from soundfold.jobs.export import export
from soundfold.runtime import load
from soundfold.runtime.seal import check_seal


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


def test_too_large_a_loss_leaves_no_file(small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from soundfold.jobs import export as job

    def worse(*given: object) -> object:
        return found(*given).model_copy(update={"loss": 0.3})  # type: ignore[arg-type]

    found = job._compare
    monkeypatch.setattr(job, "_compare", worse)
    with pytest.raises(ModelFileError, match=r"m\.onnx: must lose at most 2 % of accuracy, got 30\.0 %"):
        export(small_run, "float16", tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


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
    assert main(["model", str(out)]) == 0
    text = capsys.readouterr().out
    assert f"sha256:     {told['sha256']}" in text
    assert "precision:  float16, " in text
    assert main(["export", str(out), "--precision", "int8", "--out", str(tmp_path / "n.onnx")]) == 2
    assert "must be a file in float32, got float16" in capsys.readouterr().err

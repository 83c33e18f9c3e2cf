"""The networks of a cross-validation as one model: its answer is their mean, and its card claims no score for it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import soundfold
from conftest import SMALL
from soundfold.cli import main
from soundfold.errors import ModelFileError, RunError
from soundfold.evaluation import CvResult
from soundfold.runtime.card import are_known_recordings

FEW = (*SMALL, "training.epochs=2")
FOLDS = (1, 3)
BATCH = np.random.default_rng(0).normal(0, 0.2, (5, 1, 4_000)).astype(np.float32)


def validate(data: Path, folder: Path, **more: object) -> CvResult:
    asked = {"recipe": "tutorial", "changes": FEW, "folds": FOLDS, "out": folder / "cv", "cache": folder / "cache"}
    return soundfold.cross_validate(data, **asked | more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def run(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ensemble")
    validate(small_data, folder, ensemble=True)
    return folder / "cv"


def test_the_file_answers_with_the_mean_of_the_folds_networks(run: Path) -> None:
    alone = [soundfold.load(run / f"fold{fold}").probabilities(BATCH) for fold in FOLDS]
    assert np.abs(alone[0] - alone[1]).max() > 1e-3
    np.testing.assert_allclose(soundfold.load(run).probabilities(BATCH), np.mean(alone, axis=0), atol=1e-6)


def test_the_card_tells_what_the_folds_reached_and_that_the_mean_was_not_scored(run: Path) -> None:
    result = CvResult.model_validate_json((run / "metrics.json").read_text(encoding="utf-8"))
    card = soundfold.load(run).card
    assert card.scores["accuracy"] == pytest.approx(result.accuracy_pooled)
    assert card.scores["accuracy_ci95"] == pytest.approx(result.accuracy_ci95)
    assert "the mean of all was not scored" in card.split["name"]
    assert "2 networks over 2 folds" in card.data
    assert result.model == str(run / "model.onnx")


def test_a_model_file_that_is_not_whole_is_made_anew(small_data: Path, run: Path, tmp_path: Path) -> None:
    model = (run / "model.onnx").read_bytes()
    (run / "model.onnx").write_bytes(model[:1_000])
    validate(small_data, run.parent, ensemble=True, resume=True)
    assert (run / "model.onnx").read_bytes() == model
    # killed after the file, before the result
    told = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    (run / "metrics.json").write_text(json.dumps(told | {"model": None}), encoding="utf-8")
    assert validate(small_data, run.parent, ensemble=True, resume=True).model == str(run / "model.onnx")


def test_a_networks_file_that_is_damaged_is_named(small_data: Path, run: Path, tmp_path: Path) -> None:
    """Where a result of an earlier version cannot tell that it is; others are made again (test_kept_result)."""
    shutil.copytree(run, tmp_path / "cv")
    (tmp_path / "cv" / "model.onnx").unlink()
    for name, fold in (("model.onnx", 1), ("weights.safetensors", 3)):
        place = tmp_path / "cv" / f"fold{fold}"
        told = json.loads((place / "metrics.json").read_text(encoding="utf-8"))
        (place / "metrics.json").write_text(json.dumps(told | {"files": None}), encoding="utf-8")
        whole = (place / name).read_bytes()
        for content in (b"", whole[:200]):
            (place / name).write_bytes(content)
            with pytest.raises(RunError, match=rf"fold{fold}.{name}: is missing, damaged, .* Remove its folder"):
                validate(small_data, tmp_path, cache=run.parent / "cache", ensemble=True, resume=True)
        (place / name).write_bytes(whole)


def test_one_network_is_not_joined(small_data: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="must have several networks to join, got one fold"):
        validate(small_data, tmp_path, folds=[1], ensemble=True)


def test_no_recording_counts_as_unmet(small_data: Path, run: Path) -> None:
    groups = soundfold.read_clips(small_data).table["group"].tolist()
    assert all(are_known_recordings(soundfold.load(run).card, groups) or ())


def test_a_finished_run_is_joined_later_and_its_scores_stay(small_data: Path, tmp_path: Path) -> None:
    before = validate(small_data, tmp_path, seeds=2)
    with pytest.raises(ModelFileError, match="--ensemble --resume"):
        soundfold.load(tmp_path / "cv")
    trained = {path: path.stat().st_mtime_ns for path in tmp_path.glob("cv/fold*/seed*/weights.safetensors")}
    after = validate(small_data, tmp_path, seeds=2, ensemble=True, resume=True)
    assert {path: path.stat().st_mtime_ns for path in trained} == trained
    assert (after.accuracy, after.confusion) == (before.accuracy, before.confusion)
    assert after.seconds > before.seconds
    alone = [soundfold.load(tmp_path / "cv" / f"fold{fold}").probabilities(BATCH) for fold in FOLDS]
    np.testing.assert_allclose(soundfold.load(tmp_path / "cv").probabilities(BATCH), np.mean(alone, axis=0), atol=1e-6)
    model = (tmp_path / "cv" / "model.onnx").read_bytes()
    assert validate(small_data, tmp_path, seeds=2, ensemble=True, resume=True) == after
    assert (tmp_path / "cv" / "model.onnx").read_bytes() == model


def test_the_command_line_makes_it_and_names_it(
    small_data: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [part for change in FEW for part in ("--set", change)]
    asked = ["cv", str(small_data), "-r", "tutorial", "--folds", "1,3", "--out", str(run), "--ensemble", "--resume"]
    assert main([*asked, *settings, "--cache", str(run.parent / "cache")]) == 0
    assert f"model:      {run / 'model.onnx'}" in capsys.readouterr().out
    assert main(["model", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"]["accuracy"] is not None

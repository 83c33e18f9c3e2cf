"""`train --calibrate`: the temperature in the graph, the rule in the card, and what is refused."""

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import soundfile
import torch
from safetensors.torch import load_file

import soundfold
from conftest import RATE, SMALL, write_folders
from soundfold.audio import load as load_sound
from soundfold.cli import main
from soundfold.errors import DataError, PathError, RunError
from soundfold.evaluation import read_predictions, tempered
from soundfold.jobs.background_answers import Sounds, amid_answers
from soundfold.models import build_classifier
from soundfold.recipe import load_recipe

FEW = (*SMALL, "training.epochs=2")


@pytest.fixture(scope="module")
def validated(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calibrated")
    soundfold.cross_validate(small_data, recipe="tutorial", changes=FEW, out=folder / "cv", cache=folder / "cache")
    return folder / "cv"


@pytest.fixture(scope="module")
def calibrated(validated: Path, small_data: Path) -> Path:
    out = validated.parent / "mine"
    soundfold.train(
        small_data, recipe="tutorial", changes=FEW, everything=True, calibrate=validated, precision=0.6,
        false_alarms=1_000, out=out, cache=validated.parent / "cache",
    )  # fmt: skip
    return out


def test_every_program_that_runs_the_file_gets_the_temperature(calibrated: Path, validated: Path) -> None:
    batch = np.random.default_rng(0).normal(0, 0.2, (4, 1, 4_000)).astype(np.float32)
    classifier = build_classifier(load_recipe("tutorial", FEW), 2, 0)
    classifier.load_state_dict(load_file(calibrated / "weights.safetensors"))
    told = json.loads((validated / "metrics.json").read_text())["calibration"]
    assert told["temperature"] != 1.0
    with torch.inference_mode():
        logits = classifier.eval()(torch.from_numpy(batch))
    expected = (logits / told["temperature"]).softmax(dim=-1).numpy()
    [bare] = onnxruntime.InferenceSession(calibrated / "model.onnx").run(["probabilities"], {"waveform": batch})
    np.testing.assert_allclose(bare, expected, atol=1e-5)
    np.testing.assert_allclose(soundfold.load(calibrated).probabilities(batch), expected, atol=1e-4)


def test_the_card_holds_what_was_fitted(calibrated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = soundfold.load(calibrated).card
    assert main(["model", str(calibrated)]) == 0
    lines = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines())
    assert f"temperature {card.temperature:.2f}" in lines["calibrated"]
    assert "thresholds for a precision of 60 %" in lines["calibrated"]
    assert "false alarms an hour" in lines["calibrated"]
    assert lines["unknown"].strip() == "what is unlike its classes, what is not likely enough, silence"
    assert card.calibration is not None
    assert card.calibration.precision == 0.6
    assert set(card.calibration.thresholds) == set(card.labels)
    assert card.calibration.rejection is not None
    told = json.loads((calibrated / "metrics.json").read_text())["calibration"]
    assert told["unknown"]["wished_per_hour"] == 1_000
    assert set(told["unknown"]["kinds"]) >= {"constant", "white", "hum"}
    assert "silence" not in told["unknown"]["kinds"], "the file calls it unknown by itself"
    assert told["unknown"]["kept_amid"] is None, "every clip fills its window"
    assert len(told["thresholds"]) == 2


def test_short_clips_are_told_amid_background_by_the_networks_that_never_met_them(tmp_path: Path) -> None:
    data = write_folders(tmp_path / "data", clips=5, seconds=0.5)
    short = sorted(data.rglob("clip 0.wav")) + sorted(data.rglob("clip 2.wav"))
    for path in short:
        soundfile.write(path, soundfile.read(path)[0][: RATE // 5], RATE)
    cv = soundfold.cross_validate(data, recipe="tutorial", changes=FEW, out=tmp_path / "cv", cache=tmp_path / "cache")
    trained = soundfold.train(
        data, recipe="tutorial", changes=FEW, everything=True, calibrate=tmp_path / "cv", out=tmp_path / "mine",
        cache=tmp_path / "cache",
    )  # fmt: skip
    assert trained.calibration is not None
    unknown = trained.calibration.unknown
    assert unknown is not None
    assert unknown.n_amid == len(short) < cv.n
    assert unknown.kept_amid is not None
    assert 0 <= unknown.kept_amid <= 1
    page = soundfold.report(tmp_path / "mine", out=tmp_path / "r.html").read_text(encoding="utf-8")
    assert f"of {len(short)} short clips are kept" in page
    table = read_predictions(tmp_path / "cv" / "predictions.parquet")
    heard: list[int] = []

    def waveform(row: int) -> np.ndarray:
        heard.append(row)
        return load_sound(data / table["path"][row], RATE, 1)

    fold = table["fold"].astype(str).to_numpy()
    samples = np.array([soundfile.info(data / path).frames for path in table["path"]])
    asked = partial(amid_answers, tmp_path / "cv", load_recipe("tutorial", FEW), 3, fold)
    told = asked(Sounds(samples, waveform))
    assert told is not None
    assert sorted(heard) == sorted(np.flatnonzero(samples < RATE // 2))
    assert [fold[row] for row in told.rows] == sorted(fold[row] for row in told.rows), "each fold's network in turn"
    row = int(told.rows[0])
    other = soundfold.load(tmp_path / "cv" / f"fold{fold[row]}").predict(waveform(row), RATE).probabilities
    assert np.abs(told.probabilities[0] - np.array(list(other.values()))).max() > 1e-4, "not as it stands in silence"
    np.testing.assert_array_equal(told.probabilities, asked(Sounds(samples, waveform)).probabilities)
    assert asked(Sounds(np.where(samples < RATE // 2, 0, samples), waveform)) is None


def test_evaluate_tells_how_many_clips_get_no_label(
    calibrated: Path, validated: Path, small_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, sounds = soundfold.load(calibrated), sorted(small_data.rglob("*.wav"))
    told = [(answer.label, path.parts[-3]) for path, answer in zip(sounds, model.predict_many(sounds), strict=True)]
    kept = [label == truth for label, truth in told if label != "unknown"]
    found = soundfold.evaluate(calibrated, small_data)
    assert found.called_unknown is not None
    assert found.called_unknown.n == len(told) - len(kept)
    assert 0 < found.called_unknown.n < len(told), "the case must hold clips of both kinds"
    assert found.called_unknown.right_of_others == pytest.approx(np.mean(kept))
    assert main(["evaluate", str(calibrated), str(small_data)]) == 0
    assert f"{len(told) - len(kept)} of {len(told)} clips" in capsys.readouterr().out
    assert main(["evaluate", str(validated / "fold1"), str(small_data), "--json"]) == 0
    assert "called_unknown" not in json.loads(capsys.readouterr().out), "it may call nothing unknown"


def test_its_report_tells_what_was_fitted(calibrated: Path, tmp_path: Path) -> None:
    scores = json.loads((calibrated / "metrics.json").read_text())["calibration"]
    page = soundfold.report(calibrated, out=tmp_path / "r.html").read_text(encoding="utf-8")
    section = page.split("How far to trust the probabilities</h2>")[1].split("<h2")[0]
    assert section.count("<svg") == 2, "before and after"
    assert f"with temperature {scores['temperature']:.2f}" in section
    assert "Keep it in a model file" not in section
    assert f"{scores['unknown']['false_alarms_per_hour']:.0f} windows in an hour of background" in section
    assert "Thresholds for a precision of 60.0 %" in section
    for one in scores["thresholds"]:
        assert one["label"] in section


@pytest.mark.long
def test_held_out_clips_are_not_fitted_on_and_are_scored_as_the_file_answers(
    validated: Path, small_data: Path, tmp_path: Path
) -> None:
    result = soundfold.train(
        small_data,
        recipe="tutorial",
        changes=FEW,
        test_fold=3,
        calibrate=validated,
        out=tmp_path / "run",
        cache=validated.parent / "cache",
    )
    assert result.calibration is not None
    whole = json.loads((validated / "metrics.json").read_text())["calibration"]["temperature"]
    assert result.calibration.temperature != whole, "fold 3 has no say"
    kept = read_predictions(tmp_path / "run" / "predictions.parquet")
    fold = read_predictions(validated / "fold3" / "predictions.parquet")  # the same network, not calibrated
    columns = [name for name in kept.columns if name.startswith("p:")]
    expected = tempered(fold[columns].to_numpy(), result.calibration.temperature)
    np.testing.assert_allclose(kept[columns].to_numpy(), expected, atol=1e-4)
    model = soundfold.load(tmp_path / "run")
    np.testing.assert_allclose(
        list(model.predict(kept["path"][0]).probabilities.values()), kept[columns].to_numpy()[0], atol=1e-3
    )


def test_what_does_not_fit_is_refused_before_training(
    validated: Path, small_data: Path, small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(match: str, **changes: object) -> None:
        settings = {"changes": FEW, "everything": True, "calibrate": validated, "cache": validated.parent / "cache"}
        with pytest.raises((DataError, RunError, PathError), match=match):
            soundfold.train(small_data, recipe="tutorial", out=tmp_path / "run", **{**settings, **changes})
        assert not (tmp_path / "run").exists()

    refused(r"was trained with training\.epochs = 2, got 3", changes=SMALL)
    refused("is no cross-validation, and only that has answers", calibrate=small_run, changes=SMALL)
    refused("is no run's folder. Name the folder of a cross-validation", calibrate=tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(validated, broken)
    shutil.rmtree(broken / "fold2")
    refused("must hold a model of each of its 3 folds, which answer to background, got 2", calibrate=broken)
    (broken / "metrics.json").write_text("{}")
    refused("is damaged. Remove it, and --resume makes it again", calibrate=broken)
    refused("nowhere: there is no such run", calibrate=tmp_path / "nowhere")
    refused("answered with 1 network, got 2. Say --seeds 1", seeds=2)
    refused("precision must be above 0 and below 1, got 90", precision=90)
    refused("false alarms must be a number above 0 an hour, got -1", false_alarms=-1.0)
    refused("must be told which answers to go by", calibrate=None, precision=0.9)
    assert main(["train", str(small_data), "--precision", "0.9"]) == 2
    assert "Name a cross-validation by the same recipe with --calibrate RUN" in capsys.readouterr().err


@pytest.mark.long
def test_a_joint_model_is_calibrated_too(small_data: Path, validated: Path, tmp_path: Path) -> None:
    cache = validated.parent / "cache"
    soundfold.cross_validate(small_data, recipe="tutorial", changes=FEW, seeds=2, out=tmp_path / "cv", cache=cache)
    soundfold.train(
        small_data,
        recipe="tutorial",
        changes=FEW,
        seeds=2,
        everything=True,
        calibrate=tmp_path / "cv",
        out=tmp_path / "run",
        cache=cache,
    )
    batch = np.random.default_rng(0).normal(0, 0.2, (4, 1, 4_000)).astype(np.float32)
    alone = [soundfold.load(tmp_path / "run" / f"seed{seed}").probabilities(batch) for seed in range(2)]
    model = soundfold.load(tmp_path / "run")
    expected = tempered(np.mean(alone, axis=0), model.card.temperature)
    np.testing.assert_allclose(model.probabilities(batch), expected, atol=1e-5)

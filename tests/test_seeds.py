"""Several seeds: one model file that answers with the mean of its networks, and what one alone is worth."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file

import soundfold
from conftest import SMALL
from soundfold.cli import main
from soundfold.errors import RunError
from soundfold.evaluation import CvResult, TrainResult, probabilities_in, read_predictions, score
from soundfold.jobs.ensemble import score_seeds
from soundfold.models import build_classifier
from soundfold.recipe import load_recipe

SEEDS = 2
FEW = (*SMALL, "training.epochs=2")


@pytest.fixture(scope="module")
def validated(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seeds-cv")
    soundfold.cross_validate(
        small_data, recipe="tutorial", changes=FEW, seeds=SEEDS, folds=[1, 3], out=folder / "cv", cache=folder / "cache"
    )
    return folder / "cv"


@pytest.fixture(scope="module")
def trained(validated: Path) -> Path:
    """What a training of fold 3 writes, as the folder of the fold."""
    return validated / "fold3"


def members(run: Path) -> list[Path]:
    return [run / f"seed{seed}" for seed in range(SEEDS)]


def test_the_file_answers_with_the_mean_of_the_networks(trained: Path) -> None:
    batch = np.random.default_rng(0).normal(0, 0.2, (5, 1, 4_000)).astype(np.float32)
    alone = [soundfold.load(run).probabilities(batch) for run in members(trained)]
    assert np.abs(alone[0] - alone[1]).max() > 1e-3
    np.testing.assert_allclose(soundfold.load(trained).probabilities(batch), np.mean(alone, axis=0), atol=1e-6)


def test_the_file_answers_as_torch_does(trained: Path) -> None:
    batch = np.random.default_rng(1).normal(0, 0.2, (4, 1, 4_000)).astype(np.float32)
    answers = []
    for run in members(trained):
        classifier = build_classifier(load_recipe("tutorial", FEW), 2, 0)
        classifier.load_state_dict(load_file(run / "weights.safetensors"))
        with torch.inference_mode():
            answers.append(classifier.eval()(torch.from_numpy(batch)).softmax(dim=-1))
    expected = torch.stack(answers).mean(dim=0).numpy()
    assert np.abs(soundfold.load(trained).probabilities(batch) - expected).max() < 1e-4


def test_the_front_end_stands_in_the_file_once(trained: Path) -> None:
    one, joint = (onnx.load(run / "model.onnx").graph for run in (members(trained)[0], trained))
    alone, together = (sum(len(tensor.raw_data) for tensor in graph.initializer) for graph in (one, joint))
    learned = sum(tensor.nbytes for tensor in load_file(members(trained)[0] / "weights.safetensors").values())
    assert alone > learned + 10_000  # the front end
    assert together - alone <= learned
    count = [sum(node.op_type == "Conv" for node in graph.node) for graph in (one, joint)]
    assert count[1] == SEEDS * count[0]
    assert len(joint.node) < SEEDS * len(one.node)
    assert [value.name for value in joint.output] == ["probabilities"]
    names = [name for node in joint.node for name in node.output]
    assert len(names) == len(set(names))


def test_each_network_is_what_its_seed_alone_gives(
    small_data: Path, trained: Path, tmp_path: Path, hollow_model_file: None
) -> None:
    soundfold.train(
        small_data, recipe="tutorial", changes=FEW, seed=1, test_fold=3, out=tmp_path / "run", cache=tmp_path / "cache"
    )
    mine = load_file(tmp_path / "run" / "weights.safetensors")
    theirs = load_file(trained / "seed1" / "weights.safetensors")
    assert all(torch.equal(theirs[name], tensor) for name, tensor in mine.items())


def test_scores_are_those_of_the_mean(trained: Path) -> None:
    result = TrainResult.model_validate_json((trained / "metrics.json").read_text(encoding="utf-8"))
    table = read_predictions(trained / "predictions.parquet")
    alone = [probabilities_in(read_predictions(run / "predictions.parquet")) for run in members(trained)]
    np.testing.assert_allclose(probabilities_in(table), np.mean(alone, axis=0), atol=1e-6)
    assert score(table).accuracy == result.accuracy
    told = [json.loads((run / "metrics.json").read_text())["accuracy"] for run in members(trained)]
    assert result.seeds is not None
    assert result.seeds.seeds == (0, 1)
    assert (result.seeds.mean, result.seeds.std_folds) == (pytest.approx(np.mean(told)), None)
    assert result.seeds.std_seeds == pytest.approx(np.std(told, ddof=1))
    assert "2 networks, seeds 0 to 1" in soundfold.load(trained).card.data


def test_cross_validation_tells_one_network_and_the_mean(validated: Path) -> None:
    result = CvResult.model_validate_json((validated / "metrics.json").read_text(encoding="utf-8"))
    told = np.array(
        [
            [json.loads((run / "metrics.json").read_text())["accuracy"] for run in members(validated / f"fold{fold}")]
            for fold in (1, 3)
        ]
    )
    assert result.seeds is not None
    assert result.seeds.mean == pytest.approx(told.mean())
    assert result.seeds.std_folds == pytest.approx(told.mean(axis=1).std(ddof=1))
    assert result.seeds.std_seeds == pytest.approx(told.mean(axis=0).std(ddof=1))
    assert [(each.fold, each.mean) for each in result.seeds.folds] == [
        (fold, pytest.approx(own.mean())) for fold, own in zip((1, 3), told, strict=True)
    ]
    folds = [json.loads((validated / f"fold{fold}" / "metrics.json").read_text())["accuracy"] for fold in (1, 3)]
    assert [fold.accuracy for fold in result.folds] == folds
    assert score(read_predictions(validated / "predictions.parquet")).accuracy == result.accuracy_pooled
    assert soundfold.load(validated / "fold3").labels == ("high", "low")


def test_a_run_of_several_is_continued_with_as_many(small_data: Path, validated: Path) -> None:
    places = {"changes": FEW, "folds": [1, 3], "out": validated, "cache": validated.parent / "cache", "resume": True}
    finished, joined = validated / "metrics.json", validated / "fold3" / "metrics.json"
    before = [CvResult.model_validate_json(finished.read_text()), TrainResult.model_validate_json(joined.read_text())]
    model = (validated / "fold3" / "model.onnx").read_bytes()
    finished.unlink()
    joined.unlink()
    again = soundfold.cross_validate(small_data, recipe="tutorial", seeds=SEEDS, **places)  # type: ignore[arg-type]
    assert (again.accuracy, again.confusion, again.seeds) == (
        before[0].accuracy, before[0].confusion, before[0].seeds,
    )  # fmt: skip
    assert TrainResult.model_validate_json(joined.read_text()).seeds == before[1].seeds
    assert (validated / "fold3" / "model.onnx").read_bytes() == model
    with pytest.raises(RunError, match="was begun with seeds = 2, got 3"):
        soundfold.cross_validate(small_data, recipe="tutorial", seeds=3, **places)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("copied", "told"),
    [("fold3/seed0", "another recipe than this run's"), ("fold1/seed1", "another split than this run's")],
)
def test_a_training_that_was_copied_into_the_place_of_another_is_told(
    small_data: Path, validated: Path, tmp_path: Path, copied: str, told: str
) -> None:
    """Else a network counts as two, or the clips of one fold are scored twice and those of another never."""
    run = tmp_path / "run"
    shutil.copytree(validated, run)
    shutil.rmtree(run / "fold3" / "seed1")
    shutil.copytree(run / copied, run / "fold3" / "seed1")
    for finished in (run, run / "fold3"):
        (finished / "metrics.json").unlink()
    with pytest.raises(RunError, match=f"seed1: holds a training of {told}. Remove that folder"):
        soundfold.cross_validate(
            small_data, recipe="tutorial", changes=FEW, seeds=SEEDS, folds=[1, 3], out=run,
            cache=validated.parent / "cache", resume=True,
        )  # fmt: skip


def test_a_fold_without_a_score_counts_in_no_mean_of_seeds() -> None:
    """Of several labels a clip, where no held-out clip bears any."""

    def results(fold: int, *reached: float | None) -> list[TrainResult]:
        split = SimpleNamespace(fold=fold)
        return [SimpleNamespace(accuracy=None, mean_average_precision=one, split=split) for one in reached]  # type: ignore[misc]

    told = score_seeds([0, 1], [results(1, 0.5, 0.7), results(2, None, None)])
    assert told is not None
    assert (told.mean, told.std_folds, [fold.fold for fold in told.folds]) == (pytest.approx(0.6), None, [1])
    assert score_seeds([0, 1], [results(2, None, None)]) is None


def test_one_seed_is_told_as_ever(small_run: Path) -> None:
    assert "seeds" not in json.loads((small_run / "metrics.json").read_text())
    assert "seeds" not in json.loads((small_run / "run.json").read_text())
    assert not list(small_run.glob("seed*"))


def test_all_with_several_scores_nothing(
    small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(networks: list[object], files: list[Path], card: object, path: Path, probes: object) -> float:
        path.write_bytes(b"")
        return float(len(files))

    monkeypatch.setattr("soundfold.jobs.ensemble.export_ensemble", export)
    changes = ["-r", "tutorial", *(part for change in (*SMALL, "training.epochs=1") for part in ("--set", change))]
    command = ["train", str(small_data), *changes, "--all", "--seeds", "2", "--out", str(tmp_path / "run")]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "the model is the mean of 2 networks, seeds 0 to 1" in told
    assert "model.onnx equals torch within 2.0e+00" in told
    result = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert "seeds" not in result
    assert (result["accuracy"], result["split"]["n_train"]) == (None, 36)


def test_people_are_told_of_one_network_and_of_the_mean(
    small_data: Path, validated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = ["-r", "tutorial", *(part for change in FEW for part in ("--set", change))]
    where = ["--folds", "1,3", "--out", str(validated), "--cache", str(validated.parent / "cache"), "--resume"]
    assert main(["cv", str(small_data), *changes, "--seeds", "2", *where]) == 0
    told = capsys.readouterr().out
    assert "over folds, ± " in told
    assert "over 2 seeds; all else is of the mean of 2 networks" in told
    assert "--all --seeds 2 --recipe" in told


@pytest.mark.parametrize(
    ("recipe", "seeds", "message"),
    [
        ("tutorial", 0, "seeds must be at least 1, got 0. Leave it out for one network"),
        ("mfcc", 2, "seeds must be 1 with training.optimizer = lbfgs, in which nothing is random, got 2"),
    ],
)
def test_what_has_no_seeds_is_refused(small_data: Path, tmp_path: Path, recipe: str, seeds: int, message: str) -> None:
    for verb in (soundfold.train, soundfold.cross_validate):
        with pytest.raises(RunError, match=message):
            verb(small_data, recipe=recipe, seeds=seeds, out=tmp_path / "run", cache=tmp_path / "cache")
    assert not (tmp_path / "run").exists()


def test_report_draws_every_network_and_tells_what_one_alone_is_worth(validated: Path, tmp_path: Path) -> None:
    result = CvResult.model_validate_json((validated / "metrics.json").read_text(encoding="utf-8"))
    page = soundfold.report(validated, out=tmp_path / "page.html", clips=0).read_text(encoding="utf-8")
    names = [f"fold {fold}, seed {seed}" for fold in (1, 3) for seed in range(SEEDS)]
    assert {name: page.count(f"<title>{name}</title>") for name in names} == dict.fromkeys(names, 4)  # two a panel
    assert "Each seed of each fold is a line of its own" in page
    assert result.seeds is not None
    assert f"{100 * result.seeds.mean:.1f} ± {100 * result.seeds.std_seeds:.1f} %" in page
    assert "one network alone" in page
    assert "Each fold is answered by the 2 networks together that were trained on all others." in page
    fold = soundfold.report(validated / "fold3", out=tmp_path / "fold.html", clips=0).read_text(encoding="utf-8")
    assert fold.count("<title>seed 1</title>") == 4
    assert "one network alone" in fold

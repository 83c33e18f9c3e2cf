"""Clips that bear several labels: from a table's cells to a sigmoid in the model file, and a score of each label."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from sklearn.metrics import average_precision_score, f1_score

import soundfold
from conftest import RATE, SMALL
from soundfold.cli import main
from soundfold.data import by_recording, fold_splits, random_split, read_clips
from soundfold.errors import DataError, RunError
from soundfold.evaluation import CvResult, TrainResult, predictions_table, read_predictions, score
from soundfold.evaluation.multi_label import average_precisions
from soundfold.evaluation.report import surest_mistakes
from soundfold.export.parity import awkward_windows
from soundfold.jobs.learning import job_of
from soundfold.jobs.prepare import prepare
from soundfold.jobs.reporting import Silent
from soundfold.jobs.weighting import clip_weights
from soundfold.models import build_classifier, to_probabilities
from soundfold.recipe import load_recipe
from soundfold.training import FitJob, Hardware, fit
from soundfold.training.epoch import _order
from soundfold.training.fitting import judge
from soundfold.training.launch import fit_together
from soundfold.training.linear_fit import Windows, solve
from tone_tables import write_tones

LEARNING = (*SMALL, "training.epochs=12", "training.validate_every=6", "training.lr=0.01")


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tones(tmp_path_factory.mktemp("tones") / "data")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def cross_validated(tones: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> CvResult:
    """A finished cross-validation; its `out` is the run's folder."""
    out = tmp_path_factory.mktemp("cv") / "run"
    return soundfold.cross_validate(tones, recipe="tutorial", changes=LEARNING, folds=[1, 2], out=out, cache=cache)


def write_cells(folder: Path, cells: list[object], name: str = "clips.csv") -> Path:
    for number in range(len(cells)):
        soundfile.write(folder / f"{number}.wav", np.full(80, 0.1), RATE)
    table = pd.DataFrame({"path": [f"{number}.wav" for number in range(len(cells))], "label": cells})
    if name.endswith(".csv"):
        table.to_csv(folder / name, index=False)
    else:
        table.to_parquet(folder / name)
    return folder / name


def test_cells_that_part_labels_are_found_and_said(tmp_path: Path) -> None:
    clips = read_clips(write_cells(tmp_path, ["b; a", "", "c", "a;b;;a"]))
    assert clips.several
    assert clips.table["label"].tolist() == ["a;b", "", "c", "a;b"]
    assert clips.labels == ("a", "b", "c")
    assert clips.membership().tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1], [1, 1, 0]]
    assert clips.targets().dtype == np.float32
    assert any(
        "Several labels a clip: clips bear 0 to 2 labels each, 1.2 in the mean, 1 bear none; 2 cells of the "
        "column 'label' part them with ';', as in 'b; a' (training.labels=one takes a cell as one label)" in note
        for note in clips.notes
    )  # fmt: skip
    assert not clips.left_out


def test_a_separator_that_parts_nothing_makes_no_label_of_its_own(tmp_path: Path) -> None:
    clips = read_clips(write_cells(tmp_path, ["a;", "a;a", "; b", "b", ";"]))
    assert not clips.several
    assert clips.table["label"].tolist() == ["a", "a", "b", "b"]
    assert clips.labels == ("a", "b")
    assert read_clips(write_cells(tmp_path, ["a;", "b"]), labels="one").labels == ("a;", "b")


def test_a_list_column_of_parquet_is_several_labels(tmp_path: Path) -> None:
    path = write_cells(tmp_path, [["b", "a"], [], ["a"]], "clips.parquet")
    clips = read_clips(path)
    assert clips.several
    assert clips.table["label"].tolist() == ["a;b", "", "a"]
    with pytest.raises(DataError, match=r"label must be text with training\.labels=one, got a list"):
        read_clips(path, labels="one")
    write_cells(tmp_path, [["a;b"], ["a"]], "clips.parquet")
    with pytest.raises(DataError, match="label must hold no ';' inside a list, got 'a;b'"):
        read_clips(path)


def test_what_is_ambiguous_is_decided_by_the_recipe(tmp_path: Path) -> None:
    one_each = write_cells(tmp_path, ["a", "", "b", "b"])
    assert not read_clips(one_each).several
    assert len(read_clips(one_each)) == 3  # an empty cell is a label that is missing
    several = read_clips(one_each, labels="several")
    assert several.several
    assert len(several) == 4
    kept = read_clips(write_cells(tmp_path, ["a;b", "a", "a"]), labels="one")
    assert kept.labels == ("a", "a;b")
    assert not kept.several


def test_where_a_part_of_the_rows_is_chosen_the_table_as_a_whole_decides(tmp_path: Path) -> None:
    path = write_cells(tmp_path, ["a;b", "a", ""])
    assert read_clips(path, where={"label": "a"}).several


def test_data_without_a_difference_to_learn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="all 2 clips have the labels 'a;b', training needs some without"):
        soundfold.train(write_cells(tmp_path, ["a;b", "a;b"]), recipe="tutorial", out=tmp_path / "run")


def test_splits_spread_every_label_and_keep_recordings_whole(tones: Path) -> None:
    clips = read_clips(tones)
    borne, groups = clips.membership(), clips.table["group"].to_numpy()
    whole = borne.mean(axis=0)
    recordings = by_recording(clips, 0.25, 0)
    assert not set(groups[recordings.train]) & set(groups[recordings.test])
    for split in (recordings, random_split(clips, 0.25, 0)):
        assert len(split.train) + len(split.test) == len(clips)
        assert np.abs(borne[split.test].mean(axis=0) - whole).max() < 0.15
    free = clips.subset(np.arange(len(clips)))
    free.table["fold"] = None
    tested = np.concatenate([split.test for split in fold_splits(free, None)])
    assert sorted(tested) == list(range(len(clips)))


def test_two_independent_tones_are_learned(cross_validated: CvResult) -> None:
    assert cross_validated.mean_average_precision is not None
    assert cross_validated.mean_average_precision > 0.9
    assert cross_validated.accuracy is None
    assert cross_validated.accuracy_mean is None
    assert cross_validated.confusion is None
    assert [fold.n for fold in cross_validated.folds] == [16, 16]
    low, high = cross_validated.mean_average_precision_ci95 or (1, 0)
    assert low <= (cross_validated.mean_average_precision_pooled or 0) <= high
    run = Path(cross_validated.out or "")
    assert (run / "average_precision.png").exists()
    assert not (run / "confusion.png").exists()
    assert "val_map" in (run / "fold1" / "log.csv").read_text().splitlines()[0]


def test_the_predictions_recompute_the_scores_and_agree_with_scikit_learn(cross_validated: CvResult) -> None:
    table = read_predictions(Path(cross_validated.out or "") / "predictions.parquet")
    again = score(table)
    assert again.mean_average_precision == cross_validated.mean_average_precision_pooled
    assert again.per_class == cross_validated.per_class
    truth, told = (table[[f"{kind}:{label}" for label in again.labels]].to_numpy() for kind in "tp")
    expected = average_precision_score(truth, told, average=None)
    np.testing.assert_allclose([each.average_precision for each in again.per_class], expected, atol=1e-12)
    assert again.macro_f1 == pytest.approx(f1_score(truth, told > 0.5, average="macro", zero_division=0))
    by_fold = [
        average_precision_score(*(part[[f"{kind}:{label}" for label in again.labels]].to_numpy() for kind in "tp"))
        for _, part in table.groupby("fold")
    ]
    assert cross_validated.mean_average_precision == pytest.approx(np.mean(by_fold))
    assert cross_validated.mean_average_precision_std == pytest.approx(np.std(by_fold, ddof=1))


def test_clips_of_no_label_count_as_negatives(cross_validated: CvResult) -> None:
    table = read_predictions(Path(cross_validated.out or "") / "predictions.parquet")
    assert (table["label"] == "").sum() == 8
    assert table.loc[table["label"] == "", ["t:low", "t:high"]].to_numpy().sum() == 0
    loud = table.copy()
    loud.loc[loud["label"] == "", "p:low"] = 1.0  # told wrongly, they must cost precision
    loud["probability"] = loud[["p:high", "p:low"]].max(axis=1)
    loud["predicted"] = [
        ";".join(label for label in ("high", "low") if row[f"p:{label}"] > 0.5) for _, row in loud.iterrows()
    ]
    before, after = score(table).per_class[1], score(loud).per_class[1]
    assert (before.average_precision or 0) - (after.average_precision or 0) > 0.2
    assert after.precision < before.precision


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_scikit_learns_with_ties_and_weights(seed: int) -> None:
    generator = np.random.default_rng(seed)
    ranks = generator.integers(0, 6, (40, 3)) / 6  # many clips of equal probability
    truth = generator.random((40, 3)) < 0.3
    truth[0] = True
    expected = average_precision_score(truth, ranks, average=None)
    np.testing.assert_allclose(average_precisions(ranks, truth), expected, atol=1e-12)
    often = generator.integers(0, 4, (7, 40)).astype(float)
    often[:, 0] = 1
    expected = [average_precision_score(truth, ranks, average=None, sample_weight=row) for row in often]
    np.testing.assert_allclose(average_precisions(ranks, truth, often), expected, atol=1e-12)
    assert np.isnan(average_precisions(ranks, np.zeros_like(truth))).all()


def test_a_label_that_no_clip_bears_and_one_that_the_model_does_not_know_are_told() -> None:
    table = predictions_table(
        pd.DataFrame({"path": ["1", "2", "3"], "label": ["a;z", "", "a"], "fold": None, "group": ["x", "y", "y"]}),
        ["a", "b"], [[0.9, 0.9], [0.2, 0.1], [0.6, 0.4]], several=True,
    )  # fmt: skip
    assert table["predicted"].tolist() == ["a;b", "", "a"]
    scores = score(table)
    assert [each.average_precision for each in scores.per_class] == [1.0, None]
    assert [each.recall_ci95 for each in scores.per_class] == [pytest.approx((0.025 ** (1 / 2), 1.0)), None]
    assert scores.mean_average_precision == 1.0
    assert scores.unknown_labels == ("z",)
    assert "The model does not know 1 label of the data (z): not scored." in scores.notes
    assert any("1 label is borne by no clip here" in note for note in scores.notes)
    table.loc[0, "t:b"] = 1
    with pytest.raises(DataError, match="t: columns must be 1 for the labels in 'label' and 0 for others"):
        score(table)


def test_the_json_of_one_label_a_clip_has_no_field_of_several(small_run: Path) -> None:
    text = (small_run / "metrics.json").read_text(encoding="utf-8")
    assert "average_precision" not in text
    result = TrainResult.model_validate_json(text)
    assert json.loads(result.model_dump_json()) == json.loads(text)
    assert "val_map" not in (small_run / "log.csv").read_text()
    assert soundfold.load(small_run).card.answer == "one"
    assert "labels" not in soundfold.load(small_run).predict(np.zeros(RATE), RATE).as_dict()


def test_the_sigmoid_in_the_file_answers_as_torch(cross_validated: CvResult, tones: Path) -> None:
    run = Path(cross_validated.out or "") / "fold1"
    model = soundfold.load(run)
    assert model.card.answer == "several"
    recipe = load_recipe(Path(cross_validated.out or "") / "recipe.yaml")
    classifier = build_classifier(recipe, 2, 0)
    from safetensors.torch import load_file

    classifier.load_state_dict(load_file(run / "weights.safetensors"))
    classifier.eval()
    windows = awkward_windows(1, recipe.sound.window, RATE)
    with torch.inference_mode():
        expected = to_probabilities(classifier(torch.from_numpy(windows)), several=True).numpy()
    answers = model.probabilities(windows)
    np.testing.assert_allclose(answers, expected, atol=1e-4)
    assert np.abs(answers.sum(axis=1) - 1).max() > 0.01  # they are not shares of one
    evaluated = soundfold.evaluate(run, tones, fold=1)
    fold = cross_validated.folds[0]
    assert evaluated.mean_average_precision == pytest.approx(fold.mean_average_precision, abs=1e-3)
    both = soundfold.evaluate(run, tones)
    assert both.met is not None
    assert both.not_met is not None
    assert both.not_met.mean_average_precision == pytest.approx(evaluated.mean_average_precision)
    assert (both.not_met.accuracy, both.met.n + both.not_met.n) == (None, both.n)


def test_predict_tells_every_label_above_a_half(
    cross_validated: CvResult, tones: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(cross_validated.out or "") / "fold1"
    model = soundfold.load(run)
    both, none = (model.predict(tones.parent / f"{clip}.wav") for clip in (3, 0))
    assert set(both.labels or ()) == {"low", "high"}
    assert both.labels == tuple(sorted(both.labels, key=lambda label: -both.probabilities[label]))
    assert none.labels == ()
    assert none.probability == max(none.probabilities.values()) <= 0.5
    assert main(["predict", str(run), str(tones.parent / "3.wav"), str(tones.parent / "0.wav")]) == 0
    first, second = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert first[1] == ";".join(both.labels or ())
    assert [float(each) > 0.5 for each in first[2].split(";")] == [True, True]
    assert (second[1], float(second[2])) == (none.label, pytest.approx(none.probability, abs=1e-3))
    assert main(["predict", str(run), str(tones.parent / "0.wav"), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["labels"] == []
    assert told["label"] == none.label


def test_the_server_answers_alike(cross_validated: CvResult, tones: Path) -> None:
    from fastapi.testclient import TestClient

    from soundfold.serve import build_app

    model = soundfold.load(Path(cross_validated.out or "") / "fold1")
    with TestClient(build_app(model)) as client:
        (told,) = client.post("/v1/predict", content=(tones.parent / "3.wav").read_bytes()).json()
        assert set(told["labels"]) == {"low", "high"}
        assert client.get("/v1/models").json()[0]["answer"] == "several"


@pytest.mark.long
def test_trainings_in_one_pass_and_over_two_processes_learn_the_same(tones: Path, cache: Path, tmp_path: Path) -> None:
    recipe = load_recipe("tutorial", (*SMALL, "augment.mix=mixup", "weighting=classes", "label_smoothing=0.1"))
    hardware = Hardware("cpu")
    prepared = prepare(tones, recipe, Silent(), where=None, cache=cache, check=lambda _: None, hardware=hardware)
    splits = fold_splits(prepared.clips, ["1", "2"])
    left = {}
    for name in ("alone", "together", "two"):
        jobs = [job_of(prepared, split, recipe, tmp_path / name / split.name) for split in splits]
        for job in jobs:
            job.folder.mkdir(parents=True)
        if name == "together":
            left[name] = fit_together(jobs, hardware, lambda *_: None)
        else:
            two = Hardware("cpu", devices=2)
            where, some = (two, jobs[:1]) if name == "two" else (hardware, jobs)
            left[name] = [fit(job, where, lambda _: None) for job in some]
    for name in ("together", "two"):
        for one, other in zip(left["alone"], left[name], strict=False):
            for ours, theirs in zip(one.history, other.history, strict=True):
                assert theirs.train_loss == pytest.approx(ours.train_loss, rel=1e-3)
                assert theirs.val_loss == pytest.approx(ours.val_loss, rel=1e-3)
                assert theirs.val_map == pytest.approx(ours.val_map, abs=0.02)
                assert theirs.train_accuracy is theirs.val_accuracy is None


def test_a_regression_a_label_and_mixed_targets_learn_too(tones: Path, cache: Path, tmp_path: Path) -> None:
    still = ["augment.place=centre", "time_shift=0", "frequency_masks=0", "time_masks=0"]
    linear = [*SMALL[:6], "model.name=linear", "optimizer=lbfgs", "c=1", "weighting=recordings", *still]
    result = soundfold.train(
        tones, recipe="tutorial", changes=linear, test_fold=3, out=tmp_path / "linear", cache=cache
    )
    assert (result.mean_average_precision or 0) > 0.9
    mixed = [*LEARNING, "augment.mix=between_class", "label_smoothing=0.1", "weighting=classes"]
    result = soundfold.train(tones, recipe="tutorial", changes=mixed, test_fold=3, out=tmp_path / "mixed", cache=cache)
    assert (result.mean_average_precision or 0) > 0.9


@pytest.mark.parametrize("head_fit", ["logistic", "discriminant"])
def test_a_label_that_is_always_or_never_there_is_always_or_never_told(tmp_path: Path, head_fit: str) -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=(30, 4)).astype(np.float32)
    labels = np.stack([values[:, 0] > 0, np.zeros(30), np.ones(30)], axis=1).astype(np.float32)
    windows = Windows(np.arange(30), labels, np.ones(30), np.arange(30))
    recipe = load_recipe("probe", [f"head_fit={head_fit}", "c=1"])
    job = FitJob(recipe, 3, tmp_path, windows.rows, labels, windows.rows[:0], labels[:0], tmp_path)
    weights, bias = solve(values, [(0, 2), (2, 4)], windows, job)
    told = values @ weights.T + bias
    assert ((told > 0) == (labels > 0.5)).all(axis=0).tolist()[1:] == [True, True]
    assert ((told[:, 0] > 0) == (labels[:, 0] > 0.5)).mean() > 0.8


def test_each_label_costs_its_own_cross_entropy() -> None:
    logits, target = torch.randn(5, 3), (torch.rand(5, 3) > 0.5).float()
    loss, right = judge(logits, target, several=True)
    each = torch.nn.functional.binary_cross_entropy(logits.sigmoid(), target, reduction="none")
    assert float(loss) == pytest.approx(float(each.mean(dim=1).sum()), rel=1e-5)
    assert int(right) == int(((logits > 0) == target.bool()).all(dim=1).sum())
    weight = torch.rand(5)
    weighted, _ = judge(logits, target, weight, several=True)
    assert float(weighted) == pytest.approx(float((each.mean(dim=1) * weight).sum()), rel=1e-5)
    smooth, _ = judge(logits, target, several=True, smoothing=1.0)
    even, _ = judge(logits, torch.full_like(target, 0.5), several=True)
    assert float(smooth) == pytest.approx(float(even))


def test_weights_and_sampling_let_labels_count_alike(tmp_path: Path) -> None:
    clips = read_clips(write_cells(tmp_path, ["a"] * 12 + ["a;b"] * 2 + [""] * 4))
    borne = clips.membership()
    parts = np.concatenate([borne, ~borne.any(axis=1, keepdims=True)], axis=1)
    parts = parts / parts.sum(axis=1, keepdims=True)
    weight = clip_weights(clips, np.arange(18), "classes")
    assert weight.mean() == pytest.approx(1.0)
    assert weight[12] > weight[0]  # it bears the rare label too
    assert weight[14] > weight[0]  # those of none are as rare
    assert weight[14:].sum() == pytest.approx(weight.sum() / 3)
    order = _order(clips.targets(), "balanced", torch.Generator().manual_seed(0))
    assert len(order) == 18
    heard = borne[order]
    assert heard[:, 1].sum() >= 6
    assert (~heard.any(axis=1)).sum() == 6


def test_a_model_of_one_label_refuses_clips_of_several_in_a_line(tones: Path, small_run: Path) -> None:
    with pytest.raises(DataError, match="its clips bear several labels each") as told:
        soundfold.evaluate(small_run, tones)
    assert "\n" not in str(told.value)


def test_a_report_tells_precisions_and_every_label_that_was_mistaken(
    cross_validated: CvResult, small_run: Path, tmp_path: Path
) -> None:
    run = Path(cross_validated.out or "")
    page = soundfold.report(run, out=tmp_path / "one.html").read_text(encoding="utf-8")
    reached = f"{100 * (cross_validated.mean_average_precision or 0):.1f}\u00a0±"
    assert f"Mean average precision of {reached}" in page
    assert "over 2 labels, on 32 clips from 16 recordings that it had never met" in page
    assert "ranking the clips by chance, which would give 50.0" in page
    assert "Who is taken for whom" not in page
    assert "mean average precision, %</figcaption>" in page, "its curve"
    assert "accuracy, %</figcaption>" not in page
    shutil.copytree(run, tmp_path / "copy")
    twice = soundfold.report([run, tmp_path / "copy"], out=tmp_path / "twice.html").read_text(encoding="utf-8")
    assert "rank the clips equally well" in twice
    assert "right here alone" not in twice
    both = soundfold.report([run, run / "fold1"], out=tmp_path / "two.html").read_text(encoding="utf-8")
    assert "Average precision by class" in both
    with pytest.raises(RunError, match="runs must all be of one label a clip, or all of several"):
        soundfold.report([run, small_run], out=tmp_path / "no.html")


def test_the_surest_mistake_of_a_clip_is_the_one_that_is_told() -> None:
    labels = ("a", "b", "c")
    answers = [[0.9, 0.8, 0.4], [0.1, 0.02, 0.7], [0.6, 0.1, 0.3], [0.9, 0.6, 0.1]]
    table = pd.DataFrame(
        {"path": list("wxyz"), "label": ["a;c", "b", "", "a;b"], "fold": None, "group": ["1", "2", "3", "4"]}
    )
    chosen, wrong = surest_mistakes(predictions_table(table, labels, answers, several=True), 10)
    assert wrong == 3
    found = [(clip.path, clip.predicted, pytest.approx(clip.probability), clip.label) for clip in chosen]
    assert found == [
        ("x", "no b", 0.98, "b"), ("w", "b", 0.8, "a;c"), ("y", "a", 0.6, "none of its labels")
    ]  # fmt: skip


def test_people_are_told_precisions_and_audits_count_every_label(
    cross_validated: CvResult, tones: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = [
        "cv",
        str(tones),
        "-r",
        "tutorial",
        "--out",
        cross_validated.out or "",
        "--resume",
        "--folds",
        "1,2",
        "--cache",
        str(cache),
    ]
    assert main([*again, *(part for change in LEARNING for part in ("--set", change))]) == 0
    out = capsys.readouterr().out
    assert "mAP" in out
    assert "accuracy" not in out
    assert main(["data", "check", str(tones), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["per_class"] == {"high": 24, "low": 24}
    soundfold.show(
        tones, tones.parent / "clips.png", recipe="tutorial", changes=(*SMALL[:6], "augment.mix=mixup"), clips=3
    )
    assert (tones.parent / "clips.png").exists()

"""Whole jobs on a small data set: train, cross-validate, evaluate; what they write, and what they refuse."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

import soundfold
from conftest import RATE, SMALL, tone, write_folders
from soundfold.errors import DataError, PathError, RecipeError, RunError, SoundfoldError
from soundfold.evaluation import CvResult, TrainResult, read_predictions, score
from soundfold.jobs.reporting import Silent

FILES = {
    "recipe.yaml", "run.json", "log.csv", "model.onnx", "weights.safetensors", "metrics.json", "predictions.parquet",
    "confusion.png", "curves.png",
}  # fmt: skip


def files_of(run: Path) -> set[str]:
    return {path.name for path in run.iterdir() if not path.name.startswith("events.")}


def test_training_leaves_a_whole_run(small_run: Path) -> None:
    assert files_of(small_run) == FILES
    assert any(path.name.startswith("events.") for path in small_run.iterdir())
    result = TrainResult.model_validate_json((small_run / "metrics.json").read_text(encoding="utf-8"))
    assert result.split.fold == 3
    assert (result.split.n_train, result.n) == (24, 12)
    assert result.accuracy is not None
    assert result.labels == ("high", "low")
    assert result.clips_per_second is not None
    assert soundfold.load_recipe(small_run / "recipe.yaml").as_dict() == result.recipe


def test_scores_can_be_recomputed_from_the_predictions(small_run: Path) -> None:
    result = TrainResult.model_validate_json((small_run / "metrics.json").read_text(encoding="utf-8"))
    again = score(read_predictions(small_run / "predictions.parquet"))
    assert (again.accuracy, again.accuracy_ci95, again.macro_f1) == (
        result.accuracy,
        result.accuracy_ci95,
        result.macro_f1,
    )


def test_evaluate_agrees_with_what_training_said(small_run: Path, small_data: Path, tmp_path: Path) -> None:
    trained = read_predictions(small_run / "predictions.parquet")
    result = soundfold.evaluate(small_run, small_data, fold=3, predictions=tmp_path / "p.parquet")
    told = read_predictions(tmp_path / "p.parquet")
    assert result.accuracy == json.loads((small_run / "metrics.json").read_text())["accuracy"]
    np.testing.assert_allclose(told["p:low"], trained["p:low"], atol=1e-3)
    assert result.leaks is not None
    assert result.leaks["share"] == 0.0


def test_evaluate_tells_which_clips_it_was_asked_for(small_run: Path, small_data: Path) -> None:
    assert soundfold.evaluate(small_run, small_data).split.name == "all clips"
    sounds = sorted(small_data.rglob("*.wav"))
    rows = [f"{each.relative_to(small_data)},{each.parts[-3]},{each.parts[-4][4:]},{each.stem[-1]}" for each in sounds]
    table = small_data.parent / "of evaluate.csv"
    table.write_text("\n".join(["path,label,fold,take", *(f"{small_data.name}/{row}" for row in rows)]), "utf-8")
    found = [soundfold.evaluate(small_run, table, fold=fold, where={"take": "1"}) for fold in (None, 3)]
    assert [each.split.name for each in found] == ["clips where take=1", "clips of fold 3 where take=1"]
    assert [each.n for each in found] == [len(sounds) // 6, len(sounds) // 18]


def test_evaluate_names_recordings_that_the_model_was_trained_on(small_run: Path, small_data: Path) -> None:
    result = soundfold.evaluate(small_run, small_data)
    assert result.leaks is not None
    assert result.leaks["share"] == pytest.approx(24 / 36)
    assert "66.7 % of these clips come from recordings that the model was trained on" in result.leaks["sentence"]
    assert result.leaks["groups_known"] is True
    assert len(result.leaks["recordings"]) == 12


def test_evaluate_scores_what_the_model_has_met_apart_from_what_it_has_not(
    small_run: Path, small_data: Path, tmp_path: Path
) -> None:
    result = soundfold.evaluate(small_run, small_data, predictions=tmp_path / "p.parquet")
    table = read_predictions(tmp_path / "p.parquet")
    assert result.met is not None
    assert result.not_met is not None
    for side, folds in ((result.met, ["1", "2"]), (result.not_met, ["3"])):
        alone = score(table[table["fold"].isin(folds)].reset_index(drop=True))
        assert dict(side) == {name: getattr(alone, name) for name in dict(side)}
    assert result.met.n + result.not_met.n == result.n
    assert (result.met.n_recordings, result.not_met.n_recordings) == (12, 6)
    new = soundfold.evaluate(small_run, small_data, fold=3)
    assert new.met is None
    assert new.not_met is not None
    assert new.not_met.accuracy == new.accuracy
    known = soundfold.evaluate(small_run, small_data, fold=1)
    assert known.not_met is None
    assert known.met is not None
    assert known.met.n == known.n


def test_files_found_again_are_met_and_the_others_are_not_said_to_be_new(tmp_path: Path) -> None:
    data = write_folders(tmp_path / "sounds", clips=2)
    for path in sorted(data.rglob("*.wav")):
        path.rename(path.parents[1] / f"{path.parent.name}-{path.name}")
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    trained = soundfold.train(
        data, recipe="tutorial", changes=SMALL, test_fold=3, out=tmp_path / "run", cache=tmp_path / "cache"
    )
    assert trained.interval_over == "files"
    result = soundfold.evaluate(tmp_path / "run", data)
    assert (result.interval_over, result.n_recordings) == ("files", 12)
    assert result.met is not None
    assert (result.met.n, result.not_met) == (8, None)
    assert result.leaks is not None
    assert "66.7 % of these clips come from files that the model was trained on" in result.leaks["sentence"]
    card = soundfold.load(tmp_path / "run").card
    assert card.scores["interval_over"] == "files"


@pytest.mark.usefixtures("hollow_model_file")
def test_cross_validation_meets_every_clip_once(small_data: Path, tmp_path: Path) -> None:
    result = soundfold.cross_validate(
        small_data, recipe="tutorial", changes=SMALL, out=tmp_path / "cv", cache=tmp_path / "cache"
    )
    assert [fold.fold for fold in result.folds] == [1, 2, 3]
    assert result.accuracy_mean == pytest.approx(np.mean([fold.accuracy for fold in result.folds]))
    assert result.accuracy_std == pytest.approx(np.std([fold.accuracy for fold in result.folds], ddof=1))
    table = pd.read_parquet(tmp_path / "cv" / "predictions.parquet")
    assert sorted(table["path"]) == sorted(soundfold.read_clips(small_data).table["path"])
    assert result.accuracy_pooled == pytest.approx((table["label"] == table["predicted"]).mean())
    assert result.leaks is not None
    assert result.leaks["clips"] == 0
    for fold in (1, 2, 3):
        assert files_of(tmp_path / "cv" / f"fold{fold}") == FILES - {"confusion.png", "recipe.yaml", "run.json"}
    again = soundfold.cross_validate(
        small_data, recipe="tutorial", changes=SMALL, out=tmp_path / "cv", cache=tmp_path / "cache", resume=True
    )
    assert again == CvResult.model_validate_json((tmp_path / "cv" / "metrics.json").read_text(encoding="utf-8"))


@pytest.mark.usefixtures("hollow_model_file")
def test_chosen_folds_are_trained_on_all_the_others(small_data: Path, tmp_path: Path) -> None:
    result = soundfold.cross_validate(
        small_data, recipe="tutorial", changes=SMALL, folds=[2], out=tmp_path / "cv", cache=tmp_path / "cache"
    )
    assert [fold.fold for fold in result.folds] == [2]
    assert result.accuracy_std is None
    inner = json.loads((tmp_path / "cv" / "fold2" / "metrics.json").read_text())
    assert (inner["split"]["n_train"], inner["split"]["n_test"]) == (24, 12)


@pytest.mark.usefixtures("hollow_model_file")
def test_random_split_is_scored_with_its_leak(small_data: Path, tmp_path: Path) -> None:
    result = soundfold.train(
        small_data, recipe="tutorial", changes=SMALL, random_split=0.25, out=tmp_path / "run", cache=tmp_path / "cache"
    )
    assert result.n == 9
    assert result.leaks is not None
    assert result.leaks["share"] > 0
    assert "share a recording with training; expect less on new recordings" in result.leaks["sentence"]


def test_all_scores_nothing_and_ships_a_model(small_data: Path, tmp_path: Path) -> None:
    result = soundfold.train(
        small_data, recipe="tutorial", changes=SMALL, everything=True, out=tmp_path / "run", cache=tmp_path / "cache"
    )
    assert result.accuracy is None
    assert result.split.n_train == 36
    assert files_of(tmp_path / "run") == FILES - {"predictions.parquet", "confusion.png"}
    assert soundfold.load(tmp_path / "run").labels == ("high", "low")


@pytest.mark.usefixtures("hollow_model_file")
def test_without_folds_whole_recordings_are_held_out(tmp_path: Path) -> None:
    data = write_folders(tmp_path / "folds")
    for fold in (1, 2, 3):
        for label in ("low", "high"):
            for recording in (data / f"fold{fold}" / label).iterdir():
                target = tmp_path / "plain" / label / recording.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(recording, target)
    result = soundfold.train(
        tmp_path / "plain", recipe="tutorial", changes=SMALL, out=tmp_path / "run", cache=tmp_path / "cache"
    )
    assert result.split.kind == "recordings"
    assert result.leaks is not None
    assert result.leaks["clips"] == 0
    assert 0 < result.n < 18


@pytest.mark.usefixtures("hollow_model_file")
def test_identical_sounds_on_both_sides_are_named(tmp_path: Path) -> None:
    data = write_folders(tmp_path / "sounds")
    shutil.copy(data / "fold1" / "low" / "recording10" / "clip 0.wav", data / "fold3" / "low" / "copy.wav")
    result = soundfold.train(
        data, recipe="tutorial", changes=SMALL, test_fold=3, out=tmp_path / "run", cache=tmp_path / "cache"
    )
    assert result.leaks is not None
    assert result.leaks["identical_clips"] == 1


@pytest.mark.usefixtures("hollow_model_file")
def test_a_few_bad_clips_are_listed_and_training_goes_on(tmp_path: Path) -> None:
    data = write_folders(tmp_path / "sounds")
    (data / "fold1" / "low" / "text.wav").write_text("this is not a sound")
    (data / "fold2" / "high" / "empty.wav").write_bytes(b"")
    result = soundfold.train(
        data, recipe="tutorial", changes=SMALL, test_fold=3, out=tmp_path / "run", cache=tmp_path / "cache"
    )
    assert sorted(Path(clip.path).name for clip in result.left_out) == ["empty.wav", "text.wav"]
    assert result.split.n_train == 24


def test_mostly_bad_clips_are_an_error(tmp_path: Path) -> None:
    data = write_folders(tmp_path / "sounds")
    for path in sorted(data.rglob("*.wav"))[:20]:
        path.write_text("text")
    with pytest.raises(DataError, match="20 of 36 clips cannot be used; the first: .*text"):
        soundfold.train(data, recipe="tutorial", changes=SMALL, out=tmp_path / "run", cache=tmp_path / "cache")
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("hollow_model_file")
def test_a_class_that_cannot_be_heard_at_all_is_named(tmp_path: Path) -> None:
    data = write_folders(tmp_path / "sounds", labels=("low", "high", "mid"))
    for path in data.rglob("mid/*/*.wav"):
        path.write_text("text")
    result = soundfold.train(
        data, recipe="tutorial", changes=SMALL, test_fold=3, out=tmp_path / "run", cache=tmp_path / "cache"
    )
    assert result.labels == ("high", "low")


def test_nothing_is_overwritten(small_data: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(PathError, match="mine: is not empty. Choose another --out"):
        soundfold.train(small_data, recipe="tutorial", changes=SMALL, out=tmp_path / "mine", cache=tmp_path / "cache")
    with pytest.raises(RunError, match="mine: is not a run that could be continued"):
        soundfold.train(
            small_data, recipe="tutorial", changes=SMALL, out=tmp_path / "mine", cache=tmp_path / "cache", resume=True
        )
    with pytest.raises(PathError, match="is a file"):
        soundfold.train(
            small_data, recipe="tutorial", changes=SMALL, out=tmp_path / "mine" / "thesis.txt", cache=tmp_path / "cache"
        )
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_finished_run_is_not_trained_again(small_run: Path, small_data: Path, tmp_path: Path) -> None:
    before = (small_run / "model.onnx").read_bytes()
    with pytest.raises(PathError, match="continue the run with --resume"):
        soundfold.train(
            small_data, recipe="tutorial", changes=SMALL, test_fold=3, out=small_run, cache=tmp_path / "cache"
        )
    result = soundfold.train(
        small_data, recipe="tutorial", changes=SMALL, test_fold=3, out=small_run, cache=tmp_path / "cache", resume=True
    )
    assert result.accuracy == json.loads((small_run / "metrics.json").read_text())["accuracy"]
    assert (small_run / "model.onnx").read_bytes() == before


def test_other_settings_do_not_continue_a_run(small_run: Path, small_data: Path, tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"was begun with recipe.training.epochs = 3, got 4. Continue with the recipe that it was begun"
    ):
        soundfold.train(
            small_data,
            recipe="tutorial",
            changes=SMALL,
            epochs=4,
            test_fold=3,
            out=small_run,
            cache=tmp_path / "cache",
            resume=True,
        )
    with pytest.raises(RunError, match="was begun with split = fold 3, got fold 2"):
        soundfold.train(
            small_data,
            recipe="tutorial",
            changes=SMALL,
            test_fold=2,
            out=small_run,
            cache=tmp_path / "cache",
            resume=True,
        )


@pytest.mark.usefixtures("hollow_model_file")
def test_changed_sounds_do_not_continue_a_run(tmp_path: Path) -> None:
    data = write_folders(tmp_path / "sounds")
    soundfold.train(data, recipe="tutorial", changes=SMALL, test_fold=3, out=tmp_path / "run", cache=tmp_path / "cache")
    soundfile.write(next(data.rglob("*.wav")), tone(50, 0.5, 1), RATE)
    with pytest.raises(RunError, match="the sounds have changed since this run began"):
        soundfold.train(
            data,
            recipe="tutorial",
            changes=SMALL,
            test_fold=3,
            out=tmp_path / "run",
            cache=tmp_path / "cache",
            resume=True,
        )


@pytest.mark.usefixtures("hollow_model_file")
def test_other_labels_or_folds_do_not_continue_a_run(tmp_path: Path) -> None:
    data = write_folders(tmp_path / "sounds")
    paths = sorted(data.rglob("*.wav"))
    table = pd.DataFrame({
        "path": [str(path.relative_to(tmp_path)) for path in paths], "label": [path.parts[-3] for path in paths],
        "fold": [path.parts[-4][-1] for path in paths], "group": [f"{path.parts[-2]}" for path in paths],
    })  # fmt: skip
    table.to_csv(tmp_path / "clips.csv", index=False)
    options = {"changes": SMALL, "test_fold": 3, "out": tmp_path / "run", "cache": tmp_path / "cache"}
    soundfold.train(tmp_path / "clips.csv", recipe="tutorial", **options)
    again = soundfold.train(tmp_path / "clips.csv", recipe="tutorial", **options, resume=True)
    assert again.split.n_train == 24
    table.loc[0, "label"] = "low" if table.loc[0, "label"] == "high" else "high"
    table.to_csv(tmp_path / "clips.csv", index=False)
    with pytest.raises(RunError, match="labels, folds or recordings of the clips have changed"):
        soundfold.train(tmp_path / "clips.csv", recipe="tutorial", **options, resume=True)


@pytest.mark.usefixtures("hollow_model_file")
def test_folds_whose_names_look_alike_keep_their_own_results(tmp_path: Path) -> None:
    data = write_folders(tmp_path / "sounds")
    paths = sorted(data.rglob("*.wav"))
    names = {"1": "a b", "2": "A_b", "3": "a/b"}
    table = pd.DataFrame({
        "path": [str(path.relative_to(tmp_path)) for path in paths], "label": [path.parts[-3] for path in paths],
        "fold": [names[path.parts[-4][-1]] for path in paths],
    })  # fmt: skip
    table.to_csv(tmp_path / "clips.csv", index=False)
    soundfold.cross_validate(
        tmp_path / "clips.csv", recipe="tutorial", changes=SMALL, out=tmp_path / "cv", cache=tmp_path / "cache"
    )
    told = pd.read_parquet(tmp_path / "cv" / "predictions.parquet")
    assert sorted(told["path"]) == sorted(map(str, paths))
    assert sorted(told["fold"].unique()) == sorted(names.values())


@pytest.mark.usefixtures("hollow_model_file")
def test_run_that_a_kill_left_half_made_can_be_begun_again(small_data: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".run.json.0123abcd.part").write_text("{")
    (tmp_path / "run" / ".mine").mkdir()
    for name in (".mine/.thesis.pdf.part", ".thesis.pdf.0123abcd.part"):  # hidden, but not ours
        (tmp_path / "run" / name).write_text("mine")
    soundfold.train(
        small_data, recipe="tutorial", changes=SMALL, test_fold=3, out=tmp_path / "run", cache=tmp_path / "cache"
    )
    assert (tmp_path / "run" / ".mine" / ".thesis.pdf.part").exists()
    assert (tmp_path / "run" / ".thesis.pdf.0123abcd.part").exists()
    assert not list((tmp_path / "run").glob(".run.json.*"))
    (tmp_path / "half").mkdir()
    shutil.copy(tmp_path / "run" / "run.json", tmp_path / "half")
    soundfold.train(
        small_data,
        recipe="tutorial",
        changes=SMALL,
        test_fold=3,
        out=tmp_path / "half",
        cache=tmp_path / "cache",
        resume=True,
    )
    assert files_of(tmp_path / "half") == FILES


@pytest.mark.usefixtures("hollow_model_file")
def test_recipe_name_cannot_lead_out_of_the_runs(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = soundfold.train(
        small_data, recipe="tutorial", changes=[*SMALL, "name=../../x y"], everything=True, cache=tmp_path / "cache"
    )
    assert result.out is not None
    assert Path(result.out).parent.resolve() == tmp_path / "runs"


def test_evaluate_does_not_claim_what_it_cannot_know(small_run: Path, tmp_path: Path) -> None:
    data = write_folders(tmp_path / "sounds", clips=2)
    for path in sorted(data.rglob("*.wav")):
        path.rename(path.parents[1] / f"{path.parent.name}-{path.name}")
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    result = soundfold.evaluate(small_run, data)
    assert result.leaks is not None
    assert result.leaks["share"] is None
    assert "cannot be seen" in result.leaks["sentence"]
    assert (result.met, result.not_met, result.interval_over) == (None, None, "files")


def test_a_damaged_run_is_told(small_run: Path, small_data: Path, tmp_path: Path) -> None:
    options = {"changes": SMALL, "test_fold": 3, "out": tmp_path / "run", "cache": tmp_path / "cache", "resume": True}
    shutil.copytree(small_run, tmp_path / "run")
    (tmp_path / "run" / "metrics.json").write_text('{"cut')
    with pytest.raises(RunError, match=r"metrics\.json: is damaged. Remove it"):
        soundfold.train(small_data, recipe="tutorial", **options)
    later = json.loads((small_run / "metrics.json").read_text("utf-8"))
    later["split"]["telepathy"] = 1.0
    (tmp_path / "run" / "metrics.json").write_text(json.dumps(later), "utf-8")
    with pytest.raises(RunError, match=r"holds 'split\.telepathy', which soundfold [0-9.]+ does not know"):
        soundfold.train(small_data, recipe="tutorial", **options)
    for text in ("garbage", "[]"):
        (tmp_path / "run" / "run.json").write_text(text)
        with pytest.raises(RunError, match=r"run\.json: is damaged"):
            soundfold.train(small_data, recipe="tutorial", **options)


@pytest.mark.usefixtures("hollow_model_file")
def test_a_tidied_or_damaged_cache_is_made_anew(small_data: Path, tmp_path: Path) -> None:
    def again(name: str) -> float | None:
        options = {"changes": SMALL, "test_fold": 3, "out": tmp_path / name, "cache": tmp_path / "cache"}
        return soundfold.train(small_data, recipe="tutorial", **options).accuracy

    first = again("first")
    damages = {"*/features-*/windows.npz": None, "*/features-*/values.i16": b"x", "*/index.parquet": b"y"}
    for pattern, damage in damages.items():
        for file in (tmp_path / "cache").glob(pattern):
            file.unlink() if damage is None else file.write_bytes(damage)
        assert again(pattern.replace("/", "").replace("*", "")) == first


@pytest.mark.usefixtures("hollow_model_file")
def test_absurd_samples_are_left_out_and_named(tmp_path: Path) -> None:
    data = write_folders(tmp_path / "sounds")
    soundfile.write(data / "fold1" / "low" / "broken.wav", np.full(4000, 3e38, np.float32), RATE, subtype="FLOAT")
    result = soundfold.train(
        data, recipe="tutorial", changes=SMALL, test_fold=3, out=tmp_path / "run", cache=tmp_path / "cache"
    )
    assert [Path(clip.path).name for clip in result.left_out] == ["broken.wav"]
    assert "which no sound does" in result.left_out[0].reason


def test_a_split_that_leaves_one_class_to_train_on_is_refused(tmp_path: Path) -> None:
    data = write_folders(tmp_path / "sounds")
    shutil.rmtree(data / "fold1" / "low")
    shutil.rmtree(data / "fold2")
    shutil.rmtree(data / "fold3" / "high")
    with pytest.raises(DataError, match="leaves one class only to train on"):
        soundfold.train(
            data, recipe="tutorial", changes=SMALL, test_fold=3, out=tmp_path / "run", cache=tmp_path / "cache"
        )


def test_out_that_cannot_be_made_is_told_at_once(small_data: Path, tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(PathError, match="is a link that leads nowhere"):
        soundfold.train(small_data, recipe="tutorial", changes=SMALL, out=tmp_path / "dangling")
    with pytest.raises(PathError, match="cannot be made, because"):
        soundfold.train(small_data, recipe="tutorial", changes=SMALL, out="/proc/soundfold/run")


def test_two_splits_at_once_are_refused(small_data: Path) -> None:
    with pytest.raises(RecipeError, match="one of --test-fold, --random-split and --all"):
        soundfold.train(small_data, recipe="tutorial", test_fold=1, everything=True)


def test_resume_must_be_told_where(small_data: Path) -> None:
    with pytest.raises(RunError, match="--resume must be told which run"):
        soundfold.train(small_data, recipe="tutorial", resume=True)


@pytest.mark.parametrize("verb", [soundfold.train, soundfold.cross_validate, soundfold.tune, soundfold.ladder])
@pytest.mark.parametrize("resume", [True, False])
def test_resume_of_nothing_is_told(verb: Callable[..., object], resume: bool, tmp_path: Path) -> None:
    """A mistyped folder would cost the whole work once more."""
    notes: list[str] = []
    listening = Silent()
    listening.note = notes.append
    recipe = {} if verb is soundfold.ladder else {"recipe": "tutorial"}
    with pytest.raises(PathError, match="none"):
        verb(tmp_path / "none", out=tmp_path / "run", resume=resume, reporter=listening, **recipe)
    assert (f"{tmp_path / 'run'}: nothing to resume, starting anew" in notes) == resume


def test_unknown_fold_names_the_known_ones(small_run: Path, small_data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="got '9'"):
        soundfold.evaluate(small_run, small_data, fold=9)
    with pytest.raises(SoundfoldError, match="9"):
        soundfold.train(
            small_data, recipe="tutorial", changes=SMALL, test_fold=9, out=tmp_path / "run", cache=tmp_path / "cache"
        )


def test_one_class_only_is_refused(tmp_path: Path) -> None:
    data = write_folders(tmp_path / "sounds", labels=("low",))
    with pytest.raises(DataError, match="training needs two or more"):
        soundfold.train(data, recipe="tutorial", changes=SMALL, out=tmp_path / "run", cache=tmp_path / "cache")


def test_labels_of_which_the_model_knows_none_are_refused(small_run: Path, tmp_path: Path) -> None:
    write_folders(tmp_path / "sounds", labels=("x", "y"))
    with pytest.raises(
        DataError, match=r"at least one label that the model knows \(.*low.*\), got x, y. Name the data's"
    ):
        soundfold.evaluate(small_run, tmp_path / "sounds")


def test_unknown_labels_count_as_wrong(small_run: Path, tmp_path: Path) -> None:
    data = write_folders(tmp_path / "sounds", labels=("low", "strange"))
    result = soundfold.evaluate(small_run, data)
    assert result.unknown_labels == ("strange",)
    assert result.accuracy <= 0.5


def test_picture_of_the_data(small_data: Path, tmp_path: Path) -> None:
    path = soundfold.show(small_data, tmp_path / "clips.png", recipe="tutorial", changes=SMALL, clips=3)
    assert path.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(PathError, match="exists already. Choose another --out"):
        soundfold.show(small_data, path, recipe="tutorial", changes=SMALL)


def test_a_run_of_a_version_that_knew_fewer_settings_goes_on(small_data: Path, tmp_path: Path) -> None:
    options = {"recipe": "tutorial", "changes": SMALL, "test_fold": 3, "out": tmp_path / "run", "cache": tmp_path / "c"}
    soundfold.train(small_data, **options)
    begun = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    del begun["recipe"]["model"]["texture_say"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(begun), encoding="utf-8")
    soundfold.train(small_data, resume=True, **options)
    begun["recipe"]["training"]["lr"] = 1.0
    (tmp_path / "run" / "run.json").write_text(json.dumps(begun), encoding="utf-8")
    with pytest.raises(RunError, match=r"was begun with recipe\.training\.lr = 1\.0, got"):
        soundfold.train(small_data, resume=True, **options)

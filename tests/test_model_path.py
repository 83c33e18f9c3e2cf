"""What is told of a folder without a model file: what it is, and the command that makes a model of it."""

import json
import re
import sys
from pathlib import Path

import pytest

from soundfold.errors import ModelFileError, PathError
from soundfold.runtime import load

pytestmark = pytest.mark.runtime


def a_run(folder: Path, verb: str, *files: str) -> Path:
    """Write what work of a verb leaves in its folder, hollow."""
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"verb": verb, "data": "/sounds"}))
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


@pytest.mark.parametrize(
    ("verb", "files", "asked", "told"),
    [
        ("train", ["log.csv"], "", "holds no finished model. {continue}"),
        ("train", ["seed0/log.csv"], "seed0", "holds no finished model. {continue}"),
        ("cv", ["fold1/log.csv"], "", "holds no finished model. {continue}"),
        ("cv", ["fold1/log.csv"], "fold1", "holds no finished model. {continue}"),
        (
            "cv", ["fold10/model.onnx", "fold2/model.onnx"], "",
            "is a cross-validation that is not finished. {continue}. Or name a fold's model: {run}/fold2",
        ),
        (
            "cv", ["metrics.json", "fold10/model.onnx", "fold2/model.onnx"], "",
            "is a cross-validation with a model a fold. Name one ({run}/fold2), or train the one to use with: "
            "soundfold train /sounds --all --recipe {run}/recipe.yaml. Their mean is made by the command that made the "
            "run, with --out {run} --ensemble --resume",
        ),
        ("tune", ["search.log"], "", "is a search of soundfold tune's that is not finished. {continue}"),
        (
            "tune", ["untuned/fold1/model.onnx"], "",
            "is a search of soundfold tune's that is not finished. {continue}",
        ),
        ("tune", ["tuned/fold_1/log.csv"], "tuned/fold_1", "holds no finished model. {continue}"),
        (
            "tune", ["metrics.json"], "",
            "is a search of soundfold tune's, which keeps a recipe. Train the model to use with: "
            "soundfold train /sounds --all --recipe {run}/recipe.yaml",
        ),
        (
            "tune", ["metrics.json", "tuned/fold_1/model.onnx", "untuned/fold1/model.onnx"], "",
            "is a search of soundfold tune's, which keeps a recipe. Train the model to use with: "
            "soundfold train /sounds --all --recipe {run}/recipe.yaml. Or name a fold's model: {run}/tuned/fold_1",
        ),
        ("tune", ["tuned/fold_1/model.onnx"], "tuned", "holds a model a fold. Name one: {run}/tuned/fold_1"),
        (
            "ladder", ["probe/fold1/model.onnx"], "",
            "is a ladder with a run a rung. Name the model of a rung's fold: {run}/probe/fold1",
        ),
        (
            "ladder", ["ladder.json", "majority/metrics.json"], "",
            "is a ladder with a run a rung, none of which has a model file. Train one with: "
            "soundfold train /sounds --all",
        ),
        ("ladder", ["probe/log.csv"], "", "is a ladder with a run a rung that is not finished. {continue}"),
    ],
)  # fmt: skip
def test_a_folder_without_a_model_names_the_command_that_it_is_of(
    verb: str, files: list[str], asked: str, told: str, tmp_path: Path
) -> None:
    run = a_run(tmp_path / "run", verb, *files)
    go_on = f"Continue it, with any other options that it was begun with: soundfold {verb} /sounds --out {run} --resume"
    with pytest.raises(ModelFileError) as caught:
        load(run / asked)
    assert str(caught.value) == f"{run / asked}: {told.replace('{continue}', go_on).replace('{run}', str(run))}"


def test_a_training_inside_a_search_s_folder_is_continued_by_itself(tmp_path: Path) -> None:
    mine = a_run(a_run(tmp_path / "search", "tune") / "model", "train", "log.csv")
    with pytest.raises(ModelFileError, match=f"soundfold train /sounds --out {re.escape(str(mine))} --resume$"):
        load(mine)


@pytest.mark.parametrize("fold", ["", "fold1"])
@pytest.mark.parametrize(
    ("holder", "name", "data", "part"),
    [
        ("tune", "mine", "/sounds", False),
        ("tune", "untuned", "/sounds", True),
        ("tune", "untuned", "/others", False),
        ("ladder", "probe", "/sounds", True),
        ("ladder", "probe", "/others", False),
    ],
)
def test_a_cross_validation_is_continued_by_what_it_is_a_part_of(
    holder: str, name: str, data: str, part: bool, fold: str, tmp_path: Path
) -> None:
    run = a_run(a_run(tmp_path / "whole", holder) / name, "cv", "fold1/log.csv")
    (run / "run.json").write_text(json.dumps({"verb": "cv", "data": data}))
    verb, whole = (holder, run.parent) if part else ("cv", run)
    with pytest.raises(ModelFileError, match=f"soundfold {verb} .* --out {re.escape(str(whole))} --resume$"):
        load(run / fold)


@pytest.mark.parametrize("verb", [["x"], 5, None, {"a": 1}])
def test_a_mark_made_by_hand_names_no_command(verb: object, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"verb": verb, "data": "/sounds"}))
    with pytest.raises(ModelFileError, match="holds no finished model. Continue what made it with --resume$"):
        load(tmp_path)


@pytest.mark.parametrize("files", [[], ["metrics.json"]])
def test_a_majority_run_has_no_model_because_it_hears_nothing(files: list[str], tmp_path: Path) -> None:
    rung = a_run(a_run(tmp_path / "run", "ladder", "ladder.json") / "majority", "cv", *files)
    (rung / "run.json").write_text(json.dumps({"verb": "cv", "data": "/sounds", "recipe": {"name": "majority"}}))
    with pytest.raises(ModelFileError) as caught:
        load(rung)
    assert str(caught.value) == (
        f"{rung}: is a run of majority, which hears nothing and has no model file. "
        f"Train one with: soundfold train /sounds --all"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="quotes as POSIX shells do")
@pytest.mark.parametrize(("verb", "model"), [("tune", "tuned/fold_1"), ("cv", "fold1")])
def test_the_training_that_is_told_is_of_the_same_clips_and_can_be_taken_as_it_stands(
    verb: str, model: str, tmp_path: Path
) -> None:
    run = a_run(tmp_path / "my runs" / "run", verb, "metrics.json", f"{model}/model.onnx")
    identity = {"verb": verb, "data": "/my sounds", "where": {"a b": "c d"}, "seeds": 3}
    (run / "run.json").write_text(json.dumps(identity))
    told = f"soundfold train '/my sounds' --all --seeds 3 --recipe '{run}/recipe.yaml' --where 'a b=c d'"
    with pytest.raises(ModelFileError, match=re.escape(told)):
        load(run)


@pytest.mark.skipif(sys.platform == "win32", reason="quotes as POSIX shells do")
def test_the_command_that_goes_on_can_be_taken_as_it_stands(tmp_path: Path) -> None:
    run = a_run(tmp_path / "my runs", "train", "log.csv")
    with pytest.raises(ModelFileError, match=re.escape(f"--out '{run}' --resume")):
        load(run)


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("small.onnx", "Name a run's folder, or make the file of one with: soundfold export RUN --out "),
        ("street", "Train one with: soundfold train DATA --out "),
    ],
)
def test_what_is_missing_is_made_by_the_verb_that_makes_its_kind(tmp_path: Path, name: str, mend: str) -> None:
    with pytest.raises(PathError, match=re.escape(f"there is no such model file or run. {mend}{tmp_path / name}")):
        load(tmp_path / name)


@pytest.mark.skipif(sys.platform == "win32", reason="quotes as POSIX shells do")
def test_the_command_that_continues_tells_all_that_the_mark_tells_and_can_be_copied(tmp_path: Path) -> None:
    run = a_run(tmp_path / "my runs" / "run", "train", "log.csv")
    identity = {"verb": "train", "data": "/my sounds", "where": {"a b": "c d"}, "seeds": 3, "split": "everything"}
    (run / "run.json").write_text(json.dumps(identity))
    told = f"soundfold train '/my sounds' --all --where 'a b=c d' --seeds 3 --out '{run}' --resume"
    with pytest.raises(ModelFileError, match=f": {re.escape(told)}$"):
        load(run)

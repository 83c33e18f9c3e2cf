"""The recipe of a run that names none."""

import json
from pathlib import Path

import pytest

import soundfold
from conftest import SMALL
from soundfold.errors import RecipeError
from soundfold.jobs.default_recipe import default_recipe
from soundfold.models.pretrained import PUBLISHED, WEIGHTS_VARIABLE
from soundfold.recipe import Recipe, load_recipe


class Notes:
    """Keeps what a job says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, sentence: str) -> None:
        self.said.append(sentence)

    def progress(self, *_: object, **__: object) -> None: ...

    def epoch(self, *_: object, **__: object) -> None: ...


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> Notes:
    monkeypatch.delenv(WEIGHTS_VARIABLE, raising=False)
    return Notes()


def weights_in(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / PUBLISHED["mn04"].file).write_bytes(b"whatever a person names is theirs")
    return folder


def begin(folder: Path, recipe: Recipe) -> None:
    (folder / "run.json").write_text(json.dumps({"verb": "train", "recipe": recipe.as_dict()}), "utf-8")


def test_pretrained_weights_decide_and_nothing_is_fetched(
    tmp_path: Path, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_recipe(tmp_path / "cache", notes) == load_recipe("scratch")
    assert "no pretrained weights are at hand" in notes.said[-1]
    assert not (tmp_path / "cache").exists()
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(weights_in(tmp_path / "weights")))
    assert default_recipe(tmp_path / "cache", notes) == load_recipe("finetune")
    assert "mn04" in notes.said[-1]


def test_a_file_in_the_cache_that_did_not_come_whole_is_no_weights(tmp_path: Path, notes: Notes) -> None:
    (tmp_path / "cache").mkdir()
    weights_in(tmp_path / "cache" / "weights")
    assert default_recipe(tmp_path / "cache", notes).name == "scratch"


def test_a_run_goes_on_with_the_recipe_it_was_begun_with(
    tmp_path: Path, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(weights_in(tmp_path / "weights")))
    for begun in (load_recipe("scratch", ["training.epochs=7"]), load_recipe("tutorial")):
        begin(tmp_path, begun)
        assert default_recipe(tmp_path / "cache", notes, tmp_path) == begun
        assert notes.said[-1] == f"recipe: {begun.name}, as the run was begun with"
    assert default_recipe(tmp_path / "cache", notes, tmp_path / "not begun").name == "finetune"


def test_a_run_of_a_later_version_does_not_go_on_with_another_recipe(tmp_path: Path, notes: Notes) -> None:
    later = load_recipe("tutorial").as_dict()
    later["training"]["telepathy"] = True
    (tmp_path / "run.json").write_text(json.dumps({"verb": "train", "recipe": later}), "utf-8")
    with pytest.raises(RecipeError, match="telepathy"):
        default_recipe(tmp_path / "cache", notes, tmp_path)


def test_weights_that_the_caller_names_are_at_hand(tmp_path: Path, notes: Notes) -> None:
    assert default_recipe(tmp_path / "cache", notes, weights=tmp_path / "mistyped") == load_recipe("finetune")
    assert notes.said == ["recipe: finetune, as pretrained weights are named"]
    begin(tmp_path, load_recipe("scratch"))
    assert default_recipe(tmp_path / "cache", notes, tmp_path, tmp_path) == load_recipe("scratch")


@pytest.mark.usefixtures("hollow_model_file")
def test_a_training_that_names_no_recipe_says_which_it_takes(small_data: Path, tmp_path: Path, notes: Notes) -> None:
    changes = (*SMALL, "features.fmax_hz=4000", "features.win_length=256", "augment.band_shift=1", "model.width=4")
    place = {"out": tmp_path / "run", "cache": tmp_path / "cache"}
    soundfold.train(small_data, changes=changes, epochs=1, test_fold=3, reporter=notes, **place)  # type: ignore[arg-type]
    assert notes.said[0].startswith("recipe: scratch")
    assert load_recipe(tmp_path / "run" / "recipe.yaml").name == "scratch"

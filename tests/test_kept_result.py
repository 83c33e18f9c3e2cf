"""A finished run trusts none of its files blindly: lost ones are made again, exchanged ones are refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import soundfold
from conftest import SMALL
from soundfold.errors import RunError, SoundfoldError
from soundfold.evaluation import CvResult, read_predictions
from soundfold.jobs.kept_result import predictions_of, read_result

FEW = (*SMALL, "training.epochs=2")


class Told:
    """A reporter that keeps notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)

    def progress(self, what: str, done: int, total: int | None) -> None: ...

    def epoch(self, *_: object) -> None: ...


def validate(data: Path, folder: Path, **more: object) -> CvResult:
    asked = {"recipe": "tutorial", "changes": FEW, "folds": (1, 3), "out": folder / "cv", "cache": folder / "cache"}
    return soundfold.cross_validate(data, **asked | more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def finished(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    validate(small_data, folder)
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "own")
    return tmp_path / "own" / "cv"


@pytest.mark.parametrize(
    ("lost", "trained_again"),
    [
        ("predictions.parquet", 0),
        ("fold1/model.onnx", 1),
        ("fold3/weights.safetensors", 1),
        ("fold1/predictions.parquet", 1),
        ("fold3/metrics.json", 1),
    ],
)
def test_what_is_lost_is_made_again_and_no_more_than_that(
    small_data: Path, run: Path, lost: str, trained_again: int
) -> None:
    before = read_predictions(run / "predictions.parquet")
    (run / lost).unlink()
    told = Told()
    validate(small_data, run.parent, resume=True, reporter=told)
    assert (run / lost).is_file()
    assert read_predictions(run / "predictions.parquet").equals(before)
    assert any("is lost" in note for note in told.notes)
    assert sum("trained, writing the model file" in note for note in told.notes) == trained_again
    told = Told()
    validate(small_data, run.parent, resume=True, reporter=told)
    assert any("is finished already" in note for note in told.notes)


def test_a_lost_model_of_one_training_is_made_again(small_data: Path, small_run: Path, tmp_path: Path) -> None:
    shutil.copytree(small_run, tmp_path / "run")
    before = soundfold.load(tmp_path / "run").card
    (tmp_path / "run" / "model.onnx").unlink()
    soundfold.train(
        small_data, recipe="tutorial", changes=SMALL, test_fold=3, out=tmp_path / "run", resume=True, cache=tmp_path
    )
    assert soundfold.load(tmp_path / "run").card.scores == before.scores


@pytest.mark.parametrize("verb", ["compare", "report", "calibrate"])
def test_predictions_of_another_run_are_refused(small_data: Path, run: Path, tmp_path: Path, verb: str) -> None:
    other = validate(small_data, tmp_path / "other", seed=5)
    shutil.copy(Path(other.out or "") / "predictions.parquet", run / "predictions.parquet")
    everything = {"everything": True, "calibrate": run, "out": tmp_path / "all", "cache": tmp_path}
    asked: dict[str, Callable[[], object]] = {
        "compare": lambda: soundfold.compare([other.out or "", run]),
        "report": lambda: soundfold.report(run, out=tmp_path / "page.html"),
        "calibrate": lambda: soundfold.train(small_data, recipe="tutorial", changes=FEW, **everything),
    }
    with pytest.raises(SoundfoldError, match=r"is not the table that metrics.json beside it was made from.*--resume"):
        asked[verb]()


def test_predictions_of_another_fold_are_not_pooled(small_data: Path, run: Path) -> None:
    shutil.copy(run / "fold1" / "predictions.parquet", run / "fold3" / "predictions.parquet")
    (run / "predictions.parquet").unlink()
    with pytest.raises(RunError, match="fold3.*is not the table"):
        validate(small_data, run.parent, resume=True)


def test_lost_predictions_are_told_with_the_command_that_makes_them(run: Path) -> None:
    (run / "predictions.parquet").unlink()
    with pytest.raises(RunError, match=r"predictions.parquet: is lost.*soundfold cv .*--resume"):
        predictions_of(run, read_result(run / "metrics.json", CvResult))


def test_a_result_that_knows_no_digest_is_held_to_the_number_of_clips(run: Path) -> None:
    result = read_result(run / "metrics.json", CvResult).model_copy(update={"predictions_digest": None})
    assert len(predictions_of(run, result)) == result.n
    with pytest.raises(RunError, match="is not the table"):
        predictions_of(run, result.model_copy(update={"n": result.n + 1}))


def test_a_damaged_recipe_beside_a_run_is_written_anew(small_data: Path, run: Path) -> None:
    whole = (run / "recipe.yaml").read_bytes()
    for damaged in (b"", whole[: len(whole) // 2] + b"\xff{", b"training: ["):
        (run / "recipe.yaml").write_bytes(damaged)
        validate(small_data, run.parent, resume=True)
        assert (run / "recipe.yaml").read_bytes() == whole


@pytest.mark.parametrize("damaged", ["", "[" * 50_000, "null"])
def test_a_damaged_mark_is_told_as_that(small_data: Path, run: Path, finished: Path, damaged: str) -> None:
    (run / "run.json").write_text(damaged)
    with pytest.raises(RunError, match=r"run.json: is damaged, so nothing tells of which data"):
        soundfold.compare([finished / "cv", run])
    with pytest.raises(RunError, match=r"run.json: is damaged, so the run cannot be continued"):
        validate(small_data, run.parent, resume=True)


def test_a_setting_of_a_later_version_is_told_as_that(small_data: Path, run: Path) -> None:
    begun = json.loads((run / "run.json").read_text(encoding="utf-8"))
    begun["recipe"]["training"]["of_tomorrow"] = 5
    (run / "run.json").write_text(json.dumps(begun), encoding="utf-8")
    with pytest.raises(RunError, match=r"recipe.training.of_tomorrow = 5, got None. Soundfold .* does not know that"):
        validate(small_data, run.parent, resume=True)

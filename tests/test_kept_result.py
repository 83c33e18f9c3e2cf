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
from soundfold.jobs.kept_result import is_whole, predictions_of, read_result

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
    (tmp_path / "run").rename(tmp_path / "moved")
    moved = soundfold.train(
        small_data, recipe="tutorial", changes=SMALL, test_fold=3, out=tmp_path / "moved", resume=True, cache=tmp_path
    )
    assert moved.out == str(tmp_path / "moved")


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


@pytest.mark.parametrize("name", ["predictions.parquet", "model.onnx", "weights.safetensors"])
@pytest.mark.parametrize("how", ["another's", "cut short", "empty"])
def test_files_of_a_fold_that_are_not_its_own_are_made_again(small_data: Path, run: Path, name: str, how: str) -> None:
    own = (run / "fold3" / name).read_bytes()
    others = {"another's": (run / "fold1" / name).read_bytes(), "cut short": own[: len(own) // 2], "empty": b""}
    (run / "fold3" / name).write_bytes(others[how])
    before = read_predictions(run / "predictions.parquet")
    validate(small_data, run.parent, resume=True)
    assert (run / "fold3" / name).read_bytes() not in others.values()
    assert read_predictions(run / "predictions.parquet").equals(before)
    assert is_whole(run / "fold3", name)


@pytest.mark.parametrize("ensemble", [False, True])
def test_a_folder_of_another_fold_is_refused(small_data: Path, run: Path, *, ensemble: bool) -> None:
    shutil.rmtree(run / "fold1")
    shutil.copytree(run / "fold3", run / "fold1")
    with pytest.raises(RunError, match="fold1: holds a training of another split"):
        validate(small_data, run.parent, resume=True, ensemble=ensemble)


def test_the_joint_model_of_another_fold_is_refused(small_data: Path, tmp_path: Path) -> None:
    """Else its clips would be scored twice, and others never."""
    validate(small_data, tmp_path, seeds=2)
    run = tmp_path / "cv"
    for name in ("model.onnx", "predictions.parquet", "metrics.json"):
        shutil.copy(run / "fold3" / name, run / "fold1" / name)
    (run / "predictions.parquet").unlink()
    with pytest.raises(RunError, match="fold1: holds a training of another split"):
        validate(small_data, tmp_path, seeds=2, resume=True)


@pytest.mark.parametrize("lost", ["model.onnx", "predictions.parquet"])
def test_the_model_that_joins_folds_comes_again(small_data: Path, run: Path, lost: str) -> None:
    validate(small_data, run.parent, resume=True, ensemble=True)
    (run / lost).unlink()
    result = validate(small_data, run.parent, resume=True)
    assert result.model == str(run / "model.onnx")
    assert (run / "model.onnx").is_file()
    assert soundfold.load(run).labels == soundfold.load(run / "fold1").labels


def test_lost_predictions_are_told_with_the_command_that_makes_them(run: Path) -> None:
    (run / "predictions.parquet").unlink()
    with pytest.raises(RunError, match=r"predictions.parquet: is lost.*soundfold cv .*--resume"):
        predictions_of(run, read_result(run / "metrics.json", CvResult))


def test_a_result_that_knows_no_digest_is_held_to_the_number_of_clips(run: Path) -> None:
    result = read_result(run / "metrics.json", CvResult).model_copy(update={"files": None})
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


def test_the_joint_model_is_made_again_with_its_networks(small_data: Path, tmp_path: Path) -> None:
    asked = {"recipe": "tutorial", "changes": FEW, "test_fold": 3, "seeds": 2, "cache": tmp_path / "cache"}
    soundfold.train(small_data, **asked, out=tmp_path / "run")
    before = (tmp_path / "run" / "metrics.json").stat().st_mtime_ns
    (tmp_path / "run" / "seed1" / "weights.safetensors").unlink()
    soundfold.train(small_data, **asked, out=tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "metrics.json").stat().st_mtime_ns > before


def test_a_training_of_something_else_is_not_trained_over(small_data: Path, run: Path) -> None:
    shutil.rmtree(run / "fold1")
    shutil.copytree(run / "fold3", run / "fold1")
    (run / "fold1" / "model.onnx").unlink()
    with pytest.raises(RunError, match="fold1: holds a training of another split"):
        validate(small_data, run.parent, resume=True)
    assert (run / "fold1" / "metrics.json").exists()

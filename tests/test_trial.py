"""Learning on only where it pays: the trial's split, its verdict, what either answer leaves, and the second run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import soundfold
from chance_weights import write_chance_weights
from soundfold.recipe import load_recipe
from soundfold.training import FitJob, trial
from soundfold.training.trial import Trial, hold_trial, trial_in

QUICK = (
    "length_s=0.5", "precision=32-true", "kept_blocks=13", "freeze=0", "features.views=3", "training.lr=1e-6",
)  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_chance_weights(tmp_path_factory.mktemp("weights") / "chance.safetensors")


def a_job(folder: Path, recordings: int = 20) -> FitJob:
    """Return a job of three clips a recording and two classes."""
    number = np.repeat(np.arange(recordings), 3)
    nothing = np.arange(0)
    return FitJob(
        load_recipe("finetune"), 2, folder, 7 + np.arange(len(number)), number % 2, nothing, nothing, folder,
        train_weights=np.linspace(0.5, 1.5, len(number)), train_recordings=number,
    )  # fmt: skip


def test_a_recording_is_on_one_side_and_every_class_on_both(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    asked = trial._trial_of(job)
    recording = dict(zip(job.train, job.train_recordings, strict=True))
    assert sorted([*asked.train, *asked.held_out]) == list(job.train)
    assert {recording[row] for row in asked.train}.isdisjoint(recording[row] for row in asked.held_out)
    assert len(asked.held_out) == len(job.train) / 5
    assert set(asked.train_labels) == set(asked.held_out_labels) == {0, 1}
    assert asked.train_weights.mean() == pytest.approx(1)
    assert not asked.on_trial
    assert job.on_trial


def judged(monkeypatch: pytest.MonkeyPatch, job: FitJob, began: np.ndarray, learned: np.ndarray) -> Trial:
    """Judge two networks that are right about these of the clips left out."""
    asked = trial._trial_of(job)
    said = iter([began, learned])

    def answer(*_: object, **__: object) -> np.ndarray:
        return np.eye(2)[np.where(next(said), asked.held_out_labels, 1 - asked.held_out_labels)]

    class Network:
        classify = None

        def eval(self) -> "Network":
            return self

        def load_state_dict(self, _: object) -> None: ...

    monkeypatch.setattr(trial, "clip_probabilities", answer)
    monkeypatch.setattr(trial, "begin_classifier", lambda *_: Network())
    monkeypatch.setattr(trial, "open_feature_cache", lambda _: None)
    monkeypatch.setattr(trial, "load_checkpoint", lambda _: type("Checkpoint", (), {"result": {}}))
    return trial._judged(job, asked)


def test_only_a_gain_beyond_chance_pays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = a_job(tmp_path, recordings=100)
    none, every = np.zeros(60, dtype=bool), np.ones(60, dtype=bool)
    assert not judged(monkeypatch, job, every, every).pays
    assert not judged(monkeypatch, job, every, none).pays
    gained = judged(monkeypatch, job, none, every)
    assert gained.pays
    assert (gained.clips, gained.recordings, gained.began, gained.learned) == (60, 20, 0, pytest.approx(1))
    assert not judged(monkeypatch, job, none, np.arange(60) < 3).pays, "one recording of twenty is chance"
    assert judged(monkeypatch, job, none, np.arange(60) < 30).pays


def test_clips_of_a_recording_count_as_one_piece_of_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = a_job(tmp_path, recordings=100)
    better = np.isin(np.arange(60) % 3, [0])  # one clip of every recording
    together = np.arange(60) < 20  # as many, of seven recordings
    none = np.zeros(60, dtype=bool)
    assert judged(monkeypatch, job, none, better).error < judged(monkeypatch, job, none, together).error


def test_what_cannot_be_tried_stays_as_it_began(tmp_path: Path) -> None:
    def learn(_: FitJob) -> None:
        raise AssertionError("there is no recording to leave out")

    found = hold_trial(a_job(tmp_path, recordings=1), learn, writes=True)
    assert not found.pays
    assert "no recording could be left out" in str(found)


def test_a_verdict_is_kept_and_a_damaged_one_is_sought_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, learned = a_job(tmp_path), []
    verdict = Trial(clips=12, recordings=4, began=0.5, learned=0.75, error=0.1)
    monkeypatch.setattr(trial, "_judged", lambda *_: verdict)
    for expected in (1, 1):
        assert hold_trial(job, learned.append, writes=True) == verdict
        assert len(learned) == expected
    for number, damaged in enumerate((b'{"clips"', b"\xff\xfe\x80{"), start=2):
        (tmp_path / "trial.json").write_bytes(damaged)
        assert hold_trial(job, learned.append, writes=False) == verdict
        assert len(learned) == number
        assert trial_in(tmp_path) is None, "only the process that writes does"
    assert "the network learned on, as that pays: 50.0 % right before, 75.0 % after, on 12 clips" in str(verdict)


def test_a_process_that_comes_before_the_first_finds_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under torchrun the first process alone makes the run's folder, and need not be the first to come here."""
    verdict = Trial(clips=12, recordings=4, began=0.5, learned=0.5, error=0.1)
    monkeypatch.setattr(trial, "_judged", lambda *_: verdict)
    found = []
    hold_trial(a_job(tmp_path / "not yet"), lambda asked: found.append(asked.folder.is_dir()), writes=False)
    assert found == [True]


@pytest.mark.parametrize("pays", [False, True])
def test_it_ends_as_the_trial_says_and_leaves_nothing_of_it(
    small_data: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hollow_model_file: None,
    *,
    pays: bool,
) -> None:
    if pays:
        monkeypatch.setattr(Trial, "pays", property(lambda _: True))
    changes = [*QUICK, f"model.weights={weights}"]
    train: Callable[..., soundfold.TrainResult] = soundfold.train
    result = train(small_data, recipe="finetune", changes=changes, test_fold=3, out=tmp_path / "run", cache=tmp_path)
    epochs = (tmp_path / "run" / "log.csv").read_text().splitlines()
    assert len(epochs) == 1 + (2 if pays else 1)
    assert any(("learned on" if pays else "stays as it began") in note for note in result.notes)
    assert not list((tmp_path / "run").glob("trial*"))
    plain = train(
        small_data, recipe="finetune", changes=[*changes, "training.trial=false"], test_fold=3, out=tmp_path / "plain",
        cache=tmp_path,
    )  # fmt: skip
    assert not any("trial" in note for note in plain.notes)
    if pays:
        assert (tmp_path / "plain" / "log.csv").read_text().splitlines()[-1].split(",")[:2] == epochs[-1].split(",")[:2]


def test_a_network_with_an_untrained_head_is_not_tried(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    assert not replace(job, recipe=load_recipe("finetune", ["model.start=pretrained"])).on_trial

"""Learning on only where it pays: the trial's split, its verdict, what either answer leaves, and the second run."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import soundfold
from chance_weights import write_chance_weights
from soundfold.errors import RunError
from soundfold.evaluation import SplitSummary, TrainResult
from soundfold.jobs.cross_validate import _trials_in_words
from soundfold.recipe import load_recipe
from soundfold.training import FitJob, Hardware, trial
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
    assert np.bincount(asked.held_out_labels).tolist() == [6, 6]
    assert set(asked.train_labels) == set(asked.held_out_labels) == {0, 1}
    assert asked.train_weights.mean() == pytest.approx(1)
    assert not asked.on_trial
    assert job.on_trial


def test_the_only_recording_of_a_class_is_never_left_out(tmp_path: Path) -> None:
    job = a_job(tmp_path, recordings=20)
    alone = np.where(job.train_recordings == 4, 2, job.train_labels)
    asked = trial._trial_of(replace(job, n_labels=3, train_labels=alone))
    assert 2 in asked.train_labels
    assert 2 not in asked.held_out_labels


def judged(monkeypatch: pytest.MonkeyPatch, job: FitJob, began: np.ndarray, learned: np.ndarray) -> Trial:
    """Judge two networks that give the right answers about clips left out this probability."""
    asked = trial._trial_of(job)
    said = iter([began, learned])
    truth = asked.held_out_labels if job.several else np.eye(2)[asked.held_out_labels]

    def answer(*_: object, **__: object) -> np.ndarray:
        given = next(said).astype(float)[:, np.newaxis]
        return np.where(truth > 0.5, given, 1 - given)

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
    assert not judged(monkeypatch, job, none, np.arange(60) < 12).pays, "four of four are one draw of signs in sixteen"
    assert judged(monkeypatch, job, none, np.arange(60) < 15).pays
    assert judged(monkeypatch, job, none, np.arange(60) < 30).pays


def test_of_several_labels_the_log_loss_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Yes and no hardly move where most labels are absent from most clips; how sure the answers are does."""
    job = a_job(tmp_path, recordings=100)
    job = replace(job, train_labels=np.eye(2, dtype=np.float32)[job.train_labels])
    unsure, sure = np.full(60, 0.6), np.full(60, 0.9)
    better = judged(monkeypatch, job, unsure, sure)
    assert better.pays
    assert (better.began, better.learned) == (pytest.approx(-np.log(0.6)), pytest.approx(-np.log(0.9)))
    assert "log loss 0.5108 before, 0.1054 after" in str(better)
    assert not judged(monkeypatch, job, sure, unsure).pays
    assert np.isfinite(judged(monkeypatch, job, sure, np.zeros(60)).learned)


def test_clips_of_a_recording_count_as_one_piece_of_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = a_job(tmp_path, recordings=100)
    better = np.isin(np.arange(60) % 3, [0])  # one clip of every recording
    together = np.arange(60) < 20  # as many, of seven recordings
    none = np.zeros(60, dtype=bool)
    assert judged(monkeypatch, job, none, better).error < judged(monkeypatch, job, none, together).error


def test_what_cannot_be_tried_stays_as_it_began(tmp_path: Path) -> None:
    def learn(_: FitJob) -> None:
        raise AssertionError("there is no recording to leave out")

    found = hold_trial(a_job(tmp_path, recordings=1), learn, alone)
    assert not found.pays
    assert "no recording could be left out" in str(found)
    assert trial_in(tmp_path) == found, "the result tells it"


def alone(say: Callable[[], Trial | None]) -> Trial | None:
    return say()


VERDICT = Trial(clips=12, recordings=6, began=0.5, learned=0.75, error=0.1, telling=5, several=False)


def test_a_verdict_is_kept_and_a_damaged_one_is_sought_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, learned = a_job(tmp_path), []
    monkeypatch.setattr(trial, "_judged", lambda *_: VERDICT)
    for expected in (1, 1):
        assert hold_trial(job, learned.append, alone) == VERDICT
        assert len(learned) == expected
    for number, damaged in enumerate((b'{"clips"', b"\xff\xfe\x80{"), start=2):
        (tmp_path / "trial.json").write_bytes(damaged)
        assert hold_trial(job, learned.append, alone) == VERDICT
        assert len(learned) == number
    assert "the network learned on, as that pays: 50.0 % right before, 75.0 % after, on 12 clips" in str(VERDICT)


@pytest.mark.parametrize("kept", [False, True])
def test_all_processes_go_by_what_the_first_one_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, kept: bool
) -> None:
    """Under torchrun another one may look when the first has cleared up, and finds no room if it comes before it."""
    monkeypatch.setattr(trial, "_judged", lambda *_: pytest.fail("the first process judges"))
    said, found = iter([VERDICT] if kept else [None, VERDICT]), []
    job = a_job(tmp_path / "not yet")
    assert hold_trial(job, lambda asked: found.append(asked.folder.is_dir()), lambda _: next(said)) == VERDICT
    assert found == ([] if kept else [True])
    assert trial_in(job.folder) is None, "only the first one writes"


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
    train: Callable[..., TrainResult] = soundfold.train
    result = train(small_data, recipe="finetune", changes=changes, test_fold=3, out=tmp_path / "run", cache=tmp_path)
    epochs = (tmp_path / "run" / "log.csv").read_text().splitlines()
    assert len(epochs) == 1 + (2 if pays else 1)
    assert any(("learned on" if pays else "stays as it began") in note for note in result.notes)
    assert result.learned_on is pays
    assert not list((tmp_path / "run").glob("trial*"))
    (tmp_path / "run" / "trial").mkdir()  # as a kill leaves it between the result and the clearing up
    train(
        small_data, recipe="finetune", changes=changes, test_fold=3, out=tmp_path / "run", cache=tmp_path, resume=True
    )
    assert not list((tmp_path / "run").glob("trial*"))
    plain = train(
        small_data, recipe="finetune", changes=[*changes, "training.trial=false"], test_fold=3, out=tmp_path / "plain",
        cache=tmp_path,
    )  # fmt: skip
    assert plain.learned_on is None
    assert not any("trial" in note for note in plain.notes)
    if pays:
        assert (tmp_path / "plain" / "log.csv").read_text().splitlines()[-1].split(",")[:2] == epochs[-1].split(",")[:2]


def test_a_network_with_an_untrained_head_is_not_tried(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    assert not replace(job, recipe=load_recipe("finetune", ["model.start=pretrained"])).on_trial


def test_processes_that_torchrun_started_must_all_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RunError, match="must be the 2 processes that torchrun started, got 1. Say --devices 2"):
        Hardware("cpu")
    assert Hardware("cpu", devices=2).devices == 2


@pytest.mark.long
def test_processes_of_torchrun_agree_on_the_verdict(small_data: Path, weights: Path, tmp_path: Path) -> None:
    changes = [word for change in (*QUICK, f"model.weights={weights}") for word in ("--set", change)]
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "soundfold",
        "train", str(small_data), "-r", "finetune", *changes, "--test-fold", "3", "--devices", "2", "--device", "cpu",
        "--out", str(tmp_path / "run"), "--cache", str(tmp_path / "cache"), "--json",
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=300
    )
    assert json.loads(done.stdout)["learned_on"] is False
    assert not list((tmp_path / "run").glob("trial*"))


@pytest.mark.parametrize(
    ("verdicts", "seeds", "sentence"),
    [
        ([None, None], 1, None),
        ([True, True], 1, "2 networks learned on, as that paid in their trials"),
        ([False, True, True], 1, "1 of 3 networks stays as it began: no trial said that learning on pays"),
        ([False, False], 1, "2 networks stay as they began: no trial said that learning on pays"),
        ([False, True, True, True], 2, "1 of 4 networks stays as it began: no trial said that learning on pays"),
        ([False, False], 2, "where all of a fold do, they are equal, and its seeds say nothing"),
    ],
)
def test_a_cross_validation_tells_what_its_trials_found(
    verdicts: list[bool | None], seeds: int, sentence: str | None
) -> None:
    split = SplitSummary(name="fold 1", kind="fold", n_test=1)
    trained = [TrainResult(labels=("a",), recipe={}, split=split, seconds=1, learned_on=said) for said in verdicts]
    told = _trials_in_words(trained, seeds)
    assert (sentence is None) == (not told)
    assert sentence is None or sentence in told[0]

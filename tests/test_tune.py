"""Searching settings: the outer test fold stays unseen, a kill loses nothing, processes share, laggards go."""

import json
import pickle
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from optuna.trial import FrozenTrial, TrialState

import soundfold
from conftest import RATE, SMALL, write_folders
from searches import QUICK, pretend, search_only
from soundfold.cli import main
from soundfold.data.splits import fold_splits
from soundfold.errors import DataError, MissingExtraError, PathError, RecipeError, RunError, SoundfoldError
from soundfold.evaluation import CvResult, TrainResult, read_predictions
from soundfold.evaluation.comparison import compare_predictions
from soundfold.jobs import tuning_trial, tuning_workers
from soundfold.jobs.reporting import Silent
from soundfold.jobs.tuning_plan import plan_searches
from soundfold.jobs.tuning_result import TuneResult
from soundfold.jobs.tuning_study import Budget, Study, open_journal
from soundfold.jobs.tuning_trial import Material, run_trial
from soundfold.jobs.tuning_workers import Task, search_all
from soundfold.recipe import Recipe, load_recipe, preset_names
from soundfold.recipe.space import Choices, Range, load_space, space_names
from soundfold.training import EpochRecord, FitJob, Fitted

LR = "training.lr: {low: 0.0003, high: 0.02, log: true}\n"


@pytest.fixture
def space(tmp_path: Path) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text(LR + "features.n_mels: [16, 24]\naugment.time_shift: {low: 0.0, high: 1.0}\n")
    return path


# what may be searched


@pytest.mark.parametrize("recipe", preset_names())
def test_every_preset_has_a_space_that_goes_with_it(recipe: str) -> None:
    settings = load_recipe(recipe)
    space = load_space(None, settings)
    drawn = space.draw(settings, lambda _, allowed: allowed.values[0] if isinstance(allowed, Choices) else allowed.low)
    assert drawn
    assert space.applied(settings, drawn) != settings


@pytest.mark.parametrize("recipe", preset_names())
def test_a_space_holds_the_values_of_the_presets_that_it_goes_with(recipe: str) -> None:
    """A search that cannot come back to where it began would lose what the recipe had."""
    settings = load_recipe(recipe)
    plain = settings.as_dict()

    def own(name: str, allowed: Choices | Range) -> Any:
        section, _, key = name.partition(".")
        value = plain[section][key]
        holds = value in allowed.values if isinstance(allowed, Choices) else allowed.low <= value <= allowed.high
        assert holds, f"{name} = {value} is not in {allowed}"
        return value

    space = load_space(None, settings)
    drawn = space.draw(settings, own)
    assert space.applied(settings, drawn) == settings
    fits_at_once = settings.model.texture or settings.training.optimizer == "lbfgs"
    assert ("training.c" in drawn) == (fits_at_once and settings.training.head_fit == "logistic")


def test_spaces_hold_settings_beside_the_values_they_go_with(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("augment.mix: [none, mixup]\naugment.mix_alpha: {low: 0.1, high: 1, when: {augment.mix: mixup}}\n")
    space = load_space(path, Recipe())
    for mix, others in (("none", set()), ("mixup", {"augment.mix_alpha"})):
        drawn = space.draw(Recipe(), lambda _, allowed, mix=mix: mix if isinstance(allowed, Choices) else allowed.high)
        assert set(drawn) == {"augment.mix"} | others
    allowed = space.settings["augment.mix_alpha"]
    assert isinstance(allowed, Range)
    assert (allowed.low, allowed.high, allowed.whole) == (0.1, 1.0, False)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("training.lrr: [0.1]", r"there is no setting 'training.lrr'. Did you mean 'training.lr'\?"),
        ("n_mels: [64]", "there is no setting 'n_mels'. Write it in full: features.n_mels"),
        ("training.lr: [0.1, 99]", "training.lr must be less than or equal to 10, got 99"),
        ("training.lr: {low: 0.1, high: 99}", "training.lr must be less than or equal to 10, got 99"),
        ("training.lr: {low: 0.1}", "training.lr must have both low and high"),
        ("training.lr: {low: 0.1, high: 0.01}", "training.lr must have low below high, got 0.1 and 0.01"),
        (
            "training.lr: {low: 0.1, high: 0.1}",
            r"got 0.1 and 0.1. Write one value as a choice: \[0.1\]",
        ),
        ("training.lr: &a [0.1]\ntraining.c: *a", "is not readable YAML .*aliases are not used here"),
        ("training.batch_size: [16, 1:30]", "training.batch_size must be a whole number, got '1:30'"),
        ("augment.time_shift: {low: 0, high: 1, log: true}", "augment.time_shift with log must have low above 0"),
        ("training.lr: {low: 0.1, high: 1, step: -1}", "training.lr must have a step above 0"),
        ("training.lr: {low: 0.1, high: 1, step: 0.4}", "training.lr must go from low to high in whole steps"),
        ("training.lr: {lo: 0.1, high: 1}", "training.lr must be a list of choices, or {low: …, high: …}"),
        ("training.lr: fast", "training.lr must be a list of choices"),
        ("training.lr: []", "training.lr must be one value or more"),
        ("training.schedule: {low: 0, high: 1}", "training.schedule must be"),
        ("features.n_mels: {low: 16, high: 64}", "features.n_mels must be a list of choices, as features are kept"),
        ("training.seed: [1, 2]", "training.seed cannot be searched: a lucky seed is luck"),
        ("training.labels: [one, several]", "training.labels cannot be searched: it decides what a label is"),
        ("training.lr: [0.1]\ntraining.lr: [0.2]", "'training.lr' stands twice"),
        ("training.lr: [0.1", "is not readable YAML in line"),
        ("", "must hold a line a setting, got nothing"),
        ("- training.lr", "must hold a line a setting, got list"),
        ("features.hop_length: [4096, 8192]", "200 of 200 draws contradict the recipe; the last one: drawn: features"),
        ("training.lr: {choices: [0.1], when: {features.kind: pcen}}", "no setting of it goes with this recipe"),
        ("training.lr: {choices: [0.1], when: {features.kin: pcen}}", "there is no setting 'features.kin'"),
    ],
)
def test_bad_spaces_are_told_in_one_line(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=told) as error:
        load_space(path, Recipe())
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_unknown_spaces_are_told_and_nothing_is_begun(small_data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"there is no space 'netwrok'. Did you mean 'network'\?"):
        soundfold.tune(small_data, recipe="tutorial", changes=SMALL, space="netwrok", out=tmp_path / "run")
    with pytest.raises(
        PathError, match=f"there is no such space file. .* one of those of soundfold's own: {', '.join(space_names())}"
    ):
        soundfold.tune(small_data, recipe="tutorial", changes=SMALL, space="mine.yaml", out=tmp_path / "run")
    for wrong in ({"trials": 1}, {"minutes": 0}, {"inner": 1}, {"jobs": 0}):
        (name,) = wrong
        with pytest.raises(RunError, match=f"{name} must be a"):
            soundfold.tune(small_data, recipe="tutorial", changes=SMALL, out=tmp_path / "run", **wrong)
    assert not (tmp_path / "run").exists()


def test_a_missing_optuna_names_its_extra(small_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import soundfold.jobs

    monkeypatch.setitem(sys.modules, "optuna", None)
    for name in ("tuning_end", "tuning_study", "tuning_trial", "tuning_workers"):
        monkeypatch.delitem(sys.modules, f"soundfold.jobs.{name}")
        monkeypatch.delattr(soundfold.jobs, name)
    with pytest.raises(MissingExtraError, match=r'soundfold tune needs .*\[tune\]"'):
        soundfold.tune(small_data, recipe="tutorial")


# who is seen


@pytest.mark.parametrize("official", [True, False])
@pytest.mark.parametrize("inner", [2, 3])
def test_no_inner_split_holds_a_clip_or_a_recording_of_the_outer_test(
    official: bool, inner: int, tmp_path: Path
) -> None:
    clips = soundfold.read_clips(write_folders(tmp_path / "sounds", seconds=0.05))
    if not official:
        clips = type(clips)(**(vars(clips) | {"table": clips.table.assign(fold=None)}))
    outer = fold_splits(clips, None)
    searches = plan_searches(clips, outer, inner, seed=0)
    group = clips.table["group"].to_numpy()
    for search, split in zip(searches, outer, strict=False):
        assert len(search.inner) == inner
        for part in search.inner:
            assert set(part.train) | set(part.test) == set(split.train)
            assert not set(group[part.train]) & set(group[part.test])
            assert not set(group[np.concatenate([part.train, part.test])]) & set(group[split.test])
        tested = np.concatenate([part.test for part in search.inner])
        assert sorted(tested) == sorted(split.train)
    kept = searches[-1]
    assert (kept.outer, len(searches)) == (None, len(outer) + 1)
    assert sorted(np.concatenate([part.test for part in kept.inner])) == list(range(len(clips)))


def test_official_folds_stay_whole_where_three_or_more_are_left(small_data: Path) -> None:
    clips = soundfold.read_clips(small_data)
    kept = plan_searches(clips, fold_splits(clips, None), 2, seed=0)[-1]
    folds = [set(clips.table["fold"].iloc[part.test]) for part in kept.inner]
    assert sorted(fold for part in folds for fold in part) == ["1", "2", "3"]


def test_a_search_is_blind_to_the_outer_test_fold(tmp_path: Path, space: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two data sets that differ in nothing but the sounds of fold 1, which in one of them are poison: noise."""
    found = []
    for name in ("clean", "poisoned"):
        data = write_folders(tmp_path / name)
        if name == "poisoned":
            for number, path in enumerate(sorted((data / "fold1").rglob("*.wav"))):
                noise = np.random.default_rng(number).uniform(-1, 1, RATE // 2)
                soundfile.write(path, noise * 0.9, RATE, subtype="PCM_16")
        searched = search_only(
            monkeypatch, data, tmp_path / f"out-{name}", space=space, cache=tmp_path / "cache", trials=3
        )
        found.append({key: [(t.params, t.value, t.state) for t in trials] for key, trials in searched.trials.items()})
    clean, poisoned = found
    assert len(clean["fold 1"]) == 3
    assert clean["fold 1"] == poisoned["fold 1"]
    assert clean["all folds"] != poisoned["all folds"]  # the poison works where it is seen


def test_what_trials_are_given_names_no_clip_of_the_outer_test_fold(
    small_data: Path, space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = pretend(monkeypatch, lambda recipe, _: recipe.training.lr)
    searched = search_only(monkeypatch, small_data, tmp_path / "run", space=space)
    assert {name: len(trials) for name, trials in searched.trials.items()} == {"fold 1": 4, "all folds": 4}
    clips = soundfold.read_clips(small_data)
    outer = set(fold_splits(clips, ["1"])[0].test)  # the store's rows are the table's, as every clip is usable
    mine = [job for job in asked if ".trials/fold_1" in job.folder.as_posix()]
    assert len(mine) == 2 * 4
    for job in mine:
        assert not outer & (set(job.train) | set(job.held_out))
        assert not set(job.train) & set(job.held_out)
    assert any(outer & set(job.train) for job in asked)


def test_inner_folds_are_trial_enough(
    small_data: Path, space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each draw that does not pay would be scored as what it began as, and all of them alike."""
    asked = pretend(monkeypatch, lambda recipe, _: recipe.training.lr)
    search_only(monkeypatch, small_data, tmp_path / "run", space=space, changes=[*SMALL, "training.trial=true"])
    assert asked
    assert not any(job.recipe.training.trial for job in asked)


# the search


def test_laggards_are_given_up_and_the_recipe_as_it_is_never(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "space.yaml").write_text("training.lr: [0.001, 0.002, 0.003, 0.0001, 0.0002, 0.0003]\n")

    def score(recipe: Recipe, epoch: int) -> float:
        return 0.8 if 0.001 <= recipe.training.lr < 9 else 0.1

    asked = pretend(monkeypatch, score)
    changes = (*SMALL, "training.epochs=10", "training.lr=9.5")  # as it is it lags behind all others
    searched = search_only(
        monkeypatch, small_data, tmp_path / "run", space=tmp_path / "space.yaml", trials=12, changes=changes
    )
    for name, trials in searched.trials.items():
        assert trials[0].state == TrialState.COMPLETE, name
        assert trials[0].params == {}
        lag = [trial for trial in trials[4:] if trial.params["training.lr"] < 0.001 and _trained(trial)]
        lead = [trial for trial in trials if trial.params.get("training.lr", 0) >= 0.001 and _trained(trial)]
        assert {trial.state for trial in lead} == {TrialState.COMPLETE}
        whole = lead[0].user_attrs["clip_passes"]
        for trial in lag:
            assert trial.state == TrialState.PRUNED
            assert trial.user_attrs["clip_passes"] < whole / 2
    assert any(trial.state == TrialState.PRUNED for trials in searched.trials.values() for trial in trials)
    assert not any(job.folder.exists() for job in asked)


def _trained(trial: FrozenTrial) -> bool:
    return "same_as" not in trial.user_attrs


def test_equal_draws_are_trained_once_and_diverging_ones_are_no_accident(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "space.yaml").write_text("training.lr: [0.002, 5.0]\n")

    def score(recipe: Recipe, epoch: int) -> float:
        if recipe.training.lr > 1:
            raise DataError("the loss must stay a number, got nan in epoch 1. Lower training.lr (now 5)")
        return 0.9

    asked = pretend(monkeypatch, score)
    searched = search_only(monkeypatch, small_data, tmp_path / "run", space=tmp_path / "space.yaml", trials=8)
    trials = searched.trials["fold 1"]
    assert len(trials) == 8
    assert sum("diverged" in trial.user_attrs for trial in trials) == 1
    assert sum("same_as" in trial.user_attrs for trial in trials) == 5
    assert len([job for job in asked if "fold_1" in str(job.folder)]) == 2 + 2 + 1


def test_draws_that_contradict_themselves_cost_no_trial(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "s.yaml").write_text("features.n_fft: [64, 256]\nfeatures.hop_length: [32, 48, 128]\n" + LR)
    pretend(monkeypatch, lambda *_: 0.5)
    searched = search_only(monkeypatch, small_data, tmp_path / "run", space=tmp_path / "s.yaml", trials=12)
    refused = [trial for trial in searched.trials["fold 1"] if "refused" in trial.user_attrs]
    assert refused
    assert "features.hop_length must be at most the window of 64 samples" in refused[0].user_attrs["refused"]
    assert len(searched.trials["fold 1"]) - len(refused) == 12


def test_time_ends_a_search_after_the_recipe_as_it_is(
    small_data: Path, space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, lambda *_: 0.5)
    searched = search_only(monkeypatch, small_data, tmp_path / "run", space=space, trials=None, minutes=1e-9)
    assert [len(trials) for trials in searched.trials.values()] == [1, 1]
    more = search_only(monkeypatch, small_data, tmp_path / "run", space=space, trials=3, resume=True)
    assert [len(trials) for trials in more.trials.values()] == [3, 3]


def test_a_continued_search_draws_what_an_unbroken_one_draws(
    small_data: Path, space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, lambda recipe, _: recipe.training.lr)
    unbroken = search_only(monkeypatch, small_data, tmp_path / "a", space=space, trials=8)
    for trials in (3, 5, 8):
        broken = search_only(monkeypatch, small_data, tmp_path / "b", space=space, trials=trials, resume=True)
    for name, trials_ in unbroken.trials.items():
        assert [trial.params for trial in broken.trials[name]] == [trial.params for trial in trials_]
        drawn = [trial.params["training.lr"] for trial in trials_[1:]]
        assert len(set(drawn)) == len(drawn)


def test_a_search_that_was_killed_twice_draws_what_an_unbroken_one_draws(
    small_data: Path, space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while a trial draws, and twice while one and the same trains: the same draws, looks and ends."""
    score = lambda recipe, epoch: min(0.9, 30 * recipe.training.lr) * (1 + epoch) / 4  # noqa: E731
    reached: dict[Path, int] = {}
    kills = [42, 43]

    def fit(job: FitJob, _: object, on_epoch: Callable[[EpochRecord], None]) -> Fitted:
        records = [
            EpochRecord(epoch, 1.0, 0.5, 1.0, score(job.recipe, epoch), 0.001, 0.0)
            for epoch in range(1, job.recipe.training.epochs + 1)
        ]
        for record in records[reached.get(job.folder, 0) :]:  # as a checkpoint has it, epochs are not heard twice
            if kills and sum(reached.values()) == kills[0]:
                raise KeyboardInterrupt(kills.pop(0))
            reached[job.folder] = record.epoch
            on_epoch(record)
        return Fitted({}, records)

    monkeypatch.setattr(tuning_trial, "fit", fit)
    monkeypatch.setattr(tuning_trial.shutil, "rmtree", lambda *_, **__: None)
    draw = Study.draw

    def die_drawing(study: Study, trial: Any) -> dict[str, Any]:
        if trial.number == 3 and not study.trials(TrialState.FAIL):
            trial.suggest_float("training.lr", 0.0003, 0.02, log=True)
            raise KeyboardInterrupt
        return draw(study, trial)

    asked = {"recipe": "tutorial", "changes": SMALL, "space": space, "out": tmp_path / "a", **QUICK, "trials": 12}
    with monkeypatch.context() as patched:
        patched.setattr(Study, "draw", die_drawing)
        with pytest.raises(KeyboardInterrupt):
            soundfold.tune(small_data, **asked)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            soundfold.tune(small_data, **asked, resume=True)
    broken = search_only(monkeypatch, small_data, tmp_path / "a", space=space, trials=12, resume=True)
    failed = [trial for trial in broken.trials["fold 1"] if trial.state == TrialState.FAIL]
    assert len(failed) == 3
    assert failed[0].number == 3
    reached.clear()
    unbroken = search_only(monkeypatch, small_data, tmp_path / "b", space=space, trials=12)
    for name, trials in unbroken.trials.items():
        assert {trial.state for trial in trials} == {TrialState.COMPLETE, TrialState.PRUNED}
        ended = [trial for trial in broken.trials[name] if trial.state != TrialState.FAIL]
        for one, other in zip(ended, trials, strict=True):
            assert (one.params, one.state, one.value) == (other.params, other.state, other.value)
            assert one.intermediate_values == other.intermediate_values
    assert failed[2].user_attrs["looks"]


def test_only_what_it_was_begun_with_is_continued(
    small_data: Path, space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, lambda *_: 0.5)
    run = tmp_path / "run"
    search_only(monkeypatch, small_data, run, space=space, trials=2)
    with pytest.raises(PathError, match="is not empty. Choose another --out, or continue the run with --resume"):
        soundfold.tune(small_data, recipe="tutorial", changes=SMALL, space=space, out=run, **QUICK)
    with pytest.raises(RunError, match=r"was begun with recipe\.training\.seed = 0, got 7"):
        soundfold.tune(small_data, recipe="tutorial", changes=SMALL, space=space, out=run, resume=True, seed=7, **QUICK)
    space.write_text(LR)
    with pytest.raises(RunError, match=r"was begun with space\."):
        soundfold.tune(small_data, recipe="tutorial", changes=SMALL, space=space, out=run, resume=True, **QUICK)
    (tmp_path / "cv").mkdir()
    (tmp_path / "cv" / "run.json").write_text(json.dumps({"verb": "cv"}))
    with pytest.raises(RunError, match="cv: was begun with verb = cv, got tune. Continue with the same settings"):
        soundfold.tune(
            small_data, recipe="tutorial", changes=SMALL, space=space, out=tmp_path / "cv", resume=True, **QUICK
        )


def test_a_search_that_was_begun_before_there_was_a_setting_is_continued(
    small_data: Path, space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, lambda *_: 0.5)
    search_only(monkeypatch, small_data, tmp_path / "run", space=space, trials=2)
    begun = tmp_path / "run" / "run.json"
    identity = json.loads(begun.read_text())
    del identity["recipe"]["model"]["texture_apart"]
    begun.write_text(json.dumps(identity))
    more = search_only(monkeypatch, small_data, tmp_path / "run", space=space, trials=3, resume=True)
    assert [len(trials) for trials in more.trials.values()] == [3, 3]


def test_a_line_that_a_kill_cut_short_is_cut_off(
    small_data: Path, space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, lambda recipe, _: recipe.training.lr)
    first = search_only(monkeypatch, small_data, tmp_path / "run", space=space, trials=2)
    with (tmp_path / "run" / "search.log").open("ab") as file:
        file.write(b'{"op_code": 4, "worker')
    second = search_only(monkeypatch, small_data, tmp_path / "run", space=space, trials=3, resume=True)
    for name, trials in first.trials.items():
        assert [trial.value for trial in second.trials[name]][:2] == [trial.value for trial in trials]
        assert len(second.trials[name]) == 3


@pytest.mark.parametrize("line", [b"[]\n", b"null\n", b'{"op_code": 99}\n', b"[" * 50_000 + b"\n", b"\xff{\n", b"{}\n"])
@pytest.mark.parametrize("place", [0, 3, -1])
def test_a_journal_with_a_line_that_is_no_ones_is_refused(
    small_data: Path, space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: bytes, place: int
) -> None:
    pretend(monkeypatch, lambda recipe, _: recipe.training.lr)
    search_only(monkeypatch, small_data, tmp_path / "run", space=space, trials=2)
    lines = (tmp_path / "run" / "search.log").read_bytes().splitlines(keepends=True)
    lines[place] = line
    (tmp_path / "run" / "search.log").write_bytes(b"".join(lines))
    with pytest.raises(RunError, match=r"search.log: is damaged, so the search cannot go on. Choose another --out"):
        search_only(monkeypatch, small_data, tmp_path / "run", space=space, trials=3, resume=True)


# several processes


@contextmanager
def worker(task: Task) -> Iterator[subprocess.Popen[bytes]]:
    code = "from soundfold.jobs.child_processes import work; work()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    pickle.dump((tuning_workers.search, (task,), 1), process.stdin)
    process.stdin.flush()
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")
def test_processes_share_a_search_and_a_kill_loses_nothing(
    small_data: Path, space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes on one journal; one is killed in the middle of a trial, and we go on from its checkpoint."""
    run, changes = tmp_path / "run", (*SMALL, "training.epochs=60")
    space.write_text(LR)
    with monkeypatch.context() as patched:
        pretend(patched, lambda *_: 0.0)
        begun = search_only(patched, small_data, run, space=space, trials=2, changes=changes).task
    budgets = [Budget(4, None), Budget(2, None)]
    task = Task(**(vars(begun) | {"budgets": budgets}))
    material = Material(task.data, task.where, task.cache, task.hardware, Silent(), digest=task.digest)
    with worker(task) as other, open_journal(run) as journal:
        study = Study(journal, task.searches[0], task.recipe, task.space, budgets[0])
        until = time.monotonic() + 120
        while not (run / ".trials" / "fold_1" / "trial2" / "inner1" / "checkpoint.safetensors").exists():
            assert time.monotonic() < until, "the other process never began"
            time.sleep(0.01)
        mine = study.claim()
        assert mine is not None
        theirs, ours = study.trials(TrialState.RUNNING)
        assert (theirs.number, ours.number) == (2, mine.number)
        assert theirs.user_attrs["worker"] != ours.user_attrs["worker"]
        assert study.claim() is None  # both together spend the budget
        assert study.others_work()
        other.send_signal(signal.SIGKILL)
        other.wait()
        run_trial(study, mine, material, run, Silent(), 4)
        heard, train = [], tuning_trial.fit
        monkeypatch.setattr(
            tuning_trial, "fit",
            lambda job, hardware, hear: train(job, hardware, lambda record: (heard.append(job.folder), hear(record))),
        )  # fmt: skip
        search_all(task, journal, material, Silent(), to_the_end=True)
        told = study.trials(TrialState.COMPLETE, TrialState.PRUNED)
        assert len(told) == 4
        (failed,) = study.trials(TrialState.FAIL)
        assert failed.number == 2
        assert not study.trials(TrialState.RUNNING, TrialState.WAITING)
        (again,) = [trial for trial in told if trial.user_attrs.get("folder") == "trial2"]
        assert again.params == theirs.params
        # epochs that its checkpoint held were not trained again, and what it had reached in them still counts
        assert 0 < sum(folder.parent.name == "trial2" for folder in heard) < 2 * 60
        assert len(again.intermediate_values) == 2 * 10
        assert sum(1 for _ in (run / ".trials" / "fold_1").iterdir()) == 0
    assert list((run / ".workers").iterdir()) == []


def test_a_worker_that_is_gone_gives_its_trial_back(
    small_data: Path, space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []

    def interrupt(recipe: Recipe, epoch: int) -> float:
        heard.append(epoch)
        if len(heard) == 2 * 3 + 4:  # the first trial is whole, the second in its second inner fold
            raise KeyboardInterrupt
        return 0.5

    pretend(monkeypatch, interrupt)
    with pytest.raises(KeyboardInterrupt):
        soundfold.tune(small_data, recipe="tutorial", changes=SMALL, space=space, out=tmp_path / "run", **QUICK)
    pretend(monkeypatch, lambda *_: 0.5)
    trials = search_only(monkeypatch, small_data, tmp_path / "run", space=space, resume=True).trials["fold 1"]
    failed = [trial for trial in trials if trial.state == TrialState.FAIL]
    assert [trial.number for trial in failed] == [1]
    again = [trial for trial in trials if trial.user_attrs.get("folder") == "trial1"]
    assert [trial.params for trial in again] == [failed[0].params]
    assert len(trials) == 4 + 1


# the whole verb


@pytest.fixture(scope="module")
def tuned(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TuneResult, dict[str, Any]]:
    """A whole tuning from a recipe that learns nothing, so that something better is there to be found."""
    folder = tmp_path_factory.mktemp("tuned")
    (folder / "space.yaml").write_text("training.lr: [0.005, 0.01]\n")
    changes = [*SMALL, "training.lr=0.0000001"]
    asked = {"changes": changes, "space": folder / "space.yaml", "out": folder / "run", "cache": folder / "cache"}
    return soundfold.tune(small_data, recipe="tutorial", **asked, **(QUICK | {"trials": 3})), asked


def test_what_was_found_is_scored_once_beside_the_recipe_as_it_was(
    tuned: tuple[TuneResult, dict[str, Any]],
) -> None:
    result, asked = tuned
    run = asked["out"]
    table = read_predictions(run / "predictions.parquet")
    assert set(table["fold"]) == {"1"}
    assert result.accuracy_pooled == pytest.approx((table["label"] == table["predicted"]).mean())
    untuned = CvResult.model_validate_json((run / "untuned" / "metrics.json").read_text())
    assert result.untuned == untuned
    assert result.gain.difference == pytest.approx(result.accuracy_pooled - untuned.accuracy_pooled)
    assert result.accuracy > untuned.accuracy
    (fold,) = result.folds
    assert fold.changes["training.lr"] in (0.005, 0.01)
    assert fold.inner_accuracy > fold.inner_accuracy_untuned
    found = load_recipe(run / "tuned" / "fold_1" / "recipe.yaml")
    assert found.training.lr == fold.changes["training.lr"]
    assert found.training.validate_every == load_recipe("tutorial", SMALL).training.validate_every
    kept = load_recipe(run / "recipe.yaml")
    assert kept.name == "tutorial-tuned"
    assert kept.training.lr == result.keep.changes["training.lr"]
    assert result.search.trials == 6
    assert result.search.clip_passes > 0
    assert "The search took 6 trials" in result.sentence
    told = json.loads((run / "metrics.json").read_text())
    for part in (told, told["keep"], *told["folds"]):
        assert not [name for name in part if "precision" in name], "fields of several labels are left out"
    assert (
        TuneResult.model_validate_json((run / "metrics.json").read_text()).model_copy(
            update={"seconds": result.seconds}
        )
        == result
    )


def test_a_finished_search_is_read_and_not_made_again(
    tuned: tuple[TuneResult, dict[str, Any]], small_data: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(tuning_trial, "fit", refuse)
    monkeypatch.setattr("soundfold.jobs.learning.fit", refuse)
    result, asked = tuned
    changes = ["-r", "tutorial", *(part for change in asked["changes"] for part in ("--set", change))]
    places = ["--space", asked["space"], "--out", asked["out"], "--cache", asked["cache"]]
    numbers = ["--trials", 3, "--inner", 2, "--folds", "1", "--jobs", 1, "--resume", "--json"]
    status = main([str(part) for part in ("tune", small_data, *changes, *places, *numbers)])
    out = capsys.readouterr().out
    assert status == 0
    again = TuneResult.model_validate_json(out)
    assert again.model_copy(update={"seconds": result.seconds}) == result


def test_people_are_told_in_a_few_lines(
    tuned: tuple[TuneResult, dict[str, Any]],
    small_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("soundfold.jobs.tune.tune", lambda *_, **__: tuned[0])
    assert main(["tune", str(small_data)]) == 0
    out = capsys.readouterr().out
    for told in (
        "fold 1: tuned",
        "training.lr=0.0",
        "mean:   tuned",
        "gain:   ",
        "keep:   ",
        "recipe.yaml",
        "too high",
    ):
        assert told in out
    assert len(out.splitlines()) < 16


def test_of_a_recipe_that_was_never_scored_nothing_is_promised(
    tuned: tuple[TuneResult, dict[str, Any]],
    small_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The search on all folds found a recipe; those that were scored found none."""
    result, asked = tuned
    before = read_predictions(asked["out"] / "untuned" / "predictions.parquet")
    alike = result.model_copy(
        update={
            "folds": tuple(fold.model_copy(update={"changes": {}}) for fold in result.folds),
            "gain": compare_predictions(before, before),
        }
    )
    assert result.knows_of_the_kept
    assert any("too narrow" in note for note in alike.gain.notes)
    monkeypatch.setattr("soundfold.jobs.tune.tune", lambda *_, **__: alike)
    assert main(["tune", str(small_data)]) == 0
    out = capsys.readouterr().out
    assert "nothing is known of what this recipe is worth" in out
    assert "expect the gain above" not in out
    assert "too narrow" not in out, "there is no interval"
    assert str(Path("run", "untuned", "recipe.yaml")) in out.splitlines()[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="quotes as POSIX shells do")
@pytest.mark.parametrize(
    ("verb", "job", "recipe"),
    [("tune", "tune.tune", "tutorial-tuned"), ("cv", "cross_validate.cross_validate", "tutorial")],
)
def test_the_next_command_that_is_told_makes_a_model_of_the_recipe_that_was_scored(
    verb: str,
    job: str,
    recipe: str,
    tuned: tuple[TuneResult, dict[str, Any]],
    small_data: Path,
    tmp_path: Path,
    hollow_model_file: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    result, _ = tuned
    scored = result if verb == "tune" else result.untuned.model_copy(update={"calibration": None})  # of too few clips
    monkeypatch.chdir(tmp_path)
    shutil.copytree(small_data, "my sounds")
    with monkeypatch.context() as patched:
        patched.setattr(f"soundfold.jobs.{job}", lambda *_, **__: scored)
        assert main([verb, "my sounds", "--where", "fold=1"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    heading, program, *words = shlex.split(last)
    assert (heading, program) == ("next:", "soundfold")
    assert main([*words, "--out", "made"]) == 0
    made = TrainResult.model_validate_json(Path("made", "metrics.json").read_text())
    assert made.recipe["name"] == recipe
    assert made.split.n_train == 12, "of the part that was asked for"


def test_the_folder_is_told_as_it_was_named(
    small_data: Path, space: Path, tmp_path: Path, hollow_model_file: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes search: the folder must be found by these as well."""
    monkeypatch.chdir(tmp_path)
    asked = {"changes": [*SMALL, "training.epochs=1"], "space": space, **QUICK, "trials": 2, "jobs": 2}
    result = soundfold.tune(small_data, recipe="tutorial", out="run", **asked)
    assert (result.out, result.keep.recipe) == ("run", str(Path("run", "recipe.yaml")))
    assert result.untuned.out == str(Path("run", "untuned"))
    assert result.search.trials == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "space.yaml"]


def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str], small_data: Path, tmp_path: Path) -> None:
    status = main(["tune", str(small_data), "--space", "netwrok", "--out", str(tmp_path / "run")])
    told = capsys.readouterr()
    assert (status, told.out) == (2, "")
    assert "soundfold: there is no space 'netwrok'. Did you mean 'network'?" in told.err
    assert issubclass(RecipeError, SoundfoldError)
